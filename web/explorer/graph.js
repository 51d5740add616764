// Which rows name each other: from fields that are maps of references to rows of their own kind, as linked services are.

import { el } from './dom.js';
import { parseType } from './schema.js';
import { tone } from './state.js';

const NS = 'http://www.w3.org/2000/svg';
const WIDTH = 150;
const HEIGHT = 30;
const GAP = [60, 16];
const MOST = 60;

const svg = (tag, props, ...children) => {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

/** The picture, or null where nothing names anything. `url(row)` leads to a row. */
export function graph(rows, schema, url) {
  const fields = Object.entries(schema?.resourceFields ?? {}).filter(([, field]) => {
    const type = parseType(field.type);
    return type.name === 'map' && type.of?.name === 'reference' && type.of.of?.name === schema.id;
  }).map(([name]) => name);
  const byId = new Map(rows.map((row) => [row.id, row]));
  const edges = rows.flatMap((row) => fields.flatMap((name) => Object.entries(row[name] ?? {}).map(([as, to]) => ({ from: row.id, to, as })))).filter((edge) => byId.has(edge.to) && edge.from !== edge.to);
  if (!edges.length || rows.length > MOST) return null;
  const places = layers([...byId.keys()].filter((id) => edges.some((edge) => edge.from === id || edge.to === id)), edges);
  const columns = Math.max(...[...places.values()].map((p) => p.column)) + 1;
  const lines = Math.max(...[...places.values()].map((p) => p.line)) + 1;
  const at = (id) => ({ x: places.get(id).column * (WIDTH + GAP[0]) + 1, y: places.get(id).line * (HEIGHT + GAP[1]) + 1 });
  const size = [columns * (WIDTH + GAP[0]) - GAP[0] + 2, lines * (HEIGHT + GAP[1]) - GAP[1] + 2];
  const picture = svg('svg', { class: 'graph', viewBox: `0 0 ${size[0]} ${size[1]}`, width: size[0], height: size[1], role: 'group', 'aria-label': edges.map((e) => `${byId.get(e.from).name} uses ${byId.get(e.to).name}`).join(', ') });
  for (const edge of edges) {
    const [a, b] = [at(edge.from), at(edge.to)];
    const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2];
    const bend = Math.max(24, Math.abs(x2 - x1) / 2);
    picture.append(svg('path', { class: 'edge', d: `M${x1},${y1}C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2 - 5},${y2}` }), svg('path', { class: 'edge-end', d: `M${x2},${y2}l-7,-4v8z` }));
  }
  for (const id of places.keys()) {
    const row = byId.get(id);
    const { x, y } = at(id);
    const text = svg('text', { x: x + 24, y: y + 20 });
    text.textContent = String(row.name ?? id).length > 17 ? `${String(row.name).slice(0, 16)}…` : String(row.name ?? id);
    picture.append(svg('a', { href: url(row), 'aria-label': String(row.name ?? id) }, svg('rect', { class: 'node', x, y, width: WIDTH, height: HEIGHT, rx: 6 }), svg('circle', { class: `fill ${tone(row)}`, cx: x + 13, cy: y + HEIGHT / 2, r: 4 }), text));
  }
  return el('div', { class: 'scroll graph-place', tabindex: '0', role: 'group', 'aria-label': 'links' }, picture);
}

/** What names others stands left of them; what goes round in a circle stands somewhere. */
function layers(ids, edges) {
  const column = new Map(ids.map((id) => [id, 0]));
  for (let round = 0; round < ids.length; round += 1) {
    let hasMoved = false;
    for (const { from, to } of edges) {
      const wanted = column.get(from) + 1;
      if (column.get(to) < wanted && wanted < ids.length) {
        column.set(to, wanted);
        hasMoved = true;
      }
    }
    if (!hasMoved) break;
  }
  const used = [...new Set(column.values())].sort((a, b) => a - b);
  const filled = new Map();
  return new Map(ids.map((id) => {
    const c = used.indexOf(column.get(id));
    const line = filled.get(c) ?? 0;
    filled.set(c, line + 1);
    return [id, { column: c, line }];
  }));
}
