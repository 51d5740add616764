// The answer itself, readable: ids, types and links can be followed where they stand, long objects fold to one line, nulls
// step back.

import { el, ownUrl } from './dom.js';
import { named } from './names.js';
import { when } from './when.js';

/** Below this many characters an object stands open. */
const SHORT = 60;

/** How values are shown; remembers across renewals what was folded. */
export class JsonView {
  /** `link(value, key, path)` gives the URL of a value that is an id or a type, `typeAt(key, path)` the type it refers to. */
  constructor(link, listOf, typeAt) {
    Object.assign(this, { link, listOf, typeAt });
    this.open = new Map();
    this.showNulls = true;
  }

  render(value, changed = new Set()) {
    this.changed = changed;
    return el('div', { class: 'json', role: 'group', 'aria-label': 'JSON' }, this.value(value, '', '', 0));
  }

  value(value, key, path, depth) {
    if (value === null) return el('span', { class: 'z' }, 'null');
    if (typeof value === 'number' || typeof value === 'boolean') return el('span', { class: 'n' }, String(value));
    if (typeof value === 'string') return this.text(value, key, path);
    const entries = Array.isArray(value) ? value.map((v, i) => [String(i), v]) : Object.entries(value);
    const [start, end] = Array.isArray(value) ? '[]' : '{}';
    if (!entries.length) return el('span', {}, start, ' ', end);
    if (depth === 0) return [el('span', {}, start), this.lines(value, entries, path, depth), el('span', {}, end)];
    return this.fold(value, entries, path, depth, start, end);
  }

  text(value, key, path) {
    const url = this.link(value, key, path) ?? ownUrl(value);
    const shown = JSON.stringify(value);
    const type = url && this.typeAt?.(key, path);
    if (type) {
      const [link, beside] = named(value, url, { list: this.listOf(type), keepsId: true, props: { class: 's', 'data-key': `json ${path}` } });
      link.textContent = shown;
      return [link, beside];
    }
    if (url === undefined && key === 'created' && !Number.isNaN(Date.parse(value))) return [el('span', { class: 's' }, shown), el('span', { class: 'beside' }, ' ', when(value))];
    return url ? el('a', { class: 's', href: url, 'data-key': `json ${path}` }, shown) : el('span', { class: 's' }, shown);
  }

  lines(value, entries, path, depth) {
    const isList = Array.isArray(value);
    return el('div', { class: 'lines' }, entries.map(([name, inner], i) => {
      const at = `${path}/${name}`;
      return el('div', { class: this.changed.has(at) ? 'line changed' : 'line' },
        isList ? null : [el('span', { class: 'k' }, JSON.stringify(name)), ': '],
        this.value(inner, isList ? path.split('/').pop() : name, at, depth + 1), i < entries.length - 1 ? ',' : '');
    }));
  }

  fold(value, entries, path, depth, start, end) {
    const isOpen = this.open.get(path) ?? (JSON.stringify(value).length < SHORT && depth > 0 ? false : depth < 1);
    const isLinks = /\/(links|actions|sortLinks|createTypes)$/.test(path);
    const details = el('details', { open: isOpen, ontoggle: () => this.open.set(path, details.open) },
      el('summary', { 'data-key': `fold ${path}` }, `${start} `, el('span', { class: 'fold' }, summary(value, entries)), ` ${end}`));
    const rest = el('div');
    const fill = () => rest.childElementCount || rest.append(this.lines(value, entries, path, depth));
    if (isOpen) fill();
    details.addEventListener('toggle', () => details.open && fill());
    details.append(rest);
    if (!isLinks) return details;
    // Links are for clicking: they stand in the line by their names.
    return [`${start} `, entries.map(([name, url], i) => [i ? ', ' : '', linkOf(name, url, path)]), ` ${end}`];
  }
}

const linkOf = (name, url, path) => {
  const own = ownUrl(url);
  const isAction = path.endsWith('/actions');
  return own && !isAction ? el('a', { href: own, 'data-key': `link ${path}/${name}` }, name) : el('span', { class: 'fold', title: String(url) }, name);
};

/** A line that still tells something. */
function summary(value, entries) {
  if (Array.isArray(value)) {
    const flat = entries.every(([, v]) => v === null || typeof v !== 'object');
    const text = flat ? entries.slice(0, 4).map(([, v]) => JSON.stringify(v)).join(', ') : `${entries.length} elements`;
    return flat && entries.length > 4 ? `${text}, … ${entries.length - 4} more` : text;
  }
  const told = entries.filter(([, v]) => v !== null && !(Array.isArray(v) && !v.length)).slice(0, 4).map(([name, v]) => {
    if (Array.isArray(v)) return `${name} ${v.length}`;
    if (typeof v === 'object') return `${name} ${Object.keys(v).length}`;
    return `${name} ${JSON.stringify(v).slice(0, 40)}`;
  });
  return `${told.join(', ')}${entries.length > told.length ? ' …' : ''}`;
}

/** The paths whose values differ, `/a/b`. */
export function differences(before, after, path = '', found = []) {
  if (Object.is(before, after)) return found;
  const isObject = (v) => v !== null && typeof v === 'object';
  if (!isObject(before) || !isObject(after) || Array.isArray(before) !== Array.isArray(after)) {
    found.push({ path, before, after });
    return found;
  }
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    differences(before[key], after[key], `${path}/${key}`, found);
  }
  return found;
}
