// A collection: a table that changes row by row, with filters, totals and what can be done with several.

import { filterBar, pager, sortBar } from './controls.js';
import { button, el, ownUrl, replace } from './dom.js';
import { get } from './request.js';
import { showSaved } from './saved.js';
import { hasSecrets } from './schema.js';
import { Selection } from './select.js';
import { bar, sums } from './state.js';
import { ALWAYS, chooseColumns, FIXED, Table } from './table.js';
import { View } from './view.js';

/** What an event may say of where its row belongs. */
const BELONGS = ['stackId', 'serviceId', 'hostId', 'instanceId'];

export class CollectionView extends View {
  get schema() {
    return this.schemas.find(this.data.resourceType);
  }

  get title() {
    return this.schema?.pluralName ?? this.data.resourceType;
  }

  /** Where things are created, by type; its own first. */
  creators() {
    const own = this.schema;
    const types = Object.entries(this.data.createTypes ?? {}).sort(([a], [b]) => Number(b === own?.id) - Number(a === own?.id));
    if (types.length || !own?.collectionMethods?.includes('POST') || !own.links?.collection) return types;
    return [[own.id, own.links.collection]];
  }

  /** Whether something can be done with its rows. */
  get isActedOn() {
    return Object.keys(this.schema?.resourceActions ?? {}).length > 0 || Boolean(this.schema?.resourceMethods?.includes('DELETE'));
  }

  makeTable(columns) {
    this.table = new Table({ ...this.tools, columns, choose: this.isActedOn ? () => this.selection.show() : undefined });
    this.selection = new Selection(this.table, (row) => this.schemas.find(row.type));
  }

  show() {
    this.news = new Set();
    this.makeTable(this.columns);
    this.content = el('div', { class: 'content' });
    this.pages = el('div', { class: 'content' });
    this.fresh = el('div', { class: 'fresh', 'aria-live': 'polite' });
    this.totals = el('div', { class: 'totals' });
    this.saved = el('div', { class: 'bar saved-views' });
    this.about = el('p', { class: 'help about' });
    this.docs.about(this.data.resourceType).then((text) => replace(this.about, text));
    replace(this.middle, el('h1', { tabindex: '-1' }, this.title, ' ', el('small', {}, 'collection')), this.panel,
      el('div', { class: 'content' }, this.totals, filterBar(this.data, this.schema, this.url, this.go), el('div', { class: 'bars' }, sortBar(this.data, this.url, this.go, this.columnChoice()), this.saved)),
      this.tabs(['Table', 'JSON'], 'Table'), this.fresh, this.content, this.pages);
    this.showTab();
    this.showTotals();
    this.showActions();
    if (Object.keys(this.schema?.collectionFilters ?? {}).length) {
      showSaved(this.saved, this.data.resourceType, { now: () => ({ query: this.url.search, columns: this.table.columns }), go: (one) => this.goSaved(one) }).catch(() => replace(this.saved));
    }
  }

  goSaved({ query, columns }) {
    const url = new URL(this.url.pathname, location.origin);
    url.search = query;
    this.go(url, { columns });
  }

  showActions() {
    const [own, ...others] = this.creators();
    const make = ([type], isFirst) => button(isFirst ? `Create ${type}` : type, () => this.open(`create=${type}`), isFirst ? { 'data-do': 'create', class: 'go' } : {});
    replace(this.aside, el('h2', {}, 'Create'), own ? [el('div', { class: 'acts' }, make(own, true)),
      others.length ? el('details', {}, el('summary', {}, 'other types'), el('div', { class: 'acts' }, others.map((one) => make(one, false)))) : null]
      : el('p', { class: 'help' }, 'Nothing can be created here.'), this.side,
    this.about);
  }

  /** A choice of columns, for what the summary leaves out. */
  columnChoice() {
    const fields = Object.keys(this.schema?.resourceFields ?? {}).sort();
    if (!fields.length) return null;
    return el('details', { class: 'columns', ontoggle: (event) => {
      if (!event.target.open || event.target.childElementCount > 1) return;
      event.target.append(el('div', { class: 'column-list' }, fields.map((name) => el('label', {}, el('input', { type: 'checkbox', checked: this.table.columns.some((place) => place.split('|')[0] === name),
        onchange: (e) => this.setColumn(name, e.target.checked) }), ` ${name}`))));
    } }, el('summary', {}, 'Columns'));
  }

  setColumn(name, isOn) {
    const left = this.table.columns.filter((place) => place.split('|')[0] !== name);
    this.columns = isOn ? [...left, name] : left;
    this.makeTable(this.columns);
    this.showTab();
    this.rewatch();
  }

  async showTotals() {
    if (!this.schema?.resourceFields?.state || !this.schema.links?.collection) return;
    const at = new URL(this.url);
    for (const name of ['limit', 'marker', 'sort', 'order', 'include', 'fields']) at.searchParams.delete(name);
    const by = this.schema.resourceFields.healthState ? 'state,healthState' : 'state';
    at.searchParams.set('counts', by);
    try {
      const { data } = await get(at);
      const all = data.reduce((sum, one) => sum + one.count, 0);
      if (this.table) replace(this.totals, el('strong', {}, `${all} ${all === 1 ? this.data.resourceType : this.title}`), ' ', all ? bar(sums(data)) : null);
    } catch {
      // A list of what is no row of its own has no totals.
    }
  }

  showTab() {
    const hasRows = (this.data.data ?? []).length > 0;
    replace(this.content, this.tab === 'JSON' ? this.json.render(this.data)
      : [this.table.render(this.data, this.schema), this.selection.node, hasRows ? null : this.empty()]);
    replace(this.pages, pager(this.data, this.url, this.go));
  }

  empty() {
    const [own] = this.creators();
    return el('p', { class: 'help empty' }, 'Nothing there. ', own ? button(`Create ${own[0]}`, () => this.open(`create=${own[0]}`)) : null);
  }

  /** What the page shows of each row. */
  wanted() {
    const columns = this.tab === 'JSON' ? [] : this.table.columns ?? chooseColumns(this.schema, this.data.data ?? []);
    return { fields: [...ALWAYS, ...BELONGS, ...columns.filter((place) => !place.includes('.')).map((place) => place.split('|')[0]).filter((name) => !FIXED.has(name))], types: [this.data.resourceType] };
  }

  heard(event, live) {
    const row = event.data?.resource;
    if (!row || !this.isOurs(row)) return;
    const at = (this.data.data ?? []).findIndex((one) => one.id === row.id);
    if (at >= 0) {
      this.data.data[at] = { ...this.data.data[at], ...row };
      this.table.patch(row);
      if (this.table.chosen.has(row.id)) this.selection.show();
      this.totalsSoon();
      if (this.tab === 'JSON') live.soon();
      return;
    }
    if (row.state === 'removed' || row.state === 'purged') return void this.totalsSoon();
    if (!this.belongs(row)) return;
    this.totalsSoon();
    if (!(this.data.data ?? []).length) return live.soon();
    this.news.add(row.id);
    replace(this.fresh, button(`${this.news.size} new`, () => this.takeNews(), { 'data-do': 'fresh' }));
  }

  async takeNews() {
    this.news.clear();
    replace(this.fresh);
    this.renew(await get(this.url));
  }

  totalsSoon() {
    if (this.totalling) return;
    this.totalling = setTimeout(() => {
      this.totalling = undefined;
      if (this.totals.isConnected) this.showTotals();
    }, 3000);
  }

  isOurs(row) {
    const { resourceType } = this.data;
    const schema = this.schemas.find(row.type);
    return row.type === resourceType || row.baseType === resourceType || Object.hasOwn(this.data.createTypes ?? {}, row.type) || (resourceType === 'instance' && schema?.resourceActions?.start);
  }

  /** Rows of a list at a link begin with what the link sets. */
  belongs(row) {
    return Object.entries(this.data.createDefaults ?? {}).every(([name, value]) => row[name] === undefined || row[name] === value);
  }

  renew(data) {
    if (data?.type !== 'collection') return;
    const hadRows = (this.data.data ?? []).length > 0;
    const before = this.data;
    this.data = data;
    if (this.tab === 'JSON' || !hadRows || !data.data.length) {
      if (JSON.stringify(before) !== JSON.stringify(data)) this.showTab();
      return;
    }
    this.table.update(data.data);
    replace(this.pages, pager(data, this.url, this.go));
  }

  acts() {
    return this.creators().map(([type]) => ({ text: `create ${type}`, act: () => this.open(`create=${type}`) }));
  }

  open(hash) {
    const [what, type] = hash.split('=');
    if (what !== 'create') return;
    const creators = this.creators();
    const [id, url] = creators.find(([name]) => name === type) ?? creators[0] ?? [];
    const schema = this.schemas.find(id);
    if (!schema) return;
    history.replaceState(history.state, '', `${location.pathname}${location.search}#create=${id}`);
    this.openForm({ title: `Create ${id}`, verb: 'Create', note: this.docs.type(id), request: { method: 'POST', url }, schema, values: this.data.createDefaults ?? {},
      done: (answer, show) => {
        if (hasSecrets(answer, this.schemas)) {
          show('This is shown only now: keep it.');
          return 'stay';
        }
        const self = ownUrl(answer.data?.links?.self);
        this.middle.classList.remove('forming');
        if (self) this.go(self);
        return self ? 'stay' : undefined;
      } });
  }
}
