"""One call, two lanes: what a connection of Hypercorn's is answered is what the connection table answers."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
import trio

from hubbub.engine.core.permissions import Access
from hubbub.transport.cold_answer import AnswerSettings
from hubbub.transport.cold_calls import ColdCalls
from hubbub.transport.cold_settings import CallSettings
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.http_message import RequestHead, Response
from hubbub.transport.manners import Manners
from hubbub.transport.routes import Route, Routes
from hubbub.transport.sse import EventStream
from hubbub.transport.watch import Watch

from ..logs import capture_logs
from .world import Answer, Client, World, serving

ROOM = "/api/v1/conversations/lobby"
POST = {"text": "hi", "meta": {"a": 1}}

# method, path, body; {room} is a conversation that the caller owns, {token} and {cookie} the caller's
CALLS = [
    ("GET", "/health", None),
    ("HEAD", "/health", None),
    ("GET", "/health/ready", None),
    ("GET", "/api/v1/version", None),
    ("POST", "/api/v1/auth/guest", {"name": "Grace"}),
    ("POST", "/api/v1/auth/guest", {"name": ""}),
    ("POST", "/api/v1/auth/guest", {}),
    ("GET", "/api/v1/auth/me", None),
    ("HEAD", "/api/v1/auth/me", None),
    ("GET", "/api/v1/conversations", None),
    ("GET", "/api/v1/conversations?limit=1", None),
    ("GET", "/api/v1/conversations?limit=0", None),
    ("GET", "/api/v1/conversations?limit=1&limit=x", None),
    ("GET", "/api/v1/conversations?after=lob%62y", None),
    ("GET", "/api/v1/conversations?" + "&".join(f"a{n}=1" for n in range(60)), None),
    ("POST", "/api/v1/conversations", {"id": "mine", "title": "Zoë 🎈"}),
    ("POST", "/api/v1/conversations", {"id": "lobby"}),
    ("POST", "/api/v1/conversations", {"id": "no spaces"}),
    ("GET", ROOM, None),
    ("GET", "/api/v1/conversations/l%6Fbby", None),
    ("GET", "/api/v1/conversations/nope", None),
    ("GET", "/api/v1/conversations/a%2Fb", None),
    ("GET", "/api/v1/conversations/caf%C3%A9", None),
    ("PATCH", ROOM, {"title": "x"}),
    ("PATCH", ROOM, {"title": 7}),
    ("GET", ROOM + "/messages", None),
    ("GET", ROOM + "/messages?limit=2&after=0", None),
    ("GET", ROOM + "/messages?after=-1", None),
    ("GET", ROOM + "/messages?around=3", None),
    ("POST", ROOM + "/messages", POST),
    ("POST", ROOM + "/messages", {"text": 5}),
    ("POST", ROOM + "/messages", {"text": "x" * 70_000}),
    ("GET", ROOM + "/presence", None),
    ("POST", ROOM + "/typing", {}),
    ("HEAD", ROOM + "/events", None),
    ("POST", ROOM + "/events", None),
    ("GET", "/api/v1/nope", None),
    ("PUT", "/api/v1/nope", {"a": 1}),
    ("GET", "/api/", None),
    ("DELETE", "/api/v1/version", None),
    ("OPTIONS", ROOM + "/messages", None),
    ("PUT", "/health", None),
    ("PATCH", "/api/v1/conversations", None),
]


def plain(answer: Answer) -> tuple[object, ...]:
    """An answer without what is new each time: ids, tokens, times, epochs, what is left of a limit."""

    def forget(text: str) -> str:
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", text)
        text = re.sub(r"hbg_[A-Za-z0-9_-]+", "TOKEN", text)
        text = re.sub(r'"[0-9a-f]{32}"', '"TAG"', text)
        text = re.sub(r"(?<![0-9a-f])[0-9a-f]{24}(?![0-9a-f])", "REQUEST", text)
        text = re.sub(r'"csrf_token":"[^"]*"', '"csrf_token":"C"', text)
        text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME", text)
        return re.sub(r'"epoch":"[^"]*"', '"epoch":"E"', text)

    headers = [(name, "N" if name.startswith("ratelimit-") else forget(value)) for name, value in answer.headers]
    return answer.status, headers, forget(answer.body.decode())


async def in_both(scenario):
    """The answers of one scenario in the hot lane and in the cold lane, each with a server of its own."""
    found = []
    for cold in (False, True):
        with capture_logs() as logs:
            async with serving() as world:
                token = await world.token()
                async with world.cold_client() if cold else world.client() as client:
                    answers = await scenario(world, client, token)
                assert world.lane.statistics().entered == int(cold)
        assert logs == []
        found.append([plain(answer) for answer in answers])
    return found


@pytest.mark.parametrize(("method", "target", "body"), CALLS)
async def test_same_answer_in_both_lanes(patient_clock, method, target, body):
    """Status, headers in their order, and body do not depend on who owns the connection, token or none, good or bad."""
    data = b"" if body is None else json.dumps(body).encode()

    async def scenario(world: World, client: Client, token: str) -> list[Answer]:
        nobody = await client.ask(method, target, data)
        if nobody.header("connection") == "close":
            return [nobody]
        answers = [nobody, await client.ask(method, target, data, authorization="Bearer wrong")]
        bearer = f"Bearer {token}"
        answers.append(await client.ask(method, target, data, authorization=bearer, idempotency_key="k1"))
        answers.append(await client.ask(method, target, data, authorization=bearer, idempotency_key="k1"))
        answers.append(await client.ask(method, target, data, cookie=f"a=b; hubbub_session={token}"))
        answers.append(await client.ask(method, target, data, cookie=f"hubbub_session={token}", origin="http://h"))
        answers.append(await client.ask(method, target, data, cookie=f"hubbub_session={token}", origin="http://evil"))
        return answers

    hot, cold = await in_both(scenario)
    assert cold == hot


def raw(line: str, *fields: str, body: bytes = b"", host: bool = True) -> bytes:
    head = "".join(f"{field}\r\n" for field in (*(("Host: h",) if host else ()), *fields))
    return f"{line}\r\n{head}\r\n".encode("latin-1") + body


GUEST = "POST /api/v1/auth/guest HTTP/1.1"
NAME = b'{"name":"Ada"}'


@pytest.mark.parametrize(
    "request_bytes",
    [
        raw(GUEST, f"Content-Length: {len(NAME)}", body=NAME),
        raw(GUEST, "Transfer-Encoding: chunked", body=b'4\r\n{"na\r\na;x=y\r\nme":"Ada"}\r\n0\r\nT: x\r\n\r\n'),
        raw(GUEST, "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        raw(GUEST, "Content-Length: 5000", body=b"x" * 5000),
        raw(GUEST, "Content-Length: 999999999"),
        raw(GUEST, "Transfer-Encoding: chunked", body=b"2000\r\n" + b"x" * 0x2000 + b"\r\n0\r\n\r\n"),
        raw(GUEST, "Content-Length: 3", "Expect: a-miracle", body=b"abc"),
        raw(GUEST, f"Content-Length: {len(NAME)}", "Connection: close", body=NAME),
        raw("GET /api/v1/version HTTP/1.1", "Content-Length: 2", body=b"{}"),
        raw("GET /api/v1/version HTTP/1.1", "Connection: close"),
        raw("GET /api/v1/version HTTP/1.1", "Connection: Keep-Alive, Close"),
        raw("GET /api/v1/version HTTP/1.0"),
        raw("GET /api/v1/version HTTP/1.0", host=False),
        raw("GET http://h/api/v1/version?x=1 HTTP/1.1"),
        raw("GET http://other/api/v1/version HTTP/1.1"),
        raw("GET /api/v1/conversations/%ff HTTP/1.1"),
        raw("GET /api/v1/conversations/a%00b HTTP/1.1"),
        raw("GET /api/v1/%63onversations HTTP/1.1"),
        raw(
            "GET /api/v1/version HTTP/1.1", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AA"
        ),
        raw("CONNECT h:80 HTTP/1.1"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        raw(f"GET {ROOM}/events HTTP/1.1", "Content-Length: 1", body=b"x"),
        raw(f"GET {ROOM}/events HTTP/1.1"),
        raw(f"GET {ROOM}/events HTTP/1.1", "Authorization: Bearer wrong"),
        raw("GET /connection/websocket HTTP/1.1"),
        raw("POST /connection/websocket HTTP/1.1", "Content-Length: 1", body=b"x"),
    ],
)
async def test_same_answer_to_odd_requests(patient_clock, request_bytes):
    """Framing, versions, targets and refusals too; then the connection is alive in both lanes or in neither."""

    async def scenario(world: World, client: Client, token: str) -> list[Answer]:
        await client.send(request_bytes)
        answers = [await client.answer()]
        if answers[0].header("connection") == "close":
            assert await client.rest() == b""
        else:
            answers.append(await client.ask("GET", "/api/v1/version"))
        return answers

    hot, cold = await in_both(scenario)
    if request_bytes.startswith(
        b"GET /api/v1/version HTTP/1.0"
    ):  # h11 keeps no connection of HTTP/1.0 alive, nor do we
        assert len(hot) == 1
    assert cold == hot


HEADS = [
    raw("GET /echo/a HTTP/1.1"),
    raw("GET /echo/a%20b%3F%25%2B HTTP/1.1"),
    raw("GET /echo/caf%C3%A9?q=caf%C3%A9&q=2&&=x&a+b HTTP/1.1"),
    raw("GET /echo/a?b?c/d%00 HTTP/1.1"),
    raw("GET /echo/a;p=1,2(3)'*!$&@:=~._-+ HTTP/1.1"),
    raw("GET /echo/a HTTP/1.1", "X-A: 1", "x-a:2", "X-A:   3 4\t", "Accept: a, b", "X-Empty:"),
    raw("GET /echo/a HTTP/1.1", "X-Latin: \xe9\xff", 'X-Quote: "\\"', "Cookie: a=b; c=d", "Cookie: e=f"),
    raw("GET http://H/echo/a?b HTTP/1.1"),
    raw("HEAD /echo/a HTTP/1.1", "Connection: keep-alive, x"),
    raw("GET /echo/a HTTP/1.0", "Connection: close"),
    raw("GET /echo/a HTTP/1.1", "Connection: upgrade", "Upgrade: h2c"),
    raw("POST /echo/a HTTP/1.1", "Content-Length: 3", body=b"abc"),
    raw("POST /echo/a HTTP/1.1", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
]


@pytest.mark.parametrize("request_bytes", HEADS)
async def test_same_head_in_both_lanes(patient_clock, request_bytes):
    """An endpoint sees one request, down to repeated headers and what is percent-encoded."""
    seen: list[tuple[RequestHead, bytes, dict[str, str], dict[str, str]]] = []

    def echo(api, call, respond):
        head = msgspec.structs.replace(call.request.head, request_id="")
        seen.append((head, call.request.body, dict(call.params), dict(call.query)))
        respond(Response(200))

    routes = Routes(
        tuple(
            Route(method=m, path="/echo/{x}", endpoint=echo, access=Access.ANYONE, max_body_bytes=99)
            for m in ("GET", "POST")
        )
    )
    async with serving(api={"routes": routes}) as world:
        async with world.client() as client:
            await client.send(request_bytes)
            await client.answer(request_bytes.split()[0].decode())
        async with world.cold_client() as client:
            await client.send(request_bytes)
            await client.answer(request_bytes.split()[0].decode())
    hot, cold = seen
    assert cold == hot


class BrokenRoutes(Routes):
    """Fails for one path."""

    def match(self, method, path):
        if path == "/broken":
            raise ValueError(path)
        return super().match(method, path)


async def test_bug_of_ours_ends_one_connection(patient_clock):
    """The peer sees 500, the log the kind of error and its place but nothing of the request, and the lane goes on."""
    with capture_logs() as logs:
        async with serving(api={"routes": BrokenRoutes(ROUTES.routes)}) as world:
            async with world.cold_client() as client:
                answer = await client.ask("GET", "/broken?secret")
                assert (answer.status, answer.header("connection")) == (500, "close")
                assert await client.rest() == b""
            async with world.cold_client():
                pass
    assert [log["error"] for log in logs] == ["ValueError"]
    assert "in match" in logs[0]["traceback"]
    assert "secret" not in str(logs)


async def test_call_without_an_answer_is_given_up(patient_clock):
    """After the response time the peer is told that the outcome is not known, and a late answer is dropped."""
    kept = []
    route = Route(
        method="GET", path="/owed", endpoint=lambda api, call, respond: kept.append(respond), access=Access.ANYONE
    )
    async with serving(api={"routes": Routes((route,))}) as world, world.cold_client() as client:
        began = trio.current_time()
        answer = await client.ask("GET", "/owed")
        assert (answer.status, answer.header("connection")) == (503, "close")
        assert trio.current_time() - began == pytest.approx(60, abs=1)
        kept[0](Response(200))
        await world.settle()


async def test_body_that_does_not_come_is_given_up(patient_clock):
    """A request whose body stops half way is refused after the body time."""
    async with serving() as world, world.cold_client() as client:
        await client.send(raw(GUEST, "Content-Length: 100", body=b"{"))
        answer = await client.answer()
        assert (answer.status, answer.header("connection")) == (408, "close")
        assert await client.rest() == b""


@pytest.mark.parametrize(
    ("path", "status"), [("/", 405), ("/api/v1/auth/guest", 413), ("/api/v1/nope", 404), ("/nope", 404)]
)
@pytest.mark.parametrize("piece", [b"1\r\nx\r\n" * 10_000, b"10000\r\n" + b"x" * 65_536 + b"\r\n"])
async def test_endless_body_gets_its_refusal_and_leaves_nothing(patient_clock, path, status, piece):
    """Who sends on and on is refused and cut off, in tiny chunks or big ones, and no task waits for it."""
    async with serving() as world:
        async with world.cold_client() as client:
            with trio.fail_after(60):
                async with trio.open_nursery() as nursery:

                    @nursery.start_soon
                    async def flood():
                        try:
                            await client.send(raw(f"POST {path} HTTP/1.1", "Transfer-Encoding: chunked"))
                            while True:
                                await client.send(piece)
                        except trio.BrokenResourceError:
                            pass

                    answer = await client.answer()
                    assert (answer.status, answer.header("connection")) == (status, "close")
        await trio.sleep(10)
        assert world.lane.statistics().connections == 0
        assert world.table.statistics().connections == 0


async def test_body_is_thrown_away_while_a_page_is_made(patient_clock):
    """However long a page takes, nobody who puts parts of a body into the queue has to wait for it."""
    sender, receiver = trio.open_memory_channel[dict[str, object]](0)
    sent = []

    async def pages(scope, receive, send):
        await trio.sleep(5)
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def keep(message):
        sent.append(message)

    calls = ColdCalls(
        lambda head: None, pages, lambda *args: None, Manners(), CallSettings(), Watch(lambda: 0), AnswerSettings()
    )
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", b"h"), (b"transfer-encoding", b"chunked"), (b"x-request-id", b"r1")],
    }
    with trio.fail_after(100):
        async with sender, receiver, trio.open_nursery() as nursery:
            nursery.start_soon(calls.serve, None, scope, receiver.receive, keep)
            began = trio.current_time()
            for _ in range(100):
                await sender.send({"type": "http.request", "body": b"x", "more_body": True})
            assert trio.current_time() == began
    headers, nothing = (message.get("headers") for message in sent)
    assert (dict(headers)[b"connection"], dict(headers)[b"x-request-id"], nothing) == (b"close", b"r1", None)


async def test_unread_body_does_not_reset_the_answer(patient_clock):
    """A refusal arrives although its request's body was never read."""
    async with serving() as world, world.cold_client() as client:
        await client.send(raw(GUEST, "Content-Length: 900000", body=b"x" * 900_000))
        assert (await client.answer()).status == 413
        await client.stream.send_eof()
        assert await client.rest() == b""


async def test_peer_that_leaves_in_a_body_is_forgotten(patient_clock):
    """Half a body and the end of the connection: no answer, nothing logged, nothing kept."""
    with capture_logs() as logs:
        async with serving() as world:
            async with world.cold_client() as client:
                await client.send(raw(GUEST, "Content-Length: 100", body=b"{"))
                await world.settle()
            await trio.sleep(10)
            assert world.lane.statistics().connections == 0
    assert logs == []


async def test_continue_is_said_before_the_body_comes(patient_clock):
    """A client that waits for 100 gets it, and then its answer."""
    async with serving() as world, world.cold_client() as client:
        await client.send(raw(GUEST, f"Content-Length: {len(NAME)}", "Expect: 100-continue"))
        await client.until(b"100 \r\n\r\n")
        await client.send(NAME)
        assert (await client.answer()).status == 201


async def test_stream_on_a_reused_connection_is_the_same_stream(patient_clock):
    """Events on a connection that Hypercorn had are byte for byte those of a connection that it never had."""
    async with serving() as world:
        token = await world.token()
        request = raw(f"GET {ROOM}/events?after=0 HTTP/1.1", f"Authorization: Bearer {token}", "X-Request-Id: r1")
        async with world.client() as hot, world.cold_client() as cold, world.client() as poster:
            post = json.dumps(POST).encode()
            await poster.ask("POST", ROOM + "/messages", post, authorization=f"Bearer {token}", idempotency_key="a")
            await hot.send(request)
            await cold.send(request)
            await world.settle()
            assert sum(isinstance(conn.machine, EventStream) for conn in world.table.connections()) == 2
            await poster.ask("POST", ROOM + "/messages", post, authorization=f"Bearer {token}", idempotency_key="b")
            await poster.ask("POST", ROOM + "/typing", b"{}", authorization=f"Bearer {token}")
            streams = [
                await client.until(b": hb") if False else await client.until(b"typing") for client in (hot, cold)
            ]
            presence = await poster.ask("GET", ROOM + "/presence", authorization=f"Bearer {token}")
            assert presence.json["clients"] == 2
    assert streams[0] == streams[1]
    assert streams[0].count(b"event: message.created") == 2
