/**
 * hubbub's page: who we are, the room we are in, and what joins the parts. The rules live in the other modules.
 *
 * Invariant: all that is drawn is drawn from the room's fields in `draw`, at most once per frame.
 */

import { AccountPanel } from "./account.js";
import { createApi } from "./api.js";
import { Composer } from "./composer.js";
import { Entrance, takeLoginError } from "./entrance.js";
import { endedText, REVOKED, secretOf, sessionEndedText } from "./identity.js";
import { InviteDialog, takeSecret } from "./invite.js";
import { LogView, paintAvatar } from "./log.js";
import { MembersPanel } from "./members.js";
import { PersonPanel } from "./person.js";
import { Room } from "./room.js";
import { buildRows } from "./rows.js";
import { StatusView } from "./status.js";
import { StorageWatch } from "./storage.js";
import { typingLine } from "./text.js";

const HIDDEN_DRAW_MS = 250;
const ASK_MS = 5_000;
const AUTHORS = 30;
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
const my_account = kept(() => localStorage, "hubbub.account", "");
const invited = kept(() => sessionStorage, "hubbub.invite", "");
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
  refused: (code) => checkSession(code),
  save: (items) => unsent.save(items),
  key: newKey,
});
room.outbox.load(unsent.load());

const log = new LogView($("scroller"), $("log"), {
  moved: () => looked(),
  tail: () => !room.timeline.has_newer,
  retry: (key) => room.retry(key),
  discard: (key) => room.discard(key),
  person: (author) => person.open(author),
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

const entrance = new Entrance(api, (user) => enter(user), my_name);
const account = new AccountPanel(api, {
  changed: (user) => know(user),
  other: () => {
    closeDialogs();
    entrance.show({ way: "login", lead: "You leave the guest behind, with what it may do here.", cancel: showRoom });
  },
  left: () => forget(),
  lost: () => checkSession(null),
});
const person = new PersonPanel(api, () => ({ room: room_id, me: room.me }), () => checkSession(null));
const members = new MembersPanel(api, person, () => checkSession(null));
const invite = new InviteDialog(api, invited, () => checkSession(null));

$("me").addEventListener("click", () => account.open(room.me, entrance.about));
$("people").addEventListener("click", () => members.open(room_id, room.me, room.timeline.authors(AUTHORS)));

function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}

/** Shows who we are by now: the name or the role may have changed. */
function know(user) {
  room.me = user;
  my_account.save(user.username ?? "");
  paintAvatar($("me-avatar"), user, "small");
  $("me-name").textContent = user.name;
}

function showRoom() {
  entrance.hide();
  draw();
  composer.fit();
  composer.focus();
  invite.offer();
}

/** Goes on as this user. For another one than before all is begun anew: what is on the page is the other one's. */
function enter(user) {
  const other = room.me !== null && room.me.id !== user.id;
  my_id.save(user.id);
  my_account.save(user.username ?? "");
  if (other) {
    location.reload();
    return;
  }
  know(user);
  room.enter(user);
  if (!document.hidden) storage.start();
  showRoom();
  entrance.ask();
}

/** Whoever signs out leaves nothing behind in this tab. */
function forget() {
  for (const one of [my_id, my_account, invited]) one.save("");
  draft.save("");
  unsent.save([]);
  location.reload();
}

/** Another tab has signed in or out: the cookie is shared, so this tab follows. */
addEventListener("storage", async (event) => {
  if (event.key !== "hubbub.user") return;
  const user = await api.session().catch(() => null);
  if (user !== null && (entrance.shown || user.id !== room.me?.id)) enter(user);
});

let checking = false;

/** Something says that the session is over, or somebody else's: asks, and shows how to come in again. */
async function checkSession(code) {
  if (checking || entrance.shown) return;
  checking = true;
  try {
    const user = await api.session();
    if (user === null) leave(code);
    else if (user.id !== room.me.id) enter(user);
    else {
      know(user);
      if (code === REVOKED) room.connection.start();
    }
  } catch (error) {
    // The server cannot be asked either: it is away, and the connection goes on trying.
    if (error.status === undefined) throw error;
  } finally {
    checking = false;
  }
}

function leave(code) {
  room.connection.stop();
  closeDialogs();
  comeBack(code, "");
}

/** The card for whoever was in until now. The id is forgotten, so that other tabs hear of the next login as the same user, too. */
function comeBack(code, note) {
  const username = my_account.load();
  my_id.save("");
  const lead = sessionEndedText(code, { account: username !== "" });
  entrance.show({ lead, note, way: username === "" ? null : "login", username });
}

async function begin() {
  const secret = takeSecret();
  const failed = takeLoginError();
  if (secret?.kind === "invite") invite.take(secret.token);
  if (secret?.kind === "signup") entrance.invite(secret.token);
  const note = failed || (invite.waiting ? "You have an invite to a conversation. It is shown when you are in." : "");
  try {
    const user = await api.session();
    if (user !== null) enter(user);
    else if (my_id.load() !== "" && secret?.kind !== "signup") comeBack(null, note);
    else entrance.show({ note, username: my_account.load() });
    if (secret?.kind === "signup" && user?.role === "guest") {
      await entrance.ask();
      account.open(user, entrance.about, { invitation: secret.token });
    } else if (user !== null && failed !== "") {
      await entrance.ask();
      account.open(user, entrance.about, { trouble: failed });
    }
  } catch (error) {
    if (error.status === undefined) throw error;
    entrance.show({ note: error.message });
  }
}

addEventListener("hashchange", () => secretOf(location) !== null && location.reload());
begin();
