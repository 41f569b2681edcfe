import assert from "node:assert/strict";
import { test } from "node:test";

import { backoff, Connection, decode, encode, isTerminal } from "../../transport/static/protocol.js";
import { Clock, created, message, Server } from "./world.mjs";

function world() {
  const clock = new Clock();
  const server = new Server();
  const events = [];
  const connection = new Connection({
    channel: "lobby",
    open: server.open,
    timers: clock.ports,
    emit: (event) => events.push(event),
    random: () => 0.5,
    now: () => clock.now_ms,
  });
  const offsets = () => events.filter((e) => e.kind === "publication" && e.offset).map((e) => e.offset);
  const joins = () => events.filter((e) => e.kind === "joined").map((e) => e.how);
  return { clock, server, events, connection, offsets, joins };
}

async function live() {
  const made = world();
  made.connection.start();
  await made.clock.pass(0);
  assert.equal(made.connection.state.name, "live");
  return made;
}

test("a frame carries several commands and comes back as the same list", () => {
  const commands = [{ id: 1, connect: {} }, { id: 2, rpc: { data: "a\nb" } }];
  assert.deepEqual(decode(encode(commands)), commands);
  assert.deepEqual(decode("{}\n\n"), [{}]);
});

test("codes from 3500 to 3999 and from 4500 to 4999 are terminal, the others are not", () => {
  for (const code of [3500, 3999, 4500, 4999]) assert.equal(isTerminal(code), true, String(code));
  for (const code of [1000, 1006, 3000, 3499, 4000, 4499, 5000]) assert.equal(isTerminal(code), false, String(code));
});

test("backoff doubles to its cap and is half chance", () => {
  for (let attempt = 0; attempt < 40; attempt++) {
    const cap = Math.min(20_000, 500 * 2 ** attempt);
    assert.equal(backoff(attempt, () => 0), cap / 2);
    assert.equal(backoff(attempt, () => 1), cap);
  }
});

test("publications are emitted in order and a duplicate is left out", async () => {
  const { server, offsets } = await live();
  const first = server.say("one");
  server.say("two");
  server.push({ offset: first.offset, data: created(first) });
  assert.deepEqual(offsets(), [1, 2]);
});

test("a lost connection is recovered from the last offset, with nothing missing or twice", async () => {
  const { clock, server, connection, offsets, joins } = await live();
  server.say("one");
  server.close(1006);
  assert.equal(connection.state.name, "waiting");
  server.say("two");
  server.say("three");
  await clock.pass(1000);
  server.say("four");
  assert.deepEqual(offsets(), [1, 2, 3, 4]);
  assert.deepEqual(joins(), ["fresh", "recovered"]);
});

test("a gap in the live stream is asked for again instead of shown", async () => {
  const { clock, server, offsets } = await live();
  server.say("one");
  server.say("two", "ada", { quiet: true });
  server.say("three");
  assert.deepEqual(offsets(), [1]);
  await clock.pass(1000);
  assert.deepEqual(offsets(), [1, 2, 3]);
});

test("a server that repeats a gap at the same place is believed the second time", async () => {
  const { clock, server, offsets } = await live();
  server.say("one");
  const skip = () => server.push({ offset: 9, data: created(message(9)) });
  skip();
  await clock.pass(1000);
  skip();
  assert.deepEqual(offsets(), [1, 9]);
});

test("an ephemeral publication is emitted without moving the position", async () => {
  const { server, connection, events } = await live();
  server.say("one");
  server.push({ data: { type: "typing" } });
  assert.equal(events.at(-1).data.type, "typing");
  assert.equal(connection.position.offset, 1);
});

test("a position that cannot be served is told as a reset, with where it was", async () => {
  const { clock, server, events, connection } = await live();
  server.say("one");
  server.forgets = true;
  server.close(3008);
  server.say("two");
  await clock.pass(1000);
  const joined = events.filter((e) => e.kind === "joined").at(-1);
  assert.deepEqual(joined, { kind: "joined", how: "reset", lost: { offset: 1, epoch: "e1" }, same_log: true });
  assert.equal(connection.position.offset, 2);
});

test("a terminal code ends the connection and nothing is tried again", async () => {
  const { clock, server, connection } = await live();
  const attempts = server.attempts;
  server.close(3500, "invalid token");
  await clock.pass(3_600_000);
  assert.deepEqual(connection.state, { name: "ended", code: 3500, message: "invalid token" });
  assert.equal(server.attempts, attempts);
  connection.start();
  await clock.pass(0);
  assert.equal(connection.state.name, "live");
});

test("a shutdown is told as a restart, and other losses as the network", async () => {
  const { clock, server, connection } = await live();
  server.close(3001);
  assert.equal(connection.state.reason, "restart");
  await clock.pass(1000);
  server.close(1006);
  assert.equal(connection.state.reason, "network");
});

test("attempts at a server that is away get rarer, and the person can hurry one", async () => {
  const { clock, server, connection } = await live();
  server.up = false;
  server.close(1006);
  await clock.pass(60_000);
  const in_a_minute = server.attempts;
  assert.ok(in_a_minute > 4 && in_a_minute < 12, String(in_a_minute));
  server.up = true;
  assert.equal(connection.state.name, "waiting");
  connection.retryNow();
  await clock.pass(0);
  assert.equal(connection.state.name, "live");
});

test("a server that accepts and hangs up at once is not hammered", async () => {
  const { clock, server, connection } = await live();
  for (let i = 0; i < 5; i++) {
    server.close(1006);
    const waited_ms = connection.state.until_ms - clock.now_ms;
    assert.equal(waited_ms, backoff(i, () => 0.5));
    await clock.pass(waited_ms);
  }
});

test("silence for longer than ping and ten seconds means that the connection is dead", async () => {
  const { clock, connection, server } = await live();
  await clock.pass(34_000);
  for (const socket of server.sockets) socket.handlers.text("{}");
  await clock.pass(34_000);
  assert.equal(connection.state.name, "live");
  await clock.pass(1_001);
  assert.equal(connection.state.name, "waiting");
});

test("a ping is answered with a pong", async () => {
  const { server } = await live();
  const [socket] = server.sockets;
  socket.handlers.text("{}");
  assert.equal(socket.sent.at(-1), "{}");
});

test("a server that never answers the handshake is given up after ten seconds", async () => {
  const { clock, server, connection } = world();
  server.deaf = true;
  connection.start();
  await clock.pass(9_999);
  assert.equal(connection.state.name, "connecting");
  await clock.pass(1);
  assert.equal(connection.state.name, "waiting");
});

test("a call is answered exactly once, also when the connection goes first", async () => {
  const { clock, server, connection } = await live();
  const answers = [];
  server.deaf = true;
  connection.rpc("post", {}, (error) => answers.push(error));
  server.close(1006);
  await clock.pass(60_000);
  assert.equal(answers.length, 1);
  assert.equal(answers[0].code, 0);
});

test("a frame that is not JSON ends the link, not the page", async () => {
  const { clock, server, connection } = await live();
  for (const socket of server.sockets) socket.handlers.text("<html>");
  assert.equal(connection.state.name, "waiting");
  await clock.pass(1000);
  assert.equal(connection.state.name, "live");
});

test("a link that was given up is not heard again", async () => {
  const { clock, server, connection, offsets } = await live();
  const [old] = server.sockets;
  connection.renew();
  old.handlers.text(JSON.stringify({ push: { channel: "lobby", pub: { offset: 1, data: {} } } }));
  old.handlers.closed(3500, "late");
  await clock.pass(1000);
  assert.equal(connection.state.name, "live");
  assert.deepEqual(offsets(), []);
});

test("an unsubscribe for good ends the connection with the server's reason", async () => {
  const { server, connection } = await live();
  const [socket] = server.sockets;
  socket.handlers.text(JSON.stringify({ push: { channel: "lobby", unsubscribe: { code: 2000, reason: "gone" } } }));
  assert.deepEqual(connection.state, { name: "ended", code: 2000, message: "gone" });
});

test("an unsubscribe that may be mended is answered by subscribing from the position", async () => {
  const { clock, server, offsets } = await live();
  server.say("one");
  const [socket] = server.sockets;
  socket.subscribed = false;
  server.say("two");
  socket.handlers.text(JSON.stringify({ push: { channel: "lobby", unsubscribe: { code: 2500, reason: "again" } } }));
  await clock.pass(0);
  assert.deepEqual(offsets(), [1, 2]);
});
