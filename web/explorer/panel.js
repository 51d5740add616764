// What can be done: a request is put together, shown as curl, HTTP and JSON, and sent only then.

import { announce, append, button, el, ownUrl } from './dom.js';
import { Form } from './form.js';
import { asCurl, asHttp, asJson, send } from './request.js';

const WAYS = [['curl', asCurl], ['HTTP', asHttp], ['JSON', asJson]];

/** The request as text, in the way that was chosen last. */
class Preview {
  constructor() {
    this.text = el('pre', { class: 'req', tabindex: '0', 'aria-label': 'the request' });
    this.tabs = WAYS.map(([name]) => button(name, () => this.choose(name)));
    this.node = el('div', {}, el('div', { class: 'rt', role: 'group', 'aria-label': 'show the request as' }, this.tabs,
      button('Copy', () => navigator.clipboard?.writeText(this.text.textContent).then(() => announce('copied')), { class: 'last' })), this.text);
    this.way = localStorage.getItem('drover.way') ?? 'curl';
  }

  choose(way) {
    this.way = way;
    localStorage.setItem('drover.way', way);
    this.show(this.request);
  }

  show(request) {
    this.request = request;
    const found = WAYS.find(([name]) => name === this.way) ?? WAYS[0];
    this.tabs.forEach((tab, i) => tab.setAttribute('aria-pressed', String(WAYS[i] === found)));
    this.text.textContent = found[1](request);
  }
}

/**
 * Opens a request to be made in `place`.
 *
 * `title`, `note`; `request` is `{method, url}`; `schema` the body's, if it has one, with `values`, `suggest` and `purpose`;
 * `danger` for what cannot be taken back; `done(answer, show)` is told the answer.
 */
export function openPanel(place, { schemas, docs, title, note, request, schema, values, suggest, purpose = 'create', isDanger, verb = 'Send', done, closed }) {
  const preview = new Preview();
  const current = () => ({ ...request, body: form ? form.read() : request.body });
  const changed = () => preview.show(current());
  const form = schema ? new Form({ schemas, docs, schema, purpose, values: values ?? {}, suggest, changed }) : undefined;
  const summary = el('div', { class: 'summary', role: 'alert' });
  const go = el('button', { type: 'submit', class: isDanger ? 'go danger' : 'go' }, verb);
  const result = el('div', { 'aria-live': 'polite' });
  const close = () => {
    place.replaceChildren();
    place.dataset.open = '';
    closed?.();
  };
  const submit = async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    go.disabled = true;
    form?.clearErrors();
    summary.replaceChildren();
    try {
      const answer = await send(current());
      result.replaceChildren();
      announce(`${title}: done`);
      if (done(answer, (text) => showSecrets(result, answer, schemas, text)) !== 'stay') close();
    } catch (failure) {
      if (!failure.sentence) throw failure;
      const isAtField = failure.fieldName && form?.fail(failure.fieldName, failure.code);
      append(summary, [el('strong', {}, `Refused (${failure.status})`), ' ', failure.sentence]);
      if (!isAtField) summary.scrollIntoView?.({ block: 'nearest' });
    } finally {
      go.disabled = false;
    }
  };
  const node = el('form', { class: 'panel', novalidate: true, onsubmit: submit, 'aria-label': title, onkeydown: (event) => {
    if (event.key === 'Escape') close();
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit(event);
  } },
  el('h2', { tabindex: '-1' }, title, schema ? el('small', {}, ` ${schema.id}`) : null), note ? el('p', { class: 'help' }, note) : null,
  form?.node, summary, preview.node,
  el('div', { class: 'acts' }, go, button('Cancel', close)), result);
  place.replaceChildren(node);
  place.dataset.open = title;
  changed();
  if (form?.rows.length) form.focus();
  else go.focus();
  if (matchMedia('(max-width: 900px)').matches) node.scrollIntoView();
  return { close };
}

/** Shows what is told only once, and where the new thing is. */
function showSecrets(place, answer, schemas, text) {
  const row = answer.data;
  const fields = schemas.find(row.type)?.resourceFields ?? {};
  const secret = Object.entries(fields).filter(([name, field]) => field.readOnCreateOnly && row[name]);
  const url = ownUrl(row.links?.self);
  place.replaceChildren(el('div', { class: 'once' }, el('strong', {}, text),
    [...(row.publicValue ? [['publicValue', row.publicValue]] : []), ...secret.map(([name]) => [name, row[name]])].map(([name, value]) => el('div', { class: 'f' },
      el('div', { class: 'label' }, name), el('div', { class: 'grow' }, el('input', { type: 'text', readonly: true, value, 'aria-label': name, class: 'mono' }),
        button('Copy', () => navigator.clipboard?.writeText(value).then(() => announce('copied')), { 'aria-label': `copy ${name}` })))),
    url ? el('a', { href: url }, `open ${row.name ?? row.id}`) : null));
  place.scrollIntoView({ block: 'nearest' });
  place.querySelector('input')?.focus();
}

/** Whether an answer holds something that is told only once. */
export function hasSecrets(answer, schemas) {
  const fields = schemas.find(answer.data?.type)?.resourceFields ?? {};
  return Object.entries(fields).some(([name, field]) => field.readOnCreateOnly && answer.data[name]);
}
