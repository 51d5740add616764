// A collection as a table: the columns come from the type's summary or its schema, the rows stay in place when they change.

import { el, ownUrl } from './dom.js';
import { learn, named } from './names.js';
import { parseType } from './schema.js';
import { labelOf, summaryOf, told, valueAt } from './summary.js';
import { healthMark, stateMark } from './state.js';
import { when } from './when.js';

/** Columns at most; what is missing there is in the JSON. */
const MOST = 7;
/** These say the same everywhere, or nothing in a table. */
const DULL = new Set(['id', 'type', 'kind', 'uuid', 'accountId', 'baseType', 'removed', 'removeTime', 'data', 'transitioning', 'transitioningProgress', 'description', 'externalId', 'created', 'transitioningMessage']);
const FIRST = ['name', 'state', 'healthState'];
/** What a row's mark is made of; its actions are asked for when somebody chooses it. */
export const ALWAYS = ['name', 'state', 'healthState', 'transitioning', 'transitioningMessage', 'stackId'];
/** What never changes need not be told again. */
export const FIXED = new Set(['created', 'id', 'type', 'kind', 'uuid', 'accountId', 'baseType']);

/** Chooses the columns: those of the summary; else name, state, health, then what differs most from row to row and from what is usual. */
export function chooseColumns(schema, rows) {
  const fields = schema?.resourceFields ?? {};
  const names = Object.keys(Object.keys(fields).length ? fields : rows[0] ?? {});
  const wished = (summaryOf(schema?.id, rows[0]?.baseType).columns ?? []).filter((place) => names.includes(place.split(/[.|]/)[0]));
  if (wished.length) return wished;
  // What has a name is known by it; its id is behind the name.
  const key = names.includes('name') && (rows.some((row) => row.name) || !rows.length) ? [] : ['id'];
  const first = FIRST.filter((name) => names.includes(name) && (name !== 'name' || !key.length));
  const kinds = new Set(rows.map((row) => row.type)).size > 1 ? ['type'] : [];
  const telling = (name) => {
    const type = parseType(fields[name]?.type ?? 'string').name;
    if (!['string', 'int', 'enum', 'boolean', 'reference', 'float', 'date'].includes(type)) return 0;
    const { default: usual, create, update } = fields[name] ?? {};
    const isTelling = (v) => v !== null && v !== undefined && v !== (usual ?? false) && typeof v !== 'object' && String(v).length < 80 && !/^[[{]/.test(v);
    const values = new Set(rows.map((row) => row[name]).filter(isTelling)).size;
    // Among equals, what somebody chose before what follows from it.
    return values && values + (create || update ? 0.5 : 0) + (type === 'reference' ? 0.25 : 0);
  };
  const rest = names.filter((name) => !DULL.has(name) && !FIRST.includes(name)).map((name) => [name, telling(name)])
    .filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const created = names.includes('created') ? ['created'] : [];
  const chosen = [...key, ...first, ...kinds, ...rest];
  return [...chosen.slice(0, MOST - created.length), ...created];
}

export class Table {
  /** `link(value, key, row)` gives the URL of a reference, `listOf(type)` that of a type's list; `choose(row, isOn)` makes rows choosable. */
  constructor({ link, listOf, choose, columns }) {
    Object.assign(this, { link, listOf, choose, wished: columns });
    this.lines = new Map();
    this.chosen = new Set();
  }

  render(collection, schema) {
    const rows = collection.data ?? [];
    this.schema = schema;
    if (!this.columns || !this.lines.size) this.columns = this.wished ?? chooseColumns(schema, rows);
    this.body = el('tbody', {});
    const all = this.choose ? el('th', { scope: 'col', class: 'pick-cell' }, el('input', { type: 'checkbox', 'aria-label': 'choose all', onchange: (event) => this.chooseAll(event.target.checked) })) : null;
    this.node = el('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': `${collection.resourceType ?? 'rows'} table` },
      el('table', {}, el('thead', {}, el('tr', {}, all, this.columns.map((name) => this.head(name, collection)))), this.body));
    this.lines.clear();
    this.update(rows);
    return this.node;
  }

  head(place, collection) {
    const name = place.split('|')[0];
    const url = ownUrl(collection.sortLinks?.[name]);
    const sort = collection.sort?.name === name ? collection.sort : undefined;
    const target = sort ? ownUrl(sort.reverse) : url;
    const arrow = sort ? (sort.order === 'desc' ? ' ↓' : ' ↑') : '';
    return el('th', { scope: 'col', 'aria-sort': sort ? (sort.order === 'desc' ? 'descending' : 'ascending') : undefined },
      target ? el('a', { href: target, 'data-key': `sort ${name}` }, labelOf(place), arrow) : labelOf(place));
  }

  /** Puts the rows of a newer answer in the place of the old, touching only what differs. */
  update(rows) {
    learn(rows);
    const old = this.lines;
    this.lines = new Map();
    rows.forEach((row, i) => {
      const key = row.id ?? row.links?.self ?? String(i);
      const line = old.get(key) ?? { node: el('tr', { 'data-row': row.id }) };
      this.draw(line, row, old.has(key));
      old.delete(key);
      this.lines.set(key, line);
      if (this.body.children[i] !== line.node) this.body.insertBefore(line.node, this.body.children[i] ?? null);
    });
    for (const line of old.values()) line.node.remove();
  }

  /** What an event says of one row; whether the row is here. */
  patch(news) {
    const line = this.lines.get(news.id);
    if (!line) return false;
    learn(news);
    const isStale = !news.actions && (line.row.isStale || line.row.state !== news.state);
    this.draw(line, { ...line.row, ...news, isStale }, true);
    return true;
  }

  /** Takes a row away. */
  drop(id) {
    this.lines.get(id)?.node.remove();
    this.lines.delete(id);
  }

  draw(line, row, wasThere) {
    const text = JSON.stringify(row);
    line.row = row;
    if (line.text === text) return;
    const { node } = line;
    const focused = node.contains(document.activeElement) ? [...node.querySelectorAll('a, input')].indexOf(document.activeElement) : -1;
    node.replaceChildren(...(this.choose ? [this.box(row)] : []), ...this.columns.map((name, n) => this.cell(row, name, n)));
    if (focused >= 0) node.querySelectorAll('a, input')[focused]?.focus();
    node.classList.toggle('changed', wasThere);
    node.classList.toggle('gone', row.state === 'removed' || row.state === 'purged' || Boolean(row.removed));
    line.text = text;
  }

  box(row) {
    return el('td', { class: 'pick-cell' }, el('input', { type: 'checkbox', checked: this.chosen.has(row.id), 'aria-label': `choose ${row.name ?? row.id}`,
      onchange: (event) => this.set(row.id, event.target.checked) }));
  }

  set(id, isOn) {
    if (isOn) this.chosen.add(id);
    else this.chosen.delete(id);
    this.choose();
  }

  chooseAll(isOn) {
    this.chosen = new Set(isOn ? this.lines.keys() : []);
    for (const box of this.body.querySelectorAll('.pick-cell input')) box.checked = isOn;
    this.choose();
  }

  rows() {
    return [...this.lines.values()].map((line) => line.row);
  }

  cell(row, place, number) {
    const path = place.split('|')[0];
    const value = valueAt(row, path);
    const self = ownUrl(row.links?.self) ?? this.link(row.id ?? '', 'id', row);
    if (number === 0 || (path === 'name' && value)) {
      const shown = value ?? row.id ?? '—';
      return el('td', { class: path === 'id' ? 'm' : 'first' }, self ? el('a', { href: self, title: row.id, 'data-id': row.id }, String(shown)) : String(shown));
    }
    if (path === 'state') return el('td', {}, stateMark(row));
    if (path === 'healthState') return el('td', {}, value ? healthMark(row) : el('span', { class: 'z' }, '—'));
    if (value === null || value === undefined || value === '' || (Array.isArray(value) && !value.length)) return el('td', { class: 'z' }, '—');
    if (place.includes('|')) return el('td', { class: 'told' }, told(place, row) ?? '—');
    return this.plain(row, path, value);
  }

  plain(row, path, value) {
    const type = parseType(this.schema?.resourceFields?.[path]?.type ?? '');
    if (type.name === 'date') return el('td', { class: 'short' }, when(value));
    const url = typeof value === 'string' ? this.link(value, path, row) : undefined;
    if (url) return el('td', {}, type.name === 'reference' ? named(value, url, { list: this.listOf?.(type.of?.name) }) : el('a', { href: url }, value));
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
    return el('td', { class: typeof value === 'string' && /^[\w-]+$/.test(value) ? '' : 'm', title: text.length > 60 ? text : undefined }, text.length > 60 ? `${text.slice(0, 60)}…` : text);
  }
}
