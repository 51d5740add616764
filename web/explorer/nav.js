// Where one is and where one can go: breadcrumbs, what is here, what was looked at last, and all types there are.

import { append, el, replace } from './dom.js';
import { get } from './request.js';
import { summaryOf } from './summary.js';

const RECENT = 6;

/** The path as links; each part leads up. */
export function breadcrumbs(url) {
  const parts = url.pathname.split('/').filter(Boolean);
  return el('nav', { class: 'crumb', 'aria-label': 'Breadcrumbs' }, parts.map((part, i) => {
    const at = `/${parts.slice(0, i + 1).join('/')}`;
    const isLast = i === parts.length - 1;
    return [i ? ' / ' : '', isLast ? el('b', { 'aria-current': 'page' }, decode(part)) : el('a', { href: at }, decode(part))];
  }));
}

/** The address above this one. */
export function parent(url) {
  const parts = url.pathname.split('/').filter(Boolean);
  return new URL(`/${parts.slice(0, -1).join('/')}`, url);
}

const decode = (part) => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
};

const recent = () => {
  try {
    return JSON.parse(localStorage.getItem('drover.recent') ?? '[]');
  } catch {
    return [];
  }
};

/** Remembers a thing that was looked at. */
export function visited(row, url) {
  if (!row?.id || !row.type || row.type === 'error') return;
  const entry = { name: String(row.name ?? row.id), type: row.type, href: url.pathname };
  localStorage.setItem('drover.recent', JSON.stringify([entry, ...recent().filter((one) => one.href !== entry.href)].slice(0, RECENT)));
}

export const recentThings = recent;

/** The left column: it is built once for its schemas, and then only told what changes. */
export class Nav {
  constructor(place) {
    this.place = place;
    this.counts = new Map();
    this.seen = new Set();
  }

  /** Shows the types of these schemas; `current` is the type of the page. */
  show(schemas, current, url) {
    this.current = current;
    if (this.schemas !== schemas) {
      this.schemas = schemas;
      this.counts.clear();
      this.build(url);
    }
    for (const link of this.place.querySelectorAll('a[data-type]')) {
      const isOn = link.dataset.type === current;
      link.classList.toggle('on', isOn);
      if (isOn) link.setAttribute('aria-current', 'true');
      else link.removeAttribute('aria-current');
    }
    const last = recent().filter((one) => one.href !== url.pathname);
    replace(this.recent, last.length ? [el('h2', {}, 'Recent'), el('ul', {}, last.map((one) => el('li', {}, el('a', { href: one.href, title: one.type }, one.name, ' ', el('small', {}, one.type)))))] : null);
  }

  build(url) {
    const types = this.schemas.listable();
    this.here = types.filter((schema) => summaryOf(schema.id).here);
    const order = ['stack', 'environment', 'service', 'container', 'host', 'volume', 'secret'];
    this.here.sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
    const plain = types.filter((schema) => !summaryOf(schema.id).internal && !this.here.includes(schema));
    const internal = types.filter((schema) => summaryOf(schema.id).internal);
    this.recent = el('div');
    const isFolded = localStorage.getItem('drover.types') !== 'open' && this.here.length > 0;
    const all = el('details', { open: !isFolded, ontoggle: (event) => localStorage.setItem('drover.types', event.target.open ? 'open' : 'folded') },
      el('summary', {}, 'All types'), this.list(plain), this.extra(url),
      internal.length ? el('details', { class: 'more' }, el('summary', {}, `${internal.length} more`), this.list(internal)) : null);
    replace(this.place, this.here.length ? [el('h2', {}, 'Here'), this.list(this.here, true)] : null, this.recent, all);
    for (const schema of this.here) this.count(schema);
  }

  extra(url) {
    if (this.schemas.find('schema')?.links?.collection) return null;
    const parts = url.pathname.split('/').filter(Boolean);
    const root = parts[1]?.toLowerCase() === 'projects' && parts[2] ? parts.slice(0, 3) : parts.slice(0, 1);
    return el('ul', {}, el('li', {}, el('a', { href: `/${root.join('/')}/schemas`, 'data-type': 'schema' }, 'schemas')));
  }

  list(schemas, isCounted = false) {
    return el('ul', {}, schemas.map((schema) => {
      const number = isCounted ? el('span', { class: 'number' }) : null;
      if (isCounted) this.counts.set(schema.id, { schema, number });
      return el('li', {}, el('a', { href: schema.links.collection, 'data-type': schema.id }, schema.pluralName, number ? [' ', number] : null));
    }));
  }

  async count(schema) {
    const place = this.counts.get(schema.id);
    if (!place) return;
    try {
      const url = new URL(schema.links.collection);
      const answer = await get(`${url.pathname}?counts=`);
      place.number.replaceChildren();
      append(place.number, [String((answer.data ?? []).reduce((sum, one) => sum + one.count, 0))]);
    } catch {
      // A type without a number is a type all the same.
    }
  }

  /** A change may make a number another one: where something came or went. */
  heard({ resourceId, data }) {
    const row = data?.resource ?? {};
    const place = this.counts.get(row.type) ?? this.counts.get(row.baseType);
    const isGone = row.state === 'removed' || row.state === 'purged';
    if (!place || (!isGone && this.seen.has(resourceId))) return;
    this.seen.add(resourceId);
    if (place.timer) return;
    place.timer = setTimeout(() => {
      place.timer = undefined;
      this.count(place.schema);
    }, 1500);
  }
}
