// A form made from a schema. A field is not sent, sent as null, or sent with a value: which of them is always to be seen,
// for to the server these are three different things.

import { chooser } from './choose.js';
import { button, el, prose, uniqueId } from './dom.js';
import { makeInput, typeOf } from './input.js';
import { describeField, explain, inputFields } from './schema.js';
import { summaryOf } from './summary.js';

/** Types with more fields than this show the needed ones, and the others when asked for. */
const MANY = 20;

export class Form {
  /**
   * `purpose` is `create` or `update`; `values` is what the form begins with; `suggest(name, type)` gives a value for a field
   * that has none; `changed` is called on every change.
   */
  constructor({ schemas, schema, purpose, values, docs, suggest, changed, depth = 0, label }) {
    Object.assign(this, { schemas, schema, purpose, values, docs, suggest, depth });
    this.changed = changed;
    this.rows = [];
    this.fields = inputFields(schema, purpose);
    this.summary = summaryOf(schema.id);
    this.first = (this.summary.form ?? []).filter((name) => this.fields.some(([field]) => field === name));
    this.fields.sort(([a], [b]) => this.rank(a) - this.rank(b));
    this.place = el('div');
    this.groups = el('div', { class: 'groups' });
    this.makeAdder();
    this.node = depth
      ? el('fieldset', {}, el('legend', { class: 'hidden' }, label ?? schema.id), this.place, this.adder, this.groups)
      : el('div', { class: 'form' }, this.place, this.adder, this.groups);
    const shown = this.fields.filter(([name, spec]) => this.isShown(name, spec));
    for (const [name, spec] of shown) this.add(name, spec);
    this.offer();
  }

  /** Fields that people set first come first, in the order of the summary. */
  rank(name) {
    const at = this.first.indexOf(name);
    return at < 0 ? this.first.length : at;
  }

  isShown(name, spec) {
    if (this.first.length && this.purpose === 'create') {
      return this.first.includes(name) || (spec.required && spec.default === undefined && this.depth === 0) || this.begin(name, spec) !== undefined;
    }
    const isNested = this.depth === 0 && this.schemas.isEmbedded(typeOf(spec));
    return this.fields.length <= MANY || spec.required || name === 'name' || name === 'description' || isNested
      || this.begin(name, spec) !== undefined;
  }

  /** What a field begins with; undefined if it is not sent. */
  begin(name, spec) {
    const own = this.values[name];
    if (own !== undefined && (own !== null || this.purpose === 'update')) return own;
    return this.suggest?.(name, spec.type);
  }

  add(name, spec, byHand = false) {
    const row = new Row(this, name, spec, byHand);
    this.rows.push(row);
    this.place.append(row.node);
    return row;
  }

  left() {
    return this.fields.filter(([name]) => !this.rows.some((row) => row.name === name));
  }

  makeAdder() {
    const text = (name) => this.docs.field(this.schema.id, name);
    const found = chooser({
      label: `add a field to ${this.schema.id}`, placeholder: 'Add a field: a part of its name, and Enter',
      options: () => this.left().map(([name, spec]) => ({ text: name, note: [spec.type, text(name)].filter(Boolean).join(' · ').slice(0, 90), name })),
      take: ({ name }) => this.take(name),
    });
    this.adder = el('div', { class: 'adder' }, found.node);
  }

  take(name) {
    const found = this.left().find(([field]) => field === name);
    if (!found) return;
    const row = this.add(...found, true);
    this.offer();
    row.node.scrollIntoView({ block: 'nearest' });
    row.input.focus();
    this.changed();
  }

  /** What is not there yet, by what it is about. */
  offer() {
    const left = this.left().map(([name]) => name);
    this.adder.hidden = !left.length;
    const groups = Object.entries(this.summary.groups ?? {}).map(([title, names]) => [title, names.filter((name) => left.includes(name))]);
    const others = left.filter((name) => !groups.some(([, names]) => names.includes(name)));
    const open = new Set([...this.groups.querySelectorAll('details[open]')].map((node) => node.dataset.group));
    this.groups.replaceChildren(...[...groups, ['other', others]].filter(([, names]) => names.length).map(([title, names]) =>
      el('details', { class: 'group', 'data-group': title, open: open.has(title) }, el('summary', {}, title, ' ', el('small', {}, String(names.length))),
        el('div', { class: 'acts' }, names.map((name) => button(name, () => this.take(name), { title: this.docs.field(this.schema.id, name) || undefined, class: 'small' }))))));
  }

  /** The object to send. */
  read() {
    const body = {};
    for (const row of this.rows) {
      const value = row.read();
      if (value !== undefined) body[row.name] = value;
    }
    return body;
  }

  focus() {
    (this.rows.find((row) => !row.hasBegun) ?? this.rows[0])?.input.focus();
  }

  clearErrors() {
    for (const row of this.all()) row.showError('');
  }

  /** Every row, those of objects within too. */
  all() {
    return this.rows.flatMap((row) => [row, ...row.forms().flatMap((form) => form.all())]);
  }

  /** Puts a refusal to its field; whether there is one. The server names the field, not the way to it. */
  fail(name, code) {
    const rows = this.all().filter((row) => row.name === name);
    const row = rows.find((row) => row.breaks(code)) ?? rows.find((row) => row.mode !== 'unset') ?? rows[0] ?? this.reveal(name);
    if (!row) return false;
    const hint = explain(code, row.spec);
    row.showError(hint ? `${code}: ${hint}` : code);
    row.input.focus();
    return true;
  }

  /** Shows a field that was not there, here or in an object within. */
  reveal(name) {
    const found = this.fields.find(([field]) => field === name);
    if (found) {
      const row = this.add(...found);
      this.offer();
      return row;
    }
    for (const form of this.rows.flatMap((row) => row.forms())) {
      const row = form.reveal(name);
      if (row) return row;
    }
    return undefined;
  }
}

/** A field with its label, its mode and its error. */
class Row {
  constructor(form, name, spec, byHand) {
    Object.assign(this, { form, name, spec });
    this.type = typeOf(spec);
    this.isNested = form.schemas.isEmbedded(this.type);
    this.id = uniqueId().replace('x', 'f');
    const begin = form.begin(name, spec);
    this.hasBegun = begin !== undefined;
    this.before = form.purpose === 'update' ? JSON.stringify(begin) : undefined;
    // What people set first stands open; it is sent when something is in it.
    this.isSoft = this.isNested && form.depth === 0 && form.first.includes(name) && form.purpose === 'create' && !spec.required && begin === undefined;
    this.mode = begin === null ? 'null' : begin !== undefined || byHand || this.isSoft || (this.isNested && spec.required) ? 'value' : 'unset';
    this.firstMode = this.mode === 'null' ? 'null' : this.before === undefined && begin === undefined && !byHand ? 'unset' : 'value';
    this.error = el('div', { class: 'err', id: `${this.id}e` });
    const help = form.docs?.field(form.schema.id, name) || spec.description || '';
    this.modes = this.makeModes();
    this.body = el('div');
    this.node = el('div', { class: 'f', 'data-field': name },
      el('div', { class: 'label' },
        this.isNested ? el('strong', { id: `${this.id}l` }, name) : el('label', { for: this.id }, name, spec.required ? el('span', { class: 'star', title: 'required' }, ' *') : null),
        el('em', { title: help }, describeField(spec)), this.modes),
      help ? el('p', { class: 'help' }, prose(help)) : null, this.body, this.error);
    this.build(begin);
  }

  get isLazy() {
    return this.isNested && this.mode !== 'value';
  }

  build(value) {
    const form = this.form;
    if (this.isLazy) {
      // Objects are opened by hand: some have a hundred fields, and some contain each other.
      const open = button(`Add ${this.name}`, () => this.setMode('value', true));
      this.input = { node: open, read: () => undefined, focus: () => open.focus() };
    } else {
      const context = { schemas: form.schemas, docs: form.docs, suggest: form.suggest, changed: () => this.touched() };
      this.input = makeInput({ type: this.type, spec: this.spec, value: value ?? undefined, label: this.name, id: this.id, context, depth: form.depth });
    }
    this.body.replaceChildren(this.input.node);
    this.show();
  }

  makeModes() {
    const names = [['unset', this.form.purpose === 'update' ? 'unchanged' : 'not sent'], ['value', 'value'], ...(this.spec.nullable ? [['null', 'null']] : [])];
    return el('select', { class: 'mode', 'aria-label': `how ${this.name} is sent`, onchange: () => this.setMode(this.modes.value, true) },
      names.map(([mode, text]) => el('option', { value: mode }, text)));
  }

  setMode(mode, byHand = false) {
    const wasLazy = this.isLazy;
    this.mode = mode;
    if (wasLazy !== this.isLazy) this.build(undefined);
    this.show();
    if (byHand && mode === 'value') this.input.focus();
    this.form.changed();
  }

  /** Something was written: then it is meant to be sent; what is emptied again goes back to what it was. */
  touched() {
    const value = this.input.read();
    const isEmpty = value === '' || (value instanceof String && value.length === 0);
    this.mode = isEmpty && this.firstMode === 'unset' && !this.isNested ? 'unset' : 'value';
    this.show();
    this.form.changed();
  }

  show() {
    this.modes.value = this.mode;
    this.node.dataset.mode = this.mode;
    this.body.hidden = this.mode === 'null';
  }

  read() {
    if (this.mode === 'unset') return undefined;
    const value = this.mode === 'null' ? null : this.input.read();
    if (this.isSoft && value && !Object.keys(value).length) return undefined;
    return this.before !== undefined && JSON.stringify(value) === this.before ? undefined : value;
  }

  forms() {
    return this.input.form ? [this.input.form] : this.input.forms?.() ?? [];
  }

  /** Whether what stands here is a reason for this refusal. */
  breaks(code) {
    const value = this.read();
    const { min, max, options, required } = this.spec;
    switch (code) {
      case 'MinLimitExceeded': return typeof value === 'number' && value < min;
      case 'MaxLimitExceeded': return typeof value === 'number' && value > max;
      case 'InvalidOption': return value !== undefined && Boolean(options) && !options.includes(value);
      case 'MissingRequired': return Boolean(required) && (value === undefined || value === '');
      case 'NotNullable': return value === null;
      default: return false;
    }
  }

  showError(text) {
    this.error.textContent = text;
    this.node.classList.toggle('bad', Boolean(text));
    const input = this.node.querySelector(`#${this.id}`);
    if (!input) return;
    if (text) {
      input.setAttribute('aria-invalid', 'true');
      input.setAttribute('aria-describedby', `${this.id}e`);
    } else {
      input.removeAttribute('aria-invalid');
    }
  }
}
