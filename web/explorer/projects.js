// The project that one is in, and the way to another one: the same page there.

import { el, replace } from './dom.js';
import { get } from './request.js';

let known;

/** The projects there are, read once. */
export const projects = () => (known ??= get('/v2-beta/projects?fields=name,state').then((answer) => answer.data ?? []).catch(() => []));

/** The project of an address, or undefined. */
export function projectOf(url) {
  const parts = url.pathname.split('/').filter(Boolean);
  return parts[1]?.toLowerCase() === 'projects' ? parts[2] : undefined;
}

/** Puts the switch into `place`. `go(url)` opens an address. */
export async function showProjects(place, url, go) {
  if (url.pathname === '/') return replace(place);
  const now = projectOf(url);
  const all = await projects();
  if (!all.length) return replace(place);
  const to = (id) => {
    const parts = location.pathname.split('/').filter(Boolean);
    const version = parts[0] === 'v1' ? 'v1' : 'v2-beta';
    // Things are of one project: their list is in every one.
    const type = projectOf(new URL(location.href)) ? parts[3] : parts[1] !== 'projects' ? parts[1] : undefined;
    return new URL(`/${version}/projects/${id}/${type ?? ''}`.replace(/\/$/, ''), location.origin);
  };
  return replace(place, el('select', { 'aria-label': 'project', class: 'project-switch', 'data-key': 'project', onchange: (event) => event.target.value && go(to(event.target.value)) },
    now ? null : el('option', { value: '' }, 'no project'),
    all.map((project) => el('option', { value: project.id, selected: project.id === now }, project.name ?? project.id))));
}
