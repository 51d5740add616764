// Colour by meaning, and never a colour alone: grey is at rest, amber moves, red fails, green is well.

import { el } from './dom.js';

const WELL = /^(active|running|upgraded|registered|reconnected|healthy)$/;
const FAILING = /error|unhealthy|disconnected|degraded|failed/;
const MOVING = /(ing|ing-\w+|requested|updating-healthy)$/;

/** `ok`, `busy`, `bad` or `off`. */
export function tone(row) {
  const state = row.state ?? '';
  if (row.removed || state === 'removed' || state === 'purged') return 'off';
  const isMoving = row.transitioning === 'yes' || (MOVING.test(state) && state !== 'running');
  // What is at rest has nobody who could be unwell.
  const isUp = isMoving || WELL.test(state);
  if (row.transitioning === 'error' || FAILING.test(state) || (isUp && FAILING.test(row.healthState ?? ''))) return 'bad';
  if (isMoving) return 'busy';
  return isUp ? 'ok' : 'off';
}

const SIGNS = { ok: '●', busy: '◐', bad: '▲', off: '○' };

/** A word, a colour and a shape for a state; `kind` is its tone if that is not the state's own. */
export function stateMark(row, kind = tone(row)) {
  const state = row.state ?? '';
  if (!state) return '';
  return el('span', { class: `mark ${kind}`, title: row.transitioningMessage || undefined }, el('span', { class: 'sign', 'aria-hidden': 'true' }, SIGNS[kind]), ' ', state);
}

/** The tone of a row's health: that of what is at rest says nothing. */
export const healthTone = (row) => (row.state && tone({ state: row.state }) === 'off' ? 'off' : tone({ state: row.healthState }));

/** The health of a row. */
export const healthMark = (row) => stateMark({ state: row.healthState }, healthTone(row));

/** What says most of a row in one word: its health where that is why it fails, else its state. */
export const mainMark = (row) => (tone(row) === 'bad' && WELL.test(row.state ?? '') && row.healthState && row.transitioning !== 'error' ? healthMark(row) : stateMark(row));

/** The counts of a bar, from `{state, healthState, count}`. */
export function sums(counts) {
  const total = { ok: 0, busy: 0, bad: 0, off: 0 };
  for (const { count, ...row } of counts) total[tone(row)] += count;
  return total;
}

const WORDS = { ok: 'ok', busy: 'moving', bad: 'failing', off: 'stopped' };

/** A bar of how many are well, moving, failing, stopped; with the words. */
export function bar(total) {
  const all = Object.values(total).reduce((a, b) => a + b, 0);
  const there = Object.entries(total).filter(([, n]) => n);
  const text = there.map(([kind, n]) => `${n} ${WORDS[kind]}`).join(', ') || 'nothing yet';
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  line.setAttribute('class', 'bar-line');
  line.setAttribute('viewBox', '0 0 100 4');
  line.setAttribute('preserveAspectRatio', 'none');
  line.setAttribute('aria-hidden', 'true');
  let at = 0;
  for (const [kind, n] of there) {
    const part = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
    const width = (n / all) * 100;
    for (const [name, value] of Object.entries({ x: at, y: 0, width, height: 4, class: `fill ${kind}` })) part.setAttribute(name, value);
    line.append(part);
    at += width;
  }
  return el('span', { class: 'sum' }, line, el('span', { class: 'sum-words' }, there.length ? there.map(([kind, n], i) => [i ? ', ' : '', el('span', { class: `mark ${kind}` }, `${n} ${WORDS[kind]}`)]) : text));
}
