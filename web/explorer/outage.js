// The server is away: since when, when it is asked again, and back as soon as it answers, with what is on the page left alone.

import { announce, append, button, el, replace } from './dom.js';

const FIRST = 1000;
const MOST = 15000;

let away;

/** Says that the server did not answer. `back()` is called once it does. */
export function lost(back) {
  if (away) return;
  away = { since: Date.now(), wait: FIRST, next: Date.now() + FIRST };
  const text = el('span');
  const node = el('div', { class: 'outage', role: 'alert' }, el('strong', {}, 'The server does not answer.'), ' ', text, ' ', button('Try now', () => (away.next = 0), { class: 'small' }));
  document.querySelector('main')?.before(node);
  announce('the server does not answer');
  const look = async () => {
    if (Date.now() >= away.next && !away.isAsking) {
      away.isAsking = true;
      const isBack = await fetch('/ping', { cache: 'no-store' }).then((answer) => answer.ok).catch(() => false);
      away.isAsking = false;
      if (isBack) return end(node, back);
      away.wait = Math.min(away.wait * 1.6, MOST);
      away.next = Date.now() + away.wait;
    }
    const left = Math.max(0, Math.ceil((away.next - Date.now()) / 1000));
    replace(text, `Away since ${new Date(away.since).toLocaleTimeString()}; asked again ${left ? `in ${left} s` : 'now'}.`);
    away.timer = setTimeout(look, 250);
    return undefined;
  };
  look();
}

function end(node, back) {
  clearTimeout(away.timer);
  const seconds = Math.round((Date.now() - away.since) / 1000);
  away = undefined;
  node.classList.add('back');
  node.replaceChildren();
  append(node, [`The server is back after ${seconds} s.`]);
  announce('the server is back');
  setTimeout(() => node.remove(), 4000);
  back();
}

export const isAway = () => Boolean(away);
