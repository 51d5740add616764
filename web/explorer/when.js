// Times as people say them, with the exact one behind them. They go on by themselves.

import { el } from './dom.js';

const EVERY = 15000;
const STEPS = [[60, 1, 's'], [3600, 60, 'min'], [172800, 3600, 'h'], [5184000, 86400, 'days']];

/** `2 min ago`, `in 3 h`, `just now`; a date when that is long ago. */
export function ago(at, now = Date.now()) {
  const seconds = Math.round((now - at) / 1000);
  const size = Math.abs(seconds);
  if (size < 5) return 'just now';
  const [, step, unit] = STEPS.find(([most]) => size < most) ?? [];
  if (!unit) return new Date(at).toISOString().slice(0, 10);
  const text = `${Math.floor(size / step)} ${unit}`;
  return seconds < 0 ? `in ${text}` : `${text} ago`;
}

/** A time, from milliseconds or the wire's text; the text itself if it is none. */
export function when(value) {
  const at = typeof value === 'number' ? value : Date.parse(value);
  if (!Number.isFinite(at)) return String(value);
  const exact = new Date(at).toISOString();
  return el('time', { datetime: exact, title: exact, 'data-at': at }, ago(at));
}

/** How long something took. */
export function lasted(ms) {
  if (!Number.isFinite(ms) || ms < 0) return '';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1000);
  return seconds < 120 ? `${seconds} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

setInterval(() => {
  if (document.visibilityState !== 'visible') return;
  for (const node of document.querySelectorAll('time[data-at]')) {
    const text = ago(Number(node.dataset.at));
    if (node.textContent !== text) node.textContent = text;
  }
}, EVERY);
