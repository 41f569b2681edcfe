/** What the page's tests stand on: time that is moved by hand, sockets that record, and a small honest server. */

export class Clock {
  now_ms = 1_000_000;
  #due = new Map();
  #next = 1;

  ports = {
    set: (fn, ms) => {
      const id = this.#next++;
      this.#due.set(id, { at_ms: this.now_ms + ms, fn });
      return id;
    },
    clear: (id) => this.#due.delete(id),
  };

  /** Lets time pass; timers run in their order, and promises between them. */
  async pass(ms) {
    const end_ms = this.now_ms + ms;
    for (;;) {
      await settle();
      const [id, next] = [...this.#due].sort((a, b) => a[1].at_ms - b[1].at_ms)[0] ?? [];
      if (next === undefined || next.at_ms > end_ms) break;
      this.#due.delete(id);
      this.now_ms = next.at_ms;
      next.fn();
    }
    this.now_ms = end_ms;
    await settle();
  }
}

/** Lets what waits on promises go on. */
export async function settle() {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

export function message(offset, text = `text ${offset}`, author_id = "ada") {
  const author = { id: author_id, name: author_id, kind: "guest" };
  return { id: `m${offset}`, conversation: "lobby", offset, author, text, created_at: "2026-11-02T10:00:00.000Z", revision: 1 };
}

export function created(msg) {
  return { type: "message.created", conversation: "lobby", offset: msg.offset, at: msg.created_at, actor: msg.author, message: msg };
}

/**
 * A server of one room that keeps idempotency keys. Faults are switched on by fields: `deaf` (answers nothing),
 * `drop_acks` (commits, then closes before the ack), `slow_posts` (hears
 * no posts), `forgets` (recovers nothing), `refuse` (an error for posts).
 */
export class Server {
  log = [];
  keys = new Map();
  sockets = new Set();
  epoch = "e1";
  posts = 0;
  up = true;
  deaf = false;
  drop_acks = false;
  forgets = false;
  slow_posts = false;
  refuse = null;
  page_calls = [];
  author = "me";
  attempts = 0;

  open = (handlers) => {
    this.attempts += 1;
    const socket = { sent: [], handlers, subscribed: false };
    const port = {
      send: (text) => {
        socket.sent.push(text);
        queueMicrotask(() => this.#answer(socket, text));
      },
      close: () => this.sockets.delete(socket),
    };
    queueMicrotask(() => {
      if (!this.up) return handlers.closed(1006, "");
      this.sockets.add(socket);
      handlers.opened();
    });
    return port;
  };

  api = {
    conversation: async () => ({ id: "lobby", title: "Lobby" }),
    messages: async (id, query) => {
      this.page_calls.push(query);
      if (!this.up) throw Object.assign(new Error("away"), { status: 0 });
      const all = this.log;
      const { limit, after, before } = query;
      let page;
      if (after !== undefined) page = all.filter((m) => m.offset > after).slice(0, limit);
      else page = all.filter((m) => before === undefined || m.offset < before).slice(-limit);
      const next = page.length && page.at(-1).offset < all.at(-1).offset ? page.at(-1).offset : null;
      const previous = page.length && page[0].offset > all[0].offset ? page[0].offset : null;
      return { messages: page, next, previous };
    },
  };

  /** Commits a message and tells the subscribers. */
  say(text, author_id = "ada", { quiet = false } = {}) {
    const msg = message((this.log.at(-1)?.offset ?? 0) + 1, text, author_id);
    this.log.push(msg);
    if (!quiet) this.push({ offset: msg.offset, data: created(msg) });
    return msg;
  }

  push(pub) {
    for (const socket of this.sockets) if (socket.subscribed) this.#tell(socket, { push: { channel: "lobby", pub } });
  }

  /** Closes every socket with a code. */
  close(code, reason = "") {
    for (const socket of [...this.sockets]) {
      this.sockets.delete(socket);
      socket.handlers.closed(code, reason);
    }
  }

  #tell(socket, ...replies) {
    socket.handlers.text(replies.map((reply) => JSON.stringify(reply)).join("\n"));
  }

  #answer(socket, text) {
    for (const line of text.split("\n")) {
      const { id, connect, subscribe, rpc } = JSON.parse(line);
      if (this.deaf || !this.sockets.has(socket)) return;
      if (connect) this.#tell(socket, { id, connect: { client: "c", ping: 25, pong: true } });
      if (subscribe) this.#subscribe(socket, id, subscribe);
      if (rpc?.method === "post" && !this.slow_posts) this.#post(socket, id, rpc.data);
    }
  }

  #subscribe(socket, id, { recover, offset, epoch }) {
    const head = this.log.at(-1)?.offset ?? 0;
    const reply = { recoverable: true, positioned: true, epoch: this.epoch, offset: head };
    if (recover) {
      reply.recovered = epoch === this.epoch && !this.forgets;
      if (reply.recovered) {
        reply.publications = this.log.filter((m) => m.offset > offset).map((m) => ({ offset: m.offset, data: created(m) }));
      }
    }
    socket.subscribed = true;
    this.#tell(socket, { id, subscribe: reply });
  }

  #post(socket, id, { text, idempotency_key }) {
    this.posts += 1;
    if (this.refuse) return this.#tell(socket, { id, error: this.refuse });
    let msg = this.keys.get(idempotency_key);
    if (msg === undefined) {
      msg = this.say(text, this.author, { quiet: true });
      this.keys.set(idempotency_key, msg);
      if (this.drop_acks) return this.close(1006);
      this.#tell(socket, { id, rpc: { data: msg } });
      this.push({ offset: msg.offset, data: created(msg) });
    } else this.#tell(socket, { id, rpc: { data: msg } });
  }
}
