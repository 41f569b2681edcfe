/**
 * An invite into a conversation: what it is for, and joining by it. Its token comes behind `#` of the address, leaves the address
 * bar at once, and is kept in this tab until it was used or declined: signing in may lead over another site.
 */

import { closable, onSubmit, openDialog, say } from "./form.js";
import { durationText, secretOf, sentence } from "./identity.js";

const $ = (id) => document.getElementById(id);

/** The secret that somebody came with, or null; the address bar shows it no longer. */
export function takeSecret() {
  const secret = secretOf(location);
  if (location.pathname === "/invite") history.replaceState(null, "", `/${location.search}`);
  else if (secret !== null) history.replaceState(null, "", location.pathname + location.search);
  return secret;
}

export class InviteDialog {
  #api;
  #kept;

  /** @param {{load(), save(token)}} kept where the token waits; `lost()` is called when the session is found to be over */
  constructor(api, kept, lost) {
    this.#api = api;
    this.#kept = kept;
    closable($("invite"));
    $("invite-later").addEventListener("click", () => {
      kept.save("");
      $("invite").close();
    });
    onSubmit($("invite-form"), () => this.#accept(), lost);
  }

  /** Somebody came by an invite. */
  take(token) {
    this.#kept.save(token);
  }

  get waiting() {
    return this.#kept.load() !== "";
  }

  /** Shows the invite that waits, if there is one, to somebody who is in. */
  async offer() {
    const token = this.#kept.load();
    if (token === "" || $("invite").open) return;
    const submit = $("invite-form").querySelector("button[type=submit]");
    say($("invite-form"), "");
    try {
      const { title, role, invited_by, expires_at } = await this.#api.invite(token);
      const left = durationText(Math.max(1, (Date.parse(expires_at) - Date.now()) / 1000));
      $("invite-about").textContent = `${invited_by} invites you to “${title}” as ${role}. The invite is good for another ${left}.`;
      submit.hidden = false;
    } catch (error) {
      if (error.status === undefined) throw error;
      if (error.status === 0 || error.status === 401 || error.status >= 500) return;
      this.#kept.save("");
      $("invite-about").textContent = sentence(error.message);
      submit.hidden = true;
    }
    openDialog($("invite"));
  }

  async #accept() {
    const { conversation } = await this.#api.acceptInvite(this.#kept.load());
    this.#kept.save("");
    location.assign(`/?room=${encodeURIComponent(conversation)}`);
    return new Promise(() => {});
  }
}
