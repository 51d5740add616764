// What can be done: a request is put together, can be looked at as curl, HTTP and JSON, and is sent only then.

import { announce, append, button, el, ownUrl, prose } from './dom.js';
import { copyButton } from './copy.js';
import { Form } from './form.js';
import { asCurl, asHttp, asJson, send } from './request.js';

const WAYS = [['curl', asCurl], ['HTTP', asHttp], ['JSON', asJson]];

/** The request as text, in the way that was chosen last. */
class Preview {
  constructor() {
    this.text = el('pre', { class: 'req', tabindex: '0', 'aria-label': 'the request' });
    this.tabs = WAYS.map(([name]) => button(name, () => this.choose(name)));
    this.node = el('details', { class: 'preview', open: localStorage.getItem('drover.request') === 'open', ontoggle: (event) => localStorage.setItem('drover.request', event.target.open ? 'open' : 'folded') },
      el('summary', {}, 'Request'),
      el('div', { class: 'rt', role: 'group', 'aria-label': 'show the request as' }, this.tabs, copyButton(() => this.text.textContent, { class: 'last' })), this.text);
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
  const first = { text: undefined };
  const changed = () => {
    const request = current();
    preview.show(request);
    const text = JSON.stringify(request.body);
    first.text ??= text;
    node?.toggleAttribute('data-filled', Boolean(form) && text !== first.text);
  };
  let node;
  const form = schema ? new Form({ schemas, docs, schema, purpose, values: values ?? {}, suggest, changed }) : undefined;
  const summary = el('div', { class: 'summary', role: 'alert' });
  const go = el('button', { type: 'submit', class: isDanger ? 'go danger' : 'go' }, verb);
  const result = el('div', { 'aria-live': 'polite' });
  const close = (isAsked = true) => {
    if (isAsked && node.hasAttribute('data-filled') && !confirm('What you have filled in will be lost. Close all the same?')) return;
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
      node.removeAttribute('data-filled');
      result.replaceChildren();
      announce(`${title}: done`);
      if (done(answer, (text) => showSecrets(result, answer, schemas, text)) !== 'stay') close(false);
    } catch (failure) {
      if (!failure.sentence) throw failure;
      const isAtField = failure.fieldName && form?.fail(failure.fieldName, failure.code);
      append(summary, [el('strong', {}, failure.status ? `Refused (${failure.status})` : 'Not sent'), ' ', failure.sentence]);
      if (failure.status === 401) document.dispatchEvent(new CustomEvent('drover-logout'));
      if (!isAtField) summary.scrollIntoView?.({ block: 'nearest' });
    } finally {
      go.disabled = false;
    }
  };
  node = el('form', { class: schema ? 'panel wide-panel' : 'panel', novalidate: true, onsubmit: submit, 'aria-label': title, onkeydown: (event) => {
    if (event.key === 'Escape' && !event.defaultPrevented) close();
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit(event);
  } },
  el('h2', { tabindex: '-1' }, title, schema ? el('small', {}, ` ${schema.id}`) : null), note ? el('p', { class: 'help' }, prose(note)) : null,
  form?.node, summary,
  el('div', { class: 'send' }, el('div', { class: 'acts' }, go, button('Cancel', () => close(), { 'data-do': 'cancel' })), preview.node), result);
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
        copyButton(() => value, { 'aria-label': `copy ${name}` })))),
    url ? el('a', { href: url }, `open ${row.name ?? row.id}`) : null));
  place.scrollIntoView({ block: 'nearest' });
  place.querySelector('input')?.focus();
}
