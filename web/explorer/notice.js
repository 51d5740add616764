// What was just done, in a corner: with the request one fold away, and a way back where there is one.

import { announce, button, el } from './dom.js';
import { asCurl } from './request.js';

const STAYS = 9000;
let place;

/** Shows a notice. `undo` is `{text, act}`; `request` what was sent; `isBad` for a refusal, which stays until it is closed. */
export function notice(text, { undo, request, isBad } = {}) {
  if (!place) {
    place = el('div', { id: 'notices', role: 'region', 'aria-label': 'Notices' });
    document.body.append(place);
  }
  const close = () => node.remove();
  const node = el('div', { class: isBad ? 'notice bad' : 'notice' },
    el('div', { class: 'notice-line' }, el('span', { class: 'notice-text' }, text),
      undo ? button(undo.text ?? 'Undo', () => {
        close();
        undo.act();
      }, { class: 'undo' }) : null,
      button('×', close, { class: 'quiet', 'aria-label': 'close the notice' })),
    request ? el('details', {}, el('summary', {}, 'request'), el('pre', { class: 'req', tabindex: '0' }, asCurl(request))) : null);
  place.append(node);
  while (place.childElementCount > 4) place.firstElementChild.remove();
  announce(text);
  if (isBad) return node;
  const leave = () => (node.matches(':hover, :focus-within') || node.querySelector('details[open]') ? setTimeout(leave, 3000) : close());
  setTimeout(leave, STAYS);
  return node;
}
