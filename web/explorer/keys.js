// Shortcuts. They are single keys, so they are off while something is being written, and can be turned off altogether.

import { button, el } from './dom.js';

const KEYS = [
  ['/', 'find anything (also Ctrl K)'], ['u', 'up'], ['g', 'the server’s page'], ['j  k', 'next and previous row or link'], ['c', 'create'], ['e', 'edit'], ['d', 'remove'],
  ['a', 'to the actions'], ['n  p', 'next and previous page'], ['+  -', 'scale up and down'], ['l  s  t', 'log, shell, charts'], ['r', 'read again'], ['T', 'light or dark'], ['?', 'this list'], ['Esc', 'close a form'], ['Ctrl Enter', 'send a form'],
];

const isOn = () => localStorage.getItem('drover.keys') !== 'off';

/** `commands` gives for a key what it does now. */
export function listen(commands) {
  document.addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k' && !document.querySelector('dialog[open], .xterm:focus-within')) {
      event.preventDefault();
      return commands()['/']();
    }
    const isWriting = event.target.closest?.('input, textarea, select, [contenteditable]');
    if (event.ctrlKey || event.metaKey || event.altKey || isWriting || document.querySelector('dialog[open]')) return undefined;
    if (event.key === '?') return void (event.preventDefault(), help());
    const command = isOn() ? commands()[event.key] : undefined;
    if (!command) return undefined;
    event.preventDefault();
    return command();
  });
}

/** Moves along the links of the middle column. */
export function move(by) {
  const table = document.querySelector('#middle tbody');
  const links = table ? [...table.rows].map((row) => row.querySelector('a')).filter(Boolean) : [...document.querySelectorAll('#middle a, #middle summary')];
  if (!links.length) return;
  const at = links.findIndex((link) => link === document.activeElement || link.closest('tr')?.contains(document.activeElement));
  links[Math.min(links.length - 1, Math.max(0, at < 0 ? 0 : at + by))].focus();
}

/** The list of keys. */
export function help() {
  const dialog = el('dialog', { 'aria-label': 'Keys', onclose: () => dialog.remove() }, el('h2', {}, 'Keys'),
    el('dl', {}, KEYS.map(([key, text]) => [el('dt', {}, el('kbd', {}, key)), el('dd', {}, text)])),
    el('label', {}, el('input', { type: 'checkbox', checked: isOn(), onchange: (event) => localStorage.setItem('drover.keys', event.target.checked ? 'on' : 'off') }), ' single keys work'),
    el('p', {}, button('Close', () => dialog.close())));
  document.body.append(dialog);
  dialog.showModal();
}

/** Light, dark, or as the system says. */
export function theme() {
  const stored = localStorage.getItem('drover.theme');
  if (stored) document.documentElement.dataset.theme = stored;
}

export function switchTheme() {
  const isDark = (document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
  document.documentElement.dataset.theme = isDark ? 'light' : 'dark';
  localStorage.setItem('drover.theme', document.documentElement.dataset.theme);
}
