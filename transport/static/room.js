/**
 * One open room: the connection, the window of messages, the outbox and the history calls, put together.
 *
 * Invariants: while the window is live every message reaches it by the connection; after a reset it is made whole by
 * pages before live messages fit again; a post is sent only on a live connection, one at a time, in order. Everything
 * kept is bounded: the window by its limit, the outbox by its own, typing names by MAX_TYPING.
 *
 * Knows no page: the view reads its fields, calls its verbs and is told by `changed()`. Network, timers, clock and
 * storage are injected.
 */

import { ABOUT_US, sentence } from "./identity.js";
import { backoff, Connection } from "./protocol.js";
import { Outbox } from "./outbox.js";
import { Timeline } from "./timeline.js";

const PAGE = 50;
const CATCH_UP_PAGE = 200;
const TYPING_EVERY_MS = 3_000;
const TYPING_SHOWN_MS = 6_000;
const MAX_TYPING = 20;
const TOO_BIG = 1009;

const REASONS = new Map([
  [111, "You are sending too fast. Wait a moment, then try again."],
  [413, "This message is too long."],
  [422, "The server cannot take this text."],
  [429, "You are sending too fast. Wait a moment, then try again."],
]);

const NOTES = {
  anew: "This room was started anew. What was here before is gone.",
  away: "You were away for a while. Scroll up for what you missed.",
  trimmed: "Some messages are no longer kept, so part of the history is missing here.",
};

export class Room {
  #api;
  #timers;
  #now;
  #changed;
  #save;
  #refused;
  #reloads = 0;
  #reload_timer = null;
  #pause = null;
  #typing = new Map();
  #typed_at_ms = -Infinity;
  #can_type = true;

  /**
   * @param {object} ports
   * @param {string} ports.id the conversation
   * @param ports.open opens a socket, see `Connection`
   * @param {{conversation(id), messages(id, query), partner(id, me)}} ports.api
   * @param {() => void} ports.changed called after every change
   * @param {(code: number | null) => void} ports.refused called when a socket was refused before it opened, when the connection was
   *   for good, and when the server says that we are no longer who we were; with the close code, where one came
   * @param {(items: object[]) => void} ports.save stores what the outbox dumps
   */
  constructor({ id, open, api, timers, changed, refused, save, key, random, now = Date.now, limit = 1000 }) {
    this.id = id;
    this.#api = api;
    this.#timers = timers;
    this.#now = now;
    this.#changed = changed;
    this.#save = save;
    this.timeline = new Timeline({ limit });
    this.outbox = new Outbox({ key });
    this.#refused = refused;
    const emit = (event) => this.#event(event);
    this.connection = new Connection({ channel: id, open, timers, emit, random, now });
    this.me = null;
    this.title = "";
    this.archived = false;
    /** Whether the person sees the newest message as it comes: the view says so by `look`. */
    this.following = true;
    this.visible = true;
    this.unseen = 0;
    this.unread_after = null;
    this.note = null;
    /** What is being fetched ("older", "newer", "newest") or null; `load_failed` names what last failed. */
    this.loading = null;
    this.load_failed = null;
  }

  /** Enters (or goes on) as this user. */
  enter(user) {
    this.me = user;
    this.outbox.adopt(user.id);
    this.connection.start();
    this.#outboxChanged();
  }

  /** Takes a text to be posted; false when the outbox is full. */
  post(text) {
    if (this.outbox.add(text, this.me.id, this.#now()) === null) return false;
    this.unread_after = null;
    this.following = true;
    if (this.timeline.has_newer) this.jumpToNewest();
    this.#outboxChanged();
    return true;
  }

  retry(key) {
    this.outbox.retry(key, this.me.id);
    this.#outboxChanged();
  }

  /** Gives a refused post up and returns its text. */
  discard(key) {
    const text = this.outbox.discard(key);
    this.#outboxChanged();
    return text;
  }

  /** The person is writing: told to the others at most once in three seconds. */
  typing() {
    const now_ms = this.#now();
    if (!this.#can_type || this.connection.state.name !== "live") return;
    if (now_ms - this.#typed_at_ms < TYPING_EVERY_MS) return;
    this.#typed_at_ms = now_ms;
    this.connection.rpc("typing", { conversation: this.id }, (error) => {
      if (error && error.code !== 0 && !error.temporary) this.#can_type = false;
    });
  }

  /** Names of the others who are writing. */
  typingNames() {
    return [...this.#typing.values()].map((each) => each.name);
  }

  /** Where the person looks: whether the page is in front, and whether its newest end is in view. */
  look({ visible, following }) {
    this.visible = visible;
    this.following = following;
    if (visible && following && !this.timeline.has_newer && this.unseen > 0) {
      this.unseen = 0;
      this.#changed();
    }
  }

  /** Fetches the page before the window. */
  loadOlder() {
    const { first, has_older } = this.timeline;
    if (!has_older || first === null) return Promise.resolve();
    return this.#load("older", { before: first, limit: PAGE }, (page) => {
      this.timeline.prepend(page.messages, page.previous !== null);
      // Whoever went to the newest end meanwhile keeps that end, and the page goes again.
      this.timeline.trim(this.following ? "oldest" : "newest");
    });
  }

  /** Fetches the page after the window. */
  loadNewer() {
    const { last, has_newer } = this.timeline;
    if (!has_newer) return Promise.resolve();
    if (last === null) return this.jumpToNewest();
    return this.#load("newer", { after: last, limit: PAGE }, (page) => {
      this.timeline.append(page.messages, page.next !== null);
      this.timeline.trim("oldest");
    });
  }

  /** Moves the window to the newest messages. */
  jumpToNewest() {
    this.following = true;
    return this.#load("newest", { limit: PAGE }, (page) => {
      this.timeline.replace(page.messages, page.previous !== null);
    });
  }

  #event(event) {
    if (event.kind === "publication") this.#publication(event.data);
    else if (event.kind === "joined") this.#joined(event);
    else if (event.kind === "closed") this.#closed(event.code);
    else if (event.kind === "refused") this.#refused(null);
    else if (event.state.name === "ended") this.#refused(event.state.code);
    else if (event.state.name === "live") this.#pump();
    this.#changed();
  }

  #joined({ how, lost, same_log }) {
    this.#can_type = true;
    if (how !== "recovered" || this.title === "") this.#describe();
    if (how === "recovered") return;
    // What is on its way, or waits to be tried again, was meant for a window that is no longer whole.
    this.loading = null;
    this.#forgetReload();
    if (how === "reset" && !same_log) {
      this.timeline.reset();
      this.#fetchNewest(NOTES.anew);
    } else if (how === "reset") {
      this.timeline.cutAfter(lost.offset);
      this.#catchUp(lost.offset);
    } else {
      this.timeline.detach();
      this.#fetchNewest(null);
    }
  }

  /** The newest page in place of the window, tried until it succeeds. */
  async #fetchNewest(note) {
    await this.#load("newest", { limit: PAGE }, (page) => {
      this.timeline.replace(page.messages, page.previous !== null);
      if (note !== null) this.note = { text: note, before: this.timeline.first ?? 0 };
    });
    if (this.load_failed === "newest") this.#again(() => this.#fetchNewest(note));
  }

  /**
   * The log is the same but the server could not replay from `sure`, up to which the window is whole. A page that
   * reaches back to it closes the gap; otherwise a reader at the end goes to the newest page, and one who reads
   * further up keeps the window and gets the rest by scrolling.
   */
  async #catchUp(sure) {
    await this.#load("newest", { limit: CATCH_UP_PAGE }, (page) => {
      const reaches = page.previous === null || (page.messages[0]?.offset ?? Infinity) <= sure + 1;
      if (reaches && this.timeline.last !== null) {
        this.timeline.append(page.messages, false);
        this.timeline.trim(this.following ? "oldest" : "newest");
      } else if (this.following || this.timeline.last === null) {
        this.timeline.replace(page.messages, page.previous !== null);
        this.note = { text: NOTES.away, before: this.timeline.first ?? 0 };
      }
    });
    if (this.load_failed === "newest") this.#again(() => this.#catchUp(sure));
  }

  #again(fn) {
    this.#forgetReload();
    this.#reload_timer = this.#timers.set(() => {
      this.#reload_timer = null;
      fn();
    }, backoff(this.#reloads++));
  }

  #forgetReload() {
    if (this.#reload_timer !== null) this.#timers.clear(this.#reload_timer);
    this.#reload_timer = null;
  }

  /** One fetch at a time; a newer "newest" overrules what is on its way. */
  async #load(kind, query, use) {
    if (this.loading !== null && (kind !== "newest" || this.loading.kind === "newest")) return;
    const load = { kind };
    this.loading = load;
    this.load_failed = null;
    if (kind !== "older") this.timeline.listen();
    this.#changed();
    try {
      const page = await this.#api.messages(this.id, query);
      if (this.loading !== load) return;
      use(page);
      this.#reloads = 0;
    } catch (error) {
      if (this.loading !== load) return;
      this.load_failed = kind;
      if (error.status === 410) this.#gone(kind);
      else if (error.status === undefined) throw error;
    } finally {
      if (this.loading === load) this.loading = null;
      this.#changed();
    }
  }

  /** The cursor of a page is no longer kept. */
  #gone(kind) {
    this.load_failed = null;
    if (kind === "older") this.timeline.has_older = false;
    else {
      this.loading = null;
      this.timeline.reset();
      this.#fetchNewest(NOTES.trimmed);
    }
  }

  #publication(event) {
    const { type, actor } = event;
    if (type === "message.created") this.#message(event.message);
    else if (type === "typing") this.#othersType(actor);
    else if (type === "conversation.updated" || type === "conversation.archived") this.#describe();
  }

  #message(message) {
    this.#typing.delete(message.author.id);
    const own = message.author.id === this.me?.id;
    const last = this.timeline.last;
    if (this.timeline.live(message) === "duplicate") return;
    if (own) this.outbox.seen(message.author.id, message);
    if (!own && !(this.visible && this.following)) {
      if (this.unseen === 0) this.unread_after = last ?? 0;
      this.unseen += 1;
    }
    this.timeline.trim(this.following ? "oldest" : "newest");
  }

  #othersType(actor) {
    if (!actor || actor.id === this.me?.id) return;
    const old = this.#typing.get(actor.id);
    if (!old && this.#typing.size >= MAX_TYPING) return;
    if (old) this.#timers.clear(old.timer);
    const timer = this.#timers.set(() => {
      this.#typing.delete(actor.id);
      this.#changed();
    }, TYPING_SHOWN_MS);
    this.#typing.set(actor.id, { name: actor.name, timer });
  }

  #closed(code) {
    if (ABOUT_US.has(code)) this.#refused(code);
    if (code !== TOO_BIG) return;
    const guilty = this.outbox.items.find((item) => item.state === "sending");
    if (guilty) this.outbox.refused(guilty.key, REASONS.get(413));
    this.#save(this.outbox.dump());
  }

  async #describe() {
    try {
      const about = await this.#api.conversation(this.id);
      const partner = about.kind === "direct" ? await this.#api.partner(this.id, this.me.id) : null;
      this.title = partner?.name || about.title || about.id || this.id;
      this.archived = Boolean(about.archived ?? about.archived_at);
      this.#changed();
    } catch (error) {
      // The title is an ornament: the id stands in for it, and the next joining asks again.
      if (error.status === undefined) throw error;
    }
  }

  #outboxChanged() {
    this.#save(this.outbox.dump());
    this.#pump();
    this.#changed();
  }

  #pump() {
    if (this.connection.state.name !== "live" || this.#pause !== null) return;
    const item = this.outbox.take();
    if (item === null) return;
    this.#save(this.outbox.dump());
    const data = { conversation: this.id, text: item.text, idempotency_key: item.key };
    this.connection.rpc("post", data, (error, message) => this.#answered(item.key, error, message));
  }

  #answered(key, error, message) {
    if (error === null) {
      this.outbox.acked(key);
      if (message?.offset !== undefined) this.timeline.live(message);
      this.timeline.trim(this.following ? "oldest" : "newest");
    } else if (error.code === 0) this.outbox.lost(key);
    else {
      const reason = REASONS.get(error.code) ?? (sentence(error.message ?? "") || "The server refused this message.");
      const wait_ms = error.temporary ? this.outbox.postponed(key, reason) : this.outbox.refused(key, reason);
      if (wait_ms) {
        this.#pause = this.#timers.set(() => {
          this.#pause = null;
          this.#pump();
        }, wait_ms);
      }
    }
    this.#outboxChanged();
  }
}
