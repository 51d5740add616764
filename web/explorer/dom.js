// Making elements. Data becomes text here and never markup: nothing in this folder parses a string as HTML.

/** An element. `props`: `on…` are listeners, `class`, `data-…`, `aria-…` and other attributes as they are. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'value') node.value = value;
    else if (name === 'checked' || name === 'disabled' || name === 'open' || name === 'selected') node[name] = Boolean(value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  append(node, children);
  return node;
}

/** Appends elements and texts; lists are flattened, nothing is left out silently but null and false. */
export function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

/** Puts new children in the place of the old, and the focus back where it was (by `data-key`). */
export function replace(node, ...children) {
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  node.replaceChildren();
  append(node, children);
  if (focused !== undefined) {
    [...node.querySelectorAll('[data-key]')].find((other) => other.dataset.key === focused)?.focus({ preventScroll: true });
  }
  return node;
}

export const button = (text, onclick, props = {}) => el('button', { type: 'button', onclick, ...props }, text);

/** Whether something was written that would be lost. */
export const isFilled = () => Boolean(document.querySelector('form.panel[data-filled]'));

/**
 * What is read only when it is wanted: `load()` gives a function of a place that shows something there, and gives what ends
 * it. So does the result, at once.
 */
export const lazily = (load) => (place) => {
  let stop;
  let isOver = false;
  load().then((show) => {
    if (!isOver) stop = show(place);
  });
  return () => {
    isOver = true;
    stop?.();
  };
};

/** A sentence in which `names` stand between backticks. */
export const prose = (text) => String(text).split('`').map((part, i) => (i % 2 ? el('code', {}, part) : part));

let numbers = 0;
/** An id that no other element has. */
export const uniqueId = () => `x${(numbers += 1)}`;

/** Says something to those who do not see the screen. */
export function announce(text) {
  const place = document.getElementById('announcer');
  if (place) place.textContent = text;
}

/** A URL of ours or undefined: what data calls a link need not be one (`javascript:…`). */
export function ownUrl(text) {
  if (typeof text !== 'string' || !/^(https?:\/\/|\/)/i.test(text)) return undefined;
  try {
    const url = new URL(text, location.href);
    return url.host === location.host ? new URL(url.pathname + url.search + url.hash, location.origin) : undefined;
  } catch {
    return undefined;
  }
}
