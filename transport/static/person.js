/**
 * The panel about somebody else: writing to that person alone, wanting nothing more from there, and what those in office may do
 * (`moderation.js`).
 *
 * Whether somebody is blocked is asked when the panel opens; nobody but oneself is told.
 */

import { button, closable, openDialog } from "./form.js";
import { refusalText } from "./identity.js";
import { element, paintAvatar } from "./log.js";
import { Moderation } from "./moderation.js";

const $ = (id) => document.getElementById(id);

export class PersonPanel {
  #api;
  #lost;
  #here;
  #moderation;
  #user = null;
  #blocked = false;
  #dirty = false;

  /** @param api the calls; `here()` the open room and who we are: `{room, me}`; `lost()` is called when the session is found to be over */
  constructor(api, here, lost) {
    this.#api = api;
    this.#here = here;
    this.#lost = lost;
    this.#moderation = new Moderation(api, (work) => this.#try(work, $("moderation-error")));
    closable($("person"));
    $("person-write").addEventListener("click", () => this.#press($("person-write"), () => this.#write()));
    $("person-block").addEventListener("click", () => this.#press($("person-block"), () => this.#toggle()));
  }

  /** Shows the panel; `changed` is called when it is closed after something was changed. */
  open(user, changed = () => {}) {
    this.#user = user;
    this.#dirty = false;
    $("person-title").textContent = user.name;
    paintAvatar($("person-avatar"), user);
    $("person-about").textContent = user.kind === "user" ? user.id : `${user.kind} · ${user.id}`;
    $("person-blocked").textContent = "";
    $("moderation-error").textContent = "";
    $("person-block").hidden = true;
    openDialog($("person"), () => this.#dirty && changed());
    this.#try(() => this.#load());
    this.#try(() => this.#moderation.open(this.#here(), user, () => (this.#dirty = true)), $("moderation-error"));
  }

  /** The name of somebody as a button that opens the panel. */
  name(user, changed) {
    const made = button("person", user.name, () => this.open(user, changed));
    made.setAttribute("aria-haspopup", "dialog");
    made.setAttribute("aria-label", `${user.name}: write directly, or block`);
    return made;
  }

  /** What a button does, once at a time. */
  async #press(pressed, work) {
    if (pressed.getAttribute("aria-busy") === "true") return;
    pressed.setAttribute("aria-busy", "true");
    await this.#try(work);
    pressed.removeAttribute("aria-busy");
  }

  /** Carries something out; what goes wrong is said. */
  async #try(work, line = $("person-error")) {
    line.textContent = "";
    try {
      await work();
    } catch (error) {
      if (error.status === undefined) throw error;
      line.textContent = refusalText(error);
      if (error.status === 401) this.#lost();
    }
  }

  async #load() {
    const user = this.#user;
    const blocks = await this.#api.blocks();
    this.#show(user, blocks.some((block) => block.user.id === user.id));
  }

  /** Shows whether this person is blocked, unless the panel is about another one by now. */
  #show(user, blocked) {
    if (user !== this.#user) return;
    this.#blocked = blocked;
    $("person-blocked").textContent = blocked ? `You have blocked ${user.name}.` : "";
    $("person-block").textContent = blocked ? "End the block" : "Block";
    $("person-block").hidden = false;
  }

  async #toggle() {
    const user = this.#user;
    const wanted = !this.#blocked;
    this.#dirty = true;
    await (wanted ? this.#api.block(user.id) : this.#api.unblock(user.id));
    this.#show(user, wanted);
  }

  async #write() {
    const { id } = await this.#api.direct(this.#user.id);
    location.assign(`/?room=${encodeURIComponent(id)}`);
  }
}

/** One's blocks as rows, each with a button that ends it by `end(user)`. */
export function blockRows(blocks, end) {
  return blocks.map(({ user }) => {
    const avatar = element("span");
    paintAvatar(avatar, user, "small");
    avatar.setAttribute("aria-hidden", "true");
    const what = element("div", "what", "", element("strong", "", user.name));
    if (user.kind !== "user") what.append(element("span", "chip", user.kind));
    const lift = button("act", "End the block", () => end(user));
    lift.setAttribute("aria-label", `End the block: ${user.name}`);
    return element("li", "", "", avatar, what, lift);
  });
}
