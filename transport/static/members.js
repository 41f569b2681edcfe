/**
 * The panel about the room's people: who belongs, who is banned, which invites are open, and what may be done about it.
 *
 * What is offered is what the server would do: `engine.core.permissions` decides there, and a refusal is shown as it comes. The
 * list is asked for when the panel opens and after each change.
 */

import { button, closable, keepFocus, onSubmit, openDialog, shownOnce, sureButton } from "./form.js";
import { durationText, refusalText } from "./identity.js";
import { element, paintAvatar } from "./log.js";

const RANKS = ["viewer", "member", "moderator", "owner"];
const MODERATOR = RANKS.indexOf("moderator");
const MUTE_S = 3_600;
const PAGE = 100;

const $ = (id) => document.getElementById(id);

/** The roles that somebody may give and take, by the own rank here: owners all of them, others those below their own. */
export function rolesBelow(rank) {
  return rank === RANKS.length - 1 ? RANKS : RANKS.slice(0, Math.max(0, rank));
}

/** One's rank here: the server's administrators stand as owners. -1 for who is no member. */
export function rankOf(user, member) {
  return user.role === "admin" ? RANKS.length - 1 : RANKS.indexOf(member?.role ?? "");
}

export class MembersPanel {
  #api;
  #lost;
  #room = "";
  #me = null;
  #rank = -1;
  #members = [];
  #next = null;

  /** @param api the calls; `lost()` is called when the session is found to be over */
  constructor(api, lost) {
    this.#api = api;
    this.#lost = lost;
    closable($("members"));
    onSubmit($("new-invite-form"), (fields) => this.#invite(fields), lost);
    $("members-more").addEventListener("click", () => this.#try(() => this.#more()));
  }

  open(room, me) {
    this.#room = room;
    this.#me = me;
    this.#rank = -1;
    this.#members = [];
    for (const id of ["member-rows", "ban-rows", "invite-rows", "invite-shown"]) $(id).replaceChildren();
    $("bans").hidden = $("inviting").hidden = $("members-more").hidden = true;
    $("members-note").textContent = "Loading";
    openDialog($("members"), () => $("invite-shown").replaceChildren());
    this.#try(() => this.#load());
  }

  async #try(work) {
    $("members-error").textContent = "";
    try {
      await keepFocus($("members"), work);
    } catch (error) {
      if (error.status === undefined) throw error;
      $("members-error").textContent = refusalText(error);
      if (error.status === 401) this.#lost();
    }
  }

  async #load() {
    const own = await this.#api.member(this.#room, this.#me.id);
    this.#rank = rankOf(this.#me, own);
    this.#members = [];
    this.#next = null;
    await this.#more();
    if (this.#rank < MODERATOR) return;
    const bans = await this.#api.bans(this.#room);
    $("bans").hidden = bans.length === 0;
    $("ban-rows").replaceChildren(...bans.map((member) => this.#banRow(member)));
    $("inviting").hidden = false;
    $("invite-role").replaceChildren(
      ...rolesBelow(this.#rank)
        .filter((role) => role !== "owner")
        .map((role) => option(role, role === "member", `as ${role}`)),
    );
    await this.#loadInvites();
  }

  async #more() {
    const query = this.#next === null ? { limit: PAGE } : { limit: PAGE, after: this.#next };
    const page = await this.#api.members(this.#room, query);
    this.#members.push(...page.members);
    this.#next = page.next;
    $("members-more").hidden = page.next === null;
    $("member-rows").replaceChildren(...this.#members.map((member) => this.#row(member)));
    $("members-note").textContent =
      this.#members.length === 0 ? "Nobody is a member here: the room is open to everybody who is signed in." : "";
  }

  #row(member) {
    const { user, role } = member;
    const avatar = element("span");
    paintAvatar(avatar, user, "small");
    avatar.setAttribute("aria-hidden", "true");
    const mine = user.id === this.#me.id;
    const what = element("div", "what", "", element("strong", "", user.name));
    const mark = mine ? "you" : user.kind;
    if (mark !== "user") what.append(element("span", "chip", mark));
    const muted_s = member.muted_until ? (Date.parse(member.muted_until) - Date.now()) / 1000 : 0;
    if (muted_s > 0) what.append(element("span", "help", `muted for ${durationText(muted_s)}`));
    const below = this.#rank >= MODERATOR && (RANKS.indexOf(role) < this.#rank || this.#rank === RANKS.length - 1);
    const actions = element("div", "do");
    if (below && !mine) actions.append(...this.#actions(member, muted_s > 0));
    else actions.append(element("span", "chip", role));
    return element("li", "", "", avatar, what, actions);
  }

  #actions({ user, role }, muted) {
    const { id, name } = user;
    const room = this.#room;
    const select = element("select");
    select.setAttribute("aria-label", `Role of ${name}`);
    select.append(...rolesBelow(this.#rank).map((each) => option(each, each === role)));
    select.addEventListener("change", () => this.#do(() => this.#api.setRole(room, id, select.value)));
    const mute = muted
      ? button("act", "Unmute", () => this.#do(() => this.#api.unmute(room, id)))
      : button("act", "Mute for an hour", () => this.#do(() => this.#api.mute(room, id, MUTE_S)));
    mute.setAttribute("aria-label", `${mute.textContent}: ${name}`);
    return [
      select,
      mute,
      sureButton("Remove", name, () => this.#do(() => this.#api.remove(room, id))),
      sureButton("Ban", name, () => this.#do(() => this.#api.ban(room, id))),
    ];
  }

  #banRow({ user }) {
    const lift = button("act", "Lift the ban", () => this.#do(() => this.#api.unban(this.#room, user.id)));
    lift.setAttribute("aria-label", `Lift the ban of ${user.name}`);
    return element("li", "", "", element("div", "what", user.name), lift);
  }

  /** Changes something and shows what came of it; after a refusal too, because the row shows the wish. */
  #do(change) {
    return this.#try(async () => {
      try {
        await change();
      } finally {
        await this.#load();
      }
    });
  }

  async #loadInvites() {
    const invites = (await this.#api.invites(this.#room)).filter((invite) => invite.state === "open");
    $("invite-rows").replaceChildren(...invites.map((invite) => this.#inviteRow(invite)));
  }

  #inviteRow({ id, role, made_by, expires_at }) {
    const left = durationText(Math.max(1, (Date.parse(expires_at) - Date.now()) / 1000));
    const text = `As ${role}, by ${made_by.name}, ${left} left`;
    const revoke = sureButton("Revoke", text, () => this.#do(() => this.#api.endInvite(this.#room, id)));
    return element("li", "", "", element("div", "what", text), revoke);
  }

  async #invite(fields) {
    const asked = { role: fields.get("role"), ttl_s: Number(fields.get("life")) };
    const { token } = await this.#api.makeInvite(this.#room, asked);
    const link = `${location.origin}/invite#${token}`;
    const shown = shownOnce("Link of the invite", link, "Copy it now: it is shown this once.");
    $("invite-shown").replaceChildren(shown);
    shown.querySelector("input").focus();
    await this.#loadInvites();
  }
}

function option(value, selected, text = value) {
  const made = element("option", "", text);
  made.value = value;
  made.selected = selected;
  return made;
}
