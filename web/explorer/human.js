// A thing for people: a sentence of its state, the number they change, facts, what it links to. Made from its summary.

import { append, el, replace } from './dom.js';
import { named } from './names.js';
import { parseType } from './schema.js';
import { healthTone, tone } from './state.js';
import { labelOf, sentence, summaryOf, told, valueAt } from './summary.js';
import { when } from './when.js';

/** The head of a thing's page. `shared` has `link`, `listOf`, and `stepper`, if there is one. */
export function head(row, schema, shared) {
  const summary = summaryOf(row.type, row.baseType);
  const title = String(row.name ?? row.id ?? row.type ?? 'answer');
  const isMoving = row.transitioning === 'yes';
  const progress = Number.isFinite(row.transitioningProgress) ? row.transitioningProgress : undefined;
  const said = sentence(summary.sentence, row);
  return [
    el('h1', { tabindex: '-1' }, title, ' ', el('small', {}, [row.type, row.id].filter(Boolean).join(' · ')), ' ',
      row.state ? el('span', { class: `state ${tone(row)}`, role: 'status', id: 'state' }, row.state) : null, ' ',
      row.healthState && row.healthState !== row.state ? el('span', { class: `state ${healthTone(row)}` }, row.healthState) : null),
    isMoving ? el('progress', { max: 100, value: progress, 'aria-label': 'progress' }) : null,
    row.transitioningMessage ? el('p', { class: tone(row) === 'bad' ? 'msg bad' : 'msg' }, row.transitioningMessage) : null,
    said.length ? el('p', { class: 'sentence' }, said, '.') : null,
    row.description ? el('p', { class: 'msg' }, row.description) : null,
    shared.stepper?.node,
    facts(summary, row, schema, shared),
  ];
}

function facts(summary, row, schema, shared) {
  const there = (summary.facts ?? []).map((place) => [place, fact(place, row, schema, shared)]).filter(([, value]) => value !== undefined);
  return there.length ? el('dl', { class: 'facts' }, there.map(([place, value]) => [el('dt', {}, labelOf(place)), el('dd', {}, value)])) : null;
}

/** A value as its field's type has it; undefined for none. */
function fact(place, row, schema, shared) {
  const path = place.split('|')[0];
  const value = valueAt(row, path);
  if (value === undefined || value === null || value === '' || value === false || (typeof value === 'object' && !Object.keys(value).length)) return undefined;
  if (place.includes('|')) return told(place, row);
  const type = parseType(schema?.resourceFields?.[path]?.type ?? '');
  if (type.name === 'date') return when(value);
  if (typeof value === 'object' && !Array.isArray(value)) return el('span', { class: 'm' }, Object.entries(value).filter(([name, one]) => name !== 'type' && one !== null).map(([name, one]) => `${name}=${typeof one === 'object' ? JSON.stringify(one) : one}`).join(', '));
  const reference = type.name === 'reference' ? type : type.of?.name === 'reference' ? type.of : undefined;
  const one = (id) => {
    const url = reference && shared.link(id, path, row);
    return url ? named(id, url, { list: shared.listOf(reference.of?.name) }) : typeof id === 'object' ? JSON.stringify(id) : String(id);
  };
  const all = Array.isArray(value) ? value : [value];
  return all.slice(0, 12).flatMap((id, i) => [i ? ', ' : '', one(id)]).concat(all.length > 12 ? `, and ${all.length - 12} more` : []);
}

/** What a failed answer says to people, and the way on. */
export function failed(place, body, url, go) {
  const up = url.pathname.split('/').filter(Boolean).slice(0, -1);
  const isMissing = body.status === 404;
  replace(place, el('h1', { tabindex: '-1' }, isMissing ? 'There is nothing here' : `${body.status} ${body.code}`),
    el('p', { class: 'msg' }, isMissing ? 'Nothing has this address, or it is not for you. It may have been removed and swept away.' : body.message && body.message !== body.code ? body.message : ''),
    el('p', { class: 'ways' }, up.length ? el('a', { class: 'b go', href: `/${up.join('/')}` }, `To ${up.at(-1)}`) : null,
      el('a', { class: 'b', href: '/' }, 'To the server’s page')));
  return append(place, [el('p', { class: 'help' }, `${body.status} ${body.code}`)]);
}

