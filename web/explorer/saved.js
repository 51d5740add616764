// Filters, order and columns under a name, kept by the server for who is logged in.

import { button, el, replace } from './dom.js';
import { notice } from './notice.js';
import { get, send } from './request.js';

const PREFIX = 'drover.view.';
const listUrl = '/v2-beta/userpreferences';
const LEFT_OUT = new Set(['marker', '_format']);

/** Shows what is saved for a type in `place`. `now()` gives `{query, columns}`; `go(saved)` shows one. */
export async function showSaved(place, type, { now, go }) {
  const name = `${PREFIX}${type}`;
  const read = async () => ((await get(`${listUrl}?name=${encodeURIComponent(name)}&limit=50`)).data ?? []).filter((row) => row.name === name && !row.removed);
  const parse = (row) => {
    try {
      return { ...JSON.parse(row.value), row };
    } catch {
      return undefined;
    }
  };
  const save = async () => {
    const title = prompt('A name for these filters, this order and these columns');
    if (!title) return;
    const { query, columns } = now();
    const kept = new URLSearchParams([...new URLSearchParams(query)].filter(([key]) => !LEFT_OUT.has(key)));
    try {
      await send({ method: 'POST', url: listUrl, body: { name, value: JSON.stringify({ title, query: String(kept), columns }) } });
      notice(`saved as ${title}`);
      await show();
    } catch (failure) {
      notice(failure.sentence ?? String(failure), { isBad: true });
    }
  };
  const show = async () => {
    const all = (await read().catch(() => [])).map(parse).filter((one) => one?.title);
    replace(place, all.map((one) => el('span', { class: 'chip saved' }, button(one.title, () => go(one), { class: 'quiet', 'data-saved': one.title }),
      button('×', async () => {
        await send({ method: 'DELETE', url: one.row.links.self }).catch(() => undefined);
        await show();
      }, { class: 'quiet', 'aria-label': `forget ${one.title}` }))),
    button('Save this view', save, { class: 'quiet', 'data-do': 'save-view' }));
  };
  await show();
}
