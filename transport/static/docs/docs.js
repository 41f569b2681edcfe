/** The page at /docs: fetches the description of this server's API and shows it; search, and links to single calls. */

import { chapters, matches } from "./model.js";
import { element, link, operation, prose } from "./view.js";

const at = (id) => document.getElementById(id);
const wide = matchMedia("(min-width: 60rem)");

async function start() {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const api = await answer.json();
  const found = chapters(api);
  at("version").textContent = api.info.version;
  at("about").append(...prose(api.info.description));
  for (const { tag, operations } of found) {
    const id = `tag-${tag.toLowerCase().replace(/\W+/g, "-")}`;
    at("chapters").append(
      element("section", { class: "chapter", "aria-labelledby": id }, element("h2", { id }, tag), operations.map((one) => operation(api, one, location.origin))),
    );
    at("list").append(element("li", { class: "chapter" }, element("a", { class: "tag", href: `#${id}` }, tag), element("ul", {}, operations.map(link))));
  }
  const all = new Map(found.flatMap(({ operations }) => operations.map((one) => [one.id, one])));
  at("search").addEventListener("input", () => filter(all));
  addEventListener("hashchange", show);
  at("side").open = wide.matches;
  wide.addEventListener("change", () => { at("side").open = wide.matches; });
  filter(all);
  show();
  document.body.dataset.state = "ready";
}

/** Leaves in view what the search finds. */
function filter(all) {
  const search = at("search").value;
  let count = 0;
  for (const [id, one] of all) {
    const found = matches(one, search);
    count += found;
    for (const each of document.querySelectorAll(`[data-id="${CSS.escape(id)}"]`)) each.hidden = !found;
  }
  for (const each of document.querySelectorAll(".chapter")) each.hidden = each.querySelector("[data-id]:not([hidden])") === null;
  at("about").hidden = search.trim() !== "";
  at("none").hidden = count > 0;
  at("count").textContent = search.trim() === "" ? `${all.size} calls` : `${count} of ${all.size} calls`;
}

/** Opens the call that the address names. */
function show() {
  const named = location.hash === "" ? null : document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (const each of document.querySelectorAll('#list [aria-current="true"]')) each.removeAttribute("aria-current");
  if (named === null) return;
  if (named.hidden) {
    at("search").value = "";
    at("search").dispatchEvent(new Event("input"));
  }
  if (named instanceof HTMLDetailsElement) {
    named.addEventListener("toggle", () => named.scrollIntoView(), { once: true }); // its inside is there from then
    named.open = true;
    document.querySelector(`#list [data-id="${CSS.escape(named.id)}"] a`)?.setAttribute("aria-current", "true");
  }
  if (!wide.matches) at("side").open = false;
  named.scrollIntoView();
}

/** A slash goes to the search, as on many pages of this kind; Escape empties it. */
function keys(event) {
  const search = at("search");
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "Escape" && event.target === search && search.value !== "") {
    search.value = "";
    search.dispatchEvent(new Event("input"));
  }
}

addEventListener("keydown", keys);
start().catch((error) => {
  document.body.dataset.state = "failed";
  at("failed").hidden = false;
  at("failed").textContent = `The description of the API could not be loaded: ${error.message}.`;
});
