import assert from "node:assert/strict";
import { test } from "node:test";

import { buildRows } from "../../transport/static/rows.js";
import { cleaned, initials, linkParts, typingLine } from "../../transport/static/text.js";
import { message } from "./world.mjs";

const NOON = Date.parse("2026-11-02T12:00:00");
const at = (offset, author, minutes) => ({
  ...message(offset, `text ${offset}`, author),
  created_at: new Date(NOON + minutes * 60_000).toISOString(),
});
const view = (more) => ({
  messages: [],
  unsent: [],
  me: { id: "me", name: "Me" },
  unread_after: null,
  note: null,
  complete: false,
  now_ms: NOON,
  ...more,
});

test("messages of one author close in time are grouped, and a day's change separates", () => {
  const messages = [at(1, "ada", 0), at(2, "ada", 1), at(3, "bob", 2), at(4, "bob", 9), at(5, "bob", 60 * 24)];
  const rows = buildRows(view({ messages }));
  const shape = rows.map((row) => (row.kind === "message" ? (row.lead ? "lead" : "next") : row.kind));
  assert.deepEqual(shape, ["day", "lead", "next", "lead", "lead", "day", "lead"]);
});

test("the unread mark and a note stand before their message, once", () => {
  const messages = [at(1, "ada", 0), at(2, "ada", 1), at(3, "ada", 2)];
  const rows = buildRows(view({ messages, unread_after: 1, note: { text: "look", before: 3 }, complete: true }));
  assert.deepEqual(rows.map((row) => row.key.split("-")[0]), ["start", "day", "m", "unread", "m", "note", "m"]);
});

test("keys are unique, and unsent posts come last unless their message is already there", () => {
  const post = { key: "k1", text: "hi", at_ms: NOON, state: "queued", reason: "", seen: null };
  const messages = [at(1, "me", 0)];
  const rows = buildRows(view({ messages, unsent: [post, { ...post, key: "k2", seen: 1 }] }));
  assert.equal(new Set(rows.map((row) => row.key)).size, rows.length);
  assert.deepEqual(rows.map((row) => row.kind), ["day", "message", "unsent"]);
  assert.equal(rows[2].lead, false);
});

test("only http and https become links, without the sentence around them", () => {
  const links = (text) => linkParts(text).filter((part) => part.href).map((part) => part.text);
  assert.deepEqual(links("see https://a.example/x?y=1. And (http://b.example/z_(1))!"), ["https://a.example/x?y=1", "http://b.example/z_(1)"]);
  assert.deepEqual(links("javascript:alert(1) data:text/html,x ftp://c.example xhttps://d.example"), []);
  const text = 'a <b href="https://e.example">c</b> https:// d';
  assert.equal(linkParts(text).map((part) => part.text).join(""), text);
});

test("text is made fit for the server, and names for the page", () => {
  assert.equal(cleaned("\n  hi\u0000 \r\nyou \n\n"), "  hi \nyou");
  assert.deepEqual(["Ada Lovelace", "é", "", "👩‍💻 x y"].map(initials), ["AL", "É", "?", "👩Y"]);
  assert.deepEqual([[], ["A"], ["A", "B"], ["A", "B", "C"]].map(typingLine), [
    "",
    "A is typing",
    "A and B are typing",
    "Several people are typing",
  ]);
});
