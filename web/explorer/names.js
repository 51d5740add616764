// Names beside ids: what has been seen once is known, the rest is asked for, a type at a time.

import { el, ownUrl } from './dom.js';
import { projectOf, projects } from './projects.js';
import { get } from './request.js';

/** From so many unknown ids of one type its list is cheaper than each by itself. */
const MANY = 4;
const MOST = 1000;

const known = new Map();
const asked = new Map();
let waiting = new Map();

/** Remembers the names of rows that came by. */
export function learn(rows) {
  for (const row of Array.isArray(rows) ? rows : [rows]) {
    if (row?.id && row.name) known.set(row.id, row.name);
  }
}

export const nameOf = (id) => known.get(id);

/** A link to a thing by its name, as soon as that is known; the id is its title. `list` is where things of its type are. */
export function named(id, url, { list, props = {}, keepsId = false } = {}) {
  const link = el('a', { href: url, title: id, 'data-id': id, ...props }, keepsId ? id : known.get(id) ?? id);
  if (!keepsId) {
    if (!known.has(id)) ask(id, list, () => (link.textContent = known.get(id) ?? id));
    return link;
  }
  const beside = el('span', { class: 'beside' }, known.has(id) ? ` ${known.get(id)}` : '');
  if (!known.has(id)) ask(id, list, () => known.has(id) && (beside.textContent = ` ${known.get(id)}`));
  return [link, beside];
}

function ask(id, list, done) {
  if (id === projectOf(location)) return void projects().then(learn).then(done);
  const at = ownUrl(list);
  if (!at) return;
  const key = at.pathname;
  if (asked.has(`${key} ${id}`)) return void asked.get(`${key} ${id}`).then(done);
  let group = waiting.get(key);
  if (!group) {
    group = { ids: new Set() };
    group.ready = new Promise((resolve) => setTimeout(resolve, 30)).then(() => {
      waiting.delete(key);
      return fetchNames(at, [...group.ids]);
    });
    waiting.set(key, group);
  }
  group.ids.add(id);
  asked.set(`${key} ${id}`, group.ready);
  group.ready.then(done);
}

async function fetchNames(list, ids) {
  try {
    if (ids.length >= MANY) {
      const page = new URL(list);
      page.search = `limit=${MOST}&fields=name`;
      learn((await get(page)).data ?? []);
    }
    const left = ids.filter((id) => !known.has(id)).slice(0, MANY);
    await Promise.all(left.map(async (id) => learn(await get(`${list.pathname}/${encodeURIComponent(id)}?fields=name`))));
  } catch {
    // An id without a name is an id.
  }
}
