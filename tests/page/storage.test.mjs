/** When the page asks whether the server can store, and what it makes of the answers. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { StorageWatch } from "../../transport/static/storage.js";
import { Clock } from "./world.mjs";

function watched() {
  const clock = new Clock();
  const there = { clock, asked: 0, changes: 0, ready: true };
  there.watch = new StorageWatch({
    ask: async () => {
      there.asked += 1;
      if (there.ready === null) throw new Error("no answer");
      return there.ready;
    },
    timers: clock.ports,
    changed: () => (there.changes += 1),
    random: () => 0,
  });
  return there;
}

test("a calm server is asked seldom", async () => {
  const there = watched();
  there.watch.start();
  there.watch.start();
  await there.clock.pass(60_000);
  assert.deepEqual([there.asked, there.watch.down, there.changes], [2, false, 0]);
});

test("a post that waits is a reason to ask at once", async () => {
  const there = watched();
  there.watch.start();
  there.ready = false;
  there.watch.posted(() => true);
  await there.clock.pass(2_000);
  assert.deepEqual([there.asked, there.watch.down, there.changes], [1, true, 1]);
});

test("an answered post is none", async () => {
  const there = watched();
  there.watch.start();
  there.watch.posted(() => false);
  await there.clock.pass(10_000);
  assert.equal(there.asked, 0);
});

test("while it cannot store it is asked often, and its return is seen", async () => {
  const there = watched();
  there.watch.start();
  there.ready = false;
  await there.clock.pass(39_000);
  assert.deepEqual([there.asked, there.watch.down], [4, true]);
  there.ready = true;
  await there.clock.pass(3_000);
  assert.deepEqual([there.asked, there.watch.down, there.changes], [5, false, 2]);
});

test("no answer changes nothing", async () => {
  const there = watched();
  there.watch.start();
  there.ready = false;
  await there.clock.pass(30_000);
  there.ready = null;
  await there.clock.pass(3_000);
  assert.deepEqual([there.watch.down, there.changes], [true, 1]);
});

test("a page that nobody looks at does not ask", async () => {
  const there = watched();
  there.watch.start();
  there.watch.stop();
  await there.clock.pass(100_000);
  assert.equal(there.asked, 0);
});
