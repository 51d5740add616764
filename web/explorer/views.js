// The two kinds of page: a collection and a thing. Both are made from the answer and the schemas, and neither knows a type.

import { button, el, ownUrl, replace } from './dom.js';
import { filterBar, pager, sortBar } from './controls.js';
import { differences, JsonView } from './json.js';
import { hasSecrets, openPanel } from './panel.js';
import { get } from './request.js';
import { describeField, parseType } from './schema.js';
import { stateMark, Table, tone } from './table.js';

/** Changes that are remembered while a page stands. */
const REMEMBERED = 100;

class View {
  constructor(shared) {
    Object.assign(this, shared);
    this.json = new JsonView((value, key, path) => this.link(value, key, path));
    this.panel = el('div', { class: 'panel-place' });
  }

  /** The address of a value that is an id or a type. */
  link(value, key, within) {
    const row = typeof within === 'object' ? within : this.rowAt(within);
    const schema = this.schemas.find(row?.type);
    const field = schema?.resourceFields?.[key];
    const type = field && parseType(field.type);
    const reference = type?.name === 'reference' ? type : type?.of?.name === 'reference' ? type.of : undefined;
    if (key === 'type' || key === 'baseType' || key === 'resourceType') return ownUrl(this.schemas.find(value)?.links?.self);
    if (key === 'id' && row) return ownUrl(row.links?.self);
    if (!reference || !/^1[a-z]+!?\w+/.test(value)) return undefined;
    const list = ownUrl(this.schemas.find(reference.of?.name)?.links?.collection);
    return list && new URL(`${list.pathname}/${encodeURIComponent(value)}`, list);
  }

  rowAt(path) {
    const found = /^\/data\/(\d+)\//.exec(path ?? '');
    return found ? this.data.data?.[Number(found[1])] : this.data;
  }

  close() {
    this.panel.querySelector('.acts button:not(.go)')?.click();
  }

  tabs(names, current) {
    const key = `drover.tab.${names[0]}`;
    let chosen = names.includes(localStorage.getItem(key)) ? localStorage.getItem(key) : current;
    const buttons = names.map((name) => el('button', { type: 'button', role: 'tab', 'data-key': `tab ${name}`, onclick: () => choose(name) }, name));
    const choose = (name) => {
      chosen = name;
      localStorage.setItem(key, name);
      buttons.forEach((b, i) => b.setAttribute('aria-selected', String(names[i] === name)));
      this.tab = name;
      this.showTab();
    };
    this.tab = chosen;
    buttons.forEach((b, i) => b.setAttribute('aria-selected', String(names[i] === chosen)));
    return el('div', { class: 'tabs', role: 'tablist', 'aria-label': 'show as' }, buttons);
  }

  openForm(options) {
    openPanel(this.panel, { schemas: this.schemas, docs: this.docs, closed: () => {
      history.replaceState(history.state, '', location.pathname + location.search);
      this.aside.querySelector('button:not([disabled])')?.focus();
    }, ...options });
  }
}

export class CollectionView extends View {
  get schema() {
    return this.schemas.find(this.data.resourceType);
  }

  get title() {
    return this.schema?.pluralName ?? this.data.resourceType;
  }

  /** Where things are created, by type. */
  creators() {
    const types = Object.entries(this.data.createTypes ?? {});
    const own = this.schema;
    if (types.length || !own?.collectionMethods?.includes('POST') || !own.links?.collection) return types;
    return [[own.id, own.links.collection]];
  }

  show() {
    const creators = this.creators();
    this.table = new Table((value, key, row) => this.link(value, key, row));
    this.content = el('div');
    this.pages = el('div');
    const docs = this.docs.type(this.data.resourceType);
    replace(this.middle, el('h1', {}, this.title, ' ', el('small', {}, 'collection')), docs ? el('p', { class: 'msg' }, docs) : null,
      filterBar(this.data, this.schema, this.url, this.go), sortBar(this.data, this.url, this.go), this.tabs(['Table', 'JSON'], 'Table'), this.content, this.pages);
    this.showTab();
    replace(this.aside, el('h2', {}, 'Create'), creators.length
      ? el('div', { class: 'acts' }, creators.map(([type], i) => button(type, () => this.open(`create=${type}`), { 'data-do': i ? undefined : 'create' })))
      : el('p', { class: 'help' }, 'Nothing can be created here.'), this.panel);
  }

  showTab() {
    const hasRows = (this.data.data ?? []).length > 0;
    replace(this.content, this.tab === 'JSON' ? this.json.render(this.data) : [this.table.render(this.data, this.schema), hasRows ? null : el('p', { class: 'help' }, 'Nothing there.')]);
    replace(this.pages, pager(this.data, this.url, this.go));
  }

  concerns(event) {
    const type = event.data?.resource?.type ?? event.resourceType;
    const base = event.data?.resource?.baseType;
    return type === this.data.resourceType || base === this.data.resourceType || (this.data.data ?? []).some((row) => row.id === event.resourceId || row.type === type);
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

  open(hash) {
    const [what, type] = hash.split('=');
    if (what !== 'create') return;
    const creators = this.creators();
    const [id, url] = creators.find(([name]) => name === type) ?? creators.find(([name]) => name === this.data.resourceType) ?? creators[0] ?? [];
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
        if (self) this.go(self);
        return self ? 'stay' : undefined;
      } });
  }
}

export class ResourceView extends View {
  get schema() {
    return this.schemas.find(this.data?.type);
  }

  get title() {
    return String(this.data?.name ?? this.data?.id ?? this.data?.type ?? 'answer');
  }

  show() {
    this.changes = [];
    this.head = el('div');
    this.content = el('div');
    this.actions = el('div');
    this.related = el('div');
    replace(this.middle, this.head, this.tabs(['JSON', 'Fields', 'Changes'], 'JSON'), this.content, this.related);
    replace(this.aside, this.actions, this.panel);
    this.showHead();
    this.showTab();
    this.showActions();
    this.showRelated();
  }

  showHead() {
    const row = this.data ?? {};
    if (row.type === 'error') {
      replace(this.head, el('h1', {}, `${row.status} ${row.code}`), row.message && row.message !== row.code ? el('p', { class: 'msg' }, row.message) : null);
      return;
    }
    const isMoving = row.transitioning === 'yes';
    const progress = Number.isFinite(row.transitioningProgress) ? row.transitioningProgress : undefined;
    const health = row.healthState && row.healthState !== row.state ? el('span', { class: `state ${tone({ state: row.healthState === 'healthy' ? 'active' : row.healthState })}` }, row.healthState) : null;
    replace(this.head, el('h1', {}, this.title, ' ', el('small', {}, [row.type, row.id].filter(Boolean).join(' · ')), ' ',
      row.state ? el('span', { class: `state ${tone(row)}`, role: 'status', id: 'state' }, row.state) : null, ' ', health),
    isMoving ? el('progress', { max: 100, value: progress, 'aria-label': 'progress' }) : null,
    row.transitioningMessage ? el('p', { class: tone(row) === 'bad' ? 'msg bad' : 'msg' }, row.transitioningMessage) : row.description ? el('p', { class: 'msg' }, row.description) : null);
  }

  showTab(changed) {
    const made = this.tab === 'Fields' ? this.fields() : this.tab === 'Changes' ? this.changeList() : this.json.render(this.data, changed);
    replace(this.content, made);
  }

  fields() {
    const fields = this.schema?.resourceFields ?? {};
    return el('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': 'fields' }, el('table', {}, el('thead', {}, el('tr', {}, ['field', 'value', 'type', 'meaning'].map((t) => el('th', { scope: 'col' }, t)))),
      el('tbody', {}, Object.keys(this.data).filter((n) => n !== 'links' && n !== 'actions').map((name) => el('tr', {}, el('th', { scope: 'row' }, name),
        el('td', { class: 'm' }, this.json.value(this.data[name], name, `/${name}`, 1)), el('td', { class: 'z' }, fields[name] ? describeField(fields[name]) : ''),
        el('td', {}, this.docs.field(this.data.type, name) || fields[name]?.description || ''))))));
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
    const canRemove = schema?.resourceMethods?.includes('DELETE');
    const canEdit = schema?.resourceMethods?.includes('PUT');
    if (!row.links?.self && !names.length) return replace(this.actions);
    const some = names.filter((n) => n !== 'remove' && n !== 'update').sort((a, b) => Number(!offered[a]) - Number(!offered[b]) || a.localeCompare(b));
    return replace(this.actions, el('h2', {}, 'Actions'), el('div', { class: 'acts' },
      canEdit ? button('edit', () => this.open('edit'), { 'data-do': 'edit', 'data-key': 'do edit' }) : null,
      some.map((name) => button(name, () => this.open(`action=${name}`), { disabled: !offered[name], title: offered[name] ? undefined : `not in state ${row.state ?? 'this'}`, 'data-action': name, 'data-key': `do ${name}` })),
      canRemove ? button('remove', () => this.open('remove'), { class: 'danger', 'data-do': 'remove', 'data-key': 'do remove',
        disabled: names.includes('remove') && !offered.remove, title: names.includes('remove') && !offered.remove ? `not in state ${row.state}` : undefined }) : null));
  }

  /** Collections at the end of links, read when they are opened. */
  showRelated() {
    const links = Object.entries(this.data?.links ?? {}).filter(([name, url]) => name !== 'self' && ownUrl(url) && this.schemas.findByPath(name)?.links?.collection);
    if (!links.length || links.length > 40) return;
    replace(this.related, el('h2', { class: 'part' }, 'What hangs on it'), links.map(([name, url]) => {
      const place = el('div');
      return el('details', { class: 'related', ontoggle: async (event) => {
        if (!event.target.open || place.childElementCount) return;
        try {
          const found = await get(ownUrl(url));
          const rows = found?.type === 'collection' ? found : { data: [found], resourceType: found?.type };
          const table = new Table((value, key, row) => this.link(value, key, row));
          replace(place, rows.data.length ? table.render({ ...rows, sortLinks: {} }, this.schemas.find(rows.resourceType)) : el('p', { class: 'help' }, 'Nothing there.'));
        } catch (failure) {
          replace(place, el('p', { class: 'help' }, failure.sentence ?? String(failure)));
        }
      } }, el('summary', { 'data-key': `related ${name}` }, name, ' ', el('a', { href: ownUrl(url), 'aria-label': `open ${name}` }, '↗')), place);
    }));
  }

  concerns(event) {
    return event.resourceId === this.data.id;
  }

  renew(data) {
    if (!data || data.type === 'collection') return;
    const found = differences(this.data, data).filter((d) => !/^\/(links|actions)\//.test(d.path));
    const isSame = JSON.stringify(this.data) === JSON.stringify(data);
    this.data = data;
    if (isSame) return;
    const time = new Date().toLocaleTimeString();
    this.changes = [...found.map((d) => ({ ...d, time })).reverse(), ...this.changes].slice(0, REMEMBERED);
    this.showHead();
    this.showTab(new Set(found.map((d) => d.path)));
    this.showActions();
  }

  open(hash) {
    const [what, name] = hash.split('=');
    const row = this.data ?? {};
    const schema = this.schema;
    const self = row.links?.self;
    const took = (answer) => {
      // Most actions answer with the thing itself; what some others make is shown.
      if (answer.data?.id === row.id && answer.data?.type === row.type) this.renew(answer.data);
      else if (answer.data) {
        replace(this.panel.querySelector('[aria-live]') ?? this.panel, el('h2', {}, 'Answer'), this.json.render(answer.data));
        return 'stay';
      }
      return undefined;
    };
    const mark = () => history.replaceState(history.state, '', `${location.pathname}${location.search}#${hash}`);
    if (what === 'edit' && self && schema?.resourceMethods?.includes('PUT')) {
      mark();
      this.openForm({ title: `Edit ${this.title}`, verb: 'Save', request: { method: 'PUT', url: self }, schema, values: row, purpose: 'update', done: took });
    } else if (what === 'remove' && self) {
      mark();
      this.openForm({ title: `Remove ${this.title}?`, note: `The ${row.type} ${row.id} is removed. This cannot be taken back.`, verb: 'Remove', isDanger: true, request: { method: 'DELETE', url: self }, done: took });
    } else if (what === 'action' && row.actions?.[name]) {
      mark();
      const input = this.schemas.find(schema?.resourceActions?.[name]?.input);
      // A field of the input that the thing has too begins with the thing's value: most actions change a part of it.
      const suggest = (field, type) => (schema?.resourceFields?.[field]?.type === type && row[field] !== null ? row[field] : undefined);
      this.openForm({ title: name, verb: 'Send', note: this.docs.type(schema?.resourceActions?.[name]?.input), request: { method: 'POST', url: row.actions[name], body: input ? undefined : {} }, schema: input, suggest, done: took });
    }
  }
}
