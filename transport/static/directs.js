/**
 * The part of the people's panel about direct conversations: those that one has, and the way to somebody by user name.
 *
 * Asked for when the panel opens, a page at a time: the server lists them by id, and who the other one is takes a call for each.
 */

import { button, onSubmit, Unfit } from "./form.js";
import { element } from "./log.js";

const $ = (id) => document.getElementById(id);
const NOBODY = "Somebody who is gone";

export class Directs {
  #api;
  #try;
  #room = "";
  #me = null;
  #next;
  #turn = 0;

  /**
   * @param api the calls
   * @param {{attempt(work), found(user), lost()}} actions carries work out and says what goes wrong; is told of somebody who was
   *   looked up; and of a session that is over
   */
  constructor(api, { attempt, found, lost }) {
    this.#api = api;
    this.#try = attempt;
    const look = async (fields) => found(await this.#find(fields.get("username").trim()));
    onSubmit($("find-form"), look, lost);
    $("directs-more").addEventListener("click", () => attempt(() => this.#more()));
  }

  /** Shows the first of them; `room` is the one that is open. */
  async load(room, me) {
    this.#room = room;
    this.#me = me;
    this.#next = undefined;
    this.#turn += 1;
    $("find-form").hidden = me.role === "guest";
    $("direct-rows").replaceChildren();
    $("directs-more").hidden = true;
    await this.#more();
  }

  async #more() {
    const turn = this.#turn;
    const { conversations, next } = await this.#api.directs(this.#next);
    const found = await Promise.all(
      conversations.map(async ({ id }) => ({ id, name: (await this.#api.partner(id, this.#me.id))?.name ?? NOBODY })),
    );
    if (turn !== this.#turn) return;
    this.#next = next;
    $("direct-rows").append(...found.sort((a, b) => a.name.localeCompare(b.name)).map((each) => this.#row(each)));
    $("directs-more").hidden = next === null;
    $("directs-note").hidden = $("direct-rows").childElementCount > 0;
  }

  #row({ id, name }) {
    const link = element("a", "", name);
    link.href = `/?room=${encodeURIComponent(id)}`;
    const what = element("div", "what", "", link);
    if (id === this.#room) {
      link.setAttribute("aria-current", "page");
      what.append(element("span", "chip", "open"));
    }
    const hide = button("act", "Hide", () =>
      this.#try(async () => {
        await this.#api.hide(id);
        await this.load(this.#room, this.#me);
      }),
    );
    hide.setAttribute("aria-label", `Hide: ${name}`);
    return element("li", "", "", what, hide);
  }

  async #find(username) {
    if (username.toLowerCase() === this.#me.username) throw new Unfit("This is you.", "username");
    const user = await this.#api.person(username.replace(/^@/, ""));
    if (user === null) throw new Unfit("Nobody signs in with this name.", "username");
    $("find-form").reset();
    return user;
  }
}
