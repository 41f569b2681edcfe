import assert from "node:assert/strict";
import { test } from "node:test";

import { Room } from "../../transport/static/room.js";
import { Clock, Server } from "./world.mjs";

const ME = { id: "me", name: "Me" };

async function entered({ before = 0, limit = 1000 } = {}) {
  const clock = new Clock();
  const server = new Server();
  for (let i = 0; i < before; i++) server.say(`old ${i}`);
  const saved = { items: [] };
  let keys = 0;
  const refusals = { count: 0 };
  const room = new Room({
    id: "lobby",
    open: server.open,
    api: server.api,
    timers: clock.ports,
    changed: () => {},
    refused: () => (refusals.count += 1),
    save: (items) => (saved.items = items),
    key: () => `key-${++keys}`,
    random: () => 0.5,
    now: () => clock.now_ms,
    limit,
  });
  room.enter(ME);
  await clock.pass(0);
  return { clock, server, room, saved, refusals };
}

const offsets = (room) => room.timeline.messages.map((m) => m.offset);
const texts = (room) => room.timeline.messages.map((m) => m.text);
const all = (server) => server.log.map((m) => m.offset);

test("entering shows the newest page, and the rest comes by scrolling up", async () => {
  const { room, server } = await entered({ before: 120 });
  assert.deepEqual([room.timeline.first, room.timeline.last], [71, 120]);
  await room.loadOlder();
  await room.loadOlder();
  assert.deepEqual(offsets(room), all(server));
  assert.equal(room.timeline.has_older, false);
  assert.equal(room.title, "Lobby");
});

test("the first message of a room, coming while the empty page is on its way, is shown", async () => {
  const { clock, server, room } = await entered();
  const { messages } = server.api;
  server.api.messages = async (...args) => {
    const page = await messages(...args);
    server.say("first");
    return page;
  };
  room.jumpToNewest();
  await clock.pass(0);
  server.api.messages = messages;
  assert.equal(room.timeline.has_newer, true);
  await room.loadNewer();
  assert.deepEqual(texts(room), ["first"]);
});

test("a message that comes while the first page is on its way is shown once, in its place", async () => {
  const { clock, server, room } = await entered();
  server.say("one");
  room.jumpToNewest();
  server.say("two");
  await clock.pass(0);
  if (room.timeline.has_newer) await room.loadNewer();
  assert.deepEqual(texts(room), ["one", "two"]);
});

test("a post is shown as unsent until its ack, and then once", async () => {
  const { clock, room, saved } = await entered();
  assert.equal(room.post("hello"), true);
  assert.equal(room.outbox.items.length, 1);
  await clock.pass(0);
  assert.deepEqual([room.outbox.items.length, saved.items.length], [0, 0]);
  assert.deepEqual(texts(room), ["hello"]);
});

test("posts written offline are sent in order after the reconnection, each once", async () => {
  const { clock, server, room } = await entered();
  server.up = false;
  server.close(1006);
  for (const text of ["one", "two", "three"]) room.post(text);
  await clock.pass(30_000);
  assert.equal(room.outbox.items.length, 3);
  server.up = true;
  await clock.pass(30_000);
  assert.deepEqual(texts(room), ["one", "two", "three"]);
  assert.equal(server.posts, 3);
});

test("a post that was committed while its ack was lost is retried once and not doubled", async () => {
  const { clock, server, room } = await entered();
  server.drop_acks = true;
  room.post("only once");
  await clock.pass(0);
  server.drop_acks = false;
  await clock.pass(5_000);
  assert.equal(server.posts, 2);
  assert.deepEqual(server.log.map((m) => m.text), ["only once"]);
  assert.deepEqual(texts(room), ["only once"]);
  assert.deepEqual(room.outbox.items, []);
});

test("between the replay of an own message and the ack of its retry the page shows it once", async () => {
  const { clock, server, room } = await entered();
  server.drop_acks = true;
  room.post("only once");
  await clock.pass(0);
  Object.assign(server, { drop_acks: false, slow_posts: true });
  await clock.pass(1_000);
  assert.deepEqual(texts(room), ["only once"]);
  assert.deepEqual(room.outbox.items.map((item) => item.seen), [1]);
  server.slow_posts = false;
  await clock.pass(20_000);
  assert.deepEqual(room.outbox.items, []);
});

test("a refused post waits at its place with the reason, and the retry sends it", async () => {
  const { clock, server, room } = await entered();
  server.refuse = { code: 422, message: "unprocessable" };
  room.post("bad");
  await clock.pass(60_000);
  assert.equal(server.posts, 1);
  assert.deepEqual([room.outbox.items[0].state, room.outbox.items[0].reason], ["refused", "The server cannot take this text."]);
  server.refuse = null;
  room.retry(room.outbox.items[0].key);
  await clock.pass(0);
  assert.deepEqual(texts(room), ["bad"]);
});

test("a post that somebody may not make is refused in the server's words", async () => {
  const { clock, server, room } = await entered();
  for (const [message, said] of [
    ["you have blocked this person: end the block first", "You have blocked this person: end the block first."],
    ["", "The server refused this message."],
  ]) {
    server.refuse = { code: 103, message };
    room.post("hello?");
    await clock.pass(0);
    assert.deepEqual([room.outbox.items[0].state, room.outbox.items[0].reason], ["refused", said]);
    room.discard(room.outbox.items[0].key);
  }
});

test("a direct conversation is called after the other one, and by its id where nobody is", async () => {
  for (const [partner, title] of [[{ id: "bob", name: "Bob" }, "Bob"], [null, "direct:1"]]) {
    const { clock, server, room } = await entered();
    server.api.conversation = async () => ({ id: "direct:1", title: "", kind: "direct" });
    server.api.partner = async (id, me) => (id === room.id && me === ME.id ? partner : assert.fail());
    server.push({ data: { type: "conversation.updated", conversation: "lobby" } });
    await clock.pass(0);
    assert.equal(room.title, title);
  }
});

test("a post that is put off is sent again by itself after a while", async () => {
  const { clock, server, room } = await entered();
  server.refuse = { code: 111, message: "too many requests", temporary: true };
  room.post("later");
  await clock.pass(500);
  assert.equal(server.posts, 1);
  server.refuse = null;
  await clock.pass(600);
  assert.deepEqual(texts(room), ["later"]);
});

test("a post that makes the server close for its size is refused instead of sent for ever", async () => {
  const { clock, server, room } = await entered();
  server.deaf = true;
  room.post("huge");
  server.close(1009);
  server.deaf = false;
  await clock.pass(60_000);
  assert.equal(room.outbox.items[0].state, "refused");
  assert.deepEqual(server.log, []);
});

test("a gap after recovered:false is fetched, without a doubled or missing message", async () => {
  const { clock, server, room } = await entered({ before: 30 });
  server.forgets = true;
  server.up = false;
  server.close(1006);
  for (let i = 0; i < 90; i++) server.say(`missed ${i}`);
  server.up = true;
  await clock.pass(30_000);
  server.say("live again");
  assert.deepEqual(offsets(room), all(server));
  assert.equal(room.note, null);
});

test("a gap too big for one page moves a reader at the end to the newest messages, and says so", async () => {
  const { clock, server, room } = await entered({ before: 30 });
  server.forgets = true;
  server.up = false;
  server.close(1006);
  for (let i = 0; i < 500; i++) server.say(`missed ${i}`);
  server.up = true;
  await clock.pass(30_000);
  assert.equal(room.timeline.last, 530);
  assert.match(room.note.text, /away/);
  while (room.timeline.has_older) await room.loadOlder();
  assert.deepEqual(offsets(room), all(server));
});

test("a gap too big for one page leaves a reader further up where they are, and paging down closes it", async () => {
  const { clock, server, room } = await entered({ before: 30 });
  room.look({ visible: true, following: false });
  server.forgets = true;
  server.up = false;
  server.close(1006);
  for (let i = 0; i < 500; i++) server.say(`missed ${i}`);
  server.up = true;
  await clock.pass(30_000);
  assert.equal(room.timeline.last, 30);
  server.say("live");
  while (room.timeline.has_newer) await room.loadNewer();
  assert.deepEqual(offsets(room), all(server));
});

test("an own ack that ran ahead of a gap does not hide what the gap left out", async () => {
  const { clock, server, room } = await entered({ before: 30 });
  server.say("never pushed", "ada", { quiet: true });
  room.post("mine");
  server.forgets = true;
  await clock.pass(0);
  room.look({ visible: true, following: false });
  for (let i = 0; i < 500; i++) server.say(`missed ${i}`);
  await clock.pass(30_000);
  while (room.timeline.has_newer) await room.loadNewer();
  assert.deepEqual(offsets(room), all(server));
});

test("another log empties the window, shows the new one and says so", async () => {
  const { clock, server, room } = await entered({ before: 10 });
  server.close(1006);
  Object.assign(server, { epoch: "e2", log: [] });
  server.say("first of the new");
  await clock.pass(5_000);
  assert.deepEqual(texts(room), ["first of the new"]);
  assert.match(room.note.text, /anew/);
});

test("history that cannot be fetched after a reset is tried again until it can", async () => {
  const { clock, server, room } = await entered({ before: 3 });
  server.forgets = true;
  const { messages } = server.api;
  let failures = 3;
  server.api.messages = async (...args) => {
    if (failures-- > 0) throw Object.assign(new Error("busy"), { status: 503 });
    return messages(...args);
  };
  server.close(1006);
  server.say("missed");
  await clock.pass(30_000);
  assert.deepEqual(offsets(room), [1, 2, 3, 4]);
  assert.equal(room.load_failed, null);
});

test("the window keeps its bound, and paging back down meets the live end again", async () => {
  const { clock, server, room } = await entered({ before: 150, limit: 100 });
  room.look({ visible: true, following: false });
  while (room.timeline.has_older) await room.loadOlder();
  assert.deepEqual([room.timeline.first, room.timeline.last], [1, 100]);
  server.say("live");
  assert.equal(room.timeline.messages.length, 100);
  while (room.timeline.has_newer) await room.loadNewer();
  assert.deepEqual([room.timeline.first, room.timeline.last], [52, 151]);
  await clock.pass(0);
});

test("messages of others count as unseen while the person looks elsewhere, own ones do not", async () => {
  const { clock, server, room } = await entered({ before: 2 });
  room.look({ visible: false, following: true });
  server.say("psst");
  server.say("hey");
  room.post("mine");
  await clock.pass(0);
  assert.equal(room.unseen, 2);
  server.say("more");
  room.look({ visible: true, following: true });
  assert.equal(room.unseen, 0);
});

test("the unread mark stands before the first unseen message", async () => {
  const { server, room } = await entered({ before: 2 });
  room.look({ visible: false, following: true });
  server.say("three");
  server.say("four");
  assert.equal(room.unread_after, 2);
});

test("typing is told at most once in three seconds and never waits for a connection", async () => {
  const { clock, server, room } = await entered();
  const [socket] = server.sockets;
  const told = () => socket.sent.filter((text) => text.includes('"typing"')).length;
  for (let i = 0; i < 10; i++) {
    room.typing();
    await clock.pass(500);
  }
  assert.equal(told(), 2);
});

test("who types is shown for a while, or until the message comes", async () => {
  const { clock, server, room } = await entered();
  const types = (id) => server.push({ data: { type: "typing", conversation: "lobby", actor: { id, name: id } } });
  types("ada");
  types("bob");
  types("me");
  assert.deepEqual(room.typingNames(), ["ada", "bob"]);
  server.say("done", "ada");
  assert.deepEqual(room.typingNames(), ["bob"]);
  await clock.pass(6_000);
  assert.deepEqual(room.typingNames(), []);
});

test("a socket that is refused before it opens asks for the session to be checked", async () => {
  const { clock, server, refusals } = await entered();
  server.up = false;
  server.close(1006);
  assert.equal(refusals.count, 0);
  await clock.pass(2_000);
  assert.ok(refusals.count > 0);
});

for (const start of [1, 7, 42, 99, 1234, 31337]) {
  test(`random cuts (seed ${start}) while everybody writes leave every message once and in order`, () => storm(start));
}

async function storm(start) {
  let seed = start;
  const chance = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const { clock, server, room } = await entered();
  let mine = 0;
  for (let step = 0; step < 400; step++) {
    const dice = chance();
    if (dice < 0.35) server.say(`theirs ${step}`);
    else if (dice < 0.6 && room.outbox.items.length < 40) room.post(`mine ${mine++}`);
    else if (dice < 0.75) server.close(1006);
    else if (dice < 0.8) server.drop_acks = !server.drop_acks;
    else if (dice < 0.85) server.up = !server.up;
    else if (dice < 0.9) server.forgets = !server.forgets;
    await clock.pass(chance() * 800);
  }
  Object.assign(server, { up: true, drop_acks: false, forgets: false });
  await clock.pass(120_000);
  while (room.timeline.has_newer) await room.loadNewer();
  while (room.timeline.has_older) await room.loadOlder();
  assert.deepEqual(offsets(room), all(server));
  const own = texts(room).filter((text) => text.startsWith("mine"));
  assert.deepEqual(own, Array.from({ length: mine }, (_, i) => `mine ${i}`));
  assert.deepEqual(room.outbox.items, []);
}
