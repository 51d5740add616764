// A list to choose a reference from: a page of the referenced type, searched by name, with the next pages on demand.

import { button, el } from './dom.js';
import { get } from './request.js';

const PAGE = 20;

/** Opens the list in `place`. */
export function pickList(place, { url, schema, label, chosen }) {
  const items = el('div', { class: 'items', role: 'group', 'aria-label': `choices for ${label}` });
  const status = el('p', { class: 'help', role: 'status' }, 'loading …');
  const more = button('More', () => load(more.dataset.next, true), { hidden: true });
  let latest = 0;
  const load = async (from, isMore) => {
    const mine = (latest += 1);
    try {
      const page = await get(from);
      if (mine !== latest) return;
      if (!isMore) items.replaceChildren();
      for (const row of page.data ?? []) {
        items.append(button([row.name ?? row.id, ' '].join(''), () => chosen(row.id), { class: 'item', 'data-id': row.id }));
        items.lastChild.append(el('small', {}, [row.id, row.state].filter(Boolean).join(' · ')));
      }
      const next = page.pagination?.next;
      more.hidden = !next;
      more.dataset.next = next ?? '';
      status.textContent = items.childElementCount ? '' : 'nothing there';
    } catch (failure) {
      status.textContent = failure.sentence ?? String(failure);
    }
  };
  const canSearch = schema?.collectionFilters?.name?.modifiers?.includes('like');
  const address = (text) => {
    const at = new URL(url, location.href);
    at.searchParams.set('limit', PAGE);
    if (canSearch && text) at.searchParams.set('name_like', `%${text}%`);
    return at;
  };
  const search = el('input', { type: 'search', 'aria-label': `search ${label}`, placeholder: 'Search by name', oninput: () => load(address(search.value)) });
  /** By the arrows from the search through the choices and back. */
  const step = (by) => {
    const all = [...items.children];
    const at = all.indexOf(document.activeElement) + by;
    if (at < 0) search.focus();
    else all[Math.min(at, all.length - 1)]?.focus();
  };
  place.replaceChildren(el('div', { class: 'pick', onkeydown: (event) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      return step(event.key === 'ArrowDown' ? 1 : -1);
    }
    // The form around it is not what this is the end of.
    if (event.key === 'Enter' && event.target === search && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      return items.firstElementChild?.click();
    }
    if (event.key !== 'Escape') return;
    event.stopPropagation();
    place.replaceChildren();
    place.parentElement.querySelector('button')?.focus();
  } }, canSearch ? search : null, status, items, more));
  load(address(''));
  if (canSearch) search.focus();
}
