// The page of the whole server: what it is, where the API starts, and projects, stacks and services at a glance.

import { el, replace } from './dom.js';
import { loginState, turnOnForm } from './access.js';
import { get } from './request.js';
import { Live } from './live.js';
import { stateMark, tone } from './table.js';

const LATEST = '/v2-beta';
/** Projects that are shown with all they hold. */
const MOST = 10;

/** Builds the page into `middle`; gives what stops it. */
export async function showServer(middle, page, showLive) {
  const state = await loginState();
  const origin = location.origin;
  const curl = (path) => `curl ${state?.security ? '-u "${CATTLE_ACCESS_KEY}:${CATTLE_SECRET_KEY}" ' : ''}${origin}${path}`;
  const glance = el('section', { 'aria-label': 'Projects, stacks and services' }, el('p', { class: 'help' }, 'loading …'));
  const turnOn = el('details', { class: 'turn-on' }, el('summary', {}, 'Turn access control on'), turnOnForm());
  replace(middle,
    state && !state.security ? el('div', { class: 'banner', role: 'note' }, el('strong', {}, 'Access control is off.'), ' Everybody who reaches this server may do everything.', turnOn) : null,
    el('h1', {}, 'Drover ', el('small', {}, page.server)),
    el('p', {}, 'The Rancher 1.x resource API over Docker. Every address of the API is a page in this browser and JSON for programs.'),
    el('p', { class: 'ways' }, el('a', { class: 'b go', href: `${LATEST}/projects` }, 'Explore the API'),
      el('a', { class: 'b', href: `${LATEST}/apikeys#create` }, 'Make an API key'), el('a', { class: 'b', href: `${LATEST}/accounts` }, 'Accounts')),
    glance,
    el('h2', {}, 'Where it starts'),
    el('dl', { class: 'starts' }, [[LATEST, 'the current version'], ['/v1', 'the older one'], [`${LATEST}/schemas`, 'every type, its fields and actions'], [`${LATEST}/openapi.json`, 'the same as OpenAPI 3.1']]
      .map(([href, text]) => [el('dt', {}, el('a', { href }, href)), el('dd', {}, text)])),
    el('pre', { class: 'req', tabindex: '0', 'aria-label': 'an example' }, curl(`${LATEST}/projects`)));
  const projects = (await get(`${LATEST}/projects`)).data ?? [];
  const renew = async () => {
    const shown = await Promise.all(projects.slice(0, MOST).map(readProject));
    replace(glance, shown.map(showProject), projects.length > MOST ? el('p', {}, el('a', { href: `${LATEST}/projects` }, `${projects.length - MOST} more projects`)) : null);
  };
  await renew();
  const sockets = projects.slice(0, 5).map((project) => `${origin}${LATEST}/projects/${project.id}/subscribe`);
  const wanted = new Set(['stack', 'service', 'project', 'host']);
  return new Live({ sockets, concerns: (event) => wanted.has(event.data?.resource?.baseType) || wanted.has(event.resourceType), renew, show: showLive });
}

async function readProject(project) {
  const base = `${LATEST}/projects/${project.id}`;
  const list = (name) => get(`${base}/${name}?limit=1000&removed_null=1`).then((answer) => answer.data ?? []).catch(() => []);
  const [stacks, services, hosts] = await Promise.all(['stacks', 'services', 'hosts'].map(list));
  return { project, base, stacks, services, hosts };
}

function showProject({ project, base, stacks, services, hosts }) {
  const of = (stack) => services.filter((service) => service.stackId === stack.id);
  const link = (name, text = name) => el('a', { href: `${base}/${name}`, 'data-key': `${project.id} ${name}` }, text);
  const counted = (rows, name) => [`${rows.length} `, link(name, rows.length === 1 ? name.slice(0, -1) : name)];
  return el('article', { class: 'project', 'aria-label': `project ${project.name ?? project.id}` },
    el('h2', {}, el('a', { href: base, 'data-key': project.id }, project.name ?? project.id), ' ', el('small', {}, `project · ${project.id}`), ' ', stateMark(project)),
    el('p', { class: 'help' }, counted(stacks, 'stacks'), ', ', counted(services, 'services'), ', ', counted(hosts, 'hosts'), ' · ', link('containers'), ' · ',
      el('a', { href: `${base}/stacks#create`, 'data-key': `${project.id} new` }, 'new stack')),
    stacks.map((stack) => el('div', { class: 'stack' },
      el('div', { class: 'stack-head' }, el('a', { href: `${base}/stacks/${stack.id}`, 'data-key': stack.id }, stack.name ?? stack.id), ' ', stateMark(stack), health(stack)),
      el('ul', {}, of(stack).map((service) => el('li', {},
        el('a', { href: `${base}/services/${service.id}`, 'data-key': service.id }, service.name ?? service.id), ' ', stateMark(service), health(service),
        el('span', { class: 'help' }, ` ${service.currentScale ?? 0} of ${service.scale ?? 0}`)))))));
}

const health = (row) => (row.healthState && row.healthState !== row.state
  ? el('span', { class: `mark ${tone({ state: row.healthState === 'healthy' ? 'active' : row.healthState })}` }, ` ${row.healthState}`) : null);
