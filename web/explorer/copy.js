// Copying, also where the browser offers no clipboard: over plain HTTP to another machine.

import { announce, button, el } from './dom.js';

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const place = el('textarea', { class: 'hidden', 'aria-hidden': 'true', tabindex: '-1' });
    place.value = text;
    const before = document.activeElement;
    document.body.append(place);
    place.select();
    document.execCommand('copy');
    place.remove();
    before?.focus?.();
  }
  announce('copied');
}

/** A button that copies what `text()` gives, and says so on itself. */
export function copyButton(text, props = {}) {
  const node = button('Copy', async () => {
    await copy(text());
    node.textContent = 'Copied';
    setTimeout(() => (node.textContent = 'Copy'), 1500);
  }, props);
  return node;
}
