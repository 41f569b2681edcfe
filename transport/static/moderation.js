/**
 * What those in office do about somebody in the room that is open, whether that person is a member or only wrote there: mute and ban.
 *
 * It is offered to whom the server would let do it; `engine.core.permissions` decides there, and a refusal is shown as it comes.
 */

import { sureButton } from "./form.js";
import { durationText } from "./identity.js";
import { mayModerate } from "./ranks.js";

const $ = (id) => document.getElementById(id);

export class Moderation {
  #api;
  #attempt;
  #room = "";
  #user = null;
  #standing = null;
  #changed = () => {};

  /** @param api the calls; `attempt(work)` carries something out and says what went wrong */
  constructor(api, attempt) {
    this.#api = api;
    this.#attempt = attempt;
    $("person-mute").addEventListener("click", () => this.#do(() => this.#toggleMute()));
  }

  /** Shows what may be done about `user` in a room, if anything; `changed` is called after each thing that was done. */
  async open({ room, me }, user, changed) {
    this.#room = room;
    this.#user = user;
    this.#changed = changed;
    $("moderation").hidden = true;
    const [mine, theirs] = await Promise.all([this.#api.member(room, me.id), this.#api.member(room, user.id)]);
    if (!mayModerate({ room, me, mine, theirs })) return;
    await this.#load(user, theirs);
  }

  /** Asks how somebody stands; shown unless the panel is about another one by now. */
  async #load(user, theirs) {
    const banned = theirs === null && (await this.#api.isBanned(this.#room, user.id));
    if (user !== this.#user) return;
    const muted_s = theirs?.muted_until ? (Date.parse(theirs.muted_until) - Date.now()) / 1000 : 0;
    this.#standing = { muted: muted_s > 0, banned };
    this.#draw(muted_s);
  }

  #draw(muted_s) {
    const { muted, banned } = this.#standing;
    const { name } = this.#user;
    const muting = muted ? `${name} is muted for ${durationText(muted_s)}.` : "";
    $("person-standing").textContent = banned ? `${name} is banned from this room.` : muting;
    $("muting").hidden = banned;
    $("person-mute-life").hidden = muted;
    $("person-mute").textContent = muted ? "Unmute" : "Mute";
    const ban = sureButton(banned ? "End the ban" : "Ban", name, () => this.#do(() => this.#toggleBan()));
    $("banning").replaceChildren(ban);
    $("moderation").hidden = false;
  }

  async #do(change) {
    const user = this.#user;
    const held = $("moderation").contains(document.activeElement);
    await this.#attempt(async () => {
      await change();
      this.#changed();
      await this.#load(user, await this.#api.member(this.#room, user.id));
      if (held && user === this.#user && !$("moderation").contains(document.activeElement)) $("banning").firstChild.focus();
    });
  }

  #toggleMute() {
    const { id } = this.#user;
    return this.#standing.muted
      ? this.#api.unmute(this.#room, id)
      : this.#api.mute(this.#room, id, Number($("person-mute-life").value));
  }

  #toggleBan() {
    const { id } = this.#user;
    return this.#standing.banned ? this.#api.unban(this.#room, id) : this.#api.ban(this.#room, id);
  }
}
