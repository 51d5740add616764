// Keeps what is on the screen true. Over a WebSocket of the project where there is one, by asking again where there is not.
//
// An event only says that something changed; what it looks like now is read from where the page came from, so that it is
// exactly what a reload would show.

const EVERY = 4000;
const RETRY = 5000;
/** The server sends something every 5 s: longer silence is a dead line. */
const SILENCE = 11000;

export class Live {
  /** `renew(event)` is called when something may have changed; `show(word)` is told how it goes. */
  constructor({ sockets, concerns, renew, show }) {
    Object.assign(this, { urls: sockets, concerns, renew, show });
    this.isOver = false;
    this.sockets = [];
    this.isRenewing = false;
    this.open = 0;
    for (const url of sockets) this.connect(url);
    this.timer = setInterval(() => this.tick(), EVERY);
    this.show(sockets.length ? 'connecting' : 'asking every 4 s');
    this.onVisible = () => document.visibilityState === 'visible' && this.soon();
    document.addEventListener('visibilitychange', this.onVisible);
  }

  connect(url, wait = RETRY) {
    if (this.isOver) return;
    const address = new URL(url);
    address.protocol = address.protocol.replace('http', 'ws');
    address.searchParams.set('eventNames', 'resource.change');
    let socket;
    try {
      socket = new WebSocket(address);
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
      this.soon();
    };
    socket.onmessage = ({ data }) => {
      heard = Date.now();
      let event;
      try {
        event = JSON.parse(data);
      } catch {
        return;
      }
      // Whoever is just logging in is shown the page again by that.
      if (event.name === 'logout' && !('entering' in document.body.dataset)) location.reload();
      if (event.name === 'resource.change' && this.concerns(event)) this.soon();
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
