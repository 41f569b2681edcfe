/**
 * The panel about oneself: name, password, logins with a provider (`linked.js`), sessions, API keys, blocks, and the end of the
 * account; for a guest, the way to an account.
 *
 * Each part asks the server when the panel opens and after each change; nothing is kept from one opening to the next, a key's
 * secret least of all.
 */

import { fillSignUp } from "./entrance.js";
import { application, closable, keepFocus, newPassword, onSubmit, openDialog, say, shownOnce, sureButton } from "./form.js";
import { programName, refusalText, sinceText } from "./identity.js";
import { Linked } from "./linked.js";
import { element, paintAvatar } from "./log.js";
import { blockRows } from "./person.js";

const $ = (id) => document.getElementById(id);
const ROLES = { admin: "administers the server", member: "account", guest: "guest" };

export class AccountPanel {
  #api;
  #actions;
  #user = null;
  #about = null;
  #linked;

  /**
   * @param api the calls
   * @param {{changed(user), other(), left(), lost()}} actions told of a changed user, of the wish to sign in as another one, of a
   *   session that was ended here, and of one that was found to be over
   */
  constructor(api, actions) {
    this.#api = api;
    this.#actions = actions;
    closable($("account"));
    const lost = () => actions.lost();
    onSubmit($("rename-form"), (fields) => this.#rename(fields.get("name").trim()), lost);
    onSubmit($("upgrade-form"), (fields) => this.#upgrade(fields), lost);
    onSubmit($("password-form"), (fields) => this.#changePassword(fields), lost);
    onSubmit($("key-form"), (fields) => this.#makeKey(fields), lost);
    onSubmit($("close-form"), (fields) => this.#close(fields), lost);
    this.#linked = new Linked(api, (work) => this.#try($("linked-error"), work));
    $("account-other").addEventListener("click", () => actions.other());
    $("account-leave").addEventListener("click", () => this.#try($("sessions-error"), () => this.#leave()));
    $("sessions-others").addEventListener("click", () =>
      this.#try($("sessions-error"), async () => {
        await api.endOtherSessions();
        await this.#loadSessions();
      }),
    );
  }

  /**
   * Shows the panel for whoever is in; `about` is what the server says of itself, `invitation` what a guest came with, `trouble`
   * why linking a login came to nothing.
   */
  open(user, about, { invitation = "", trouble = "" } = {}) {
    this.#user = user;
    this.#about = about;
    for (const form of document.querySelectorAll("#account form")) {
      form.reset();
      say(form, "");
    }
    fillSignUp($("upgrade-form"), about);
    $("upgrade-invitation").value = invitation;
    $("password-form").querySelector(".min-chars").textContent = `At least ${about.password_min_chars} characters.`;
    this.#draw();
    $("closing").open = false;
    $("linked").hidden = true;
    openDialog($("account"), () => $("key-shown").replaceChildren());
    this.#refresh();
    $("linked-error").textContent = trouble;
  }

  #draw() {
    const user = this.#user;
    const is_guest = user.role === "guest";
    const groups = { guest: is_guest, account: !is_guest, admin: user.role === "admin" };
    for (const part of document.querySelectorAll("#account [data-for]")) part.hidden = !groups[part.dataset.for];
    if (this.#about.sign_up === "off") $("upgrade-form").hidden = true;
    paintAvatar($("account-avatar"), user);
    $("account-name").textContent = user.name;
    $("account-about").textContent = user.username ? `${user.username} · ${ROLES[user.role]}` : ROLES[user.role];
    $("account-leave").textContent = is_guest ? "Leave" : "Sign out";
    $("rename-name").value = user.name;
    for (const id of ["password-username", "close-username"]) $(id).value = user.username ?? "";
  }

  #refresh() {
    const guest = this.#user.role === "guest";
    this.#try($("linked-error"), () => this.#linked.load({ guest }));
    this.#try($("sessions-error"), () => this.#loadSessions());
    this.#try($("blocks-error"), () => this.#loadBlocks());
    if (!guest) this.#try($("keys-error"), () => this.#loadKeys());
  }

  /** Carries something out; what goes wrong is said in `line`. */
  async #try(line, work) {
    line.textContent = "";
    try {
      await keepFocus($("account"), work);
    } catch (error) {
      if (error.status === undefined) throw error;
      line.textContent = refusalText(error);
      if (error.status === 401) this.#actions.lost();
    }
  }

  async #rename(name) {
    const { user } = await this.#api.rename(name);
    this.#taken({ ...this.#user, name: user.name });
    return "Saved. What you wrote before keeps the name it was written under.";
  }

  async #upgrade(fields) {
    const user = await this.#api.upgrade(application(fields));
    this.#taken(user);
    this.#draw();
    this.#refresh();
  }

  #taken(user) {
    this.#user = user;
    $("account-name").textContent = user.name;
    paintAvatar($("account-avatar"), user);
    this.#actions.changed(user);
  }

  async #changePassword(fields) {
    await this.#api.changePassword(fields.get("present"), newPassword(fields));
    $("password-form").reset();
    $("password-username").value = this.#user.username;
    await this.#loadSessions();
    return "Changed. Every other session has ended.";
  }

  async #leave() {
    await this.#api.logOut();
    this.#actions.left();
  }

  async #close(fields) {
    await this.#api.closeAccount(fields.get("password"));
    this.#actions.left();
  }

  async #loadBlocks() {
    const blocks = await this.#api.blocks();
    $("blocks-note").hidden = blocks.length > 0;
    $("blocks").replaceChildren(...blockRows(blocks, (user) => this.#unblock(user)));
  }

  #unblock(user) {
    return this.#try($("blocks-error"), async () => {
      await this.#api.unblock(user.id);
      await this.#loadBlocks();
    });
  }

  async #loadSessions() {
    const sessions = await this.#api.sessions();
    const now_ms = Date.now();
    $("sessions").replaceChildren(...sessions.map((session) => this.#sessionRow(session, now_ms)));
    $("sessions-others").hidden = sessions.length < 2;
  }

  #sessionRow(session, now_ms) {
    const program = programName(session.label);
    const name = element("strong", "", program);
    name.title = session.label;
    const used = `used ${sinceText(session.last_used_at, now_ms)}`;
    const what = element("div", "what", "", name);
    if (session.current) what.append(element("span", "chip", "this one"));
    what.append(element("span", "help", used));
    const row = element("li", "", "", what);
    if (!session.current) {
      row.append(sureButton("End", `session ${program}, ${used}`, () => this.#endSession(session.id)));
    }
    return row;
  }

  #endSession(id) {
    return this.#try($("sessions-error"), async () => {
      await this.#api.endSession(id);
      await this.#loadSessions();
    });
  }

  async #loadKeys() {
    const keys = await this.#api.keys();
    const now_ms = Date.now();
    $("keys").replaceChildren(...keys.map((key) => this.#keyRow(key, now_ms)));
  }

  #keyRow(key, now_ms) {
    const label = key.label || "Unnamed key";
    const over = key.expires_at !== null && Date.parse(key.expires_at) <= now_ms;
    const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
    const until =
      key.expires_at === null ? "no end" : `${over ? "ended" : "until"} ${day.format(new Date(key.expires_at))}`;
    const use = key.last_used_at === null ? "not used yet" : `used ${sinceText(key.last_used_at, now_ms)}`;
    const what = element("div", "what", "", element("strong", "", label));
    what.append(element("span", "help", `${key.scopes.join(", ")} · ${until} · ${use}`));
    const actions = element("div", "do", "", sureButton("Rotate", label, () => this.#rotate(key)));
    actions.append(sureButton("Revoke", label, () => this.#endKey(key)));
    return element("li", "", "", what, actions);
  }

  async #makeKey(fields) {
    const life = fields.get("life");
    const asked = { label: fields.get("label").trim(), scopes: fields.getAll("scope") };
    if (life !== "") asked.expires_in_s = Number(life);
    const made = await this.#api.makeKey(asked);
    $("key-form").reset();
    this.#show(made);
    await this.#loadKeys();
  }

  #rotate(key) {
    return this.#try($("keys-error"), async () => {
      this.#show(await this.#api.rotateKey(key.id));
      await this.#loadKeys();
    });
  }

  #show({ label, key }) {
    const shown = shownOnce(`Secret of the key ${label}`, key, "Copy it now: it is shown this once.");
    $("key-shown").replaceChildren(shown);
    shown.querySelector("input").focus();
  }

  #endKey(key) {
    return this.#try($("keys-error"), async () => {
      await this.#api.endKey(key.id);
      $("key-shown").replaceChildren();
      await this.#loadKeys();
    });
  }
}
