import assert from "node:assert/strict";
import { test } from "node:test";

import { Timeline } from "../../transport/static/timeline.js";
import { message } from "./world.mjs";

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => message(from + i));
const offsets = (timeline) => timeline.messages.map((m) => m.offset);

test("messages are in offset order whatever order they come in, each once", () => {
  const timeline = new Timeline();
  timeline.replace(range(3, 5), true);
  assert.equal(timeline.live(message(8)), "added");
  assert.equal(timeline.live(message(6)), "added");
  assert.equal(timeline.live(message(6)), "duplicate");
  timeline.prepend(range(1, 3), false);
  assert.deepEqual(offsets(timeline), [1, 2, 3, 4, 5, 6, 8]);
  assert.equal(timeline.has_older, false);
});

test("a live message before the first page is not lost when the page is older than it", () => {
  const timeline = new Timeline();
  assert.equal(timeline.live(message(6)), "beyond");
  timeline.replace(range(1, 5), false);
  assert.equal(timeline.has_newer, true);
  timeline.append([message(6)], false);
  assert.deepEqual(offsets(timeline), [1, 2, 3, 4, 5, 6]);
  assert.equal(timeline.has_newer, false);
});

test("an empty room is live at once", () => {
  const timeline = new Timeline();
  timeline.replace([], false);
  assert.deepEqual([timeline.has_older, timeline.has_newer], [false, false]);
  assert.equal(timeline.live(message(1)), "added");
});

test("the window is bounded, and the end that was dropped is known to be missing", () => {
  const timeline = new Timeline({ limit: 10 });
  timeline.replace(range(1, 10), false);
  timeline.live(message(11));
  assert.equal(timeline.trim("oldest"), 1);
  assert.deepEqual([timeline.first, timeline.last, timeline.has_older], [2, 11, true]);
  timeline.prepend([message(1)], false);
  timeline.trim("newest");
  assert.deepEqual([timeline.first, timeline.last, timeline.has_newer], [1, 10, true]);
  assert.equal(timeline.live(message(12)), "beyond");
  timeline.append([message(11), message(12)], false);
  assert.equal(timeline.has_newer, false);
});

test("a window that is cut gives up what it holds past the cut", () => {
  const timeline = new Timeline();
  timeline.replace(range(1, 6), false);
  timeline.cutAfter(4);
  assert.deepEqual(offsets(timeline), [1, 2, 3, 4]);
  assert.equal(timeline.has_newer, true);
});

test("an empty page after the window says that its end was reached", () => {
  const timeline = new Timeline();
  timeline.replace(range(1, 3), false);
  timeline.detach();
  timeline.append([], true);
  assert.equal(timeline.has_newer, false);
});

test("who wrote is told once each, whoever wrote last first, and no more than asked for", () => {
  const timeline = new Timeline();
  timeline.replace([message(1, "a", "ada"), message(2, "b", "bob"), message(3, "c", "ada"), message(4, "d", "eve")], false);
  assert.deepEqual(timeline.authors(30).map(({ id }) => id), ["eve", "ada", "bob"]);
  assert.deepEqual(timeline.authors(2).map(({ id }) => id), ["eve", "ada"]);
});
