// What a container, the containers of a service, or a host use: processor and memory, second by second.

import { el, replace } from './dom.js';
import { byLink, open } from './streams.js';
import { bytes } from './summary.js';

const SECONDS = 120;
const NS = 'http://www.w3.org/2000/svg';

const svg = (tag, props) => {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  return node;
};

/** One line that moves to the left. */
class Chart {
  constructor(title, format) {
    this.format = format;
    this.values = [];
    this.now = el('strong', {}, '–');
    this.most = el('span', { class: 'help' });
    this.area = svg('path', { class: 'chart-area' });
    this.line = svg('path', { class: 'chart-line' });
    const picture = svg('svg', { viewBox: `0 0 ${SECONDS} 40`, preserveAspectRatio: 'none', class: 'chart', 'aria-hidden': 'true' });
    picture.append(this.area, this.line);
    this.node = el('figure', { class: 'figure', 'aria-label': title }, el('figcaption', {}, el('span', {}, title), ' ', this.now, ' ', this.most), picture);
  }

  add(value, limit) {
    this.values = [...this.values, value].slice(-SECONDS);
    const most = Math.max(limit ?? 0, ...this.values) || 1;
    const start = SECONDS - this.values.length;
    const points = this.values.map((one, i) => `${start + i + 1},${(39 - (one / most) * 38).toFixed(2)}`);
    this.line.setAttribute('d', points.length ? `M${points.join('L')}` : '');
    this.area.setAttribute('d', points.length ? `M${start + 1},40L${points.join('L')}L${SECONDS},40Z` : '');
    this.now.textContent = this.format(value);
    this.most.textContent = limit ? `of ${this.format(limit)}` : `most ${this.format(Math.max(...this.values))}`;
  }
}

const percent = (part) => `${part < 10 ? part.toFixed(1) : Math.round(part)} %`;

/** Shows what is behind a link to statistics; gives what ends it. */
export function showCharts(place, row, link, title = 'Use') {
  const processor = new Chart('CPU', percent);
  const memory = new Chart('Memory', bytes);
  const status = el('span', { class: 'help', role: 'status' }, 'connecting …');
  replace(place, el('section', { class: 'stream', 'aria-label': title }, el('div', { class: 'bar' }, el('h2', { tabindex: '-1' }, title), status), el('div', { class: 'charts' }, processor.node, memory.node)));
  const before = new Map();
  let stream;
  let isOver = false;
  byLink(row.links[link]).then((address) => {
    if (isOver) return;
    if (!address) return void (status.textContent = 'nothing runs here now');
    status.textContent = 'waiting for the first second …';
    stream = open(address, {
      heard: (frame) => {
        const samples = JSON.parse(frame);
        let used = 0;
        let held = 0;
        let limit = 0;
        let isMeasured = false;
        for (const one of samples) {
          const now = { at: Date.parse(one.timestamp), total: one.cpu?.usage?.total ?? 0 };
          const last = before.get(one.id);
          before.set(one.id, now);
          held += one.memory?.usage ?? 0;
          limit += one.memory?.limit ?? 0;
          if (!last || now.at <= last.at) continue;
          isMeasured = true;
          used += Math.max(0, now.total - last.total) / ((now.at - last.at) * 1e6) * 100;
        }
        if (samples.length) memory.add(held, limit && limit < 2 ** 50 ? limit : undefined);
        if (isMeasured) {
          processor.add(used);
          status.textContent = '';
        }
      },
      closed: () => (status.textContent = 'ended'),
    });
  }).catch((failure) => (status.textContent = failure.sentence ?? String(failure)));
  return () => {
    isOver = true;
    stream?.stop();
  };
}
