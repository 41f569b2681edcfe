/**
 * The panel about people: who belongs to the room, who else wrote there, who is banned, which invites are open, what may be done
 * about it; and one's direct conversations (`directs.js`). A name opens the panel about that person (`person.js`).
 *
 * What is offered is what the server would do: `engine.core.permissions` decides there, and a refusal is shown as it comes. The
 * list is asked for when the panel opens and after each change.
 */

import { Directs } from "./directs.js";
import { button, closable, keepFocus, onSubmit, openDialog, say, shownOnce, sureButton } from "./form.js";
import { durationText, isSomebody, refusalText } from "./identity.js";
import { element, paintAvatar } from "./log.js";
import { isBelow, MODERATOR, rankOf, rolesBelow } from "./ranks.js";

const MUTE_S = 3_600;
const PAGE = 100;

const $ = (id) => document.getElementById(id);

export class MembersPanel {
  #api;
  #lost;
  #room = "";
  #me = null;
  #rank = -1;
  #members = [];
  #next = null;
  #person;
  #directs;
  #authors = [];
  #blocked = new Set();

  /** @param api the calls; `person` the panel about somebody; `lost()` is called when the session is found to be over */
  constructor(api, person, lost) {
    this.#api = api;
    this.#person = person;
    this.#lost = lost;
    this.#directs = new Directs(api, {
      attempt: (work) => this.#try(work, $("directs-error")),
      found: (user) => person.open(user, () => this.#reload()),
      lost,
    });
    closable($("members"));
    onSubmit($("new-invite-form"), (fields) => this.#invite(fields), lost);
    $("members-more").addEventListener("click", () => this.#try(() => this.#more()));
  }

  /** Shows the panel of a room; `authors` are those who wrote there lately, members or not. */
  open(room, me, authors) {
    this.#room = room;
    this.#me = me;
    this.#authors = authors;
    this.#blocked = new Set();
    this.#rank = -1;
    this.#members = [];
    for (const id of ["member-rows", "author-rows", "ban-rows", "invite-rows", "invite-shown"]) $(id).replaceChildren();
    $("authors").hidden = $("bans").hidden = $("inviting").hidden = $("members-more").hidden = $("directs-note").hidden = true;
    for (const line of ["members-error", "directs-error"]) $(line).textContent = "";
    say($("find-form"), "");
    $("members-note").textContent = "Loading";
    openDialog($("members"), () => $("invite-shown").replaceChildren());
    this.#try(() => this.#load());
    this.#try(() => this.#directs.load(room, me), $("directs-error"));
  }

  async #try(work, line = $("members-error")) {
    line.textContent = "";
    try {
      await keepFocus($("members"), work);
    } catch (error) {
      if (error.status === undefined) throw error;
      line.textContent = refusalText(error);
      if (error.status === 401) this.#lost();
    }
  }

  async #load() {
    const own = await this.#api.member(this.#room, this.#me.id);
    this.#rank = rankOf(this.#me, own);
    this.#members = [];
    this.#next = null;
    this.#blocked = new Set((await this.#api.blocks()).map(({ user }) => user.id));
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

  #reload() {
    return this.#try(() => this.#load());
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
    this.#showAuthors();
  }

  /** Those who wrote here and are none of the members that are shown. */
  #showAuthors() {
    const shown = new Set([this.#me.id, ...this.#members.map(({ user }) => user.id)]);
    const others = this.#authors.filter(({ id }) => !shown.has(id));
    $("authors").hidden = others.length === 0;
    $("author-rows").replaceChildren(...others.map((user) => element("li", "", "", ...this.#who(user))));
  }

  #row(member) {
    const { user, role } = member;
    const mine = user.id === this.#me.id;
    const [avatar, what] = this.#who(user);
    const muted_s = member.muted_until ? (Date.parse(member.muted_until) - Date.now()) / 1000 : 0;
    if (muted_s > 0) what.append(element("span", "help", `muted for ${durationText(muted_s)}`));
    const actions = element("div", "do");
    if (isBelow(role, this.#rank) && !mine) actions.append(...this.#actions(member, muted_s > 0));
    else actions.append(element("span", "chip", role));
    return element("li", "", "", avatar, what, actions);
  }

  /** The avatar of somebody, and the name with what is to be known: `[avatar, what]`. */
  #who(user) {
    const avatar = element("span");
    paintAvatar(avatar, user, "small");
    avatar.setAttribute("aria-hidden", "true");
    const mine = user.id === this.#me.id;
    const plain = mine || !isSomebody(user);
    const name = plain ? element("strong", "", user.name) : this.#person.name(user, () => this.#reload());
    const what = element("div", "what", "", name);
    const mark = mine ? "you" : user.kind;
    if (mark !== "user") what.append(element("span", "chip", mark));
    if (this.#blocked.has(user.id)) what.append(element("span", "chip", "blocked"));
    return [avatar, what];
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
