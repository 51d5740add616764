// Schemas: what the server says exists for this caller. Everything the explorer knows of a type it knows from here.

import { getKept } from './request.js';

const kept = new Map();

/** The schemas at a URL, read once for as long as the page lives. */
export function loadSchemas(url) {
  if (!kept.has(url)) {
    const loading = getKept(url).then((answer) => new Schemas(answer.data ?? []));
    loading.catch(() => kept.delete(url));
    kept.set(url, loading);
  }
  return kept.get(url);
}

export class Schemas {
  constructor(list) {
    this.byId = new Map(list.map((schema) => [schema.id, schema]));
    this.byPlural = new Map(list.map((schema) => [(schema.pluralName ?? schema.id).toLowerCase(), schema]));
  }

  find(id) {
    return this.byId.get(id);
  }

  /** By the segment of a path: singular or plural, any case. */
  findByPath(segment) {
    const lower = segment.toLowerCase();
    return this.byPlural.get(lower) ?? [...this.byId.values()].find((schema) => schema.id.toLowerCase() === lower);
  }

  /** Types with a list, in the order of their plurals. */
  listable() {
    return [...this.byId.values()].filter((s) => s.links?.collection).sort((a, b) => a.pluralName.localeCompare(b.pluralName));
  }

  /** Whether a field's type is an object that another schema describes. */
  isEmbedded(type) {
    return this.byId.has(type.name) && !SIMPLE.has(type.name);
  }
}

const SIMPLE = new Set(['string', 'password', 'float', 'int', 'date', 'blob', 'boolean', 'enum', 'reference', 'array', 'map', 'json']);

/** `array[reference[stack]]` → `{name: 'array', of: {name: 'reference', of: {name: 'stack'}}}`. */
export function parseType(text) {
  const at = text.indexOf('[');
  if (at < 0 || !text.endsWith(']')) return { name: text };
  return { name: text.slice(0, at), of: parseType(text.slice(at + 1, -1)) };
}

/** The fields that a form has, as `[name, field]`: the required ones first, then what names a thing, then the others. */
export function inputFields(schema, purpose) {
  const wanted = Object.entries(schema.resourceFields ?? {}).filter(([name, field]) =>
    name !== 'type' && (purpose === 'update' ? field.update : field.create));
  const rank = ([name, field]) => (name === 'name' ? 0 : field.required && field.default === undefined ? 1 : name === 'description' ? 2 : 3);
  return wanted.sort((a, b) => rank(a) - rank(b) || a[0].localeCompare(b[0]));
}

/** What stands beside a field's name: its type, default and limits. */
export function describeField(field) {
  const parts = [field.type];
  if (field.default !== undefined && field.default !== null) parts.push(`default ${JSON.stringify(field.default)}`);
  if (field.min !== undefined && field.min !== null) parts.push(`min ${field.min}`);
  if (field.max !== undefined && field.max !== null) parts.push(`max ${field.max}`);
  // A length that columns have is none that people reach.
  const most = field.maxLength && field.maxLength < 255 ? field.maxLength : undefined;
  if (field.minLength > 1) parts.push(most ? `${field.minLength} to ${most} characters` : `at least ${field.minLength} characters`);
  else if (most) parts.push(`up to ${most} characters`);
  if (field.validChars) parts.push(`of ${field.validChars}`);
  return parts.join(' · ');
}

/** What can be said of a refused value, from the field's own limits. */
export function explain(code, field = {}) {
  switch (code) {
    case 'MinLimitExceeded': return `at least ${field.min}`;
    case 'MaxLimitExceeded': return `at most ${field.max}`;
    case 'MinLengthExceeded': return `at least ${field.minLength} characters`;
    case 'MaxLengthExceeded': return `at most ${field.maxLength} characters`;
    case 'InvalidOption': return field.options ? `one of ${field.options.join(', ')}` : '';
    case 'InvalidCharacters': return field.validChars ? `only ${field.validChars}` : '';
    case 'MissingRequired': return 'needed';
    case 'NotNullable': return 'cannot be null';
    case 'NotUnique': return 'taken already';
    case 'InvalidReference': return 'no such thing, or not for you';
    default: return '';
  }
}

/** Whether an answer holds something that is told only once. */
export function hasSecrets(answer, schemas) {
  const fields = schemas.find(answer.data?.type)?.resourceFields ?? {};
  return Object.entries(fields).some(([name, field]) => field.readOnCreateOnly && answer.data[name]);
}

/** What the fields mean, by type; empty where nobody says. */
export class Docs {
  constructor(url) {
    this.types = new Map();
    this.url = url;
  }

  /** Reads them, once, when somebody is about to read. */
  load() {
    this.loading ??= this.url ? getKept(this.url).then((answer) => {
      for (const doc of answer.data ?? []) this.types.set(doc.id, doc);
    }).catch(() => undefined) : Promise.resolve();
    // Without them everything works.
    return this.loading;
  }

  /** What a type is for, by itself: all texts are many. */
  async about(id) {
    if (!this.url || this.types.has(id)) return this.type(id);
    return getKept(`${this.url}/${id}`).then((doc) => doc.description ?? '').catch(() => '');
  }

  type(id) {
    return this.types.get(id)?.description ?? '';
  }

  field(type, name) {
    return this.types.get(type)?.resourceFields?.[name]?.description ?? '';
  }
}
