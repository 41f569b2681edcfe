"""Bad input over HTTP: what each wrong request is answered (docs/protocol.md, "Bad input"), and that nothing is left of it."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
import trio

from hubbub.transport.http_settings import HttpSettings
from hubbub.transport.identity.secret import csrf_of

from .hostile import QUICK_TABLE, request, world

TLS_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(200))
KIB = 1024
DEEP = b"[" * 10_000 + b"]" * 10_000
MESSAGES = "/conversations/lobby/messages"
START = b"GET /api/v1/version HTTP/1.1\r\nHost: test\r\n"


@pytest.mark.parametrize(
    ("data", "status", "word"),
    [
        (bytes(range(256)) * 4, 400, b"plain HTTP port"),
        (TLS_HELLO, 400, b"no TLS here"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, b"HTTP/1.1"),
        (b"GET /\r\n\r\n", 505, b"HTTP/1.1"),
        (b"hello\n\n", 400, b"plain HTTP port"),
    ],
    ids=["garbage", "tls", "http2", "http09", "words"],
)
async def test_what_is_not_http_is_told_so(data: bytes, status: int, word: bytes) -> None:
    """Garbage, TLS and other versions of HTTP get a problem document on one line, and the end of the connection."""
    async with world() as server:
        peer = await server.peer()
        answer = await peer.ask(data)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert word in answer.body
        assert await peer.rest() == b""


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (START + b"X: " + b"a" * 1_000_000, 431, "too_large"),
        (b"GET /" + b"a" * 1_000_000, 431, "too_large"),
        (START + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n", 431, "too_large"),
        (b"GET /api/v1/version HTTP/1.1\r\n\r\n", 400, "invalid_request"),
        (START + b"Host: other\r\n\r\n", 400, "invalid_request"),
        (START + b"A b: c\r\n\r\n", 400, "invalid_request"),
        (START + b"A: b\0c\r\n\r\n", 400, "invalid_request"),
        (START + b"A: b\r\n folded\r\n\r\n", 400, "invalid_request"),
        (START + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "invalid_request"),
        (START + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n", 400, "invalid_request"),
        (START + b"Content-Length: -1\r\n\r\n", 400, "invalid_request"),
        (START + b"Transfer-Encoding: gzip\r\n\r\n", 501, "not_implemented"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501, "not_implemented"),
        (b"GET /%ff HTTP/1.1\r\nHost: test\r\n\r\n", 400, "invalid_request"),
        (b"GET /%00 HTTP/1.1\r\nHost: test\r\n\r\n", 400, "invalid_request"),
        (b"GET / HTTP/3.0\r\nHost: test\r\n\r\n", 400, "invalid_request"),
        (b"GET /a#b HTTP/1.1\r\nHost: test\r\n\r\n", 400, "invalid_request"),
        (request("POST", "/api/v1/auth/guest", b"{}", "Expect: miracles"), 417, "expectation_failed"),
    ],
    ids=[
        *(
            "1MB-head",
            "1MB-target",
            "200-headers",
            "no-host",
            "two-hosts",
            "header-name",
            "NUL",
            "folded",
            "two-framings",
        ),
        *("two-lengths", "negative-length", "coding", "CONNECT", "not-utf8", "NUL-path", "http3", "fragment", "expect"),
    ],
)
async def test_a_bad_head_is_refused_with_a_problem_document(data: bytes, status: int, code: str) -> None:
    """The answer comes although the head is not over, and the connection ends."""
    async with world() as server:
        peer = await server.peer()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send, data)
            answer = await peer.answer()
        assert (answer.status, answer.code) == (status, code)
        assert await peer.rest() == b""


BODIES: list[tuple[bytes, int, str]] = [
    (b"", 400, "invalid_request"),
    (b"null", 400, "invalid_request"),
    (b"[]", 400, "invalid_request"),
    (b'"text"', 400, "invalid_request"),
    (b'{"text":', 400, "invalid_request"),
    (b'{"text":"x"}}', 400, "invalid_request"),
    (b"text=x", 400, "invalid_request"),
    (b"{}", 400, "invalid_request"),
    (b'{"text":null}', 400, "invalid_request"),
    (b'{"text":1}', 400, "invalid_request"),
    (b'{"text":["x"]}', 400, "invalid_request"),
    (b'{"text":"\xff"}', 400, "invalid_request"),
    (b'{"text":' + DEEP + b"}", 400, "invalid_request"),
    (b'{"text":"x","meta":{"a":' + DEEP + b"}}", 400, "invalid_request"),
    (b'{"text":"x","meta":[]}', 400, "invalid_request"),
    (b'{"text":"x","meta":{"a":NaN}}', 400, "invalid_request"),
    (b'{"text":"x","meta":{"a":1' + b"0" * 5000 + b"}}", 400, "invalid_request"),
    (b'{"text":"x","meta":{"a":"\\u0000"}}', 422, "unprocessable"),
    (b'{"text":"x","reply_to":7}', 400, "invalid_request"),
    (b'{"text":"x","reply_to":"first"}', 400, "invalid_request"),
    (b'{"text":"x","idempotency_key":"two words"}', 400, "invalid_request"),
    (b'{"text":""}', 422, "unprocessable"),
    (b'{"text":"a\\u0000b"}', 422, "unprocessable"),
    (b'{"text":"\\ud800"}', 422, "unprocessable"),
    (b'{"text":"' + b"x" * (64 * KIB + 1) + b'"}', 413, "too_large"),
    (b'{"text":"' + "\u20ac".encode() * (22 * KIB) + b'"}', 413, "too_large"),
    (b'{"text":"x","meta":{"a":"' + b"x" * (8 * KIB) + b'"}}', 413, "too_large"),
]


async def test_a_bad_message_is_refused_and_the_connection_goes_on() -> None:
    """Each body gets its status and code, all on one connection, and the last, good one is the first of the log."""
    async with world() as server:
        peer = await server.peer()
        for body, status, code in BODIES:
            answer = await peer.ask(request("POST", "/api/v1" + MESSAGES, body, token=server.token))
            assert (answer.status, answer.code) == (status, code), body[:60]
        double = b'{"text":"first","text":"last","unknown":{}}'
        answer = await peer.ask(
            request("POST", "/api/v1" + MESSAGES, double, "Content-Type: text/html", token=server.token)
        )
        assert (answer.status, answer.json["text"], answer.json["offset"]) == (201, "last", 1)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        (["Idempotency-Key: two words"], 400, "invalid_request"),
        (["Idempotency-Key:"], 400, "invalid_request"),
        (["Idempotency-Key: caf\u00e9"], 400, "invalid_request"),
        (["Idempotency-Key: " + "k" * 256], 400, "invalid_request"),
        (["Idempotency-Key: a", "Idempotency-Key: b"], 400, "invalid_request"),
        (["Idempotency-Key: other"], 400, "invalid_request"),
    ],
)
async def test_a_bad_idempotency_key_is_refused(headers: list[str], status: int, code: str) -> None:
    """Bad characters, too long, two of them, or another one inside the body."""
    async with world() as server:
        body = {"text": "x", "idempotency_key": "inside"} if headers[0].endswith("other") else {"text": "x"}
        answer = await server.call("POST", MESSAGES, body, *headers)
        assert (answer.status, answer.code) == (status, code)


async def test_a_key_used_for_another_body_is_refused() -> None:
    """422; the same body is answered as before and marked as replayed."""
    async with world() as server:
        first = await server.call("POST", MESSAGES, {"text": "one"}, "Idempotency-Key: k")
        again = await server.call("POST", MESSAGES, {"text": "one"}, "Idempotency-Key: k")
        other = await server.call("POST", MESSAGES, {"text": "two"}, "Idempotency-Key: k")
        assert (again.json, again.headers["idempotency-replayed"]) == (first.json, "true")
        assert (other.status, other.code) == (422, "unprocessable")


CALLS: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/conversations/nowhere/messages", {"text": "x"}, 404, "not_found"),
    ("GET", "/conversations/nowhere/messages", None, 404, "not_found"),
    ("GET", "/conversations/nowhere", None, 404, "not_found"),
    ("GET", "/conversations/nowhere/events", None, 404, "not_found"),
    ("POST", "/conversations/nowhere/typing", None, 404, "not_found"),
    ("POST", "/conversations/a%20b/messages", {"text": "x"}, 400, "invalid_request"),
    ("GET", "/conversations/" + "a" * 129, None, 400, "invalid_request"),
    ("GET", "/conversations/%2e%2e/messages", None, 400, "invalid_request"),
    ("GET", "/conversations/b%C3%BC/events", None, 400, "invalid_request"),
    ("GET", "/conversations/a%2Fb", None, 404, "not_found"),
    ("GET", "/conversations/", None, 404, "not_found"),
    ("GET", "/nothing", None, 404, "not_found"),
    ("POST", "/nothing", {"a": 1}, 404, "not_found"),
    ("DELETE", "/conversations/lobby", {"a": 1}, 405, "method_not_allowed"),
    ("POST", "/version", {"a": 1}, 405, "method_not_allowed"),
    ("GET", "/auth/guest", None, 405, "method_not_allowed"),
    ("POST", "/conversations/lobby/events", {"a": 1}, 405, "method_not_allowed"),
    ("GET", "/version", {"a": 1}, 413, "too_large"),
    *[("GET", f"{MESSAGES}?after={bad}", None, 400, "invalid_request") for bad in ("-1", "x", "1e3", "9" * 30, "")],
    *[("GET", f"{MESSAGES}?limit={bad}", None, 400, "invalid_request") for bad in ("0", "501", "-1", "%31%00")],
    ("GET", f"{MESSAGES}?after=1&before=2", None, 400, "invalid_request"),
    ("GET", f"{MESSAGES}?around=5", None, 400, "invalid_request"),
    ("GET", f"{MESSAGES}?around=xyz", None, 400, "invalid_request"),
    ("GET", f"{MESSAGES}?" + "&".join(f"a{n}=1" for n in range(60)), None, 400, "invalid_request"),
    ("GET", "/conversations?after=a/b", None, 400, "invalid_request"),
    ("GET", "/conversations?limit=many", None, 400, "invalid_request"),
    ("POST", "/conversations", {"id": "a/b"}, 400, "invalid_request"),
    ("POST", "/conversations", {"id": 5}, 400, "invalid_request"),
    ("POST", "/conversations", {"id": "."}, 400, "invalid_request"),
    ("POST", "/conversations", {"visibility": "secret"}, 400, "invalid_request"),
    ("POST", "/conversations", {"title": ""}, 422, "unprocessable"),
    ("POST", "/conversations", {"title": "x" * 201}, 422, "unprocessable"),
    ("POST", "/conversations", {"title": "a\0b"}, 422, "unprocessable"),
    ("POST", "/conversations", {"id": "lobby"}, 409, "conflict"),
    ("PATCH", "/conversations/lobby", {}, 400, "invalid_request"),
    ("PATCH", "/conversations/lobby", {"archived": 1}, 400, "invalid_request"),
    ("PATCH", "/conversations/lobby", {"archived": True}, 403, "forbidden"),
]


async def test_every_bad_call_has_its_status_and_code() -> None:
    """Unknown and malformed names, methods, positions, limits and fields."""
    async with world() as server:
        for method, path, body, status, code in CALLS:
            answer = await server.call(method, path, body)
            assert (answer.status, answer.code) == (status, code), (method, path, body)


async def test_refused_methods_name_those_that_there_are() -> None:
    """`Allow` is true: what it names is not answered with 405."""
    async with world() as server:
        for path in ("/conversations/lobby/events", MESSAGES, "/version", "/auth/guest"):
            allow = (await server.call("TRACE", path)).headers["allow"].split(", ")
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                peer = await server.peer()
                await peer.send(request(method, "/api/v1" + path))
                refused = (await peer.answer(head_only=True)).status == 405
                assert refused is (method not in allow), (path, method)
                await peer.close()


NAMES: list[tuple[Any, int]] = [
    (b"", 400),
    ({}, 400),
    ({"name": 7}, 400),
    ({"name": ""}, 422),
    ({"name": " \t\n "}, 422),
    ({"name": "a\0b"}, 422),
    ({"name": "a\x1b[31m"}, 422),
    ({"name": "ab\u202ecd"}, 422),
    ({"name": "ab\u200bcd"}, 422),
    ({"name": "\u3164"}, 422),
    ({"name": "x" * 65}, 422),
    (b'{"name":"\\udfff"}', 422),
    ({"name": "x" * 10_000_000}, 413),
]


async def test_a_name_that_disguises_is_refused() -> None:
    """Control characters, direction overrides, invisible and endless names; nobody is made."""
    async with world() as server:
        for body, status in NAMES:
            answer = await server.ask(request("POST", "/api/v1/auth/guest", body))
            assert answer.status == status, str(body)[:60]
            assert answer.code in {"invalid_request", "unprocessable", "too_large"}
            assert "set-cookie" not in answer.headers


async def test_without_guests_nobody_gets_in() -> None:
    """403 before the body is looked at."""
    async with world(guests=False) as server:
        answer = await server.ask(request("POST", "/api/v1/auth/guest", b"nonsense"))
        assert (answer.status, answer.code) == (403, "forbidden")


CREDENTIALS = [
    ([], 401),
    (["Authorization: Bearer"], 401),
    (["Authorization: Bearer wrong"], 401),
    (["Authorization: Bearer " + "x" * 10_000], 401),
    (["Authorization: Bearer caf\u00e9"], 401),
    (["Authorization: Basic ZXZlOmV2ZQ=="], 401),
    (["Cookie: hubbub_session"], 401),
    (["Cookie: =;; hubbub_sessionx=1"], 401),
    (['Cookie: hubbub_session="\\777;=;"'], 403),
    (["Cookie: hubbub_session=TOKEN"], 403),
    (["Cookie: hubbub_session=TOKEN", "Origin: http://evil.example"], 403),
    (["Cookie: hubbub_session=TOKEN", "Origin: null"], 403),
    (["Cookie: hubbub_session=TOKEN", "Origin: http://["], 403),
    (["Cookie: hubbub_session=TOKEN", "Origin: http://test"], 403),
    (["Cookie: hubbub_session=TOKEN", "Origin: http://test", "X-CSRF-Token: "], 403),
    (["Cookie: hubbub_session=TOKEN", "Origin: http://test", "X-CSRF-Token: another session's"], 403),
    (["Cookie: hubbub_session=TOKEN", "Origin: http://evil.example", "X-CSRF-Token: CSRF"], 403),
    (["Cookie: hubbub_session=TOKEN", "Origin: http://test", "X-CSRF-Token: CSRF"], 201),
]


async def test_bad_credentials_and_foreign_pages() -> None:
    """401 names the scheme; a cookie alone does not post, nor does a page of another origin or without the CSRF token."""
    async with world() as server:
        for headers, status in CREDENTIALS:
            sent = [
                header.replace("=TOKEN", f"={server.token}").replace(": CSRF", ": " + csrf_of(server.token))
                for header in headers
            ]
            answer = await server.ask(request("POST", "/api/v1" + MESSAGES, {"text": "x"}, *sent))
            assert answer.status == status, headers
            assert ("www-authenticate" in answer.headers) is (status == 401)
            if status != 201:
                assert answer.code == {401: "unauthenticated", 403: "forbidden"}[status]
        foreign = await server.ask(request("POST", "/api/v1/auth/guest", {"name": "x"}, "Origin: http://["))
        assert (foreign.status, foreign.code) == (403, "forbidden")


async def test_a_huge_body_is_refused_before_it_is_read() -> None:
    """413 comes on the announcement alone."""
    async with world() as server:
        peer = await server.peer()
        headers = f"Authorization: Bearer {server.token}", f"Content-Length: {10**9}"
        answer = await peer.ask(request("POST", "/api/v1" + MESSAGES, None, *headers))
        assert (answer.status, answer.code) == (413, "too_large")


def _chunked(server_token: str, *chunks: bytes) -> bytes:
    head = request("POST", "/api/v1" + MESSAGES, None, "Transfer-Encoding: chunked", token=server_token)
    return head + b"".join(chunks)


async def test_chunked_bodies() -> None:
    """They are taken; a wrong size is 400, more than the limit 413, both without waiting for the end."""
    async with world() as server:
        good = await server.ask(
            _chunked(server.token, b'5\r\n{"tex\r\n', b'6;x=y\r\nt":"x"\r\n', b"1\r\n}\r\n0\r\n\r\n")
        )
        assert good.status == 201
        for chunks, status in (
            ([b"zz\r\n"], 400),
            ([b"-1\r\n"], 400),
            ([b"3\r\nabcd"], 400),
            ([b"3\nabc\n"], 400),
            ([b"fffffffff\r\n"], 400),
            ([b"ffffffff\r\n"], 413),
            ([b"1\r\nx\r\n"] * 5_000, 413),
            ([b"0\r\n", b"T: " + b"x" * 5_000], 400),
        ):
            answer = await server.ask(_chunked(server.token, *chunks))
            assert answer.status == status, chunks[0]
            assert answer.code in {"invalid_request", "too_large"}


async def test_a_body_that_ends_early_is_not_carried_out() -> None:
    """The peer's end in the middle of a body ends the connection; nothing was posted."""
    async with world() as server:
        peer = await server.peer()
        await peer.send(request("POST", "/api/v1" + MESSAGES, {"text": "x" * 100}, token=server.token)[:-5])
        await peer.stream.send_eof()
        assert await peer.rest() == b""
        assert (await server.call("GET", MESSAGES)).json["messages"] == []


HURRY = HttpSettings(head_timeout_s=0.2, body_timeout_s=0.2, idle_timeout_s=0.2, discard_timeout_s=0.2)


async def test_who_dribbles_is_answered_408() -> None:
    """The head and the body have a time as a whole; a byte now and then does not stretch it."""
    whole = request("POST", "/api/v1/auth/guest", {"name": "Slow"}, "X-Long: " + "y" * 2_000)

    async def dribble(cut: int) -> None:
        async with trio.open_nursery() as nursery:
            peer = await server.peer()
            await peer.send(whole[:cut])

            async def drip() -> None:
                for at in range(cut, len(whole)):
                    await peer.send(whole[at : at + 1])
                    await trio.sleep(0.05)

            nursery.start_soon(drip)
            answer = await peer.answer()
            assert (answer.status, answer.code) == (408, "request_timeout")
            assert await peer.rest() == b""
            nursery.cancel_scope.cancel()

    async with world(http=HURRY) as server, trio.open_nursery() as nursery:
        nursery.start_soon(dribble, 0)
        nursery.start_soon(dribble, whole.index(b"\r\n\r\n") + 4)


async def test_who_says_nothing_is_closed_without_a_word() -> None:
    """So is a connection that stays silent after an answer."""
    async with world(http=HURRY) as server:
        silent, idle = await server.peer(), await server.peer()
        assert (await idle.ask(request("GET", "/health"))).status == 200
        assert await silent.rest() == b""
        assert await idle.rest() == b""


async def test_a_hundred_requests_at_once_are_answered_in_order() -> None:
    """Pipelined posts get consecutive offsets, in the order sent."""
    async with world() as server:
        peer = await server.peer()
        posts = [request("POST", "/api/v1" + MESSAGES, {"text": f"{n}"}, token=server.token) for n in range(100)]
        await peer.send(b"".join(posts))
        answers = [await peer.answer() for _ in posts]
        assert [(answer.json["offset"], answer.json["text"]) for answer in answers] == [
            (n + 1, str(n)) for n in range(100)
        ]


async def test_old_clients_and_heads() -> None:
    """HTTP/1.0 is answered and closed; HEAD is answered as GET without the body."""
    async with world() as server:
        old = await server.peer()
        answer = await old.ask(b"GET /health HTTP/1.0\r\n\r\n")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await old.rest() == b""
        peer = await server.peer()
        full = await peer.ask(request("GET", "/api/v1/version", None, "X-Request-Id: r1"))
        await peer.send(request("HEAD", "/api/v1/version", None, "X-Request-Id: r1"))
        head = await peer.answer(head_only=True)
        assert head.headers == full.headers
        assert (await peer.ask(request("GET", "/health"))).json == {"status": "ok"}


async def test_a_flood_of_connections_is_refused_with_503_and_then_forgotten() -> None:
    """Over the limit a connection gets Retry-After; when the flood has gone there is room again."""
    async with world(table=attrs.evolve(QUICK_TABLE, max_connections=20)) as server:
        peers = [await server.peer() for _ in range(60)]
        for peer in peers:
            await peer.send(START + b"\r\n")
        answers = [await peer.answer() for peer in peers]
        assert sorted(answer.status for answer in answers) == [200] * 20 + [503] * 40
        assert all("retry-after" in answer.headers for answer in answers if answer.status == 503)
        for peer in peers:
            await peer.close()
        with trio.fail_after(5):
            while (await server.ask(START + b"\r\n")).status != 200:  # noqa: ASYNC110  only asking tells
                await trio.sleep(0.01)


async def test_answers_to_refused_requests_are_json_and_quote_nothing() -> None:
    """What came is not shown again, neither markup nor secrets."""
    async with world() as server:
        secret = "<script>alert(1)</script>"
        for data in (
            request("POST", "/api/v1" + MESSAGES, {"text": 1, secret: secret}, token=server.token),
            request("GET", f"/api/v1/{secret}"),
            request("GET", "/api/v1/auth/me", token=secret),
        ):
            answer = await server.ask(data)
            assert secret not in json.dumps(answer.json)
