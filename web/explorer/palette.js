// One line that finds everything: types, things by their names, and what can be done on this page.

import { chooser, rank } from './choose.js';
import { el } from './dom.js';
import { recentThings } from './nav.js';
import { get } from './request.js';
import { summaryOf } from './summary.js';

/** Things are looked for from so many letters on. */
const LETTERS = 2;
const EACH = 6;

/** Opens it. `page` gives `schemas`, `acts` (`{text, act}`), `go(url)`. */
export function openPalette({ schemas, acts, go }) {
  if (document.querySelector('dialog[open]')) return;
  const types = (schemas?.listable() ?? []).map((schema) => ({ text: schema.pluralName, note: 'type', url: schema.links.collection, isInternal: summaryOf(schema.id).internal }));
  const fixed = [...acts().map((one) => ({ ...one, note: 'here' })),
    ...recentThings().map((one) => ({ text: one.name, note: `${one.type} · ${one.href.split('/').pop()}`, url: one.href })),
    ...types.filter((one) => !one.isInternal), ...types.filter((one) => one.isInternal),
    { text: 'the server’s page', note: '', url: '/' }];
  const kept = new Map();
  const things = async (text) => {
    const wanted = text.trim();
    if (wanted.length < LETTERS) return [];
    if (!kept.has(wanted)) kept.set(wanted, look(schemas, wanted));
    return kept.get(wanted);
  };
  let later;
  const box = chooser({
    label: 'find a type, a thing or an action', placeholder: 'Find a type, a thing, an action', isOpen: true,
    options: async (text) => {
      // What needs the server comes a moment later, and only for what is still written then.
      clearTimeout(later);
      if (text.trim().length >= LETTERS && !kept.has(text.trim())) {
        later = setTimeout(() => things(text).then(() => box.input.value === text && box.refresh()), 120);
        return fixed;
      }
      const found = await things(text);
      return [...rank(fixed, text), ...found.filter((one) => !fixed.some((other) => other.url === one.url))];
    },
    take: (option) => {
      dialog.close();
      if (option.act) option.act();
      else go(new URL(option.url, location.origin));
    },
  });
  const dialog = el('dialog', { class: 'palette', 'aria-label': 'Find', onclose: () => dialog.remove(), onclick: (event) => event.target === dialog && dialog.close() }, box.node);
  document.body.append(dialog);
  dialog.showModal();
  box.input.focus();
}

/** Things whose name begins so, then those that have it in their name; of the types that are here. */
async function look(schemas, text) {
  const here = (schemas?.listable() ?? []).filter((schema) => summaryOf(schema.id).here && schema.collectionFilters?.name);
  const lists = await Promise.all(here.map(async (schema) => {
    const url = new URL(schema.links.collection);
    const ask = (modifier, value) => get(`${url.pathname}?limit=${EACH}&fields=name,state&name_${modifier}=${encodeURIComponent(value)}`).then((a) => a.data ?? []).catch(() => []);
    const first = await ask('prefix', text);
    const rows = first.length >= EACH ? first : [...first, ...await ask('like', `%${text}%`)];
    return [...new Map(rows.map((row) => [row.id, row])).values()].map((row) => ({ text: String(row.name ?? row.id), note: `${row.type} · ${row.id}`, url: `${url.pathname}/${row.id}` }));
  }));
  return lists.flat();
}
