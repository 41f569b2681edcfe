/** The connection's state in the head of the page: seen with a countdown, said once per change, with a way to hurry. */

const TICK_MS = 500;

export class StatusView {
  #parts;
  #timer = null;
  #was_live = false;
  #state = { name: "idle" };

  /** @param {{box, text, said, now}} parts the elements; `now` is the button that `hurry` is called for */
  constructor(parts, hurry) {
    this.#parts = parts;
    parts.now.addEventListener("click", hurry);
  }

  /** Shows the state of a `Connection`. */
  show(state) {
    if (state.name === "live") this.#was_live = true;
    const changed = state !== this.#state;
    this.#state = state;
    const { look, seen, said } = this.#words();
    const { box, text, now } = this.#parts;
    box.dataset.state = look;
    text.textContent = seen;
    now.hidden = state.name !== "waiting" && state.name !== "ended";
    now.textContent = state.name === "ended" ? "Reconnect" : "Now";
    now.setAttribute("aria-label", "Reconnect now");
    if (changed && this.#parts.said.textContent !== said) this.#parts.said.textContent = said;
    clearTimeout(this.#timer);
    if (state.name === "waiting") this.#timer = setTimeout(() => this.show(state), TICK_MS);
  }

  #words() {
    const state = this.#state;
    if (state.name === "live") return words("live", "Live", "Connected");
    if (state.name === "ended") return words("ended", "Disconnected", "Disconnected");
    if (state.name !== "waiting") {
      const verb = this.#was_live ? "Reconnecting" : "Connecting";
      return words("connecting", verb, verb);
    }
    const left_s = Math.max(1, Math.ceil((state.until_ms - Date.now()) / 1000));
    if (!navigator.onLine) return words("offline", "Offline", "Offline. What you write is sent later.");
    if (state.reason === "restart") return words("waiting", `Server restarting, ${left_s} s`, "The server is restarting");
    return words("waiting", `Reconnecting in ${left_s} s`, "Connection lost, reconnecting");
  }
}

function words(look, seen, said) {
  return { look, seen, said };
}
