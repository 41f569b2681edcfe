"""The life of connections in the cold lane: how they come, stay, go back to the table, and end."""

from __future__ import annotations

import gc
import inspect
import json
import logging
import socket
from importlib.metadata import version
from pathlib import Path

import h11
import httpx
import hypercorn.protocol.events
import hypercorn.protocol.h11
import hypercorn.protocol.http_stream
import hypercorn.trio.lifespan
import hypercorn.trio.tcp_server
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from hubbub.engine.core.permissions import Access
from hubbub.transport.centrifugal_websocket import WebSocketConnection
from hubbub.transport.cold_settings import ColdSettings
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.http_message import Response
from hubbub.transport.routes import Route, Routes
from hubbub.transport.sse import EventStream

from ..logs import capture_logs
from .quiet import all_quiet
from .world import Client, serving

VERSION = b"GET /api/v1/version HTTP/1.1\r\nhost: h\r\n\r\n"
EVENTS = "/api/v1/conversations/lobby/events"
BIG = 8 * 1024 * 1024


def big(api, call, respond):
    """An endpoint whose answer fills any socket."""
    respond(Response(200, (), b"x" * BIG))


class Owing:
    """An endpoint that answers when it is told to."""

    def __init__(self) -> None:
        self.owed = []

    def __call__(self, api, call, respond):
        self.owed.append(respond)


def routes(**endpoints):
    extra = tuple(
        Route(method="GET", path=f"/{name}", endpoint=found, access=Access.ANYONE) for name, found in endpoints.items()
    )
    return {"routes": Routes(ROUTES.routes + extra)}


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def events(token: str, query: str = "") -> bytes:
    return f"GET {EVENTS}{query} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {token}\r\n\r\n".encode()


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Nothing may be logged but by tests that say so: every test here has peers at fault only."""
    with capture_logs() as logs:
        yield
    assert logs == []
    assert [record for record in caplog.records if record.levelno >= logging.INFO and record.name != "httpx"] == []


# -- coming


async def test_browser_like_client_uses_one_connection_for_all(patient_clock):
    """A page, its files, a call and an event stream go over one kept connection of httpx."""
    async with serving() as world:
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{world.port}", limits=limits, trust_env=False
        ) as client:
            assert (await client.get("/")).status_code == 200
            assert (await client.get("/static/app.js")).status_code == 200
            guest = await client.post("/api/v1/auth/guest", json={"name": "Ada"})
            bearer = {"authorization": f"Bearer {guest.json()['token']}"}
            async with client.stream("GET", EVENTS, headers=bearer) as stream:
                await all_quiet()
                for conn in world.table.connections():  # an httpx stream that is left early warns
                    conn.machine.end("shutdown")
                lines = [line async for line in stream.aiter_lines()]
                assert lines[:3] == ["retry: 2000", "id: 0", "event: stream.open"]
                assert "event: stream.end" in lines
        assert world.table.statistics().accepted == 1
        assert world.lane.statistics().returned == 1


@pytest.mark.parametrize("count", [2, 600])
async def test_pipelined_requests_survive_the_hand_over(patient_clock, count):
    """What came in one piece with the request that leaves is served behind it, in order, all of it."""
    async with serving() as world, world.client() as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, b"GET / HTTP/1.1\r\nhost: h\r\n\r\n" + VERSION * count)
            assert (await client.answer()).header("content-type") == "text/html; charset=utf-8"
            for _ in range(count):
                assert (await client.answer()).json["name"] == "hubbub"
        assert world.lane.statistics().entered == 1


async def test_big_body_behind_the_page_survives_the_hand_over(patient_clock):
    """A request body of several reads in one piece with the request that leaves arrives whole."""
    async with serving() as world:
        token = await world.token()
        body = json.dumps({"text": "x" * 60_000, "meta": {"a": "y" * 5_000}}).encode()
        head = (
            f"POST /api/v1/conversations/lobby/messages HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {token}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        async with world.client() as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.send, b"GET / HTTP/1.1\r\nhost: h\r\n\r\n" + (head.encode() + body) * 3)
            await client.answer()
            for _ in range(3):
                answer = await client.answer()
                assert (answer.status, len(answer.json["text"])) == (201, 60_000)


async def test_dribbled_requests_are_served(patient_clock):
    """Byte by byte, before and after the hand-over."""
    async with serving() as world, world.client() as client:
        for target in (b"/", b"/health"):
            for byte in b"GET " + target + b" HTTP/1.1\r\nhost: h\r\n\r\n":
                await client.send(bytes([byte]))
                await trio.sleep(0.01)
            assert (await client.answer()).status == 200


async def test_half_closed_peer_gets_its_answers(patient_clock):
    """A peer that ends its side behind its requests is answered, and then the connection ends."""
    async with serving() as world:
        for requests in (1, 5):
            async with world.client() as client:
                await client.send(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n" * requests)
                await client.stream.send_eof()
                for _ in range(requests):
                    assert (await client.answer()).status == 200
                assert await client.rest() == b""
        await all_quiet()
        assert world.lane.statistics().connections == 0


async def test_idle_connections_make_room(patient_clock):
    """A full lane closes the connection that has been idle longest."""
    async with (
        serving(ColdSettings(max_connections=2)) as world,
        world.cold_client() as first,
        world.cold_client() as second,
    ):
        await second.ask("GET", "/")
        await first.ask("GET", "/")  # now the second has been idle longer
        async with world.cold_client() as third:
            assert await second.rest() == b""
            assert (await first.ask("GET", "/")).status == 200
            assert (await third.ask("GET", "/")).status == 200
        assert world.lane.statistics().evicted == 1
        assert world.lane.statistics().max_connections == 2


async def test_full_lane_refuses(patient_clock):
    """When no connection is idle, the next is told to come back."""
    owing = Owing()
    settings = ColdSettings(max_connections=1)
    async with (
        serving(settings, api=routes(owing=owing)) as world,
        world.cold_client() as busy,
        world.client() as client,
    ):
        await busy.send(b"GET /owing HTTP/1.1\r\nhost: h\r\n\r\n")
        await all_quiet()
        answer = await client.ask("GET", "/")
        assert (answer.status, answer.header("retry-after"), answer.json["status"]) == (503, "5", 503)
        assert await client.rest() == b""
        owing.owed[0](Response(204))
        assert (await busy.answer()).status == 204
        assert world.lane.statistics().refused == 1


# -- ending


@pytest.mark.parametrize(
    "head",
    [
        b"GET %s HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n",
        b"GET %s HTTP/1.0\r\n\r\n",
        b"GET %s HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n" + VERSION,
    ],
)
@pytest.mark.parametrize("target", [b"/", b"/static/app.js", b"/nope", b"/api/v1/version"])
async def test_connection_that_is_to_close_closes(patient_clock, head, target):
    """The socket ends right behind the answer, on the first request and on a later one."""
    async with serving() as world:
        began = trio.current_time()
        for cold in (False, True):
            async with world.cold_client() if cold else world.client() as client:
                await client.send(head % target)
                answer = await client.answer()
                assert answer.header("connection") == "close"
                assert await client.rest() == b""
        await all_quiet()
        assert world.lane.statistics().connections == 0
        assert trio.current_time() - began < 1


@pytest.mark.parametrize("target", ["/", "/api/v1/version", "/nope"])
async def test_idle_connection_is_closed_in_time(patient_clock, target):
    """The idle time runs anew after each answer, and then the connection ends."""
    async with serving(ColdSettings(idle_s=7)) as world, world.cold_client() as client:
        for _ in range(3):
            await trio.sleep(6)
            assert (await client.ask("GET", target)).status in {200, 404}
        began = trio.current_time()
        assert await client.rest() == b""
        assert trio.current_time() - began == pytest.approx(7, abs=0.1)
        await all_quiet()
        assert world.lane.statistics().connections == 0


async def test_head_that_does_not_end_is_given_up(patient_clock):
    """A head dribbled for ever holds a connection no longer than an idle one."""
    async with serving(ColdSettings(idle_s=7)) as world, world.cold_client() as client:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def dribble():
                await client.send(b"GET / HTTP/1.1\r\n")
                while True:
                    try:
                        await client.send(b"a: b\r\n")
                    except trio.BrokenResourceError:
                        return
                    await trio.sleep(1)

            assert await client.rest() == b""
            assert trio.current_time() - began == pytest.approx(7, abs=0.1)
            await trio.sleep(10)
            nursery.cancel_scope.cancel()
        assert world.lane.statistics().connections == 0


async def test_reader_that_takes_nothing_is_cut(patient_clock):
    """An answer that nobody reads is given up after the stall time."""
    async with serving(ColdSettings(stall_s=9), api=routes(big=big)) as world, world.cold_client() as client:
        await client.send(b"GET /big HTTP/1.1\r\nhost: h\r\n\r\n")
        await all_quiet()
        assert world.lane.statistics().connections == 1
        await trio.sleep(8)
        assert world.lane.statistics().connections == 1
        with trio.fail_after(60):  # not 10: the kernel may still move bytes of its own when no time has passed for it
            while world.lane.statistics().connections:  # noqa: ASYNC110  nothing tells of it, and time costs nothing here
                await trio.sleep(1)


async def test_big_answer_to_a_slow_reader_is_whole(mock_clock):
    """Who reads a little now and then is served to the end, however long it takes."""
    mock_clock.rate = 40  # the kernel's own timers take part, so real time has to pass
    async with serving(ColdSettings(stall_s=30), api=routes(big=big)) as world, world.cold_client() as client:
        await client.send(b"GET /big HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        length = 0
        while data := await client.stream.receive_some(1 << 20):
            length += len(data)
            await trio.sleep(5)
        assert length > BIG


async def test_stuck_reader_holds_no_shutdown(patient_clock):
    """The server ends at once, whoever does not read: no time passes, and no descriptor stays."""
    before = descriptors()
    async with serving(api=routes(big=big)) as world:
        streams = [await trio.open_tcp_stream("127.0.0.1", world.port) for _ in range(3)]
        for stream in streams:
            await Client(stream).send(b"GET / HTTP/1.1\r\nhost: h\r\n\r\nGET /big HTTP/1.1\r\nhost: h\r\n\r\n")
        await all_quiet()
        assert world.lane.statistics().connections == 3
        began = trio.current_time()
    assert trio.current_time() == began
    for stream in streams:
        await stream.aclose()
    gc.collect()
    assert descriptors() <= before


@pytest.mark.parametrize("target", [b"/", b"/owing", b"/api/v1/conversations", b"/static/app.js"])
@pytest.mark.parametrize("rounds", range(6))
async def test_cancelling_at_any_moment_leaves_nothing(patient_clock, target, rounds):
    """However far a request has come when the server is cancelled, it ends at once and closes everything."""
    before = descriptors()
    async with serving(api=routes(owing=Owing())) as world:
        stream = await trio.open_tcp_stream("127.0.0.1", world.port)
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\nGET %s HTTP/1.1\r\nhost: h\r\n\r\n" % target)
        for _ in range(rounds * 5):
            await trio.lowlevel.checkpoint()
        began = trio.current_time()
    assert trio.current_time() == began
    await stream.aclose()
    gc.collect()
    assert descriptors() <= before


async def test_drain_waits_for_answers_and_not_for_idle_peers(patient_clock):
    """Idle connections end at once, a request in flight is answered, what comes new is refused."""
    owing = Owing()
    async with serving(api=routes(owing=owing)) as world:
        async with (
            world.cold_client() as idle,
            world.cold_client() as busy,
            world.client() as fresh,
            trio.open_nursery() as n,
        ):
            await busy.send(b"GET /owing HTTP/1.1\r\nhost: h\r\n\r\n" + VERSION)
            await all_quiet()
            n.start_soon(world.lane.drain, 15)
            began = trio.current_time()
            assert await idle.rest() == b""
            assert (await fresh.ask("GET", "/")).status == 503
            assert trio.current_time() == began
            await trio.sleep(5)
            owing.owed[0](Response(204))
            answer = await busy.answer()
            assert (answer.status, answer.header("connection")) == (204, "close")
            assert await busy.rest() == b""
        assert trio.current_time() - began < 6


async def test_drain_cuts_off_what_takes_too_long(patient_clock):
    """After the grace time the drain ends, answered or not."""
    endpoints = routes(owing=Owing(), big=big)
    async with serving(api=endpoints) as world, world.cold_client() as owed, world.cold_client() as stuck:
        await owed.send(b"GET /owing HTTP/1.1\r\nhost: h\r\n\r\n")
        await stuck.send(b"GET /big HTTP/1.1\r\nhost: h\r\n\r\n")
        await all_quiet()
        began = trio.current_time()
        await world.lane.drain(3)
        assert trio.current_time() - began == pytest.approx(3, abs=0.1)
        assert await owed.rest() == b""
        await all_quiet()
        assert world.lane.statistics().connections == 0


async def test_garbage_ends_one_connection(patient_clock):
    """Bytes that are no request are refused on a kept connection, and nothing is logged."""
    async with serving() as world:
        for garbage in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9,
            b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            b"\0" * 99,
        ):
            async with world.cold_client() as client:
                await client.send(garbage + b"\r\n\r\n")
                assert (await client.answer()).status == 400
                assert await client.rest() == b""
        await all_quiet()
        assert world.lane.statistics().connections == 0


async def test_reset_while_answering_is_no_error(patient_clock):
    """A peer that resets the connection, before or in the midst of its answer, leaves nothing and logs nothing."""
    owing = Owing()
    async with serving(api=routes(big=big, owing=owing)) as world:
        for target in (b"/big", b"/owing", b"/"):
            async with world.cold_client() as client:
                await client.send(b"GET %s HTTP/1.1\r\nhost: h\r\n\r\n" % target)
                if target != b"/":
                    await all_quiet()
                client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await all_quiet()
        for respond in owing.owed:
            respond(Response(204))
        await all_quiet()
        assert world.lane.statistics().connections == 0


# -- back to the table


async def test_stream_is_given_back_and_frees_everything(patient_clock):
    """On a reused connection a stream is the table's: no task of ours or Hypercorn's stays, and nothing when the reader goes."""
    async with serving() as world:
        token = await world.token()
        async with world.client() as watcher:
            bearer = f"Bearer {token}"
            await watcher.ask("GET", "/health")
            await all_quiet()
            gc.collect()
            before, tasks = descriptors(), trio.lowlevel.current_statistics().tasks_living
            for _ in range(5):
                async with world.cold_client() as client:
                    await client.send(events(token))
                    await client.until(b"stream.open")
                    await all_quiet()
                    assert trio.lowlevel.current_statistics().tasks_living == tasks + 1  # the conversation's, once used
                    assert len(descriptors()) == len(before) + 2
                    machines = [type(conn.machine) for conn in world.table.connections()]
                    assert machines.count(EventStream) == 1
                    answer = await watcher.ask("GET", "/api/v1/conversations/lobby/presence", authorization=bearer)
                    assert answer.json["clients"] == 1
                    assert world.lane.statistics().connections == 0
                await all_quiet()
            answer = await watcher.ask("GET", "/api/v1/conversations/lobby/presence", authorization=bearer)
            assert answer.json["clients"] == 0
            assert len(world.table.connections()) == 1
            gc.collect()
            assert descriptors() == before
            assert world.lane.statistics().returned == 5


async def test_pipelined_request_behind_a_stream_is_not_carried_out(patient_clock):
    """A stream is the last answer of its connection, also when more was asked in the same piece."""
    async with serving() as world:
        token = await world.token()
        async with world.cold_client() as client:
            await client.send(events(token) + b"POST /api/v1/conversations HTTP/1.1\r\nhost: h\r\n\r\n")
            assert b"event: stream.open" in await client.until(b"stream.open")
            await all_quiet()
            assert world.lane.statistics().connections == 0
            with trio.move_on_after(1):
                assert b"HTTP/1.1" not in await client.stream.receive_some()


async def test_stream_lives_on_as_a_hot_one(patient_clock):
    """Heartbeats come, a slow reader is cut by the table's stall time, and the table's end ends it."""
    async with serving() as world:
        token = await world.token()
        async with world.cold_client() as client:
            await client.send(events(token))
            data = await client.until(b"stream.open")
            await client.until(b"\n:", data) if b"\n:" not in data else None
            for conn in world.table.connections():
                if isinstance(conn.machine, EventStream):
                    conn.machine.end("shutdown")
            assert b"event: stream.end" in await client.rest()


async def test_refused_stream_is_a_plain_answer(patient_clock):
    """Without a right to it, a stream on a reused connection is an ordinary refusal."""
    async with serving() as world, world.cold_client() as client:
        answer = await client.ask("GET", EVENTS)
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")


async def test_stream_while_draining_is_refused(patient_clock):
    """No new stream begins on a connection that is about to end."""
    owing = Owing()
    async with serving(api=routes(owing=owing)) as world, world.cold_client() as client, trio.open_nursery() as nursery:
        await client.send(b"GET /owing HTTP/1.1\r\nhost: h\r\n\r\n" + events("x"))
        await all_quiet()
        nursery.start_soon(world.lane.drain, 15)
        await all_quiet()
        owing.owed[0](Response(204))
        assert (await client.answer()).header("connection") == "close"
        assert await client.rest() == b""
        assert world.lane.statistics().returned == 0


HANDSHAKE = (
    b"GET /connection/websocket HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize("early", [False, True])
async def test_websocket_on_a_reused_connection(patient_clock, early):
    """A proxy may reuse a kept connection for an upgrade: the socket goes to the table, and the protocol is spoken."""
    async with serving() as world, world.cold_client() as client:
        command = json.dumps({"id": 1, "connect": {"token": await world.token()}}).encode()
        frame = b"\x81" + bytes([0x80 | len(command)]) + b"\0\0\0\0" + command
        await client.send(HANDSHAKE + b"\r\n" + (frame if early else b""))
        answer = await client.until(b"\r\n\r\n")
        assert b"101 Switching Protocols" in answer
        await client.send(b"" if early else frame)
        assert b'"id":1' in await client.until(b"}", answer)
        await all_quiet()
        assert [type(conn.machine) for conn in world.table.connections()] == [WebSocketConnection]
        assert world.lane.statistics().connections == 0


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (HANDSHAKE.replace(b"/connection/websocket", b"/nope") + b"\r\n", 404),
        (HANDSHAKE.replace(b": 13", b": 12") + b"\r\n", 426),
        (HANDSHAKE + b"origin: http://evil\r\n\r\n", 403),
        (HANDSHAKE + b"content-length: 1\r\n\r\nx", 400),
    ],
)
async def test_bad_websocket_on_a_reused_connection(patient_clock, request_bytes, status):
    """Wrong path, version or origin, or a body: one refusal, and no traceback."""
    async with serving() as world:
        async with world.cold_client() as client:
            await client.send(request_bytes)
            assert (await client.answer()).status == status
            assert await client.rest() == b""
        await all_quiet()
        assert world.lane.statistics().connections == 0


async def test_no_way_into_http2(patient_clock):
    """An offer of h2c is ignored, on the first request and on a later one; a preface is refused in words."""
    fields = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk"
    offer = b"GET %s HTTP/1.1\r\nhost: h\r\n" + fields + b"\r\n\r\n"
    async with serving() as world, world.client() as client:
        for target in (b"/", b"/api/v1/version", b"/static/app.js"):
            await client.send(offer % target)
            assert (await client.answer()).status == 200
        await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        answer = await client.answer()
        assert answer.status == 505
        assert b"HTTP/1.1" in answer.body
        assert await client.rest() == b""


# -- Hypercorn's inside


def test_hypercorn_is_still_what_we_use_of_it():
    """The parts of Hypercorn's inside that `cold_server` builds on; when one has changed, read that file before you unpin."""
    assert version("hypercorn").startswith("0.18."), "pinned: see pyproject.toml"
    server, protocol = hypercorn.trio.tcp_server.TCPServer, hypercorn.protocol.h11.H11Protocol
    assert list(inspect.signature(server).parameters) == ["app", "config", "context", "state", "stream"]
    assert list(inspect.signature(protocol).parameters) == [
        *("app", "config", "context", "task_group", "connection_state", "ssl", "client", "server", "send")
    ]
    for name in ("_read_data", "_close", "_idle_timeout", "protocol_send", "run"):
        assert inspect.iscoroutinefunction(getattr(server, name)), f"TCPServer.{name}"
    stream = hypercorn.protocol.http_stream.HTTPStream
    assert list(inspect.signature(stream).parameters) == [
        *("app", "config", "context", "task_group", "ssl", "client", "server", "send", "stream_id")
    ]
    assert list(inspect.signature(hypercorn.protocol.events.Request).parameters) == [
        *("stream_id", "headers", "http_version", "method", "raw_path", "state")
    ]
    for name in ("_check_protocol", "_create_stream", "initiate", "handle", "stream_send"):
        assert inspect.iscoroutinefunction(getattr(protocol, name)), f"H11Protocol.{name}"
    made = server(None, Config(), WorkerContext(None), {}, None)
    assert inspect.iscoroutinefunction(made.idle_task.restart)
    assert isinstance(
        protocol(None, Config(), WorkerContext(None), None, {}, False, None, None, None).connection, h11.Connection
    )
    for name in ("accesslog", "errorlog", "logger_class", "include_date_header", "include_server_header"):
        assert hasattr(Config, name), f"Config.{name}"
    for name in ("keep_alive_timeout", "h11_max_incomplete_size", "startup_timeout", "shutdown_timeout"):
        assert hasattr(Config, name), f"Config.{name}"
    for name in ("handle_lifespan", "wait_for_startup", "wait_for_shutdown"):
        assert inspect.iscoroutinefunction(getattr(hypercorn.trio.lifespan.Lifespan, name)), f"Lifespan.{name}"
