// Keeps what is on the screen true. Over a WebSocket of the project where there is one, by asking again where there is not.
//
// An event brings the fields of its row that the page shows. Where it goes on from is known, by the page itself or by the line
// before, so nothing is read anew when a line is opened.

const EVERY = 4000;
const RETRY = 5000;
/** The server sends something every 5 s: longer silence is a dead line. */
const SILENCE = 11000;

/** Up to where everything has been heard, by the address of the line. */
const heardOf = new Map();

/** The page knows up to where it is true. */
export const learnPosition = (url, position) => position !== null && position !== undefined && heardOf.set(url, String(position));

export class Live {
  /**
   * `heard(event)` gets each change; `renew()` is called when something may have changed that was not told; `show(word)` is
   * told how it goes. `fields` and `types` are what the page shows.
   */
  constructor({ sockets, heard, renew, show, fields, types }) {
    Object.assign(this, { heard, renew, show, fields, types });
    this.isOver = false;
    this.sockets = [];
    this.open = 0;
    for (const url of sockets) this.connect(url);
    this.timer = setInterval(() => this.tick(), EVERY);
    this.show(sockets.length ? 'connecting' : 'asking every 4 s');
    this.onVisible = () => document.visibilityState === 'visible' && !this.open && this.soon();
    document.addEventListener('visibilitychange', this.onVisible);
  }

  address(url) {
    const address = new URL(url);
    address.protocol = address.protocol.replace('http', 'ws');
    address.searchParams.set('eventNames', 'resource.change');
    if (this.fields?.length) address.searchParams.set('fields', [...new Set(this.fields)].slice(0, 60).join(','));
    for (const type of new Set(this.types ?? [])) address.searchParams.append('resourceType', type);
    if (heardOf.has(url)) address.searchParams.set('since', heardOf.get(url));
    return address;
  }

  connect(url, wait = RETRY) {
    if (this.isOver) return;
    let socket;
    const hadPosition = heardOf.has(url);
    try {
      socket = new WebSocket(this.address(url));
    } catch {
      return;
    }
    this.sockets.push(socket);
    let isOpen = false;
    let heard = Date.now();
    const watch = setInterval(() => Date.now() - heard > SILENCE && socket.close(), 1000);
    socket.onopen = () => {
      isOpen = true;
      this.open += 1;
      this.show('live');
      // What changed before the line stood was not told.
      if (!hadPosition) this.soon();
    };
    socket.onmessage = ({ data }) => {
      heard = Date.now();
      this.take(url, data);
    };
    socket.onclose = () => {
      clearInterval(watch);
      this.sockets = this.sockets.filter((other) => other !== socket);
      if (isOpen) this.open -= 1;
      if (this.isOver) return;
      if (!this.open) this.show('asking every 4 s');
      setTimeout(() => this.connect(url, isOpen ? RETRY : Math.min(wait * 2, 80000)), wait);
    };
  }

  take(url, data) {
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      return;
    }
    if (event.id) heardOf.set(url, event.id);
    // Whoever is just logging in is shown the page again by that.
    if (event.name === 'logout' && !('entering' in document.body.dataset)) document.dispatchEvent(new CustomEvent('drover-logout'));
    if (event.name === 'events.gone') this.soon();
    if (event.name === 'resource.change' && !this.isOver) this.heard(event);
  }

  tick() {
    if (!this.open && document.visibilityState === 'visible') this.soon();
  }

  /** Renews once for all that comes in quick succession. */
  soon() {
    if (this.isOver || this.waiting) return;
    this.waiting = setTimeout(async () => {
      this.waiting = undefined;
      if (this.isRenewing) return this.soon();
      this.isRenewing = true;
      this.renewed = Date.now();
      try {
        await this.renew();
      } finally {
        this.isRenewing = false;
      }
    }, Math.max(150, 1000 - (Date.now() - (this.renewed ?? 0))));
  }

  stop() {
    this.isOver = true;
    clearInterval(this.timer);
    clearTimeout(this.waiting);
    document.removeEventListener('visibilitychange', this.onVisible);
    for (const socket of this.sockets) socket.close();
  }
}

/** The sockets that tell of what a page shows: its project's, by its address or by whom the thing belongs to. */
export function socketsOf(url, data, schemas) {
  const own = schemas?.find('subscribe')?.links?.collection;
  if (own) return [own];
  const [, version, projects, project] = url.pathname.split('/');
  const owner = projects?.toLowerCase() === 'projects' && project ? project : data?.type === 'project' ? data.id : data?.accountId;
  const owners = data?.data ? [...new Set(data.data.map((row) => row.accountId).filter(Boolean))] : [owner];
  return owners.filter((id) => /^1a\d+$/.test(id ?? '')).slice(0, 5).map((id) => `${url.origin}/${version}/projects/${id}/subscribe`);
}
