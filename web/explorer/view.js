// What both kinds of page share: where values lead, tabs, and the place of forms.

import { el, isFilled, ownUrl } from './dom.js';
import { JsonView } from './json.js';
import { projectOf } from './projects.js';
import { parseType } from './schema.js';

export class View {
  constructor(shared) {
    Object.assign(this, shared);
    this.json = new JsonView((value, key, path) => this.link(value, key, path), (type) => this.listOf(type), (key, path) => this.typeAt(key, path));
    this.panel = el('div', { class: 'panel-place' });
    this.side = el('div', { class: 'panel-place' });
    this.tools = { link: (value, key, row) => this.link(value, key, row), listOf: (type) => this.listOf(type) };
  }

  /** The list of a type. */
  listOf(type) {
    return this.schemas.find(type)?.links?.collection;
  }

  /** The type that a field refers to. */
  typeAt(key, within) {
    const row = typeof within === 'object' ? within : this.rowAt(within);
    const field = this.schemas.find(row?.type)?.resourceFields?.[key];
    const type = field && parseType(field.type);
    return type?.name === 'reference' ? type.of?.name : type?.of?.name === 'reference' ? type.of.of?.name : undefined;
  }

  /** The address of a value that is an id or a type. */
  link(value, key, within) {
    const row = typeof within === 'object' ? within : this.rowAt(within);
    if (key === 'type' || key === 'baseType' || key === 'resourceType') return ownUrl(this.schemas.find(value)?.links?.self);
    if (key === 'id' && row) return ownUrl(row.links?.self) ?? this.at(row.type, row.id);
    if (!/^1[a-z]+!?\w+/.test(value)) return undefined;
    return this.at(this.typeAt(key, row), value);
  }

  at(type, id) {
    // Within a project its own id, however it is called there, leads to the project.
    if (id && id === projectOf(this.url)) return new URL(this.url.pathname.split('/').slice(0, 4).join('/'), this.url);
    const list = ownUrl(this.listOf(type));
    return list && id ? new URL(`${list.pathname}/${encodeURIComponent(id)}`, list) : undefined;
  }

  rowAt(path) {
    const found = /^\/data\/(\d+)\//.exec(path ?? '');
    return found ? this.data.data?.[Number(found[1])] : this.data;
  }

  close() {
    document.querySelector('form.panel [data-do="cancel"]')?.click();
  }

  tabs(names, current) {
    const key = `drover.tab.${names[0]}`;
    const stored = localStorage.getItem(key);
    let chosen = names.includes(stored) ? stored : current;
    const buttons = names.map((name) => el('button', { type: 'button', role: 'tab', 'data-key': `tab ${name}`, onclick: () => choose(name) }, name));
    const mark = () => buttons.forEach((b, i) => b.setAttribute('aria-selected', String(names[i] === chosen)));
    const choose = (name) => {
      chosen = name;
      localStorage.setItem(key, name);
      mark();
      this.tab = name;
      this.showTab();
    };
    this.tab = chosen;
    mark();
    return el('div', { class: 'tabs', role: 'tablist', 'aria-label': 'show as' }, buttons);
  }

  async openForm(options) {
    const [{ openPanel }] = await Promise.all([import('./panel.js'), options.schema ? this.docs.load() : undefined]);
    // What would be opened is open, and partly filled in.
    const open = document.querySelector('form.panel[data-filled]');
    if (open?.getAttribute('aria-label') === options.title) return open.querySelector('.f input, .f textarea, .f select')?.focus();
    if (isFilled() && !confirm('What you have filled in will be lost. Open another form all the same?')) return;
    this.panel.replaceChildren();
    this.side.replaceChildren();
    const place = options.schema ? this.panel : this.side;
    const { hash } = location;
    this.middle.classList.toggle('forming', Boolean(options.schema));
    openPanel(place, { schemas: this.schemas, docs: this.docs, closed: () => {
      this.middle.classList.remove('forming');
      if (location.hash === hash || !hash) history.replaceState(history.state, '', location.pathname + location.search);
      this.aside.querySelector('button:not([disabled])')?.focus();
    }, ...options });
  }
}
