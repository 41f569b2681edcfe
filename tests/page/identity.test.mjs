import assert from "node:assert/strict";
import { test } from "node:test";

import {
  durationText,
  endedText,
  isSomebody,
  loginErrorText,
  programName,
  refusalText,
  secretOf,
  sentence,
  sessionEndedText,
  sinceText,
  waysIn,
} from "../../transport/static/identity.js";

const about = (guests, sign_up) => ({ guests, sign_up, password_min_chars: 8 });

test("what is offered follows the server's settings", () => {
  assert.deepEqual(waysIn(about(false, "off")), { ways: ["login"], first: "login" });
  assert.deepEqual(waysIn(about(true, "off")), { ways: ["login", "guest"], first: "guest" });
  assert.deepEqual(waysIn(about(true, "open")).ways, ["login", "signup", "guest"]);
  assert.deepEqual(waysIn(about(false, "invite")), { ways: ["login", "signup"], first: "login" });
});

test("who is known signs in, and who is invited signs up where that is possible", () => {
  assert.equal(waysIn(about(true, "open"), { known: true }).first, "login");
  assert.equal(waysIn(about(true, "invite"), { invited: true, known: true }).first, "signup");
  assert.equal(waysIn(about(true, "off"), { invited: true }).first, "guest");
});

test("a secret is found behind the hash of either form, and nothing else is taken for one", () => {
  const at = (address) => secretOf(new URL(address, "http://chat.example.org"));
  assert.deepEqual(at("/#invite=hbi_a-B_9"), { kind: "invite", token: "hbi_a-B_9" });
  assert.deepEqual(at("/invite#hbi_a-B_9"), { kind: "invite", token: "hbi_a-B_9" });
  assert.deepEqual(at("/?room=den#signup=hbi_x"), { kind: "signup", token: "hbi_x" });
  for (const other of ["/", "/#", "/#invite=", "/invite", "/#invite=a/../b", "/#admin=x", "/invite#invite=x", `/#invite=${"x".repeat(101)}`]) {
    assert.equal(at(other), null, other);
  }
});

test("the server that owns a room is nobody to write to", () => {
  assert.deepEqual([{ id: "hubbub" }, { id: "guest-1" }, { id: "jwt:hubbub" }].map(isSomebody), [false, true, true]);
});

test("a refusal by a limit says how long to wait, and any other one what the server says", () => {
  const refusal = (status, message, retry_after_s = null) => refusalText({ status, message, retry_after_s });
  assert.equal(refusal(429, "too often", 5.2), "Too many attempts. Try again in 6 seconds.");
  assert.equal(refusal(429, "at most 20 keys: revoke one first"), "At most 20 keys: revoke one first.");
  assert.equal(refusal(503, "overloaded", 1), "The server cannot do this just now. Try again in 1 second.");
  assert.equal(refusal(409, "this user name is taken"), "This user name is taken.");
});

test("a time is never told shorter than it is", () => {
  const told = [0.2, 1, 90, 91, 5400, 5401, 48 * 3600, 7 * 86_400].map(durationText);
  assert.deepEqual(told, ["1 second", "1 second", "90 seconds", "2 minutes", "90 minutes", "2 hours", "48 hours", "7 days"]);
});

test("a sentence begins large and ends with a mark, once", () => {
  assert.deepEqual(["no such key", "Really?", " x. ", ""].map(sentence), ["No such key.", "Really?", "X.", ""]);
});

test("the end of a session is told apart: revoked, expired, or simply over", () => {
  assert.match(sessionEndedText(3500, { account: true }), /ended from elsewhere. Sign in again/);
  assert.match(sessionEndedText(3005, { account: false }), /has expired. Pick a name/);
  assert.match(sessionEndedText(null, { account: true }), /^Your session has ended. Sign in again/);
});

test("what shuts a room is told: the server's own words, unless it may not be known of", () => {
  const told = (code, message) => endedText({ code, message });
  assert.equal(told(103, "you are banned here"), "You are banned here.");
  assert.equal(told(102, "no such conversation"), "This room does not exist, or it is private.");
  assert.equal(told(2000, "forbidden"), "You have been banned from this room.");
  for (const reason of ["not_found", "unauthenticated"]) assert.match(told(2000, reason), /^You are no longer in this room/);
  assert.equal(told(3500, "invalid token"), "The server closed the connection: invalid token.");
  assert.equal(told(103, ""), "The server closed the connection.");
  assert.equal(told(3501), "The server closed the connection.");
});

test("a label is told as browser and system where it is one", () => {
  const windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36";
  assert.equal(programName(windows), "Chrome on Windows");
  assert.equal(programName(`${windows} Edg/126.0`), "Edge on Windows");
  assert.equal(programName("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1 Version/17.5 Safari/604.1"), "Safari on iPhone");
  assert.equal(programName("curl/8.5.0"), "curl/8.5.0");
  assert.equal(programName(""), "Unknown program");
});

test("use is told no finer than the server counts it", () => {
  const now_ms = Date.parse("2026-11-02T12:00:00Z");
  assert.equal(sinceText("2026-11-02T11:55:00Z", now_ms), "in the last minutes");
  assert.equal(sinceText("2026-11-02T11:30:00Z", now_ms), "30 minutes ago");
  assert.equal(sinceText("2026-11-02T06:00:00Z", now_ms), "6 hours ago");
  assert.match(sinceText("2026-10-02T06:00:00Z", now_ms), /2026/);
});

test("every reason for which a login comes to nothing has words", () => {
  assert.equal(loginErrorText("access_denied"), "The login was declined.");
  assert.equal(loginErrorText("what nobody has heard of"), "The login came to nothing. Try again.");
});
