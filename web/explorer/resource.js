// A thing: for people first, then what it links to, then its JSON, its fields, what has changed and what has happened.

import { button, el, lazily, ownUrl, prose, replace } from './dom.js';
import { failed, head } from './human.js';
import { differences } from './json.js';
import { learn } from './names.js';
import { act, stepper } from './quick.js';
import { Related } from './related.js';
import { describeField } from './schema.js';
import { summaryOf } from './summary.js';
import { ALWAYS } from './table.js';
import { View } from './view.js';

/** Changes that are remembered while a page stands. */
const REMEMBERED = 100;
/** So long the rows of links may take until changes are listened for without them. */
const PATIENCE = 2000;
/** Fields by which a row says where it belongs. */
const BELONGS = ['serviceIds', 'serviceId', 'hostId', 'instanceId'];

export class ResourceView extends View {
  get schema() {
    return this.schemas.find(this.data?.type);
  }

  get title() {
    return String(this.data?.name ?? this.data?.id ?? this.data?.type ?? 'answer');
  }

  get summary() {
    return summaryOf(this.data?.type, this.data?.baseType);
  }

  get isGone() {
    const { removed, state } = this.data ?? {};
    return Boolean(removed) || state === 'removed' || state === 'purged';
  }

  show() {
    if (this.data?.type === 'error') {
      replace(this.aside);
      return failed(this.middle, this.data, this.url, this.go);
    }
    learn(this.data);
    this.changes = [];
    this.head = el('div', { class: 'head' });
    this.streams = el('div', { class: 'streams' });
    this.links = el('div', { class: 'content' });
    this.content = el('div', { class: 'content' });
    this.actions = el('div');
    this.related = el('div', { class: 'content' });
    this.makeRelated();
    replace(this.middle, this.head, this.panel, this.streams, this.links, this.tabs(['JSON', 'Fields', 'Changes', 'Timeline'], 'JSON'), this.content, this.related);
    replace(this.aside, this.actions, this.side);
    this.showHead();
    this.showTab();
    this.showActions();
    if (this.watches().figures && localStorage.getItem('drover.charts') === 'on') this.watch('figures');
    return undefined;
  }

  showHead() {
    const focused = document.activeElement === this.head.querySelector('h1');
    if (this.isGone) this.stepper = undefined;
    else if (this.stepper) this.stepper.update(this.data);
    else this.stepper = stepper(this.data ?? {}, this.schema, (answer) => this.took(answer));
    replace(this.head, head(this.data ?? {}, this.schema, { ...this.tools, stepper: this.stepper }), this.watchButtons());
    if (focused) this.head.querySelector('h1')?.focus({ preventScroll: true });
  }

  /** What can be watched of it, by name: each gives what shows it. */
  watches() {
    const row = this.data ?? {};
    const { figures } = this.summary;
    if (this.isGone) return {};
    return {
      ...(ownUrl(row.actions?.logs) && { logs: lazily(() => import('./logs.js').then(({ showLog }) => (place) => showLog(place, row))) }),
      ...(ownUrl(row.actions?.execute) && { shell: lazily(() => import('./shell.js').then(({ showShell }) => (place) => showShell(place, row))) }),
      ...(figures && ownUrl(row.links?.[figures]) && { figures: lazily(() => import('./charts.js').then(({ showCharts }) => (place) => showCharts(place, row, figures))) }),
    };
  }

  watchButtons() {
    const names = { logs: ['Log', 'l'], shell: ['Shell', 's'], figures: ['CPU and memory', 't'] };
    const all = Object.keys(this.watches());
    return all.length ? el('div', { class: 'acts watch' }, all.map((name) => button(names[name][0], () => this.watch(name), { 'data-watch': name, 'data-key': `watch ${name}`, 'aria-pressed': String(Boolean(this.watching?.[name])), title: `key ${names[name][1]}` }))) : null;
  }

  /** Shows it, or ends it if it is there. */
  watch(name) {
    this.watching ??= {};
    if (this.watching[name]) {
      this.watching[name].stop();
      this.watching[name].place.remove();
      delete this.watching[name];
    } else {
      const show = this.watches()[name];
      if (!show) return;
      const place = el('div');
      this.streams.append(place);
      this.watching[name] = { place, stop: show(place) };
      place.scrollIntoView({ block: 'nearest' });
    }
    if (name === 'figures') localStorage.setItem('drover.charts', this.watching[name] ? 'on' : 'off');
    this.head.querySelector(`[data-watch="${name}"]`)?.setAttribute('aria-pressed', String(Boolean(this.watching[name])));
  }

  leave() {
    for (const { stop } of Object.values(this.watching ?? {})) stop();
  }

  showTab(changed) {
    if (this.tab === 'Timeline') return import('./timeline.js').then(({ showTimeline }) => this.tab === 'Timeline' && showTimeline(this.content, this.data, this.schemas));
    if (this.tab === 'Fields' && !this.docs.types.size && this.docs.url) this.docs.load().then(() => this.docs.types.size && this.tab === 'Fields' && this.showTab());
    const made = this.tab === 'Fields' ? this.fields() : this.tab === 'Changes' ? this.changeList() : this.json.render(this.data, changed);
    return replace(this.content, made);
  }

  fields() {
    const fields = this.schema?.resourceFields ?? {};
    return el('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': 'fields' }, el('table', {}, el('thead', {}, el('tr', {}, ['field', 'value', 'type', 'meaning'].map((t) => el('th', { scope: 'col' }, t)))),
      el('tbody', {}, Object.keys(this.data).filter((n) => n !== 'links' && n !== 'actions').map((name) => el('tr', {}, el('th', { scope: 'row' }, name),
        el('td', { class: 'm' }, this.json.value(this.data[name], name, `/${name}`, 1)), el('td', { class: 'z' }, fields[name] ? describeField(fields[name]) : ''),
        el('td', {}, prose(this.docs.field(this.data.type, name) || fields[name]?.description || '')))))));
  }

  changeList() {
    if (!this.changes.length) return el('p', { class: 'help' }, 'Nothing has changed since this page was opened.');
    const text = (value) => (value === undefined ? '—' : JSON.stringify(value).slice(0, 200));
    return el('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': 'changes' }, el('table', {}, el('thead', {}, el('tr', {}, ['time', 'field', 'before', 'after'].map((t) => el('th', { scope: 'col' }, t)))),
      el('tbody', {}, this.changes.map(({ time, path, before, after }) => el('tr', {}, el('td', {}, time), el('th', { scope: 'row' }, path.slice(1)), el('td', { class: 'm' }, text(before)), el('td', { class: 'm' }, text(after)))))));
  }

  showActions() {
    const row = this.data ?? {};
    const schema = this.schema;
    const offered = row.actions ?? {};
    const names = [...new Set([...Object.keys(schema?.resourceActions ?? {}), ...Object.keys(offered)])];
    if (!row.links?.self && !names.length) return replace(this.actions);
    if (this.isGone) return replace(this.actions, el('h2', {}, 'Actions'), el('p', { class: 'help' }, `It is ${row.state ?? 'removed'}: nothing can be done with it.`));
    const canRemove = schema?.resourceMethods?.includes('DELETE');
    const canEdit = schema?.resourceMethods?.includes('PUT');
    const own = names.filter((n) => n !== 'remove' && n !== 'update' && !(n in this.watchedBy())).sort();
    const can = own.filter((name) => offered[name]);
    const cannot = own.filter((name) => !offered[name]);
    const removable = canRemove && !(names.includes('remove') && !offered.remove);
    return replace(this.actions, el('h2', {}, 'Actions'), el('div', { class: 'acts' },
      canEdit ? button('edit', () => this.open('edit'), { 'data-do': 'edit', 'data-key': 'do edit' }) : null,
      can.map((name) => button(name, () => this.open(`action=${name}`), { 'data-action': name, 'data-key': `do ${name}` })),
      removable ? button('remove', () => this.open('remove'), { class: 'danger', 'data-do': 'remove', 'data-key': 'do remove' }) : null),
    cannot.length || (canRemove && !removable) ? el('details', { class: 'cannot' }, el('summary', {}, `${cannot.length + (canRemove && !removable ? 1 : 0)} not possible now`),
      el('p', { class: 'help' }, `Not in state ${row.state ?? 'this'}: ${[...cannot, ...(canRemove && !removable ? ['remove'] : [])].join(', ')}.`)) : null);
  }

  /** Actions that open a stream: they have buttons of their own. */
  watchedBy() {
    const all = this.watches();
    return { ...(all.logs && { logs: 1 }), ...(all.shell && { execute: 1 }) };
  }

  /** Rows at the end of links: those of the summary stand open, the others are read when they are opened. */
  makeRelated() {
    const open = new Set(this.summary.related ?? []);
    const links = Object.entries(this.data?.links ?? {}).filter(([name, url]) => name !== 'self' && ownUrl(url) && this.schemas.findByPath(name)?.links?.collection);
    const make = ([name, url]) => new Related(name, url, { schemas: this.schemas, ...this.tools }, open.has(name));
    const first = (this.summary.related ?? []).map((name) => links.find(([link]) => link === name)).filter(Boolean).map(make);
    const rest = links.length > 40 ? [] : links.filter(([name]) => !open.has(name)).map(make);
    this.linked = [...first, ...rest];
    this.graph = el('div');
    replace(this.links, this.graph, first.map((one) => one.node));
    if (rest.length) replace(this.related, el('details', { class: 'more' }, el('summary', {}, `${rest.length} more links`), rest.map((one) => one.node)));
    const loads = first.map((one) => one.load().then(() => this.showGraph(one)));
    this.ready = Promise.race([Promise.all(loads), new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
  }

  async showGraph(related) {
    const rows = related.table?.rows() ?? [];
    if (rows.length < 2) return;
    const { graph } = await import('./graph.js');
    const picture = graph(rows, this.schemas.find(rows[0].type), (row) => ownUrl(row.links?.self)?.href ?? '');
    if (picture) replace(this.graph, picture);
  }

  wanted() {
    const linked = this.linked ?? [];
    return { fields: [...ALWAYS, ...BELONGS, ...linked.filter((one) => one.isOpen).flatMap((one) => one.fields())],
      types: [this.data.type, ...linked.filter((one) => one.isOpen).map((one) => one.schema?.id)].filter(Boolean) };
  }

  heard(event, live) {
    if (event.resourceId === this.data.id) live.soon();
    const { id } = this.data;
    const belongs = (row) => Object.values(row).some((value) => value === id || (Array.isArray(value) && value.includes(id)));
    for (const related of this.linked ?? []) related.heard(event, belongs);
  }

  renew(data) {
    if (!data || data.type === 'collection') return;
    const found = differences(this.data, data).filter((d) => !/^\/(links|actions)\//.test(d.path));
    const isSame = JSON.stringify(this.data) === JSON.stringify(data);
    this.data = data;
    if (isSame) return;
    learn(data);
    const time = new Date().toLocaleTimeString();
    this.changes = [...found.map((d) => ({ ...d, time })).reverse(), ...this.changes].slice(0, REMEMBERED);
    this.showHead();
    if (this.tab !== 'Timeline' || found.some((d) => d.path === '/state')) this.showTab(new Set(found.map((d) => d.path)));
    this.showActions();
  }

  /** What an action answered: mostly the thing itself. */
  took(answer) {
    const row = this.data;
    if (answer.data?.id === row.id && answer.data?.type === row.type) this.renew(answer.data);
    else if (answer.data) {
      replace(this.side, el('h2', {}, 'Answer'), this.json.render(answer.data));
      return 'stay';
    }
    return undefined;
  }

  acts() {
    const row = this.data ?? {};
    if (row.type === 'error' || this.isGone) return [];
    const names = Object.keys(row.actions ?? {}).filter((name) => name !== 'update' && name !== 'remove' && !(name in this.watchedBy()));
    const watched = { logs: 'log', shell: 'shell', figures: 'CPU and memory' };
    return [...Object.keys(this.watches()).map((name) => ({ text: watched[name], act: () => this.watch(name) })),
      ...(this.schema?.resourceMethods?.includes('PUT') ? [{ text: `edit ${this.title}`, act: () => this.open('edit') }] : []),
      ...names.map((name) => ({ text: `${name} ${this.title}`, act: () => this.open(`action=${name}`) })),
      ...(this.schema?.resourceMethods?.includes('DELETE') ? [{ text: `remove ${this.title}`, act: () => this.open('remove') }] : [])];
  }

  open(hash) {
    const [what, name] = hash.split('=');
    const row = this.data ?? {};
    const schema = this.schema;
    const self = row.links?.self;
    const mark = () => history.replaceState(history.state, '', `${location.pathname}${location.search}#${hash}`);
    const done = (answer) => this.took(answer);
    if (what === 'edit' && self && schema?.resourceMethods?.includes('PUT')) {
      mark();
      this.openForm({ title: `Edit ${this.title}`, verb: 'Save', request: { method: 'PUT', url: self }, schema, values: row, purpose: 'update', done });
    } else if (what === 'remove' && self) {
      mark();
      this.openForm({ title: `Remove ${this.title}?`, note: `The ${row.type} ${row.id} is removed. This cannot be taken back.`, verb: 'Remove', isDanger: true, request: { method: 'DELETE', url: self }, done });
    } else if (what === 'action' && row.actions?.[name]) {
      const input = this.schemas.find(schema?.resourceActions?.[name]?.input);
      if (!input) return void act(row, name, done);
      mark();
      // A field of the input that the thing has too begins with the thing's value: most actions change a part of it.
      const suggest = (field, type) => (schema?.resourceFields?.[field]?.type === type && row[field] !== null ? row[field] : undefined);
      this.openForm({ title: name, verb: 'Send', note: this.docs.type(schema?.resourceActions?.[name]?.input), request: { method: 'POST', url: row.actions[name] }, schema: input, suggest, done });
    }
    return undefined;
  }
}
