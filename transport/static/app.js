/**
 * hubbub's page: who we are, the room we are in, and what joins the parts. The rules live in the other modules.
 *
 * Invariant: all that is drawn is drawn from the room's fields in `draw`, at most once per frame.
 */

import { createApi } from "./api.js";
import { Composer } from "./composer.js";
import { LogView, paintAvatar } from "./log.js";
import { Room } from "./room.js";
import { buildRows } from "./rows.js";
import { StatusView } from "./status.js";
import { StorageWatch } from "./storage.js";
import { typingLine } from "./text.js";

const HIDDEN_DRAW_MS = 250;
const ASK_MS = 5_000;
const CANNOT_STORE = "Messages cannot be stored just now: the server's database is away. You can go on reading.";

const $ = (id) => document.getElementById(id);
const wanted = new URLSearchParams(location.search).get("room") ?? "";
const room_id = /^[A-Za-z0-9._:-]{1,128}$/.test(wanted) ? wanted : "lobby";
const api = createApi((path, options) => fetch(path, options));

/** A value kept in a storage that may be full or forbidden; then it lives as long as the page. */
function kept(storage, name, otherwise) {
  return {
    load() {
      try {
        return JSON.parse(storage().getItem(name)) ?? otherwise;
      } catch {
        return otherwise;
      }
    },
    save(value) {
      try {
        storage().setItem(name, JSON.stringify(value));
      } catch {
        // Nothing to do: keeping it is a courtesy.
      }
    },
  };
}

const my_name = kept(() => localStorage, "hubbub.name", "");
const my_id = kept(() => localStorage, "hubbub.user", "");
const draft = kept(() => sessionStorage, `hubbub.draft.${room_id}`, "");
const unsent = kept(() => sessionStorage, `hubbub.outbox.${room_id}`, []);

function openSocket(handlers) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/connection/websocket`);
  socket.onopen = () => handlers.opened();
  socket.onmessage = (event) => handlers.text(event.data);
  socket.onclose = (event) => handlers.closed(event.code, event.reason);
  return {
    send: (text) => socket.readyState === WebSocket.OPEN && socket.send(text),
    close: () => socket.close(),
  };
}

/** 128 random bits; `crypto.randomUUID` is missing on plain http outside loopback. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const timers = { set: (fn, ms) => setTimeout(fn, ms), clear: (id) => clearTimeout(id) };

const room = new Room({
  id: room_id,
  open: openSocket,
  api,
  timers,
  changed: () => drawSoon(),
  refused: () => checkSession(),
  save: (items) => unsent.save(items),
  key: newKey,
});
room.outbox.load(unsent.load());

const log = new LogView($("scroller"), $("log"), {
  moved: () => looked(),
  tail: () => !room.timeline.has_newer,
  retry: (key) => room.retry(key),
  discard: (key) => room.discard(key),
});
const status = new StatusView(
  { box: $("status"), text: $("status-text"), said: $("status-said"), now: $("status-now") },
  () => (room.connection.state.name === "ended" ? room.connection.start() : room.connection.retryNow()),
);
const composer = new Composer(
  { form: $("composer"), field: $("text"), send: $("send"), count: $("count") },
  draft,
  { post: (text) => postAndShow(text), typing: () => room.typing() },
);

const storage = new StorageWatch({
  ask: async () => (await fetch("/health/ready", { cache: "no-store", signal: AbortSignal.timeout(ASK_MS) })).ok,
  timers,
  changed: () => drawSoon(),
  random: Math.random,
});

function postAndShow(text) {
  log.following = true;
  const taken = room.post(text);
  storage.posted(() => room.outbox.items.some((item) => item.state !== "refused"));
  return taken;
}

// Drawing ------------------------------------------------------------------------------------------------------------

let draw_due = false;

/** Many events of one moment are drawn once; a page in the background is drawn too, because its title counts. */
function drawSoon() {
  if (draw_due) return;
  draw_due = true;
  const go = () => {
    draw_due = false;
    draw();
  };
  if (document.hidden) setTimeout(go, HIDDEN_DRAW_MS);
  else requestAnimationFrame(go);
}

function draw() {
  if ($("room").hidden) return;
  const { timeline, connection } = room;
  const rows = buildRows({
    messages: timeline.messages,
    unsent: room.outbox.items,
    me: room.me,
    unread_after: room.unread_after,
    note: room.note,
    complete: !timeline.has_older,
    now_ms: Date.now(),
  });
  status.show(connection.state);
  drawHead();
  drawFoot();
  log.render(rows, drawOlder);
  looked();
  drawJump();
}

function drawHead() {
  const title = room.title || room_id;
  $("title").textContent = title;
  document.title = `${room.unseen > 0 ? `(${room.unseen > 99 ? "99+" : room.unseen}) ` : ""}${title} · hubbub`;
}

function drawOlder() {
  const loading = room.loading?.kind === "older" || (room.loading?.kind === "newest" && room.timeline.last === null);
  const failed = room.load_failed !== null;
  $("older").hidden = !loading && !failed;
  $("older-text").textContent = failed ? "Some messages could not be loaded." : "Loading messages";
  $("older-retry").hidden = !failed;
}

function drawFoot() {
  $("typing").textContent = typingLine(room.typingNames());
  const { state } = room.connection;
  const lost = state.name === "ended";
  const banner = lost ? endedText(state) : storage.down ? CANNOT_STORE : "";
  $("banner").hidden = !banner;
  if ($("banner").textContent !== banner) $("banner").textContent = banner;
  composer.allow(!room.archived, room.archived ? "This room is archived" : `Message ${room.title || room_id}`);
}

function endedText({ code, message }) {
  if (code === 102 || code === 103) return "This room does not exist, or it is private.";
  return `The server closed the connection${message ? `: ${message}` : ""}.`;
}

function drawJump() {
  $("jump").hidden = log.following || room.timeline.last === null;
  const count = room.unseen > 99 ? "99+" : room.unseen;
  $("jump").textContent = room.unseen > 0 ? `${count} new message${room.unseen === 1 ? "" : "s"} ↓` : "Newest messages ↓";
}

// Looking and moving ---------------------------------------------------------------------------------------------------

/** Tells the room where the person looks, and fetches what comes into reach. */
function looked() {
  room.look({ visible: !document.hidden, following: log.following });
  drawJump();
  if (room.loading !== null || room.load_failed !== null || room.connection.position === null) return;
  if (log.near_end && room.timeline.has_newer) room.loadNewer();
  else if (log.near_top && room.timeline.has_older) room.loadOlder();
}

$("jump").addEventListener("click", () => {
  log.toEnd();
  if (room.timeline.has_newer) room.jumpToNewest();
  looked();
  composer.focus();
});
$("older-retry").addEventListener("click", () => {
  room.load_failed = null;
  if (room.timeline.last === null) room.jumpToNewest();
  else looked();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) room.connection.retryNow();
  if (document.hidden) storage.stop();
  else storage.start();
  looked();
  drawSoon();
});
addEventListener("online", () => room.connection.retryNow());
addEventListener("offline", () => room.connection.renew());
addEventListener("pageshow", (event) => event.persisted && room.connection.renew());

// Who we are -----------------------------------------------------------------------------------------------------------

function showJoin(lead, { cancel = false } = {}) {
  $("room").hidden = true;
  $("join").hidden = false;
  $("join-cancel").hidden = !cancel;
  $("join-title").textContent = cancel ? "Change your name" : "Join the conversation";
  if (lead) $("join-lead").textContent = lead;
  $("join-error").textContent = "";
  $("name").value = my_name.load();
  $("name").focus();
  $("name").select();
}

function showRoom() {
  $("join").hidden = true;
  $("room").hidden = false;
  paintAvatar($("me-avatar"), room.me, "small");
  $("me-name").textContent = room.me.name;
  draw();
  composer.fit();
  composer.focus();
}

function enter(user) {
  if (room.me !== null && room.me.id !== user.id) room.connection.stop();
  my_id.save(user.id);
  room.enter(user);
  if (!document.hidden) storage.start();
  showRoom();
}

$("join-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (name === "") return;
  $("join-button").disabled = true;
  $("join-error").textContent = "";
  try {
    const user = await api.guest(name);
    my_name.save(name);
    enter(user);
  } catch (error) {
    if (error.status === undefined) throw error;
    $("join-error").textContent = error.message;
  } finally {
    $("join-button").disabled = false;
  }
});
$("me").addEventListener("click", () => {
  showJoin("You go on as a new guest. What you wrote keeps the name it was written under.", { cancel: true });
});
$("join-cancel").addEventListener("click", showRoom);

/** Another tab took another name: the cookie is shared, so this tab follows. */
addEventListener("storage", async (event) => {
  if (event.key !== "hubbub.user" || room.me === null) return;
  const user = await api.me().catch(() => null);
  if (user !== null && user.id !== room.me.id) enter(user);
});

let checking = false;

/** A refused socket may mean that the session is over: then a name has to be picked again. */
async function checkSession() {
  if (checking) return;
  checking = true;
  try {
    if ((await api.me()) !== null) return;
    room.connection.stop();
    showJoin("Your session has ended. Pick a name to go on; what you have not sent yet is kept.");
  } catch (error) {
    // The server cannot be asked either: it is away, and the connection goes on trying.
    if (error.status === undefined) throw error;
  } finally {
    checking = false;
  }
}

async function begin() {
  try {
    const user = await api.me();
    if (user === null) showJoin();
    else enter(user);
  } catch (error) {
    showJoin();
    $("join-error").textContent = error.message;
  }
}

begin();
