// Where one is and where one can go: breadcrumbs, and the types there are.

import { el } from './dom.js';

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

/** Types with a list, found by typing. `here` are the links of what is shown. */
export function typeList(schemas, url, current) {
  const items = schemas.listable().map((schema) => ({ name: schema.pluralName, href: schema.links.collection, isOn: schema.id === current }));
  const root = new URL(schemas.find('schema')?.links?.collection ?? items[0]?.href ?? url).href.replace(/\/[^/]*$/, '');
  if (!items.some((item) => item.name === 'schemas')) items.push({ name: 'schemas', href: `${root}/schemas`, isOn: current === 'schema' });
  const list = el('ul', {});
  const find = el('input', { type: 'search', id: 'find', 'aria-label': 'Find a type', placeholder: 'Find a type  /', autocomplete: 'off', oninput: () => show(), onkeydown: (event) => {
    if (event.key === 'Enter') list.querySelector('a')?.click();
    if (event.key === 'ArrowDown') list.querySelector('a')?.focus();
  } });
  const show = () => {
    const wanted = find.value.trim().toLowerCase();
    list.replaceChildren(...items.filter((item) => item.name.toLowerCase().includes(wanted)).map((item) =>
      el('li', {}, el('a', { href: item.href, class: item.isOn ? 'on' : '', 'aria-current': item.isOn ? 'true' : undefined }, item.name))));
  };
  show();
  return [find, el('h2', {}, 'Types'), list];
}
