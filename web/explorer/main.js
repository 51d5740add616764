// The explorer's frame: reads the page that came, shows it, follows links without loading all of it anew, and keeps it true.

import { loginForm, loginState, logOut } from './access.js';
import { announce, append, button, el, ownUrl, replace } from './dom.js';
import { help, listen, move, switchTheme, theme } from './keys.js';
import { Live, socketsOf } from './live.js';
import { breadcrumbs, parent, typeList } from './nav.js';
import { send } from './request.js';
import { Docs, loadSchemas, Schemas } from './schema.js';
import { showServer } from './server.js';
import { CollectionView, ResourceView } from './views.js';

const page = JSON.parse(document.getElementById('page').textContent);
const parts = {};
let docs = new Docs(page.docs);
let view;
let live;
let visit = 0;

theme();
build();
show({ data: page.data, schemas: page.schemas, isRoot: page.view === 'server' });
listen(commands);
window.addEventListener('popstate', () => go(new URL(location.href), null));
document.addEventListener('click', follow);
loginState().then((state) => {
  const user = state?.security ? page.user : '';
  replace(parts.user, user ? [el('span', {}, user), ' ', button('Log out', logOut)] : state?.security === false ? el('a', { href: '/', class: 'help' }, 'open access') : null);
});

function build() {
  parts.crumbs = el('div', { class: 'crumbs' });
  parts.live = el('span', { class: 'live', role: 'status' });
  parts.user = el('span', { class: 'user' });
  parts.nav = el('nav', { id: 'types', 'aria-label': 'Types' });
  parts.middle = el('section', { id: 'middle', tabindex: '-1', 'aria-label': 'Content' });
  parts.aside = el('aside', { 'aria-label': 'What can be done' });
  append(document.body, [
    el('a', { class: 'skip', href: '#middle', onclick: (event) => (event.preventDefault(), parts.middle.focus()) }, 'Skip to the content'),
    el('header', {}, el('a', { class: 'brand', href: '/' }, 'Drover'), parts.crumbs,
      el('span', { class: 'right' }, parts.live, parts.user, button('◐', switchTheme, { class: 'quiet', 'aria-label': 'light or dark', title: 'Light or dark' }),
        button('?', help, { class: 'quiet', 'aria-label': 'keys', title: 'Keys' }))),
    el('main', {}, parts.nav, parts.middle, parts.aside),
    el('div', { id: 'announcer', class: 'hidden', 'aria-live': 'polite' })]);
}

/** Follows a link within the API; everything else is the browser's. */
function follow(event) {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.target) return;
  const url = ownUrl(link.href);
  if (!url || !/^\/(v1|v2-beta)(\/|$)/.test(url.pathname) || /\.json$/.test(url.pathname)) return;
  event.preventDefault();
  go(url);
}

/** Opens an address. `state` is what its history entry keeps; null for one that is there already. */
async function go(url, state = {}) {
  if (state) history.pushState(state, '', url);
  if (url.pathname === '/') return location.assign('/');
  const mine = (visit += 1);
  document.body.classList.add('loading');
  try {
    const answer = await send({ url: url.pathname + url.search });
    if (mine === visit) await show(answer);
  } catch (failure) {
    if (!failure.sentence) throw failure;
    if (mine === visit) await show({ data: failure.body, schemas: undefined });
  } finally {
    document.body.classList.remove('loading');
  }
}

/** Shows an answer that belongs to the address in the bar. */
async function show({ data, schemas: at, isRoot }) {
  live?.stop();
  live = undefined;
  view = undefined;
  showLive('');
  const url = new URL(location.href);
  replace(parts.crumbs, breadcrumbs(url));
  replace(parts.aside);
  document.body.classList.toggle('wide', Boolean(isRoot) || data?.status === 401);
  if (data?.type === 'error' && data.status === 401) return showLogin();
  if (isRoot) {
    document.title = 'Drover';
    live = await showServer(parts.middle, page, showLive);
    return undefined;
  }
  page.schemas = at ?? page.schemas;
  const schemas = await loadSchemas(page.schemas).catch(() => new Schemas([]));
  // The texts are for reading: nothing waits for them.
  docs.load();
  const isCollection = data?.type === 'collection';
  const shared = { data, url, schemas, docs, go, middle: parts.middle, aside: parts.aside };
  view = isCollection ? new CollectionView(shared) : new ResourceView(shared);
  replace(parts.nav, typeList(schemas, url, isCollection ? data.resourceType : data?.type));
  view.show();
  document.title = `${view.title} · Drover`;
  announce(view.title);
  if (data?.type !== 'error') watch(url, data, schemas);
  view.open(location.hash.slice(1));
  return undefined;
}

function watch(url, data, schemas) {
  const mine = visit;
  live = new Live({
    sockets: socketsOf(url, data, schemas),
    concerns: (event) => view?.concerns(event),
    show: showLive,
    renew: async () => {
      try {
        const answer = await send({ url: url.pathname + url.search });
        if (mine === visit) view?.renew(answer.data);
      } catch (failure) {
        if (mine === visit && failure.status === 401) showLogin();
        if (mine === visit && failure.status === 404) showLive('gone');
      }
    },
  });
}

function showLogin() {
  live?.stop();
  document.title = 'Log in · Drover';
  document.body.classList.add('wide');
  replace(parts.nav);
  replace(parts.aside);
  replace(parts.middle, loginForm());
  parts.middle.querySelector('input')?.focus();
}

function showLive(word) {
  parts.live.textContent = word;
  parts.live.dataset.word = word.split(' ')[0];
}

function commands() {
  const press = (selector) => () => document.querySelector(selector)?.click();
  return {
    '/': () => document.getElementById('find')?.focus(),
    u: () => (location.pathname === '/' ? undefined : go(parent(new URL(location.href)))),
    g: () => location.assign('/'),
    j: () => move(1),
    k: () => move(-1),
    c: press('[data-do="create"]'),
    e: press('[data-do="edit"]'),
    d: press('[data-do="remove"]'),
    a: () => parts.aside.querySelector('button:not([disabled])')?.focus(),
    n: press('[data-key="next"]'),
    p: press('[data-key="previous"]'),
    r: () => go(new URL(location.href), null),
    t: switchTheme,
    Escape: () => view?.close(),
  };
}
