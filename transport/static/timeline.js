/**
 * The window of a room's messages that is held in memory.
 *
 * Invariants: messages are in offset order, each once, and nothing that exists between the first and the last is left
 * out once the events on their way have arrived; there are at most `limit` of them; `has_newer` is false only while
 * every later message will come as a live one. A live message that does not touch the window is not kept: it is
 * counted in `head` and fetched when the window is moved there.
 *
 * Pure: knows no network and no page. Unsent messages live in `outbox.js`.
 */

export class Timeline {
  #messages = [];

  constructor({ limit = 1000 } = {}) {
    this.limit = limit;
    this.reset();
  }

  /** Forgets everything: nothing is known about either end. */
  reset() {
    this.#messages = [];
    this.has_older = true;
    this.has_newer = true;
    /** The newest message heard of since the last page was asked for. */
    this.head = 0;
  }

  /** The messages, oldest first. Read only. */
  get messages() {
    return this.#messages;
  }

  /** Offset of the oldest message held, or null. */
  get first() {
    return this.#messages.length ? this.#messages[0].offset : null;
  }

  /** Offset of the newest message held, or null. */
  get last() {
    return this.#messages.length ? this.#messages[this.#messages.length - 1].offset : null;
  }

  /** Who wrote the messages, each once and whoever wrote last first; at most `most`. */
  authors(most) {
    const found = new Map();
    for (let at = this.#messages.length - 1; at >= 0 && found.size < most; at--) {
      const { author } = this.#messages[at];
      if (!found.has(author.id)) found.set(author.id, author);
    }
    return [...found.values()];
  }

  /** Takes a message that was just committed. Returns "added", "duplicate" or "beyond" (outside the window). */
  live(message) {
    this.head = Math.max(this.head, message.offset);
    if (this.has_newer) return this.#at(message.offset) < 0 ? "beyond" : "duplicate";
    return this.#insert(message) ? "added" : "duplicate";
  }

  /** A page is being asked for: only what is heard of from now on can be missing from it. */
  listen() {
    this.head = 0;
  }

  /** Takes a page that ends right before the window; `more` tells whether there is something before it. */
  prepend(messages, more) {
    for (const message of messages) this.#insert(message);
    this.has_older = more && messages.length > 0;
  }

  /**
   * Takes a page that begins right after `after`, where the window was sure to be whole; `more` tells whether there is
   * something after it. The window is live again when the page reaches the newest message heard of.
   */
  append(messages, more) {
    for (const message of messages) this.#insert(message);
    this.#attach(!more || messages.length === 0);
  }

  /** Takes the newest page in place of everything held; `more` tells whether there is something before it. */
  replace(messages, more) {
    this.#messages = [];
    for (const message of messages) this.#insert(message);
    this.has_older = more && messages.length > 0;
    this.#attach(true);
  }

  /** Messages after the window may be missing from now on: pages have to be fetched before live ones fit again. */
  detach() {
    this.has_newer = true;
  }

  /** The window is whole only up to `offset`: what is held past it goes, and what follows has to be fetched. */
  cutAfter(offset) {
    this.#messages = this.#messages.filter((message) => message.offset <= offset);
    this.has_newer = true;
  }

  /** Drops what is over the limit from the end that is not being looked at: "oldest" or "newest". */
  trim(end) {
    const over = this.#messages.length - this.limit;
    if (over <= 0) return 0;
    if (end === "oldest") {
      this.#messages.splice(0, over);
      this.has_older = true;
    } else {
      this.#messages.splice(-over, over);
      this.has_newer = true;
    }
    return over;
  }

  #attach(at_end) {
    this.has_newer = !at_end || (this.last ?? 0) < this.head;
  }

  #insert(message) {
    const at = this.#at(message.offset);
    if (at >= 0) return false;
    this.#messages.splice(-at - 1, 0, message);
    return true;
  }

  /** Index of the message at `offset`, or -(place where it would go) - 1. */
  #at(offset) {
    let low = 0;
    let high = this.#messages.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#messages[middle].offset < offset) low = middle + 1;
      else high = middle;
    }
    return this.#messages[low]?.offset === offset ? low : -low - 1;
  }
}
