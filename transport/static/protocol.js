/**
 * The Centrifugal client protocol in JSON, as much of it as one room needs: codec, close codes, backoff, connection.
 *
 * Invariants: durable publications are emitted in offset order, each once, with nothing between two of them left out;
 * `position` moves only when a publication (or a subscribe reply) was handed on; a link that was dropped is never heard
 * again; at most MAX_PENDING calls wait for a reply, and each is answered exactly once.
 *
 * The socket, the timers, the clock and chance are injected. Left out: tokens (the cookie authenticates the upgrade),
 * more than one channel, and everything that knows what a message is.
 */

const CONNECT_TIMEOUT_MS = 10_000;
const CALL_TIMEOUT_MS = 20_000;
const PING_GRACE_MS = 10_000;
const DEFAULT_PING_S = 25;
const STEADY_MS = 5_000;
const MAX_PENDING = 64;
const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 20_000;

const UNRECOVERABLE_POSITION = 112;
const RESUBSCRIBE_FROM = 2500;
const RESTART_CODES = new Set([1001, 1012, 3001]);

/** One text frame from a list of commands. */
export function encode(commands) {
  return commands.map((command) => JSON.stringify(command)).join("\n");
}

/** The replies of one text frame, in order; throws SyntaxError on a frame that is not newline-delimited JSON. */
export function decode(text) {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line));
}

/** Whether a close code says that trying again is useless. */
export function isTerminal(code) {
  return (code >= 3500 && code <= 3999) || (code >= 4500 && code <= 4999);
}

/** Milliseconds to wait before attempt `attempt` (0, 1, ...): doubles up to 20 s; half of it is chance. */
export function backoff(attempt, random = Math.random) {
  const cap = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 16));
  return Math.round(cap / 2 + (random() * cap) / 2);
}

/** What a call gets when its connection went away before the reply: the outcome is not known. */
const LOST = Object.freeze({ code: 0, message: "connection lost", temporary: true });

/**
 * One subscription over one socket at a time, kept alive for ever or until a terminal code.
 *
 * `state.name` is one of: idle, connecting, live, waiting (`until_ms`, `reason`), ended (`code`, `message`).
 *
 * Emits: `{kind: "state", state}`; `{kind: "joined", how: "fresh" | "recovered" | "reset", lost}` where `lost` is the
 * position that could not be served, and `same_log` tells whether its offsets still mean the same; `{kind:
 * "publication", data, offset}` (`offset` is undefined for ephemeral ones); `{kind: "refused"}` when a socket closed
 * before it opened; `{kind: "closed", code}` for each close frame.
 */
export class Connection {
  #channel;
  #open;
  #timers;
  #emit;
  #random;
  #now;
  #link = null;
  #timer = null;
  #next_id = 1;
  #pending = new Map();
  #attempt = 0;
  #live_since_ms = 0;
  #ping_ms = DEFAULT_PING_S * 1000;
  #gap_at = null;

  /**
   * @param {object} ports
   * @param {string} ports.channel the conversation's id
   * @param {(handlers: {opened(), text(data), closed(code, reason)}) => {send(text), close()}} ports.open
   * @param {{set(fn, ms), clear(id)}} ports.timers
   * @param {(event: object) => void} ports.emit
   */
  constructor({ channel, open, timers, emit, random = Math.random, now = Date.now }) {
    this.#channel = channel;
    this.#open = open;
    this.#timers = timers;
    this.#emit = emit;
    this.#random = random;
    this.#now = now;
    this.state = { name: "idle" };
    /** `{offset, epoch}` of the last durable publication handed on, or null before the first subscription. */
    this.position = null;
  }

  /** Begins to connect; does nothing while a connection is up or on its way. */
  start() {
    if (this.state.name === "idle" || this.state.name === "ended") this.#connect();
  }

  /** Closes and stays closed until `start`. Pending calls get the lost error. The position is kept. */
  stop() {
    this.#detach();
    this.#become({ name: "idle" });
  }

  /** Ends the wait for the next attempt. */
  retryNow() {
    if (this.state.name === "waiting") this.#connect();
  }

  /** Gives the present link up and tries again soon: for a network that is known to have changed. */
  renew() {
    if (this.#link !== null) this.#retry("network");
  }

  /**
   * Calls an rpc method. `done(error, data)` is called once: with the server's error, with the lost error (temporary)
   * when the connection went or 20 s passed, or with `null` and the data.
   */
  rpc(method, data, done) {
    if (this.state.name !== "live" || this.#pending.size >= MAX_PENDING) {
      done(LOST, null);
      return;
    }
    this.#send({ rpc: { method, data } }, (error, reply) => done(error, error ? null : (reply.rpc?.data ?? null)));
  }

  #become(state) {
    this.state = state;
    this.#emit({ kind: "state", state });
  }

  #arm(delay_ms, fn) {
    if (this.#timer !== null) this.#timers.clear(this.#timer);
    this.#timer = fn === null ? null : this.#timers.set(fn, delay_ms);
  }

  #connect() {
    this.#detach();
    const link = { opened: false, socket: null };
    this.#link = link;
    this.#become({ name: "connecting" });
    this.#arm(CONNECT_TIMEOUT_MS, () => this.#retry("network"));
    const mine = (fn) => (...args) => {
      if (this.#link === link) fn(...args);
    };
    link.socket = this.#open({
      opened: mine(() => {
        link.opened = true;
        this.#send({ connect: { name: "web" } }, (error, reply) => this.#connected(error, reply));
      }),
      text: mine((data) => this.#received(link, data)),
      closed: mine((code, reason) => this.#closed(link, code, reason)),
    });
  }

  /** Lets the link go without deciding what comes next. */
  #detach() {
    this.#arm(0, null);
    const link = this.#link;
    this.#link = null;
    if (link?.socket) link.socket.close();
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of waiting) {
      this.#timers.clear(call.timer);
      if (call.told) call.done(LOST, null);
    }
  }

  #retry(reason) {
    if (this.state.name === "live" && this.#now() - this.#live_since_ms >= STEADY_MS) this.#attempt = 0;
    const delay_ms = backoff(this.#attempt, this.#random);
    this.#attempt += 1;
    this.#become({ name: "waiting", until_ms: this.#now() + delay_ms, reason });
    this.#detach();
    this.#arm(delay_ms, () => this.#connect());
  }

  #end(code, message) {
    this.#become({ name: "ended", code, message });
    this.#detach();
  }

  #closed(link, code, reason) {
    if (!link.opened) this.#emit({ kind: "refused" });
    this.#emit({ kind: "closed", code });
    if (this.#link !== link) return;
    if (isTerminal(code)) this.#end(code, reason);
    else this.#retry(RESTART_CODES.has(code) ? "restart" : "network");
  }

  #send(body, done) {
    const id = this.#next_id++;
    const told = body.rpc !== undefined;
    const timer = this.#timers.set(() => {
      if (this.#pending.delete(id)) done(LOST, null);
    }, CALL_TIMEOUT_MS);
    this.#pending.set(id, { done, timer, told });
    this.#link.socket.send(encode([{ id, ...body }]));
  }

  #received(link, data) {
    let replies;
    try {
      replies = decode(data);
    } catch {
      this.#retry("network");
      return;
    }
    if (this.state.name === "live") this.#watch();
    for (const reply of replies) {
      if (this.#link !== link) return;
      this.#handle(reply);
    }
  }

  #handle(reply) {
    if (reply.id) {
      const call = this.#pending.get(reply.id);
      if (!call) return;
      this.#pending.delete(reply.id);
      this.#timers.clear(call.timer);
      call.done(reply.error ?? null, reply);
    } else if (reply.push) {
      this.#pushed(reply.push);
    } else {
      this.#link.socket.send("{}");
    }
  }

  #pushed(push) {
    if (push.disconnect) this.#closed(this.#link, push.disconnect.code, push.disconnect.reason);
    else if (push.channel !== this.#channel) return;
    else if (push.pub) this.#live(push.pub);
    else if (push.unsubscribe) {
      const { code, reason } = push.unsubscribe;
      if (code >= RESUBSCRIBE_FROM) this.#subscribe();
      else this.#end(code, reason);
    }
  }

  #connected(error, reply) {
    if (error) {
      if (error.temporary) this.#retry("network");
      else this.#end(error.code, error.message);
      return;
    }
    this.#ping_ms = (reply.connect.ping || DEFAULT_PING_S) * 1000;
    this.#subscribe();
  }

  #subscribe() {
    const resume = this.position === null ? {} : { recover: true, ...this.position };
    this.#send({ subscribe: { channel: this.#channel, ...resume } }, (error, reply) =>
      this.#subscribed(error, reply?.subscribe),
    );
  }

  #subscribed(error, result) {
    const asked = this.position;
    if (error) {
      if (error.code === UNRECOVERABLE_POSITION && asked !== null) {
        this.position = null;
        this.#subscribe();
      } else if (error.temporary) this.#retry("network");
      else this.#end(error.code, error.message);
      return;
    }
    const { offset = 0, epoch = "", recovered = false, publications = [] } = result;
    const same_log = asked !== null && asked.epoch === epoch;
    const how = asked === null ? "fresh" : recovered ? "recovered" : "reset";
    this.position = { offset: how === "recovered" ? asked.offset : offset, epoch };
    this.#live_since_ms = this.#now();
    this.#become({ name: "live" });
    this.#watch();
    this.#emit({ kind: "joined", how, lost: how === "reset" ? asked : null, same_log });
    if (how !== "recovered") return;
    for (const pub of publications) this.#advance(pub);
    // The reply names the page's last offset, which may be past the last publication in it.
    if (offset > this.position.offset) this.position = { offset, epoch };
  }

  #live(pub) {
    const jump = pub.offset !== undefined && pub.offset > this.position.offset + 1;
    // A gap is asked for again once; a server that repeats it at the same place means it.
    if (jump && this.#gap_at !== this.position.offset) {
      this.#gap_at = this.position.offset;
      this.#retry("network");
    } else this.#advance(pub);
  }

  #advance(pub) {
    if (pub.offset !== undefined) {
      if (pub.offset <= this.position.offset) return;
      this.position = { offset: pub.offset, epoch: this.position.epoch };
    }
    this.#emit({ kind: "publication", data: pub.data, offset: pub.offset });
  }

  #watch() {
    this.#arm(this.#ping_ms + PING_GRACE_MS, () => this.#retry("network"));
  }
}
