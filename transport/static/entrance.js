/**
 * The card before the room: go on as a guest, sign in, or make an account; and the ways in that the operator has added.
 *
 * What is offered follows the server's settings. They are asked for each time it is shown, because they may change while the
 * server runs; until they are known, signing in is offered, which is always there.
 */

import { application, button, onSubmit, say } from "./form.js";
import { loginErrorText, waysIn } from "./identity.js";
import { element } from "./log.js";

const TITLES = { guest: "Join the conversation", login: "Sign in", signup: "Create an account" };
const LEADS = {
  guest: "Pick a name. The others in the room will see it beside what you write.",
  login: "Welcome back.",
  signup: "It takes a name and a password.",
};
const LINKS = { guest: "Go on as a guest", login: "Sign in", signup: "Create an account" };

const $ = (id) => document.getElementById(id);

export class Entrance {
  #api;
  #about = { guests: false, sign_up: "off", password_min_chars: 8 };
  #invitation = "";
  #shown = null;
  #cancel = null;
  #turn = 0;

  /**
   * @param api the calls
   * @param {(user: object) => void} entered somebody is in
   * @param {{load(), save(name)}} my_name the name of a guest, kept
   */
  constructor(api, entered, my_name) {
    this.#api = api;
    this.my_name = my_name;
    onSubmit($("guest-form"), async (fields) => {
      const name = fields.get("name").trim();
      const user = await api.guest(name);
      my_name.save(name);
      entered(user);
    });
    onSubmit($("login-form"), async (fields) => {
      entered(await api.logIn(fields.get("username"), fields.get("password")));
    });
    onSubmit($("signup-form"), async (fields) => {
      const user = await api.signUp(application(fields));
      this.#invitation = "";
      entered(user);
    });
    for (const one of document.querySelectorAll("#join .cancel")) one.addEventListener("click", () => this.#cancel());
  }

  /** Whether it is shown, and not the room. */
  get shown() {
    return !$("join").hidden;
  }

  /** What the server has said of itself when it was last asked. */
  get about() {
    return this.#about;
  }

  /** Asks the server what it says of itself now; without an answer what is known stays. */
  ask() {
    return this.#api.about().then((about) => (this.#about = about), () => {});
  }

  /** Somebody came by a link for signing up. */
  invite(invitation) {
    this.#invitation = invitation;
  }

  /**
   * Shows the card in place of the room, when the server has said what is offered.
   * @param {{lead?: string, note?: string, way?: string, username?: string, cancel?: () => void}} why the first words, a notice
   *   above the form, which way is open first, who it was, and where "Cancel" leads
   */
  async show({ lead = "", note = "", way = null, username = "", cancel = null } = {}) {
    const turn = ++this.#turn;
    const [about, providers] = await Promise.all([
      this.#api.about().catch(() => null),
      this.#api.providers().catch(() => []),
    ]);
    if (turn !== this.#turn) return;
    if (about !== null) this.#about = about;
    this.#cancel = cancel;
    $("join").hidden = false;
    $("room").hidden = true;
    $("join-note").hidden = note === "";
    $("join-note").textContent = note;
    for (const one of document.querySelectorAll("#join .cancel")) one.hidden = cancel === null;
    for (const form of document.querySelectorAll("#join form")) {
      form.reset();
      say(form, "");
    }
    $("login-username").value = username;
    $("signup-invitation").value = this.#invitation;
    this.#offer(lead, way, username !== "" || providers.length > 0);
    this.#offerProviders(providers);
    if (about === null) say(this.#form(this.#shown), "The server cannot be reached.");
  }

  /** Shows the room in its place. */
  hide() {
    this.#turn += 1;
    $("join").hidden = true;
    $("room").hidden = false;
  }

  #offer(lead, wanted, known) {
    fillSignUp($("signup-form"), this.#about);
    const { ways, first } = waysIn(this.#about, { invited: this.#invitation !== "", known });
    const open = (way, words) => {
      this.#shown = way;
      for (const form of document.querySelectorAll("#join form")) form.hidden = form.dataset.way !== way;
      $("join-title").textContent = TITLES[way];
      $("join-lead").textContent = words || LEADS[way];
      $("ways").replaceChildren(
        ...ways.filter((other) => other !== way).map((other) => button("link", LINKS[other], () => open(other, ""))),
      );
      this.#focus(way);
    };
    open(ways.includes(wanted) ? wanted : first, lead);
  }

  #form(way) {
    return document.querySelector(`#join form[data-way=${way}]`);
  }

  /** The first empty field, so that a password is all that is left to type where the name is known. */
  #focus(way) {
    if (way === "guest") $("name").value = this.my_name.load();
    const fields = [...this.#form(way).querySelectorAll("input")];
    (fields.find((field) => field.value === "") ?? fields[0]).focus();
    if (way === "guest") $("name").select();
  }

  #offerProviders(providers) {
    $("providers").hidden = providers.length === 0;
    const back = encodeURIComponent(location.pathname + location.search);
    $("providers").replaceChildren(
      ...providers.map(({ name, login_url }) => {
        const link = element("a", "provider", `Continue with ${name}`);
        link.href = `${login_url}?return_to=${back}`;
        return link;
      }),
    );
  }
}

/** Fits a form that makes an account to what the server asks for. */
export function fillSignUp(form, about) {
  form.querySelector(".min-chars").textContent = `At least ${about.password_min_chars} characters. A few words make a good one.`;
  form.querySelector(".invitation").hidden = about.sign_up !== "invite";
  form.elements.invitation.required = about.sign_up === "invite";
}

/** The reason why a login with a provider came to nothing, taken out of the address bar; "" for none. */
export function takeLoginError() {
  const url = new URL(location.href);
  const reason = url.searchParams.get("login_error");
  if (reason === null) return "";
  url.searchParams.delete("login_error");
  history.replaceState(null, "", url);
  return loginErrorText(reason);
}
