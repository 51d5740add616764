// Several rows at once: the actions that all of them offer, one after the other, with a line that says how far it is.

import { button, el, ownUrl, replace } from './dom.js';
import { notice } from './notice.js';
import { get, send } from './request.js';

/** Requests under way at a time. */
const AT_ONCE = 4;
/** Rows whose actions are asked for at once. */
const MOST = 50;

/** The bar below a table whose rows can be chosen. `schemaOf(row)` gives a row's schema. */
export class Selection {
  constructor(table, schemaOf) {
    Object.assign(this, { table, schemaOf });
    this.node = el('div', { class: 'selection', role: 'region', 'aria-label': 'chosen rows' });
    this.show();
  }

  rows() {
    return this.table.rows().filter((row) => this.table.chosen.has(row.id));
  }

  /** What all chosen rows offer and what needs no input. */
  common() {
    const rows = this.rows();
    const offers = (row) => Object.keys(row.actions ?? {}).filter((name) => name !== 'update' && name !== 'remove' && !this.schemaOf(row)?.resourceActions?.[name]?.input);
    const [first, ...others] = rows.map(offers);
    return (first ?? []).filter((name) => others.every((names) => names.includes(name))).sort();
  }

  show() {
    const rows = this.rows();
    if (!rows.length) return replace(this.node);
    this.refresh(rows.filter((row) => row.isStale).slice(0, MOST));
    const canRemove = rows.every((row) => row.links?.self && this.schemaOf(row)?.resourceMethods?.includes('DELETE') && (!('remove' in (this.schemaOf(row)?.resourceActions ?? {})) || row.actions?.remove));
    return replace(this.node, el('strong', { role: 'status' }, `${rows.length} chosen`), ' ',
      this.common().map((name) => button(name, () => this.run(name, (row) => ({ method: 'POST', url: row.actions[name], body: {} })), { 'data-bulk': name })),
      canRemove ? button('remove', () => confirm(`Remove ${rows.length}? This cannot be taken back.`) && this.run('remove', (row) => ({ method: 'DELETE', url: row.links.self })), { class: 'danger', 'data-bulk': 'remove' }) : null,
      button('none', () => {
        this.table.chooseAll(false);
      }, { class: 'quiet' }));
  }

  /** Actions follow from states: what has changed since is asked for again. */
  async refresh(rows) {
    if (!rows.length || this.isRefreshing) return;
    this.isRefreshing = true;
    const fresh = await Promise.all(rows.map((row) => get(`${ownUrl(row.links?.self)?.pathname}?fields=state,actions`).catch(() => ({ ...row, actions: {} }))));
    this.isRefreshing = false;
    for (const row of fresh) this.table.patch(row);
    this.show();
  }

  async run(name, request) {
    const rows = this.rows();
    const line = el('progress', { max: rows.length, value: 0, 'aria-label': `${name}: progress` });
    const text = el('span', { role: 'status' }, `${name}: 0 of ${rows.length}`);
    replace(this.node, text, line);
    const failed = [];
    let done = 0;
    const waiting = [...rows];
    const work = async () => {
      for (let row = waiting.shift(); row; row = waiting.shift()) {
        try {
          const { data } = await send(request(row));
          if (data?.id === row.id) this.table.patch(data);
        } catch (failure) {
          failed.push(`${row.name ?? row.id}: ${failure.sentence ?? failure}`);
        }
        done += 1;
        line.value = done;
        text.textContent = `${name}: ${done} of ${rows.length}`;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    notice(failed.length ? `${name}: ${done - failed.length} of ${done} done. ${failed.slice(0, 3).join('; ')}${failed.length > 3 ? ` and ${failed.length - 3} more` : ''}` : `${name}: ${done} done`, { isBad: failed.length > 0 });
    this.show();
  }
}
