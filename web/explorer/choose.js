// Finding by typing: a part is enough, Enter takes the best. What begins with the text comes first.

import { el, uniqueId } from './dom.js';

const SHOWN = 12;

/** Options that fit a text, best first: it begins so, a word in it does, it has it, it has the letters in this order. */
export function rank(options, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return options;
  const letters = new RegExp([...wanted].map((c) => c.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*'));
  const place = ({ text: name }) => {
    const lower = name.toLowerCase();
    if (lower.startsWith(wanted)) return 0;
    const at = lower.indexOf(wanted);
    if (at > 0) return /[^a-z0-9]/.test(lower[at - 1]) || /[A-Z]/.test(name[at]) ? 1 : 2;
    return wanted.length > 1 && letters.test(lower) ? 3 : 4;
  };
  return options.map((option, i) => [place(option), option.text.length, i, option]).filter(([p]) => p < 4)
    .sort((a, b) => a[0] - b[0] || (a[0] < 4 ? a[1] - b[1] : 0) || a[2] - b[2]).map((found) => found[3]);
}

/**
 * An input with the options below it. `options(text)` gives `{text, note}` and whatever else `take(option)` needs; it may be a
 * promise. `isOpen`: the options stand there before anything is written.
 */
export function chooser({ label, placeholder, options, take, isOpen = false, id }) {
  const listId = uniqueId();
  // A browser would step into what scrolls; then the options go, and the focus with them.
  const list = el('ul', { role: 'listbox', id: listId, tabindex: '-1', 'aria-label': label, class: 'options' });
  let found = [];
  let at = 0;
  let asked = 0;
  const mark = () => {
    [...list.children].forEach((node, i) => node.setAttribute('aria-selected', String(i === at)));
    const chosen = list.children[at];
    if (chosen) input.setAttribute('aria-activedescendant', chosen.id);
    else input.removeAttribute('aria-activedescendant');
    chosen?.scrollIntoView({ block: 'nearest' });
  };
  const show = async (isAsked) => {
    const mine = (asked += 1);
    const all = isAsked ? await options(input.value) : [];
    if (mine !== asked) return;
    found = rank(all, input.value).slice(0, SHOWN);
    at = 0;
    list.replaceChildren(...found.map((option, i) => el('li', { role: 'option', id: `${listId}-${i}`, onmousedown: (event) => event.preventDefault(), onclick: () => choose(option) },
      option.text, option.note ? [' ', el('small', {}, option.note)] : null)));
    list.hidden = !found.length;
    input.setAttribute('aria-expanded', String(found.length > 0));
    mark();
  };
  const choose = (option) => {
    if (!option) return;
    input.value = '';
    show(isOpen);
    take(option);
  };
  const input = el('input', { type: 'text', role: 'combobox', id, 'aria-label': label, 'aria-controls': listId, 'aria-expanded': 'false', 'aria-autocomplete': 'list', placeholder, autocomplete: 'off', spellcheck: 'false',
    oninput: () => show(true), onfocus: () => show(true), onblur: () => !isOpen && show(false), onkeydown: (event) => {
      if (event.key === 'Enter' && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        choose(found[at]);
      } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault();
        at = Math.max(0, Math.min(found.length - 1, at + (event.key === 'ArrowDown' ? 1 : -1)));
        mark();
      } else if (event.key === 'Escape' && input.value) {
        event.stopPropagation();
        event.preventDefault();
        input.value = '';
        show(isOpen);
      }
    } });
  list.hidden = true;
  const node = el('div', { class: 'chooser' }, input, list);
  return { node, input, refresh: () => show(isOpen || document.activeElement === input) };
}
