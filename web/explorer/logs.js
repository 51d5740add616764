// A container's log, as it is written. The end is followed until somebody scrolls away from it.

import { button, el, replace } from './dom.js';
import { byAction, open } from './streams.js';

const MOST = 5000;
const FIRST = 200;

/** Shows the log behind an action; gives what ends it. */
export function showLog(place, row) {
  const lines = el('pre', { class: 'log', tabindex: '0', 'aria-label': `log of ${row.name ?? row.id}` });
  const status = el('span', { class: 'help', role: 'status' }, 'connecting …');
  let stream;
  let isFollowing = true;
  let isOver = false;
  const follow = el('input', { type: 'checkbox', checked: true, onchange: () => {
    isFollowing = follow.checked;
    toEnd();
  } });
  const toEnd = () => isFollowing && (lines.scrollTop = lines.scrollHeight);
  const find = el('input', { type: 'search', 'aria-label': 'only lines with', placeholder: 'only lines with …', oninput: () => {
    for (const line of lines.children) line.hidden = !fits(line.textContent);
    toEnd();
  } });
  const fits = (text) => !find.value || text.toLowerCase().includes(find.value.toLowerCase());
  const times = el('input', { type: 'checkbox', checked: localStorage.getItem('drover.times') === 'on', onchange: () => {
    localStorage.setItem('drover.times', times.checked ? 'on' : 'off');
    lines.classList.toggle('timed', times.checked);
  } });
  lines.classList.toggle('timed', times.checked);
  lines.onscroll = () => {
    isFollowing = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 24;
    follow.checked = isFollowing;
  };
  replace(place, el('section', { class: 'stream', 'aria-label': 'Log' }, el('div', { class: 'bar' }, el('h2', { tabindex: '-1' }, 'Log'), status,
    el('label', {}, follow, ' follow'), el('label', {}, times, ' times'), find, button('Clear', () => lines.replaceChildren(), { class: 'small' })), lines));
  const add = (frame) => {
    // `01 2026-11-29T05:50:01.123456789Z text`: which output, its time, the line.
    const [, from, time, text] = /^0(\d) (?:(\d{4}-\S+Z) ?)?([\s\S]*)$/.exec(frame) ?? [, '1', '', frame];
    const line = el('div', { class: from === '2' ? 'from-err' : '' }, time ? el('span', { class: 'at' }, `${time.slice(0, 19).replace('T', ' ')} `) : null, `${plain(text)}\n`);
    line.hidden = !fits(line.textContent);
    lines.append(line);
    while (lines.childElementCount > MOST) lines.firstElementChild.remove();
  };
  let waiting = [];
  const flush = () => {
    waiting.splice(0).forEach(add);
    toEnd();
  };
  byAction(row.actions.logs, { follow: true, lines: FIRST, timestamps: true }).then((address) => {
    if (isOver) return;
    status.textContent = 'following';
    stream = open(address, {
      heard: (frame) => {
        if (!waiting.length) requestAnimationFrame(flush);
        waiting.push(frame);
        if (waiting.length > MOST) waiting = waiting.slice(-MOST);
      },
      closed: () => (status.textContent = 'the container has ended its log'),
    });
  }).catch((failure) => (status.textContent = failure.sentence ?? String(failure)));
  return () => {
    isOver = true;
    stream?.stop();
  };
}

/** Without the marks that only terminals understand. */
const plain = (text) => text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '').replace(/\r$/, '');
