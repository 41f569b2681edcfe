/**
 * Posts that the server has not yet acknowledged, in the order in which they were written.
 *
 * Invariants: a post keeps its idempotency key through every retry; at most one is being sent; at most MAX_ITEMS and
 * MAX_CHARS are held, and past that `add` refuses; a post leaves by its ack or by the person, never by a failure. A
 * post goes under the name that it was written under, or waits for the person to say otherwise: for another author it becomes
 * refused, and one whose outcome is unknown may be there already, because the key would not protect it.
 *
 * Pure: the caller sends, and stores `dump()` where it likes.
 */

const MAX_ITEMS = 50;
const MAX_CHARS = 1_000_000;
const MAX_DELAYS = 3;

const MAYBE_SENT = "This may have been sent under your previous name.";
const OTHER_NAME = "This was written under another name.";

function fresh({ key, text, at_ms, author_id }) {
  return { key, text, at_ms, author_id, state: "queued", tries: 0, delays: 0, reason: "", seen: null };
}

export class Outbox {
  #items = [];
  #make_key;

  /** @param {{key: () => string}} ports where new idempotency keys come from */
  constructor({ key }) {
    this.#make_key = key;
  }

  /**
   * The posts, oldest first. Read only. `state` is queued, sending or refused (with `reason`); `tries` counts sends;
   * `seen` is the offset of the message that seems to be this post, or null.
   */
  get items() {
    return this.#items;
  }

  /** Takes a text to be sent; null when the outbox is full. */
  add(text, author_id, at_ms) {
    const held = this.#items.reduce((sum, item) => sum + item.text.length, 0);
    if (this.#items.length >= MAX_ITEMS || held + text.length > MAX_CHARS) return null;
    const item = fresh({ key: this.#make_key(), text, at_ms, author_id });
    this.#items.push(item);
    return item;
  }

  /** The post to send now, marked as being sent; null while one is on its way or when there is none. */
  take() {
    if (this.#items.some((item) => item.state === "sending")) return null;
    const item = this.#items.find((each) => each.state === "queued") ?? null;
    if (item !== null) {
      item.state = "sending";
      item.tries += 1;
    }
    return item;
  }

  /** The server has it: the post leaves. */
  acked(key) {
    this.#items = this.#items.filter((item) => item.key !== key);
  }

  /** The connection went before the answer: the post waits for its turn again, under the same key. */
  lost(key) {
    const item = this.#find(key);
    if (item?.state === "sending") item.state = "queued";
  }

  /** The server cannot take it now. Returns the milliseconds to wait, or null when the person has to decide. */
  postponed(key, reason) {
    const item = this.#find(key);
    if (!item) return null;
    if (item.delays >= MAX_DELAYS) {
      this.refused(key, reason);
      return null;
    }
    item.state = "queued";
    item.delays += 1;
    return 1000 * 2 ** (item.delays - 1);
  }

  /** The server does not want it: it stays visible with the reason until the person retries or discards it. */
  refused(key, reason) {
    const item = this.#find(key);
    if (!item) return;
    item.state = "refused";
    item.reason = reason;
    item.seen = null;
  }

  /** The person wants a refused post sent again; the key stays. */
  retry(key, author_id) {
    const item = this.#find(key);
    if (item?.state !== "refused") return;
    Object.assign(item, { state: "queued", tries: 0, delays: 0, reason: "", author_id });
  }

  /** The person gives a refused post up. Returns its text, or null. */
  discard(key) {
    const item = this.#find(key);
    if (item?.state !== "refused") return null;
    this.acked(key);
    return item.text;
  }

  /**
   * A message of `author_id` came in. If a post with this text was sent and not yet answered, it is this one until
   * the answer says otherwise, so that the page need not show it twice.
   */
  seen(author_id, message) {
    const item = this.#items.find(
      (each) =>
        each.tries > 0 &&
        each.state !== "refused" &&
        each.seen === null &&
        each.author_id === author_id &&
        each.text === message.text,
    );
    if (item) item.seen = message.offset;
  }

  /**
   * From now on `author_id` is the author. What another one has written is sent only when the person says so: it was meant for
   * another name, and may have been posted under it already.
   */
  adopt(author_id) {
    for (const item of this.#items) {
      if (item.author_id === author_id || item.state === "refused") continue;
      this.refused(item.key, item.tries > 0 ? MAYBE_SENT : OTHER_NAME);
    }
  }

  /** What to store, as plain data. */
  dump() {
    return this.#items.map(({ key, text, at_ms, author_id, state, tries, reason }) => ({
      key,
      text,
      at_ms,
      author_id,
      state: state === "sending" ? "queued" : state,
      tries,
      reason,
    }));
  }

  /** Takes back what `dump` gave; anything that does not look like it is left out. */
  load(items) {
    if (!Array.isArray(items)) return;
    const whole = items.filter((item) => typeof item?.key === "string" && typeof item?.text === "string");
    this.#items = whole.slice(0, MAX_ITEMS).map((item) => ({
      ...fresh({ key: item.key, text: item.text, at_ms: Number(item.at_ms) || 0, author_id: String(item.author_id) }),
      state: item.state === "refused" ? "refused" : "queued",
      tries: Number(item.tries) || 0,
      reason: String(item.reason ?? ""),
    }));
  }

  #find(key) {
    return this.#items.find((item) => item.key === key);
  }
}
