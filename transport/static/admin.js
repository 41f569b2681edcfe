/**
 * The operations page: signs in, looks once a second, and says when it cannot.
 *
 * The operator's token lives in this tab only (sessionStorage) and goes to this server only, in a header. Without one the calls
 * go by the session cookie, which opens the page for admins. One look is under way at a time; a hidden page does not look.
 */

import { secondsBetween } from "./admin-rates.js";
import { View } from "./admin-view.js";

const LOOK_MS = 1000;
const AUDIT_LOOKS = 5;
const TIMEOUT_MS = 10_000;
const KEPT = "hubbub.operator";
const ROOMS = 50;
const AUDIT_ROWS = 50;

const $ = (id) => document.getElementById(id);
const view = new View($);

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let token = recalled();
let before = null;
let looks = 0;
let timer = null;
let looking = false;

function recalled() {
  try {
    return sessionStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}

function remember(text) {
  token = text;
  try {
    if (text) sessionStorage.setItem(KEPT, text);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // It then lives as long as the page.
  }
}

function ask(path) {
  return call(`admin/${path}`, token ? { authorization: `Bearer ${token}` } : {});
}

async function call(path, shown) {
  const headers = { accept: "application/json", ...shown };
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new Refused(0, "The server cannot be reached; trying again.");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body.detail || `The server answered ${answer.status}.`);
  return body;
}

// Looking ----------------------------------------------------------------------------------------------------------------

async function look() {
  const figures = await ask("figures"); // alone: whoever may not look is refused once
  const [rooms, tree] = await Promise.all([ask(`rooms?limit=${ROOMS}`), ask("tree")]);
  view.figures(before, figures, secondsBetween(before, figures));
  view.rooms(rooms.rooms);
  view.tree(tree.tree);
  before = figures;
  $("version").textContent = figures.version;
  const what = figures.problems.join("; ");
  showHealth(figures.ready ? "ready" : "down", figures.ready ? "Ready" : "Cannot store", figures.ready ? "" : `Posts cannot be stored: ${what}.`);
  if (looks++ % AUDIT_LOOKS === 0) await lookAtAudit();
}

/** The audit log is in the store: while that is away, what was shown stays. */
async function lookAtAudit() {
  try {
    view.audit((await ask(`audit?limit=${AUDIT_ROWS}`)).rows);
  } catch (error) {
    if (error.status !== 503) throw error;
  }
}

function showHealth(state, text, problem) {
  $("health").dataset.state = state;
  if ($("health-text").textContent !== text) $("health-text").textContent = text;
  if ($("problem").textContent !== problem) $("problem").textContent = problem;
  $("problem").hidden = !problem;
}

async function tick() {
  clearTimeout(timer);
  if (looking || document.hidden || paused()) return;
  looking = true;
  const began_ms = performance.now();
  try {
    await look();
    $("gate").hidden = true;
    $("page").hidden = false;
    $("leave").hidden = !token;
  } catch (error) {
    if (error.status === undefined) throw error;
    if (error.status === 401 || error.status === 403) {
      const own = !token;
      gate(own ? "" : error.message);
      if (own && error.status === 403) await tellWho();
      return;
    }
    failed(error.message);
  } finally {
    looking = false;
  }
  timer = setTimeout(tick, Math.max(100, LOOK_MS - (performance.now() - began_ms)));
}

function failed(message) {
  if ($("page").hidden && !$("gate").hidden) $("gate-error").textContent = message;
  showHealth("unknown", "No answer", message);
  if ($("page").hidden && $("gate").hidden) gate(message);
}

const paused = () => $("pause").getAttribute("aria-pressed") === "true";

// Who looks --------------------------------------------------------------------------------------------------------------

function gate(message) {
  remember("");
  before = null;
  $("page").hidden = true;
  $("gate").hidden = false;
  $("gate-error").textContent = message;
  $("token").focus();
}

/** Somebody's session does not open the page: says whose, so that nobody wonders who a token is asked of. */
async function tellWho() {
  try {
    const { user } = await call("auth/session", {});
    $("gate-who").textContent = user ? `You are signed in as ${user.name}, who does not administer this server.` : "";
  } catch (error) {
    // The form is there and works without: who it is is a courtesy.
    if (error.status === undefined) throw error;
  }
  $("gate-who").hidden = $("gate-who").textContent === "";
}

$("gate-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = $("token").value.trim();
  $("token").value = "";
  if (!/^[\x21-\x7e]+$/.test(given)) {
    $("gate-error").textContent = "That is no token: it has no spaces and only plain letters, digits and signs.";
    return;
  }
  $("gate-error").textContent = "";
  remember(given);
  looks = 0;
  tick();
});
$("leave").addEventListener("click", () => {
  clearTimeout(timer);
  gate("");
});
$("pause").addEventListener("click", () => {
  const now = !paused();
  $("pause").setAttribute("aria-pressed", String(now));
  $("pause").textContent = now ? "Paused" : "Pause";
  before = null;
  tick();
});
document.addEventListener("visibilitychange", () => {
  before = null;
  tick();
});

tick();
