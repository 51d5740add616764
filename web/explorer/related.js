// The rows at the end of a link, as a table that changes with their events.

import { button, el, ownUrl, replace } from './dom.js';
import { get } from './request.js';
import { ALWAYS, chooseColumns, FIXED, Table } from './table.js';

const FIRST = 20;
/** What is removed is seen to be before it leaves. */
const LEAVES = 5000;

/** One link of a row. `shared` has `schemas`, `link`, `listOf`. */
export class Related {
  constructor(name, url, shared, isOpen) {
    Object.assign(this, { name, shared, isOpen });
    this.url = ownUrl(url);
    this.place = el('div', { class: 'related-rows' });
    this.more = el('div');
    const title = el('a', { href: this.url, 'data-key': `related ${name}` }, name);
    this.node = isOpen
      ? el('section', { class: 'related open', 'aria-label': name }, el('h2', { class: 'part' }, title), this.place, this.more)
      : el('details', { class: 'related', ontoggle: (event) => event.target.open && !this.table && this.load() },
        el('summary', { 'data-key': `fold ${name}` }, name), el('p', { class: 'help' }, el('a', { href: this.url }, `${name} ↗`)), this.place, this.more);
  }

  get schema() {
    return this.shared.schemas.findByPath(this.name);
  }

  /** Reads the rows; so many as a person looks at. */
  async load(limit = FIRST) {
    try {
      const at = new URL(this.url);
      at.searchParams.set('limit', limit);
      const found = await get(at);
      const rows = found?.type === 'collection' ? found : { data: [found], resourceType: found?.type };
      this.show(rows, limit);
    } catch (failure) {
      replace(this.place, el('p', { class: 'help' }, failure.status === 404 ? 'Nothing there.' : failure.sentence ?? String(failure)));
    }
  }

  show(rows, limit) {
    this.type = rows.resourceType;
    const schema = this.shared.schemas.find(rows.resourceType);
    const { resourceType: type } = rows;
    // What is made at this address belongs to the thing of the page.
    const canCreate = this.isOpen && rows.createTypes?.[type] && Object.keys(rows.createDefaults ?? {}).length;
    const create = canCreate ? el('p', {}, el('a', { class: 'b', href: `${this.url.pathname}#create=${type}`, 'data-key': `create ${type}` }, `Create ${type}`)) : null;
    if (!rows.data.length) {
      this.table = undefined;
      replace(this.place, el('p', { class: 'help' }, 'None.'));
      return replace(this.more, create);
    }
    if (this.table) this.table.update(rows.data);
    else {
      this.table = new Table({ ...this.shared, columns: chooseColumns(this.shared.schemas.find(rows.data[0].type) ?? schema, rows.data) });
      replace(this.place, this.table.render({ ...rows, sortLinks: {} }, this.shared.schemas.find(rows.data[0].type) ?? schema));
    }
    return replace(this.more, rows.pagination?.next ? button('More', () => this.load(limit * 10), { class: 'small' }) : null, create);
  }

  /** The fields that its rows show. */
  fields() {
    const columns = this.table?.columns ?? chooseColumns(this.schema, []);
    return [...ALWAYS, ...columns.filter((place) => !place.includes('.')).map((place) => place.split('|')[0]).filter((name) => !FIXED.has(name))];
  }

  /** Takes an event; a row that is not here yet has the table read again. */
  heard(event, belongs) {
    const row = event.data?.resource;
    if (!row) return;
    const isGone = row.state === 'removed' || row.state === 'purged';
    if (this.table?.patch(row)) {
      if (isGone) setTimeout(() => this.table?.drop(row.id), LEAVES);
      return;
    }
    if ((this.isOpen || this.table) && belongs(row) && !isGone) this.soon();
  }

  soon() {
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (this.node.isConnected) this.load();
    }, 700);
  }
}
