import assert from "node:assert/strict";
import { test } from "node:test";

import { Outbox } from "../../transport/static/outbox.js";
import { message } from "./world.mjs";

function box() {
  let n = 0;
  return new Outbox({ key: () => `k${++n}` });
}

test("posts are sent one at a time, in the order in which they were written", () => {
  const outbox = box();
  outbox.add("one", "me", 0);
  outbox.add("two", "me", 0);
  const first = outbox.take();
  assert.equal(first.text, "one");
  assert.equal(outbox.take(), null);
  outbox.acked(first.key);
  assert.equal(outbox.take().text, "two");
});

test("a post whose answer was lost goes first again, under the same key", () => {
  const outbox = box();
  outbox.add("one", "me", 0);
  outbox.add("two", "me", 0);
  const { key } = outbox.take();
  outbox.lost(key);
  assert.equal(outbox.take().key, key);
});

test("a refused post stays with its reason, does not hold up the next, and keeps its key on retry", () => {
  const outbox = box();
  outbox.add("one", "me", 0);
  outbox.add("two", "me", 0);
  const { key } = outbox.take();
  outbox.refused(key, "too long");
  outbox.lost(key);
  assert.equal(outbox.items[0].reason, "too long");
  const second = outbox.take();
  assert.equal(second.text, "two");
  outbox.acked(second.key);
  outbox.retry(key, "me");
  assert.equal(outbox.take().key, key);
});

test("a post that is put off waits longer each time and is refused in the end", () => {
  const outbox = box();
  const { key } = outbox.add("one", "me", 0);
  const waits = [];
  for (let i = 0; i < 4; i++) {
    outbox.take();
    waits.push(outbox.postponed(key, "busy"));
  }
  assert.deepEqual(waits, [1000, 2000, 4000, null]);
  assert.equal(outbox.items[0].state, "refused");
});

test("the outbox is bounded in posts and in characters", () => {
  const outbox = box();
  for (let i = 0; i < 50; i++) assert.notEqual(outbox.add("x", "me", 0), null);
  assert.equal(outbox.add("x", "me", 0), null);
  const long = box();
  assert.notEqual(long.add("x".repeat(900_000), "me", 0), null);
  assert.equal(long.add("x".repeat(200_000), "me", 0), null);
});

test("what was kept over a reload is sent under the same keys", () => {
  const outbox = box();
  outbox.add("one", "me", 5);
  const { key } = outbox.take();
  const again = box();
  again.load(JSON.parse(JSON.stringify(outbox.dump())));
  assert.deepEqual([again.items[0].state, again.items[0].at_ms], ["queued", 5]);
  assert.equal(again.take().key, key);
  again.load("nonsense");
  again.load([null, 3, { text: "no key" }]);
  assert.deepEqual(again.items, []);
});

test("under another author, whatever was written waits for the person", () => {
  const outbox = box();
  outbox.add("one", "old", 0);
  outbox.add("two", "old", 0);
  outbox.lost(outbox.take().key);
  outbox.adopt("new");
  assert.equal(outbox.take(), null);
  assert.deepEqual(
    outbox.items.map((item) => [item.state, item.author_id, item.reason.slice(0, 13)]),
    [["refused", "old", "This may have"], ["refused", "old", "This was writ"]],
  );
  outbox.retry(outbox.items[1].key, "new");
  assert.deepEqual([outbox.take().text, outbox.items[1].author_id], ["two", "new"]);
});

test("an own message that comes in before its ack is taken for the post that was sent", () => {
  const outbox = box();
  outbox.add("one", "me", 0);
  outbox.seen("me", message(4, "one", "me"));
  assert.equal(outbox.items[0].seen, null, "a post that was never sent cannot be there");
  const { key } = outbox.take();
  outbox.seen("me", message(5, "one", "me"));
  assert.equal(outbox.items[0].seen, 5);
  outbox.refused(key, "no");
  assert.equal(outbox.items[0].seen, null);
});
