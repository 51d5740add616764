// One value's input, by its type: `{node, read, focus}`. Reading gives what goes into the request's JSON.
//
// Nothing is refused here: what does not fit is sent as it was written, and the server's own refusal stands at the field.

import { button, el, uniqueId } from './dom.js';
import { Form } from './form.js';
import { pickList } from './pick.js';
import { hidden } from './request.js';
import { parseType } from './schema.js';

/** So many lines of a text stand there at once. */
const MOST_ROWS = 20;

/** `spec` is the field's description, `type` its parsed type (or an element's), `context` what forms share. */
export function makeInput({ type, spec, value, label, id = uniqueId(), context, depth }) {
  const props = { id, 'aria-label': id.startsWith('x') ? label : undefined, oninput: context.changed, autocomplete: 'off', spellcheck: 'false' };
  const schema = context.schemas.find(type.name);
  if (context.schemas.isEmbedded(type)) return nested({ schema, value, label, context, depth });
  if (type.name === 'array' && type.of) return list({ type, spec, value, label, id, context, depth });
  if (type.name === 'map' && type.of && type.of.name !== 'json') return map({ type, spec, value, label, id, context, depth });
  if (spec.options?.length) return select(spec.options, value ?? spec.default, props, !spec.required);
  switch (type.name) {
    case 'boolean': return boolean(value ?? spec.default, props);
    case 'int': case 'float': return number(value, spec, props);
    case 'password': return password(value, props);
    case 'reference': return reference(type.of?.name, value, props, label, context);
    case 'json': case 'map': case 'array': return json(value, props);
    case 'date': return plain(value, { ...props, placeholder: 'yyyy-mm-ddThh:mm:ssZ' });
    default: return text(value, spec, props, label);
  }
}

const simple = (node, read = () => node.value) => ({ node, read, focus: () => node.focus() });

const plain = (value, props) => simple(el('input', { type: 'text', ...props, value: value ?? '' }));

const placeholderOf = (spec) => (spec.default === undefined || spec.default === null ? undefined : String(spec.default));

/** A line; texts without a short limit may become several. */
function text(value, spec, props, label) {
  const holder = el('div', { class: 'grow' });
  const first = String(value ?? '');
  const more = button('¶', () => widen(true), { class: 'quiet', 'aria-label': `several lines for ${label}`, title: 'Several lines' });
  let node = el('input', { type: 'text', ...props, value: first, placeholder: placeholderOf(spec), onpaste: (event) => {
    if (event.clipboardData?.getData('text').includes('\n')) widen(true);
  } });
  const widen = (byHand, content = node.value) => {
    const rows = Math.max(6, Math.min(MOST_ROWS, content.split('\n').length));
    const wide = el('textarea', { ...props, rows, class: 'mono', value: content });
    holder.replaceChildren(wide);
    node = wide;
    if (byHand) wide.focus();
  };
  holder.append(node, ...(spec.maxLength && spec.maxLength <= 1024 ? [] : [more]));
  // A line would leave the ends of lines out.
  if (first.includes('\n')) widen(false, first);
  return { node: holder, read: () => node.value, focus: () => node.focus() };
}

function number(value, spec, props) {
  const node = el('input', { type: 'text', inputmode: 'numeric', ...props, value: value ?? '', placeholder: placeholderOf(spec) });
  // A number beyond what a browser can hold exactly stays text, which the server reads as well.
  const read = () => (/^-?\d+(\.\d+)?$/.test(node.value) && Number.isSafeInteger(Math.trunc(Number(node.value))) ? Number(node.value) : node.value);
  return simple(node, read);
}

function password(value, props) {
  const node = el('input', { type: 'password', ...props, autocomplete: 'new-password', value: value ?? '' });
  return simple(node, () => hidden(node.value));
}

function boolean(value, props) {
  const node = select(['true', 'false'], value === true ? 'true' : 'false', props, false).node;
  return simple(node, () => node.value === 'true');
}

function select(options, value, props, hasBlank) {
  const known = value === undefined || value === null || options.includes(value) ? options : [value, ...options];
  const node = el('select', { ...props, onchange: props.oninput }, hasBlank && (value === undefined || value === null) ? el('option', { value: '' }, '') : null,
    known.map((option) => el('option', { value: option, selected: option === value }, option)));
  return simple(node);
}

function json(value, props) {
  const node = el('textarea', { ...props, rows: 4, class: 'mono', value: value === undefined || value === null ? '' : JSON.stringify(value, null, 2) });
  const read = () => {
    try {
      return JSON.parse(node.value);
    } catch {
      return node.value;
    }
  };
  return simple(node, read);
}

function reference(name, value, props, label, context) {
  const node = el('input', { type: 'text', ...props, value: value ?? '', placeholder: `${name ?? 'resource'} id` });
  const url = context.schemas.find(name)?.links?.collection;
  if (!url) return simple(node);
  const place = el('div');
  const choose = button('Choose', () => {
    if (place.childElementCount) return place.replaceChildren();
    pickList(place, { url, schema: context.schemas.find(name), label, chosen: (id) => {
      node.value = id;
      place.replaceChildren();
      node.focus();
      node.dispatchEvent(new Event('input', { bubbles: true }));
      context.changed();
    } });
  }, { 'aria-label': `choose ${label}` });
  return { node: el('div', {}, el('div', { class: 'grow' }, node, choose), place), read: () => node.value, focus: () => node.focus() };
}

function nested({ schema, value, label, context, depth }) {
  const form = new Form({ ...context, schema, purpose: 'create', values: value ?? {}, depth: depth + 1, label });
  return { node: form.node, read: () => form.read(), focus: () => form.focus(), form };
}

/** Elements one below the other. */
function list({ type, spec, value, label, id, context, depth }) {
  const rows = [];
  const place = el('div', { class: 'elements' });
  const add = (element, byHand) => {
    const number = rows.length + 1;
    const input = makeInput({ type: type.of, spec: { options: spec.options, type: '' }, value: element, label: `${label} ${number}`, context, depth });
    const row = { input, node: el('div', { class: input.form ? 'element wide' : 'element' }, input.node,
      button('×', () => remove(row), { class: 'quiet', 'aria-label': `remove ${label} ${number}` })) };
    rows.push(row);
    place.append(row.node);
    if (byHand) {
      input.focus();
      context.changed();
    }
  };
  const remove = (row) => {
    rows.splice(rows.indexOf(row), 1);
    row.node.remove();
    more.focus();
    context.changed();
  };
  for (const element of Array.isArray(value) ? value : []) add(element, false);
  const more = button('Add', () => add(undefined, true), { id, 'aria-label': `add to ${label}` });
  return { node: el('div', {}, place, more), read: () => rows.map((row) => row.input.read()), focus: () => more.focus(),
    forms: () => rows.map((row) => row.input.form).filter(Boolean) };
}

/** Names and values. */
function map({ type, spec, value, label, id, context, depth }) {
  const rows = [];
  const place = el('div', { class: 'elements' });
  const add = (name, element, byHand) => {
    const number = rows.length + 1;
    const key = el('input', { type: 'text', value: name, 'aria-label': `name ${number} of ${label}`, oninput: context.changed, placeholder: 'name', autocomplete: 'off' });
    const input = makeInput({ type: type.of, spec: { options: spec.options, type: '' }, value: element, label: `value ${number} of ${label}`, context, depth });
    const row = { key, input, node: el('div', { class: input.form ? 'element wide' : 'element' }, key, input.node,
      button('×', () => remove(row), { class: 'quiet', 'aria-label': `remove ${number} of ${label}` })) };
    rows.push(row);
    place.append(row.node);
    if (byHand) {
      key.focus();
      context.changed();
    }
  };
  const remove = (row) => {
    rows.splice(rows.indexOf(row), 1);
    row.node.remove();
    more.focus();
    context.changed();
  };
  for (const [name, element] of Object.entries(value ?? {})) add(name, element, false);
  const more = button('Add', () => add('', undefined, true), { id, 'aria-label': `add to ${label}` });
  return { node: el('div', {}, place, more), read: () => Object.fromEntries(rows.map((row) => [row.key.value, row.input.read()])), focus: () => more.focus(),
    forms: () => rows.map((row) => row.input.form).filter(Boolean) };
}

/** What type a field's text means. */
export const typeOf = (spec) => parseType(spec.type ?? 'string');
