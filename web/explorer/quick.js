// One click: actions without input, and the number that people change most. What was sent is a fold away, and what can be
// taken back is offered to be.

import { button, el } from './dom.js';
import { notice } from './notice.js';
import { send } from './request.js';
import { summaryOf, undoOf, valueAt } from './summary.js';

/** Sends an action at once; `took(answer)` gets what the server says. */
export async function act(row, action, took) {
  const request = { method: 'POST', url: row.actions[action], body: {} };
  const summary = summaryOf(row.type, row.baseType);
  const what = row.name ?? row.id;
  try {
    const answer = await send(request);
    took?.(answer);
    const undone = summary.undo?.[action];
    notice(`${action} ${what}: sent`, { request, undo: undone ? { text: 'Undo', act: () => back(answer.data ?? row, undone, took) } : undefined });
    return answer;
  } catch (failure) {
    if (!failure.sentence) throw failure;
    notice(`${action} ${what}: ${failure.sentence}`, { request, isBad: true });
    return undefined;
  }
}

/** Takes an action back as soon as the other one is offered: the first may still run. */
async function back(row, action, took, left = 40) {
  const { data } = await send({ url: row.links.self }).catch(() => ({ data: row }));
  if (undoOf({ undo: { x: action } }, 'x', data)) return act(data, action, took);
  if (!left) return notice(`${action} is not offered in state ${data.state}`, { isBad: true });
  return setTimeout(() => back(row, action, took, left - 1), 500);
}

/** − n +, for a row with such a number that may be changed; several presses are one request. Gives `{node, update(row)}`. */
export function stepper(row, schema, took) {
  const name = summaryOf(row.type, row.baseType).scale;
  const field = name && schema?.resourceFields?.[name];
  if (!field?.update || !schema.resourceMethods?.includes('PUT') || typeof valueAt(row, name) !== 'number' || row.removed) return null;
  let before = row[name];
  let wanted = before;
  let timer;
  const number = el('output', { class: 'number', 'aria-live': 'polite', 'aria-label': name }, String(wanted));
  const put = async (value) => {
    const was = before;
    const request = { method: 'PUT', url: row.links.self, body: { [name]: value } };
    try {
      const answer = await send(request);
      before = value;
      took(answer);
      notice(`${row.name ?? row.id}: ${name} ${was} → ${value}`, { request, undo: { text: 'Undo', act: () => put(was) } });
    } catch (failure) {
      if (!failure.sentence) throw failure;
      wanted = was;
      number.textContent = String(was);
      notice(failure.sentence, { request, isBad: true });
    }
  };
  const step = (by) => {
    wanted = Math.max(field.min ?? 0, Math.min(field.max ?? Infinity, wanted + by));
    number.textContent = String(wanted);
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = undefined;
      if (wanted !== before) put(wanted);
    }, 500);
  };
  const update = (now) => {
    before = now[name];
    if (timer) return;
    wanted = before;
    number.textContent = String(wanted);
  };
  const node = el('span', { class: 'stepper', role: 'group', 'aria-label': `${name} of ${row.name ?? row.id}` }, el('span', { class: 'help' }, `${name} `),
    button('−', () => step(-1), { 'data-key': 'scale down', 'aria-label': `${name} down` }), number, button('+', () => step(1), { 'data-key': 'scale up', 'aria-label': `${name} up` }));
  return { node, update };
}
