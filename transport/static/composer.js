/**
 * The field in which a message is written: grows with its text, sends on Enter, keeps the draft of this tab.
 *
 * Invariants: what is sent is whole text within the server's limits; nothing is sent while an input method composes;
 * the draft leaves the field only when the outbox has taken it.
 */

import { byteLength, cleaned } from "./text.js";

const MAX_TEXT_BYTES = 64 * 1024;
// A frame holds 128 KiB of JSON, in which some characters take several bytes; the rest of the command takes a few too.
const MAX_ENCODED_BYTES = 126 * 1024;
const SHOW_COUNT_FROM = 0.9;

export class Composer {
  #form;
  #field;
  #send;
  #count;
  #actions;
  #draft;
  #open = true;

  /**
   * @param {{form, field, send, count}} parts the elements
   * @param {{load(): string, save(text)}} draft where the draft is kept
   * @param {{post(text): boolean, typing()}} actions
   */
  constructor({ form, field, send, count }, draft, actions) {
    this.#form = form;
    this.#field = field;
    this.#send = send;
    this.#count = count;
    this.#draft = draft;
    this.#actions = actions;
    field.value = draft.load();
    field.addEventListener("input", () => this.#changed(true));
    field.addEventListener("keydown", (event) => this.#key(event));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#changed(false);
  }

  focus() {
    // On a phone the keyboard would cover the room that was just entered.
    if (!touch()) this.#field.focus();
  }

  /** Fits the field to its text; needed when it becomes visible. */
  fit() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }

  /** Opens or closes the field; `hint` stands in it. */
  allow(open, hint) {
    this.#open = open;
    this.#field.disabled = !open;
    this.#field.placeholder = hint;
    this.#refresh();
  }

  #key(event) {
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing || touch()) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = cleaned(this.#field.value);
    if (!this.#open || text === "" || this.#excess(text) !== null) return;
    if (!this.#actions.post(text)) {
      this.#say("Too many messages are waiting to be sent. Your text stays here until there is room.", true);
      return;
    }
    this.#field.value = "";
    this.#changed(false);
  }

  #changed(typed) {
    this.#draft.save(this.#field.value);
    this.fit();
    this.#refresh();
    if (typed && this.#field.value.trim() !== "") this.#actions.typing();
  }

  #refresh() {
    const text = cleaned(this.#field.value);
    const excess = this.#excess(text);
    this.#send.disabled = !this.#open || text === "" || excess !== null;
    const bytes = byteLength(text);
    if (excess !== null) this.#say(excess, true);
    else if (bytes >= MAX_TEXT_BYTES * SHOW_COUNT_FROM) {
      this.#say(`${(MAX_TEXT_BYTES - bytes).toLocaleString()} bytes left`, false);
    } else this.#say("", false);
  }

  /** Why the text is too long, or null. */
  #excess(text) {
    const over = byteLength(text) - MAX_TEXT_BYTES;
    if (over > 0) return `Too long by ${over.toLocaleString()} bytes`;
    return byteLength(JSON.stringify(text)) > MAX_ENCODED_BYTES ? "Too long to send in one message" : null;
  }

  #say(text, over) {
    this.#count.textContent = text;
    this.#count.classList.toggle("over", over);
  }
}

function touch() {
  return matchMedia("(pointer: coarse)").matches;
}
