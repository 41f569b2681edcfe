/**
 * Whether the server can store messages now, for the banner: reading goes on without a database, posting does not.
 *
 * The server is asked seldom (many pages would ask at once), at once when a post waits longer than posts do, and often while it
 * says that it cannot. Who cannot reach the server at all learns that from the connection; here it changes nothing.
 */

const SELDOM_MS = 30_000;
const OFTEN_MS = 3_000;
const PATIENCE_MS = 2_000;
const SPREAD = 0.3;

export class StorageWatch {
  /** Messages cannot be stored now, as far as is known. */
  down = false;
  #ports;
  #timer = null;
  #asking = false;

  /**
   * @param {{ask: () => Promise<boolean>, timers: {set, clear}, changed: () => void, random: () => number}} ports `ask` tells whether
   *   the server is ready, or throws when there is no answer
   */
  constructor(ports) {
    this.#ports = ports;
  }

  /** From now on. */
  start() {
    if (this.#timer === null && !this.#asking) this.#again(SELDOM_MS);
  }

  /** Nobody looks. */
  stop() {
    this.#ports.timers.clear(this.#timer);
    this.#timer = null;
  }

  /** A post was sent: it is looked after if it is still unanswered in a while (`waits`). */
  posted(waits) {
    this.#ports.timers.set(() => waits() && this.#look(), PATIENCE_MS);
  }

  async #look() {
    if (this.#asking) return;
    this.stop();
    this.#asking = true;
    const before = this.down;
    try {
      this.down = !(await this.#ports.ask());
    } catch {
      // No answer is none: the connection tells of that.
    }
    this.#asking = false;
    this.#again(this.down ? OFTEN_MS : SELDOM_MS);
    if (this.down !== before) this.#ports.changed();
  }

  /** Not all pages at the same moment. */
  #again(ms) {
    this.#timer = this.#ports.timers.set(() => this.#look(), ms * (1 + SPREAD * this.#ports.random()));
  }
}
