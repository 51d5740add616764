// A shell in a container, in xterm.js, which is read only when somebody asks for a shell.

import { button, el, replace } from './dom.js';
import { byAction, open } from './streams.js';

const SHELL = ['/bin/sh', '-c', 'TERM=xterm-256color; export TERM; [ -x /bin/bash ] && exec /bin/bash || exec /bin/sh'];

/**
 * A document for xterm.js, which makes style elements and style attributes: our policy admits neither, and the same said by
 * the object model it does.
 */
function ownDocument() {
  const make = (tag) => {
    const node = Document.prototype.createElement.call(document, tag === 'style' ? 'span' : tag);
    if (tag === 'style') {
      const sheet = new CSSStyleSheet();
      document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
      node.hidden = true;
      Object.defineProperty(node, 'textContent', { set: (text) => sheet.replaceSync(text), get: () => '' });
      node.remove = () => {
        document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
        Element.prototype.remove.call(node);
      };
    } else {
      node.setAttribute = (name, value) => (name === 'style' ? void (node.style.cssText = value) : Element.prototype.setAttribute.call(node, name, value));
    }
    return node;
  };
  return new Proxy(document, { get: (target, name) => {
    if (name === 'createElement') return make;
    const value = target[name];
    return typeof value === 'function' ? value.bind(target) : value;
  }, set: (target, name, value) => {
    target[name] = value;
    return true;
  } });
}

const encode = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** Opens a shell behind the action `execute`; gives what ends it. */
export function showShell(place, row) {
  const screen = el('div', { class: 'screen' });
  const status = el('span', { class: 'help', role: 'status' }, 'connecting …');
  replace(place, el('section', { class: 'stream', 'aria-label': 'Shell' }, el('div', { class: 'bar' }, el('h2', { tabindex: '-1' }, 'Shell'), status,
    el('span', { class: 'help' }, 'leave it by Ctrl Shift Esc'), button('New shell', () => begin(), { class: 'small' })), screen));
  let stream;
  let terminal;
  let isOver = false;
  const fit = () => {
    const cells = screen.querySelector('.xterm-screen');
    if (!terminal || !cells?.clientWidth) return;
    const columns = Math.max(20, Math.floor((screen.clientWidth - 22) / (cells.clientWidth / terminal.cols)));
    const rows = Math.max(8, Math.floor((screen.clientHeight - 8) / (cells.clientHeight / terminal.rows)));
    if (columns !== terminal.cols || rows !== terminal.rows) terminal.resize(columns, rows);
  };
  const sized = new ResizeObserver(fit);
  const begin = async () => {
    stream?.stop();
    try {
      const style = new URL('./xterm.css', import.meta.url).href;
      if (!document.querySelector('link[data-xterm]')) document.head.append(el('link', { rel: 'stylesheet', href: style, 'data-xterm': '' }));
      const [{ Terminal }, address] = await Promise.all([import('./xterm.mjs'), byAction(row.actions.execute, { command: SHELL, tty: true, attachStdin: true, attachStdout: true })]);
      if (isOver) return;
      terminal?.dispose();
      screen.replaceChildren();
      const own = ownDocument();
      terminal = new Terminal({ documentOverride: own, fontSize: 13, cursorBlink: true, screenReaderMode: true, fontFamily: 'ui-monospace, Menlo, Consolas, monospace', theme: { background: '#15191c' } });
      // Its scroll bar makes its styles by the window's document, whatever document it is given.
      document.createElement = own.createElement;
      try {
        terminal.open(screen);
      } finally {
        delete document.createElement;
      }
      terminal.attachCustomKeyEventHandler((event) => !(event.key === 'Escape' && event.ctrlKey && event.shiftKey && (place.querySelector('button')?.focus(), true)));
      stream = open(address, {
        heard: (data) => terminal.write(decode(data)),
        closed: () => {
          status.textContent = 'the shell has ended';
          terminal.write('\r\n[ended]\r\n');
        },
      });
      const { socket } = stream;
      const told = (text) => socket.readyState === WebSocket.OPEN && socket.send(text);
      const size = () => told(`:resizeTTY:${terminal.cols},${terminal.rows}`);
      terminal.onData((text) => told(encode(text)));
      terminal.onResize(size);
      socket.addEventListener('open', () => {
        status.textContent = 'open';
        size();
      });
      sized.observe(screen);
      fit();
      terminal.focus();
    } catch (failure) {
      status.textContent = failure.sentence ?? String(failure);
    }
  };
  begin();
  return () => {
    isOver = true;
    sized.disconnect();
    stream?.stop();
    terminal?.dispose();
  };
}
