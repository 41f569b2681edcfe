import assert from "node:assert/strict";
import { test } from "node:test";

import { createApi } from "../../transport/static/api.js";

/** A server of sessions: `who` and `csrf` are those of the cookie now; calls that change something must show `csrf`. */
function world() {
  const there = { who: null, csrf: null, calls: [], hold: null };
  const answer = (status, body) => ({ ok: status < 400, status, json: async () => body });
  there.api = createApi(async (path, { method, headers }) => {
    there.calls.push(`${method} ${path.slice("/api/v1/".length)} ${headers["x-csrf-token"] ?? "-"}`);
    const { who, csrf } = there;
    if (path.endsWith("auth/session")) {
      await there.hold;
      return answer(200, who === null ? { user: null } : { user: { id: who }, csrf_token: csrf });
    }
    if (path.endsWith("auth/login")) {
      Object.assign(there, { who: "ada", csrf: `csrf-${there.calls.length}` });
      return answer(200, { user: { id: "ada" }, csrf_token: there.csrf, token: "secret" });
    }
    if (headers["x-csrf-token"] !== csrf) return answer(403, { code: "forbidden", detail: "no token" });
    return answer(204, {});
  });
  return there;
}

test("a login brings the token that later calls show, and another login another one", async () => {
  const there = world();
  await there.api.logIn("ada", "x");
  await there.api.endSession("s1");
  await there.api.logIn("ada", "x");
  await there.api.endSession("s2");
  assert.deepEqual(there.calls.filter((call) => call.startsWith("DELETE")), [
    "DELETE auth/sessions/s1 csrf-1",
    "DELETE auth/sessions/s2 csrf-3",
  ]);
});

test("reading shows no token", async () => {
  const there = world();
  await there.api.logIn("ada", "x");
  await there.api.sessions().catch(() => {});
  assert.equal(there.calls.at(-1), "GET auth/sessions -");
});

test("where another window has logged in as the same user, the refused call is sent once more", async () => {
  const there = world();
  await there.api.logIn("ada", "x");
  there.csrf = "of the other window";
  await there.api.endKey("k");
  assert.deepEqual(there.calls.slice(1), [
    "DELETE auth/keys/k csrf-1",
    "GET auth/session -",
    "DELETE auth/keys/k of the other window",
  ]);
});

test("a call is never sent again as somebody else, nor refused twice in a row", async () => {
  const there = world();
  await there.api.logIn("ada", "x");
  Object.assign(there, { who: "bob", csrf: "bob's" });
  await assert.rejects(there.api.endKey("k"), { status: 403 });
  assert.equal(there.calls.filter((call) => call.startsWith("DELETE")).length, 1);
  Object.assign(there, { who: null, csrf: null });
  await assert.rejects(there.api.endKey("k"), { status: 403 });
});

test("an answer from before a login does not bring the former token back", async () => {
  const there = world();
  Object.assign(there, { who: "guest", csrf: "old" });
  let release;
  there.hold = new Promise((resolve) => (release = resolve));
  const asked = there.api.session();
  await there.api.logIn("ada", "x");
  release();
  assert.equal((await asked).id, "ada");
  await there.api.endKey("k");
  assert.equal(there.calls.at(-1), `DELETE auth/keys/k ${there.csrf}`);
});

test("a refusal carries how long to wait, and a silent server is told as such", async () => {
  const limited = createApi(async () => ({ ok: false, status: 429, json: async () => ({ code: "rate_limited", detail: "x", retry_after_s: 4 }) }));
  await assert.rejects(limited.logIn("a", "b"), { status: 429, code: "rate_limited", retry_after_s: 4 });
  const away = createApi(async () => Promise.reject(new TypeError("network")));
  await assert.rejects(away.session(), { status: 0, retry_after_s: null });
});

test("a server without login providers has none", async () => {
  const there = createApi(async () => ({ ok: false, status: 404, json: async () => ({}) }));
  assert.deepEqual(await there.providers(), []);
});

/** Calls over a server that answers by path. */
function over(answers) {
  const asked = [];
  const api = createApi(async (path) => {
    asked.push(path.slice("/api/v1/".length));
    const [status, body] = answers(new URL(path, "http://chat.example.org"));
    return { ok: status < 400, status, json: async () => body };
  });
  return { api, asked };
}

test("the list of blocks is read to its end", async () => {
  const { api, asked } = over(({ searchParams }) => {
    const after = searchParams.get("after");
    return [200, { blocks: [{ user: { id: after ? "b" : "a" } }], next: after ? null : "a" }];
  });
  assert.deepEqual((await api.blocks()).map(({ user }) => user.id), ["a", "b"]);
  assert.deepEqual(asked, ["blocks?limit=100", "blocks?limit=100&after=a"]);
});

test("of the conversations that are listed by id only the direct ones are taken, and none are asked for behind them", async () => {
  const ids = ["direct:1", "direct:2", "lobby"];
  const { api, asked } = over(() => [200, { conversations: ids.map((id) => ({ id })), next: ids.at(-1) }]);
  const page = await api.directs();
  assert.deepEqual([page.conversations.map(({ id }) => id), page.next], [["direct:1", "direct:2"], null]);
  assert.equal(asked[0], "conversations?after=direct%3A&limit=20");
  ids.pop();
  assert.equal((await api.directs()).next, "direct:2");
});

test("the other one of two is found, or nobody", async () => {
  const there = [{ user: { id: "me" } }, { user: { id: "bob", name: "Bob" } }];
  const { api } = over(() => [200, { members: there }]);
  assert.equal((await api.partner("direct:1", "me")).name, "Bob");
  there.pop();
  assert.equal(await api.partner("direct:1", "me"), null);
});

test("nobody of a user name is no error, and any other refusal is one", async () => {
  const { api } = over(({ pathname }) => (pathname.endsWith("/ghost") ? [404, {}] : [403, { detail: "guests may not" }]));
  assert.equal(await api.person("ghost"), null);
  await assert.rejects(api.person("ada"), /guests may not/);
});

test("a ban is looked for from just before its place in the list", async () => {
  const pages = { bo: [["bo1", "bo2"], "bo2"], bo2: [["bob"], "bob"], bobb: [["carl"], "carl"] };
  const { api, asked } = over(({ searchParams }) => {
    const [ids, next] = pages[searchParams.get("after")];
    return [200, { bans: ids.map((id) => ({ user: { id } })), next }];
  });
  assert.deepEqual([await api.isBanned("lobby", "bob"), await api.isBanned("lobby", "bobby")], [true, false]);
  const list = "conversations/lobby/bans?limit=100&after=";
  assert.deepEqual(asked, [`${list}bo`, `${list}bo2`, `${list}bobb`]);
});
