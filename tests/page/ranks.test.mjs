/** Whom the page offers to mute, to ban and to give a role. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { mayModerate, rankOf, rolesBelow } from "../../transport/static/ranks.js";

const row = (role) => (role === null ? null : { role });
const may = (mine, theirs, { server = "member", room = "lobby" } = {}) =>
  mayModerate({ room, me: { role: server }, mine: row(mine), theirs: row(theirs) });

test("those in office act on whom is below, on strangers too, and owners on everybody", () => {
  const offered = ["owner", "moderator", "member", "viewer", null].map((mine) =>
    ["owner", "moderator", "member", "viewer", null].map((theirs) => (may(mine, theirs) ? 1 : 0)).join(""),
  );
  assert.deepEqual(offered, ["11111", "00111", "00000", "00000", "00000"]);
});

test("the server's administrators stand as owners, but in no direct conversation, where nobody does", () => {
  assert.ok(may(null, "owner", { server: "admin" }));
  assert.ok(!may(null, "member", { server: "guest" }));
  assert.ok(!may("owner", null, { server: "admin", room: "direct:x" }));
});

test("roles are given up to below the own", () => {
  const given = ["owner", "moderator", "viewer", null].map((role) => rolesBelow(rankOf({ role: "member" }, row(role))));
  assert.deepEqual(given, [["viewer", "member", "moderator", "owner"], ["viewer", "member"], [], []]);
});
