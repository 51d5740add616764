// The explorer's frame: reads the page that came, shows it, follows links without loading all of it anew, and keeps it true.

import { loginForm, loginState, logOut, sessionDialog } from './access.js';
import { CollectionView } from './collection.js';
import { announce, append, button, el, isFilled, ownUrl, replace } from './dom.js';
import { showServer } from './home.js';
import { help, listen, move, switchTheme, theme } from './keys.js';
import { learnPosition, Live, socketsOf } from './live.js';
import { learn } from './names.js';
import { breadcrumbs, Nav, parent, visited } from './nav.js';
import { isAway, lost } from './outage.js';
import { projects, showProjects } from './projects.js';
import { send } from './request.js';
import { ResourceView } from './resource.js';
import { Docs, loadSchemas, Schemas } from './schema.js';
import { learnSummaries } from './summary.js';

const page = JSON.parse(document.getElementById('page').textContent);
const parts = {};
const docs = new Docs(page.docs);
let nav;
let schemas;
let view;
let live;
let visit = 0;
let isFirst = true;

theme();
build();
history.scrollRestoration = 'manual';
// Their address is theirs alone: a browser asks for them once.
learnSummaries(await fetch(page.summaries).then((answer) => (answer.ok ? answer.json() : {})).catch(() => ({})));
show({ data: page.data, schemas: page.schemas, isRoot: page.view === 'server' }, history.state ?? {});
listen(commands);
window.addEventListener('popstate', (event) => go(new URL(location.href), null, event.state));
window.addEventListener('beforeunload', (event) => isFilled() && event.preventDefault());
window.addEventListener('pagehide', remember);
document.addEventListener('click', follow);
document.addEventListener('drover-lost', () => lost(back));
document.addEventListener('drover-logout', () => (isFilled() ? sessionDialog() : location.reload()));
loginState().then((state) => {
  const user = state?.security ? page.user : '';
  replace(parts.user, user ? [el('span', {}, user), ' ', button('Log out', logOut)] : state?.security === false ? el('a', { href: '/', class: 'help' }, 'open access') : null);
});

function build() {
  parts.crumbs = el('div', { class: 'crumbs' });
  parts.projects = el('div', { class: 'projects' });
  parts.live = el('span', { class: 'live', role: 'status' });
  parts.user = el('span', { class: 'user' });
  parts.nav = el('nav', { id: 'types', 'aria-label': 'Types' });
  parts.middle = el('section', { id: 'middle', tabindex: '-1', 'aria-label': 'Content' });
  parts.aside = el('aside', { 'aria-label': 'What can be done' });
  nav = new Nav(parts.nav);
  append(document.body, [
    el('header', {}, el('a', { class: 'brand', href: '/' }, 'Drover'), parts.projects, parts.crumbs,
      el('span', { class: 'right' }, parts.live, parts.user, button('Find  /', palette, { class: 'find', 'aria-label': 'find', title: 'Find a type, a thing or an action: / or Ctrl K' }),
        button('◐', switchTheme, { class: 'quiet', 'aria-label': 'light or dark', title: 'Light or dark' }),
        button('?', help, { class: 'quiet', 'aria-label': 'keys', title: 'Keys' }))),
    // The content comes first for who goes by tab or listens, whatever stands left of it.
    el('main', {}, parts.middle, parts.aside, parts.nav),
    el('div', { id: 'announcer', class: 'hidden', 'aria-live': 'polite' })]);
}

/** Follows a link within the API; everything else is the browser's. */
function follow(event) {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.target) return;
  const url = ownUrl(link.href.baseVal ?? link.href);
  if (!url || !/^\/(v1|v2-beta)(\/|$)/.test(url.pathname) || /\.json$/.test(url.pathname)) return;
  event.preventDefault();
  go(url);
}

/** Where one was on the page, for coming back to it. */
function remember() {
  const at = document.activeElement;
  const focus = at?.dataset?.key ?? at?.dataset?.id ?? undefined;
  history.replaceState({ ...history.state, scroll: window.scrollY, focus }, '');
}

function comeBack({ scroll, focus } = {}) {
  if (scroll === undefined) {
    window.scrollTo(0, 0);
    parts.middle.querySelector('h1')?.focus({ preventScroll: true });
    return;
  }
  window.scrollTo(0, scroll);
  const place = focus && parts.middle.querySelector(`[data-key="${CSS.escape(focus)}"], [data-id="${CSS.escape(focus)}"]`);
  (place || parts.middle.querySelector('h1'))?.focus({ preventScroll: true });
}

/** Opens an address. `state` is what its history entry keeps; null for one that is there already, with `before` as it was left. */
async function go(url, state = {}, before = undefined) {
  if (isFilled() && !confirm('What you have filled in will be lost. Leave all the same?')) {
    if (!state) history.forward();
    return undefined;
  }
  if (url.pathname === '/') return location.assign('/');
  if (state) {
    remember();
    history.pushState(state, '', url);
  }
  const mine = (visit += 1);
  document.body.classList.add('loading');
  try {
    const answer = await send({ url: url.pathname + url.search });
    if (mine === visit) await show(answer, state ?? before ?? {});
  } catch (failure) {
    if (!failure.sentence) throw failure;
    if (mine === visit && failure.status) await show({ data: failure.body, schemas: undefined }, state ?? before ?? {});
  } finally {
    document.body.classList.remove('loading');
  }
  return undefined;
}

/** Shows an answer that belongs to the address in the bar. */
async function show({ data, schemas: at, isRoot }, state) {
  live?.stop();
  view?.leave?.();
  live = undefined;
  view = undefined;
  showLive('');
  const url = new URL(location.href);
  replace(parts.crumbs, breadcrumbs(url));
  replace(parts.aside);
  parts.middle.classList.remove('forming');
  document.body.classList.toggle('wide', Boolean(isRoot) || data?.status === 401);
  if (data?.type === 'error' && data.status === 401) return showLogin();
  showProjects(parts.projects, url, go);
  if (isRoot) {
    document.title = 'Drover';
    isFirst = false;
    live = await showServer(parts.middle, page, showLive);
    return undefined;
  }
  page.schemas = at ?? page.schemas;
  schemas = await loadSchemas(page.schemas).catch(() => new Schemas([]));
  const isCollection = data?.type === 'collection';
  const shared = { data, url, schemas, docs, go, middle: parts.middle, aside: parts.aside, columns: state.columns, rewatch: () => watch(url, view.data) };
  view = isCollection ? new CollectionView(shared) : new ResourceView(shared);
  learn(isCollection ? data.data ?? [] : data);
  nav.show(schemas, isCollection ? data.resourceType : data?.type, url);
  view.show();
  if (!isCollection) visited(data, url);
  document.title = `${view.title} · Drover`;
  announce(view.title);
  const mine = visit;
  // What is listened for follows from what is shown.
  if (data?.type !== 'error') Promise.resolve(view.ready).then(() => mine === visit && watch(url, data));
  comeBack(isFirst ? { scroll: state.scroll ?? 0, focus: state.focus } : state);
  isFirst = false;
  view.open(location.hash.slice(1));
  return undefined;
}

function watch(url, data) {
  const mine = visit;
  live?.stop();
  const sockets = socketsOf(url, data, schemas);
  if (page.position !== undefined) for (const socket of sockets) learnPosition(socket, page.position);
  page.position = undefined;
  const known = new Set([...schemas.byId.values()].flatMap((schema) => Object.keys(schema.resourceFields ?? {})));
  const wanted = view.wanted();
  const counted = nav.here.map((schema) => schema.id);
  live = new Live({
    sockets,
    fields: wanted.fields.filter((name) => known.has(name) || name === 'actions' || name === 'links'),
    types: [...wanted.types, ...counted].filter((type) => schemas.find(type)),
    heard: (event) => {
      nav.heard(event);
      view?.heard(event, live);
    },
    show: showLive,
    renew: async () => {
      try {
        const answer = await send({ url: url.pathname + url.search });
        if (mine === visit) view?.renew(answer.data);
      } catch (failure) {
        if (mine === visit && failure.status === 401) (isFilled() ? sessionDialog : showLogin)();
        if (mine === visit && failure.status === 404) showLive('gone');
      }
    },
  });
}

/** The server is there again: what is on the page is looked at anew, but for a form that is being filled in. */
function back() {
  if (view && view.url.href !== location.href && !isFilled()) go(new URL(location.href), null);
  else if (live) live.soon();
  else if (!isFilled()) location.reload();
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
  const said = isAway() ? 'away' : word;
  parts.live.textContent = said;
  parts.live.dataset.word = said.split(' ')[0];
}

async function palette() {
  const [{ openPalette }, known] = await Promise.all([import('./palette.js'), schemas ?? serverSchemas().catch(() => undefined)]);
  openPalette({ schemas: known, acts: () => view?.acts?.() ?? [], go });
}

/** The types of the server's page, which is none of the API's: those of the only project, or of all of them. */
async function serverSchemas() {
  const all = await projects();
  return loadSchemas(all.length === 1 ? `/v2-beta/projects/${all[0].id}/schemas` : '/v2-beta/schemas');
}

function commands() {
  const press = (selector) => () => document.querySelector(selector)?.click();
  const watching = (name) => () => view?.watch?.(name);
  return {
    '/': palette,
    u: () => (location.pathname === '/' ? undefined : go(parent(new URL(location.href)))),
    g: () => location.assign('/'),
    j: () => move(1),
    k: () => move(-1),
    l: watching('logs'),
    s: watching('shell'),
    t: watching('figures'),
    c: press('[data-do="create"]'),
    e: press('[data-do="edit"]'),
    d: press('[data-do="remove"]'),
    a: () => parts.aside.querySelector('button:not([disabled])')?.focus(),
    n: press('[data-key="next"]'),
    p: press('[data-key="previous"]'),
    '+': press('[data-key="scale up"]'),
    '-': press('[data-key="scale down"]'),
    r: () => go(new URL(location.href), null),
    T: switchTheme,
    Escape: () => view?.close(),
  };
}
