// A collection as a table: the columns come from the schema, the rows stay in place when they change.

import { el, ownUrl } from './dom.js';
import { parseType } from './schema.js';

/** Columns at most; what is missing there is in the JSON. */
const MOST = 7;
/** These say the same everywhere, or nothing in a table. */
const DULL = new Set(['id', 'type', 'kind', 'uuid', 'accountId', 'baseType', 'removed', 'removeTime', 'data', 'transitioning', 'transitioningProgress', 'description', 'externalId', 'created', 'transitioningMessage']);
const FIRST = ['name', 'state', 'healthState'];

/** Chooses the columns: name, state, health, then what differs most from row to row and from what is usual. */
export function chooseColumns(schema, rows) {
  const fields = schema?.resourceFields ?? {};
  const names = Object.keys(Object.keys(fields).length ? fields : rows[0] ?? {});
  const first = FIRST.filter((name) => names.includes(name));
  const kinds = new Set(rows.map((row) => row.type)).size > 1 ? ['type'] : [];
  const told = (name) => {
    const type = parseType(fields[name]?.type ?? 'string').name;
    if (!['string', 'int', 'enum', 'boolean', 'reference', 'float', 'date'].includes(type)) return 0;
    const { default: usual, create, update } = fields[name] ?? {};
    const isTelling = (v) => v !== null && v !== undefined && v !== (usual ?? false) && typeof v !== 'object' && String(v).length < 80;
    const values = new Set(rows.map((row) => row[name]).filter(isTelling)).size;
    // Among equals, what somebody chose before what follows from it.
    return values && values + (create || update ? 0.5 : 0) + (type === 'reference' ? 0.25 : 0);
  };
  const rest = names.filter((name) => !DULL.has(name) && !FIRST.includes(name)).map((name) => [name, told(name)])
    .filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const created = names.includes('created') ? ['created'] : [];
  const chosen = ['id', ...first, ...kinds, ...rest];
  return [...chosen.slice(0, MOST - created.length), ...created];
}

/** A word and a colour for a state. */
export function stateMark(row) {
  const state = row.state ?? '';
  if (!state) return '';
  return el('span', { class: `mark ${tone(row)}` }, el('span', { class: 'dot', 'aria-hidden': 'true' }), state);
}

export function tone(row) {
  if (row.transitioning === 'error' || /error|unhealthy|disconnected/.test(`${row.state} ${row.healthState}`)) return 'bad';
  if (row.transitioning === 'yes' || /ing\b|ing-/.test(row.state ?? '') && row.state !== 'running') return 'busy';
  return /^(active|running|upgraded|registered|reconnected|requested)$/.test(row.state ?? '') ? 'ok' : 'off';
}

export class Table {
  /** `link(value, key)` gives the URL of a reference. */
  constructor(link) {
    this.link = link;
    this.lines = new Map();
  }

  render(collection, schema) {
    const rows = collection.data ?? [];
    if (!this.columns || !this.lines.size) this.columns = chooseColumns(schema, rows);
    this.body = el('tbody', {});
    this.node = el('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': `${collection.resourceType} table` },
      el('table', {}, el('thead', {}, el('tr', {}, this.columns.map((name) => this.head(name, collection)))), this.body));
    this.lines.clear();
    this.update(rows);
    return this.node;
  }

  head(name, collection) {
    const url = ownUrl(collection.sortLinks?.[name]);
    const sort = collection.sort?.name === name ? collection.sort : undefined;
    const target = sort ? ownUrl(sort.reverse) : url;
    const arrow = sort ? (sort.order === 'desc' ? ' ↓' : ' ↑') : '';
    return el('th', { scope: 'col', 'aria-sort': sort ? (sort.order === 'desc' ? 'descending' : 'ascending') : undefined },
      target ? el('a', { href: target, 'data-key': `sort ${name}` }, name, arrow) : name);
  }

  /** Puts the rows of a newer answer in the place of the old, touching only what differs. */
  update(rows) {
    const old = this.lines;
    this.lines = new Map();
    rows.forEach((row, i) => {
      const key = row.links?.self ?? `${row.type} ${row.id} ${i}`;
      const text = JSON.stringify(row);
      const known = old.get(key);
      const line = known ?? { node: el('tr') };
      if (line.text !== text) {
        const focused = line.node.contains(document.activeElement) ? [...line.node.querySelectorAll('a')].indexOf(document.activeElement) : -1;
        line.node.replaceChildren(...this.columns.map((name, n) => this.cell(row, name, n)));
        if (focused >= 0) line.node.querySelectorAll('a')[focused]?.focus();
        line.node.classList.toggle('changed', Boolean(known));
        line.text = text;
      }
      old.delete(key);
      this.lines.set(key, line);
      if (this.body.children[i] !== line.node) this.body.insertBefore(line.node, this.body.children[i] ?? null);
    });
    for (const line of old.values()) line.node.remove();
  }

  cell(row, name, number) {
    const value = row[name];
    const self = ownUrl(row.links?.self);
    if (number === 0 || (name === 'name' && value)) {
      const shown = value ?? row.id ?? '—';
      return el('td', { class: name === 'id' ? 'm' : '' }, self ? el('a', { href: self }, String(shown)) : String(shown));
    }
    if (name === 'state') return el('td', {}, stateMark(row));
    if (value === null || value === undefined) return el('td', { class: 'z' }, '—');
    const url = typeof value === 'string' ? this.link(value, name, row) : undefined;
    if (url) return el('td', { class: 'm' }, el('a', { href: url }, value));
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
    return el('td', { class: typeof value === 'string' && /^[\w-]+$/.test(value) ? '' : 'm', title: text.length > 60 ? text : undefined }, text.length > 60 ? `${text.slice(0, 60)}…` : text);
  }
}
