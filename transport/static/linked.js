/** The part of the account's panel about logins with a provider: what opens the account, and what else could. */

import { sureButton } from "./form.js";
import { element } from "./log.js";

const $ = (id) => document.getElementById(id);
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

export class Linked {
  #api;
  #try;

  /** @param api the calls; `attempt(work)` carries something out and says what goes wrong */
  constructor(api, attempt) {
    this.#api = api;
    this.#try = attempt;
  }

  /** Shows what there is, or nothing where logins come from nowhere else. Guests have no account that anything could open. */
  async load({ guest }) {
    const asked = Promise.all([this.#api.providers(), guest ? [] : this.#api.identities()]);
    const [providers, identities] = await asked.catch((error) => {
      $("linked").hidden = false; // what went wrong is said there
      throw error;
    });
    const names = new Map(providers.map(({ id, name }) => [id, name]));
    const linked = new Set(identities.map(({ provider }) => provider));
    $("linked").hidden = providers.length === 0 && identities.length === 0;
    $("linked-about").textContent = guest
      ? "With one of these you become an account with your name, or go on as the account that it opens already."
      : "These open your account, besides a password if it has one.";
    $("identities").replaceChildren(...identities.map((identity) => this.#row(identity, names)));
    $("link-ways").replaceChildren(...providers.filter(({ id }) => !linked.has(id)).map(linkTo));
    // Where a provider opens the account there may be no password: then the fresh login confirms.
    $("close-password").required = identities.length === 0;
    $("close-hint").hidden = identities.length === 0;
  }

  #row({ id, provider, issuer, created_at }, names) {
    const name = names.get(provider) ?? issuer;
    const what = element("div", "what", "", element("strong", "", name));
    what.append(element("span", "help", `since ${day.format(new Date(created_at))}`));
    const unlink = sureButton("Unlink", name, () =>
      this.#try(async () => {
        await this.#api.unlink(id);
        await this.load({ guest: false });
      }),
    );
    return element("li", "", "", what, unlink);
  }
}

function linkTo({ name, login_url }) {
  const link = element("a", "act", `Link ${name}`);
  const back = encodeURIComponent(location.pathname + location.search);
  link.href = `${login_url}?link=true&return_to=${back}`;
  return link;
}
