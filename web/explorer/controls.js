// Filters, sort and pages of a collection. All of them are addresses: what is on the screen can be sent to somebody.

import { button, el, ownUrl } from './dom.js';

const WITHOUT_VALUE = new Set(['null', 'notnull']);
const WORDS = { eq: '=', ne: '≠', lt: '<', lte: '≤', gt: '>', gte: '≥', prefix: 'begins with', like: 'like', notlike: 'not like', null: 'is null', notnull: 'is not null' };
const KEPT = new Set(['limit', 'marker', 'sort', 'order', 'include', 'all', '_format']);

/** The conditions in an address, as the server reads them: `field_modifier=value`. */
function conditions(url, schema) {
  const filters = schema?.collectionFilters ?? {};
  return [...url.searchParams].filter(([key]) => !KEPT.has(key)).map(([key, value]) => {
    const at = key.lastIndexOf('_');
    const hasModifier = at > 0 && filters[key.slice(0, at)];
    return { key, value, field: hasModifier ? key.slice(0, at) : key, modifier: hasModifier ? key.slice(at + 1) : 'eq' };
  }).filter((condition) => filters[condition.field]);
}

/** Chips for the conditions there are, and a line to add one. `go(url)` opens an address. */
export function filterBar(collection, schema, url, go) {
  const filters = schema?.collectionFilters ?? {};
  const names = Object.keys(filters).filter((name) => filters[name].modifiers?.length).sort();
  if (!names.length) return null;
  const chips = conditions(url, schema).map((c) => {
    const text = `${c.field} ${WORDS[c.modifier] ?? c.modifier}${WITHOUT_VALUE.has(c.modifier) ? '' : ` ${c.value}`}`;
    return el('span', { class: 'chip' }, text, button('×', () => go(without(url, c)), { 'aria-label': `remove the filter ${text}`, class: 'quiet' }));
  });
  const field = el('select', { 'aria-label': 'filter by field', onchange: () => fill() }, names.map((name) => el('option', { value: name, selected: name === 'name' }, name)));
  const modifier = el('select', { 'aria-label': 'comparison', onchange: () => show() });
  const value = el('span', {});
  let input;
  const show = () => {
    const options = filters[field.value].options ?? schema.resourceFields?.[field.value]?.options;
    input = options?.length
      ? el('select', { 'aria-label': 'filter value' }, options.map((option) => el('option', { value: option }, option)))
      : el('input', { type: 'text', 'aria-label': 'filter value', autocomplete: 'off' });
    value.replaceChildren(...(WITHOUT_VALUE.has(modifier.value) ? [] : [input]));
  };
  const fill = () => {
    modifier.replaceChildren(...filters[field.value].modifiers.map((m) => el('option', { value: m }, WORDS[m] ?? m)));
    show();
  };
  fill();
  const add = (event) => {
    event.preventDefault();
    const next = without(url);
    const key = modifier.value === 'eq' ? field.value : `${field.value}_${modifier.value}`;
    next.searchParams.append(key, WITHOUT_VALUE.has(modifier.value) ? '1' : input.value);
    go(next);
  };
  return el('form', { class: 'bar', onsubmit: add, 'aria-label': 'filters' }, chips,
    el('span', { class: 'together' }, field, modifier, value, el('button', { type: 'submit' }, 'Filter')));
}

/** The address without a condition, at its first page. */
function without(url, condition) {
  const next = new URL(url);
  const left = [...url.searchParams].filter(([key, value]) => key !== 'marker' && !(condition && key === condition.key && value === condition.value));
  next.search = new URLSearchParams(left).toString();
  return next;
}

/** Sorting by what no column shows, the order, the size of pages. */
export function sortBar(collection, url, go, more) {
  const names = Object.keys(collection.sortLinks ?? {}).sort();
  const set = (changes) => {
    const next = without(url);
    for (const [key, value] of Object.entries(changes)) value ? next.searchParams.set(key, value) : next.searchParams.delete(key);
    go(next);
  };
  const sort = names.length
    ? el('label', {}, 'Sort ', el('select', { onchange: (event) => set({ sort: event.target.value, order: '' }) },
      el('option', { value: '' }, 'id'), names.filter((n) => n !== 'id').map((name) => el('option', { value: name, selected: collection.sort?.name === name }, name))))
    : null;
  const order = collection.sort ? button(collection.sort.order === 'desc' ? '↓' : '↑', () => go(ownUrl(collection.sort.reverse)), { 'aria-label': `order: ${collection.sort.order}; reverse it` }) : null;
  const limits = ['25', '100', '500', '1000'];
  const now = String(collection.pagination?.limit ?? '');
  const limit = collection.pagination
    ? el('label', {}, 'Rows ', el('select', { onchange: (event) => set({ limit: event.target.value }) },
      (limits.includes(now) ? limits : [now, ...limits]).map((n) => el('option', { value: n, selected: n === now }, n))))
    : null;
  return sort || limit || more ? el('div', { class: 'bar' }, sort, order, limit, more) : null;
}

/** The pages before and after. The server knows only the next one: the way here is in the browser's history. */
export function pager(collection, url, go) {
  const page = collection.pagination;
  if (!page) return null;
  const before = ownUrl(page.previous) ?? ownUrl(history.state?.previous);
  const next = ownUrl(page.next);
  const number = history.state?.page ?? 1;
  const isFirst = !url.searchParams.has('marker');
  const count = (collection.data ?? []).length;
  return el('div', { class: 'bar pager', role: 'navigation', 'aria-label': 'pages' },
    button('First', () => go(without(url)), { disabled: isFirst }),
    button('Previous', () => (ownUrl(page.previous) ? go(before) : history.back()), { disabled: isFirst || !before, 'data-key': 'previous' }),
    el('span', { role: 'status' }, `page ${isFirst ? 1 : number}, ${count} row${count === 1 ? '' : 's'}${next ? ', more follow' : ''}`),
    button('Next', () => go(next, { previous: url.href, page: (isFirst ? 1 : number) + 1 }), { disabled: !next, 'data-key': 'next' }));
}
