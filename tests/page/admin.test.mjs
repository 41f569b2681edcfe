/** What the operations page makes of the server's counters. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { counted, quantile, rate, secondsBetween, Series, shownBytes, shownRate, shownSeconds, standing, treeRows } from "../../transport/static/admin-rates.js";

const look = (at, delivered, cpu_seconds) => ({ at, rooms: { delivered }, process: { cpu_seconds } });

test("two looks at one server can be compared", () => {
  const before = look("2026-11-21T10:00:00.000Z", 10, 1);
  assert.equal(secondsBetween(before, look("2026-11-21T10:00:02.500Z", 30, 2)), 2.5);
  assert.equal(rate(10, 30, 2.5), 8);
});

test("a first look, and a server that was started anew, give no rate", () => {
  const now = look("2026-11-21T10:00:02.000Z", 30, 2);
  assert.equal(secondsBetween(null, now), 0);
  assert.equal(secondsBetween(look("2026-11-21T10:00:00.000Z", 31, 1), now), 0);
  assert.equal(secondsBetween(look("2026-11-21T10:00:00.000Z", 30, 9), now), 0);
  assert.equal(rate(5, 6, 0), null);
});

test("a quantile is of what came in between", () => {
  const bounds = [0.01, 0.1, 1];
  const before = { bounds, counts: [100, 100, 100, 100] };
  const now = { bounds, counts: [190, 199, 200, 200] };
  assert.equal(quantile(before, now, 0.5), 0.01);
  assert.equal(quantile(before, now, 0.99), 0.1);
  assert.equal(quantile(before, now, 1), 1);
  assert.equal(quantile(before, before, 0.5), null);
  assert.equal(quantile(null, { bounds, counts: [0, 0, 0, 1] }, 0.5), Infinity);
});

test("figures are shown for people", () => {
  assert.deepEqual([0, 0.44, 9.96, 12.4, 3400, null].map(shownRate), ["0", "0.4", "10.0", "12", "3,400", "–"]);
  assert.deepEqual([0.0025, 0.05, 2.5, null].map((value) => shownSeconds(value)), ["2.5 ms", "50 ms", "2.5 s", "–"]);
  assert.deepEqual([0, 1023, 1536, 87 * 2 ** 20].map(shownBytes), ["0 B", "1023 B", "1.5 KiB", "87 MiB"]);
});

test("one of something is told as one", () => {
  const told = [counted(0, "reader"), counted(1, "reader"), counted(1200, "reader"), counted(1, "crash", "crashes"), counted(2, "crash", "crashes")];
  assert.deepEqual(told, ["0 readers", "1 reader", "1,200 readers", "1 crash", "2 crashes"]);
});

test("a tree becomes rows, a part before what is below it", () => {
  const leaf = (name, more = {}) => ({ name, kind: "actor", state: "running", restarts: 0, children: [], ...more });
  const root = { ...leaf("engine"), children: [leaf("storage"), { ...leaf("conversations"), children: [leaf("lobby")], omitted: 3 }] };
  assert.deepEqual(treeRows(root).map(({ node, depth }) => [node.name, depth]), [
    ["engine", 0],
    ["storage", 1],
    ["conversations", 1],
    ["lobby", 2],
    ["3 more", 2],
  ]);
  assert.equal(new Set(treeRows(root).map((row) => row.key)).size, 5);
});

test("what is quarantined, or says why it cannot, stands badly", () => {
  assert.equal(standing({ state: "running" }), "good");
  assert.equal(standing({ state: "running", reason: "the database is away" }), "bad");
  assert.equal(standing({ state: "quarantined" }), "bad");
  assert.equal(standing({ state: "backoff" }), "warn");
});

test("a series keeps its last values and draws them from the right", () => {
  const series = new Series(3);
  series.add(null);
  assert.equal(series.points(10, 10), "");
  for (const value of [2, 4, 1]) series.add(value);
  assert.deepEqual(series.values, [2, 4, 1]);
  assert.equal(series.points(10, 8), "0.0,4.0 5.0,0.0 10.0,6.0");
});
