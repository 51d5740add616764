// The page of the whole server: what it is, where the API starts, and projects, stacks and hosts at a glance. It reads
// numbers, not services: it costs the same for ten of them and for ten thousand.

import { loginState, turnOnForm } from './access.js';
import { button, el, lazily, replace } from './dom.js';
import { learnPosition, Live } from './live.js';
import { projects } from './projects.js';
import { get } from './request.js';
import { bar, mainMark, stateMark, sums, tone } from './state.js';

const LATEST = '/v2-beta';
/** Stacks of a project that stand there at once, and projects. */
const PAGE = 20;
const MOST = 10;
const WATCHED = ['stack', 'service', 'project', 'host'];

/** Builds the page into `middle`; gives what keeps it true. */
export async function showServer(middle, page, showLive) {
  const state = await loginState();
  const origin = location.origin;
  const curl = (path) => `curl ${state?.security ? '-u "${CATTLE_ACCESS_KEY}:${CATTLE_SECRET_KEY}" ' : ''}${origin}${path}`;
  const glance = el('section', { 'aria-label': 'Projects, stacks and services' }, el('p', { class: 'help' }, 'loading …'));
  const turnOn = el('details', { class: 'turn-on' }, el('summary', {}, 'Turn access control on'), turnOnForm());
  replace(middle,
    state && !state.security ? el('div', { class: 'banner', role: 'note' }, el('strong', {}, 'Access control is off.'), ' Everybody who reaches this server may do everything.', turnOn) : null,
    el('h1', { tabindex: '-1' }, 'Drover ', el('small', {}, page.server)),
    el('p', {}, 'The Rancher 1.x resource API over Docker. Every address of the API is a page in this browser and JSON for programs.'),
    el('p', { class: 'ways' }, el('a', { class: 'b go', href: `${LATEST}/projects` }, 'Explore the API'),
      el('a', { class: 'b', href: `${LATEST}/apikeys#create` }, 'Make an API key'), el('a', { class: 'b', href: `${LATEST}/accounts` }, 'Accounts')),
    glance,
    el('h2', {}, 'Where it starts'),
    el('dl', { class: 'starts' }, [[LATEST, 'the current version'], ['/v1', 'the older one'], [`${LATEST}/schemas`, 'every type, its fields and actions'], [`${LATEST}/openapi.json`, 'the same as OpenAPI 3.1']]
      .map(([href, text]) => [el('dt', {}, el('a', { href }, href)), el('dd', {}, text)])),
    el('pre', { class: 'req', tabindex: '0', 'aria-label': 'an example' }, curl(`${LATEST}/projects`)));
  const found = await projects();
  const all = found.slice(0, MOST).map((project) => new Project(project));
  replace(glance, all.map((one) => one.node), found.length > MOST ? el('p', {}, el('a', { href: `${LATEST}/projects` }, `${found.length - MOST} more projects`)) : null);
  await Promise.all(all.map((one) => one.read()));
  const sockets = found.slice(0, 5).map((project) => `${origin}${LATEST}/projects/${project.id}/subscribe`);
  for (const socket of sockets) learnPosition(socket, page.position);
  let live;
  live = new Live({ sockets, types: WATCHED, fields: ['state'], heard: () => live.soon(), renew: () => Promise.all(all.map((one) => one.read())), show: showLive });
  return live;
}

/** A project with its stacks, a page at a time. */
class Project {
  constructor(project) {
    this.project = project;
    this.base = `${LATEST}/projects/${project.id}`;
    this.shown = PAGE;
    this.text = '';
    this.head = el('p', { class: 'help' });
    this.list = el('div', { class: 'stacks' });
    this.hosts = el('div', { class: 'hosts' });
    this.more = el('div');
    const find = el('input', { type: 'search', 'aria-label': `filter the stacks of ${project.name ?? project.id}`, placeholder: 'Filter stacks', oninput: () => {
      this.text = find.value.trim().toLowerCase();
      this.shown = PAGE;
      this.draw();
    } });
    this.find = find;
    this.node = el('article', { class: 'project', 'aria-label': `project ${project.name ?? project.id}` },
      el('h2', {}, el('a', { href: this.base }, project.name ?? project.id), ' ', el('small', {}, `project · ${project.id}`), ' ', stateMark(project)),
      this.head, this.hosts, find, this.list, this.more);
  }

  async read() {
    const ask = (path) => get(`${this.base}/${path}`).then((answer) => answer.data ?? []).catch(() => []);
    const [stacks, services, hosts] = await Promise.all([this.readStacks(), ask('services?counts=stackId,state,healthState'), ask('hosts?limit=100&fields=name,state,links')]);
    this.stacks = stacks;
    this.counts = services;
    this.total = services.reduce((sum, one) => sum + one.count, 0);
    this.of = new Map();
    for (const one of services) this.of.set(one.stackId, [...(this.of.get(one.stackId) ?? []), one]);
    this.showHosts(hosts);
    this.draw();
  }

  /** All stacks by name and state: of thousands, those at the front. */
  async readStacks() {
    const answer = await get(`${this.base}/stacks?limit=1000&fields=name,state,healthState,transitioning,transitioningMessage`).catch(() => ({}));
    this.hasMore = Boolean(answer.pagination?.next);
    return answer.data ?? [];
  }

  draw() {
    const counted = (number, name) => [`${number} `, el('a', { href: `${this.base}/${name}`, 'data-key': `${this.project.id} ${name}` }, number === 1 ? name.slice(0, -1) : name)];
    replace(this.head, counted(this.hasMore ? `${this.stacks.length}+` : this.stacks.length, 'stacks'), ', ', counted(this.total, 'services'), ', ', counted(this.hostCount ?? 0, 'hosts'), ' · ',
      el('a', { href: `${this.base}/containers`, 'data-key': `${this.project.id} containers` }, 'containers'), ' · ', el('a', { href: `${this.base}/stacks#create`, 'data-key': `${this.project.id} new` }, 'new stack'),
      this.total ? [' ', bar(sums(this.counts))] : null);
    // What fails comes first, then what moves.
    const weight = (stack) => {
      const { bad, busy } = sums(this.of.get(stack.id) ?? [{ ...stack, count: 1 }]);
      const own = tone(this.told(stack));
      return bad || own === 'bad' ? 0 : busy || own === 'busy' ? 1 : 2;
    };
    const fits = this.stacks.filter((stack) => !this.text || (stack.name ?? '').toLowerCase().includes(this.text));
    const inOrder = fits.map((stack) => [weight(stack), stack]).sort((a, b) => a[0] - b[0] || String(a[1].name).localeCompare(String(b[1].name), 'en', { numeric: true })).map(([, stack]) => stack);
    this.find.hidden = this.stacks.length <= PAGE;
    replace(this.list, inOrder.slice(0, this.shown).map((stack) => this.line(stack)), this.stacks.length && !fits.length ? el('p', { class: 'help' }, 'No stack is called so.') : null);
    replace(this.more, inOrder.length > this.shown ? button(`${Math.min(PAGE, inOrder.length - this.shown)} more of ${inOrder.length}`, () => {
      this.shown += PAGE;
      this.draw();
    }, { 'data-key': `${this.project.id} more` }) : null);
  }

  /** What is told of a stack: that some of its services are at rest is not that it fails. */
  told(stack) {
    const { bad, busy, off } = sums(this.of.get(stack.id) ?? []);
    return off && !bad && !busy ? { ...stack, healthState: null } : stack;
  }

  line(stack) {
    const counts = this.of.get(stack.id) ?? [];
    return el('div', { class: 'stack-line' }, el('a', { href: `${this.base}/stacks/${stack.id}`, 'data-key': stack.id }, stack.name ?? stack.id), mainMark(this.told(stack)),
      counts.length ? bar(sums(counts)) : el('span', { class: 'help' }, 'no services'));
  }

  showHosts(hosts) {
    const text = JSON.stringify(hosts.map((host) => [host.id, host.state]));
    this.hostCount = hosts.length;
    if (text === this.hostText) return;
    this.hostText = text;
    replace(this.hosts, hosts.slice(0, 6).map((host) => {
      const place = el('div');
      let stop;
      const toggle = button('CPU and memory', () => {
        const isOpen = toggle.getAttribute('aria-expanded') !== 'true';
        toggle.setAttribute('aria-expanded', String(isOpen));
        stop?.();
        place.replaceChildren();
        stop = isOpen ? lazily(() => import('./charts.js').then(({ showCharts }) => (at) => showCharts(at, host, 'hostStats', `Use of ${host.name ?? host.id}`)))(place) : undefined;
      }, { class: 'small', 'aria-expanded': 'false' });
      return el('div', { class: 'host' }, el('a', { href: `${this.base}/hosts/${host.id}` }, host.name ?? host.id), ' ', stateMark(host), ' ', host.links?.hostStats ? toggle : null, place);
    }));
  }
}
