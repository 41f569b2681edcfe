"""HTTP/2 on real sockets: what other people's clients do with it, what bad and slow ones cannot do, and how it ends."""

from __future__ import annotations

import contextlib
import gc
import inspect
import json
import ssl
from collections.abc import AsyncIterator

import attrs
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import httpx
import hypercorn.protocol.h2
import pytest
import trio

from hubbub.transport.centrifugal_http import HttpStreamConnection
from hubbub.transport.centrifugal_wire import Disconnect
from hubbub.transport.certificates import Certificates
from hubbub.transport.cold_http2 import MAX_DISCARD_BYTES, MAX_RESETS
from hubbub.transport.cold_settings import ColdSettings
from hubbub.transport.serve import drain
from hubbub.transport.tls_settings import TlsSettings

from ..certificates import make_certificate
from ..logs import capture_logs
from .quiet import all_quiet
from .test_cold import EVENTS, Owing, big, descriptors, routes
from .world import Secure, World, serving


@pytest.fixture(autouse=True)
def quiet():
    """Nothing is wrong with us, whatever peers do."""
    with capture_logs() as logs:
        yield
    assert [entry for entry in logs if entry["log_level"] != "info"] == []


@pytest.fixture(scope="module")
def secure(tmp_path_factory) -> Secure:
    made = make_certificate(tmp_path_factory.mktemp("h2"))
    return Secure(Certificates(TlsSettings(cert=made.cert, key=made.key)), made.client())


@attrs.define(eq=False)
class Raw:
    """A client that may do as it likes."""

    stream: trio.SSLStream[trio.SocketStream]
    h2: h2.connection.H2Connection
    seen: list[h2.events.Event] = attrs.Factory(list)
    acknowledges: bool = True
    """Opens the windows of streams again; that of the connection it always opens."""

    async def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            await self.stream.send_all(data)

    async def ask(self, method: str = "GET", path: str = "/health", *more: tuple[str, str], end: bool = True) -> int:
        stream_id = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path), *more]
        self.h2.send_headers(stream_id, fields, end_stream=end)
        await self.flush()
        return stream_id

    async def read(self) -> bool:
        """Read once; False at the end of the connection."""
        data = await self.stream.receive_some()
        for event in self.h2.receive_data(data) if data else ():
            self.seen.append(event)
            if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                with contextlib.suppress(h2.exceptions.ProtocolError):
                    if self.acknowledges:
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    else:
                        self.h2.increment_flow_control_window(event.flow_controlled_length)
        if data:
            await self.flush()
        return bool(data)

    async def until(self, kind: type[h2.events.Event], stream_id: int | None = None):
        """Read until such an event has come; gives it."""
        while True:
            for event in self.seen:
                if isinstance(event, kind) and stream_id in (None, getattr(event, "stream_id", None)):
                    return event
            assert await self.read(), self.seen

    def body(self, stream_id: int) -> bytes:
        return b"".join(
            event.data
            for event in self.seen
            if isinstance(event, h2.events.DataReceived) and event.stream_id == stream_id
        )

    async def until_data(self, stream_id: int, mark: bytes) -> bytes:
        while mark not in self.body(stream_id):
            assert await self.read(), self.seen
        return self.body(stream_id)

    async def answer(self, stream_id: int) -> tuple[int, bytes]:
        head = await self.until(h2.events.ResponseReceived, stream_id)
        await self.until(h2.events.StreamEnded, stream_id)
        return int(dict(head.headers)[b":status"]), self.body(stream_id)


def trusting(secure: Secure) -> ssl.SSLContext:
    """What clients speak TLS with who want HTTP/2."""
    context = ssl.create_default_context(cafile=str(next(secure.certificates.files())))
    context.set_alpn_protocols(["h2"])
    return context


@contextlib.asynccontextmanager
async def raw(world: World, secure: Secure, **config: bool) -> AsyncIterator[Raw]:
    async with await trio.open_tcp_stream("127.0.0.1", world.port) as stream:
        tls = trio.SSLStream(stream, trusting(secure), server_hostname="localhost", https_compatible=True)
        made = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None, **config))
        made.initiate_connection()
        found = Raw(tls, made)
        await found.flush()
        yield found


@contextlib.asynccontextmanager
async def client(world: World, secure: Secure, **options) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"https://localhost:{world.port}",
        verify=trusting(secure),
        http2=True,
        trust_env=False,
        timeout=60,
        **options,
    ) as found:
        yield found


async def post(web: httpx.AsyncClient, text: str) -> None:
    answer = await web.post("/api/v1/conversations/lobby/messages", json={"text": text})
    assert answer.status_code == 201, answer.text


async def log_in(web: httpx.AsyncClient) -> str:
    guest = await web.post("/api/v1/auth/guest", json={"name": "Ada"})
    assert guest.http_version == "HTTP/2"
    web.cookies.clear()
    web.headers["authorization"] = f"Bearer {guest.json()['token']}"
    return str(guest.json()["token"])


async def test_calls_pages_and_streams_share_one_connection(patient_clock, secure):
    """REST, its refusals, pages and two event streams at once, by httpx, over one socket."""
    async with serving(secure=secure) as world, client(world, secure) as web:
        await log_in(web)
        page = await web.get("/")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert (await web.get("/static/app.js")).status_code == 200
        refused = await web.get("/api/v1/conversations/nowhere")
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
        assert refused.headers["x-content-type-options"] == "nosniff"
        head = await web.head("/health")
        assert (head.status_code, head.content) == (200, b"")
        async with web.stream("GET", EVENTS) as one, web.stream("GET", EVENTS) as two:
            assert one.headers["content-type"] == "text/event-stream"
            await all_quiet()
            assert len(world.lane.answers()) == 2
            await post(web, "hello")
            for conn in world.lane.answers():
                await all_quiet()
                conn.machine.end("shutdown")
            for answer in (one, two):  # to their ends: an httpx stream that is left early warns
                seen = [line async for line in answer.aiter_lines()]
                for event in ("event: stream.open", "event: message.created", "event: stream.end"):
                    assert event in seen
        assert world.table.statistics().accepted == 1
        assert world.lane.statistics().entered == 1
        await all_quiet()
        assert world.lane.answers() == ()


async def test_a_body_is_taken_with_and_without_a_length(patient_clock, secure):
    """In pieces of any number, up to its bound; past it the answer comes before the end of the body."""

    async def pieces():
        for part in (b'{"text"', b': "in', b' pieces"}'):
            yield part

    async with serving(secure=secure) as world, client(world, secure) as web:
        await log_in(web)
        path = "/api/v1/conversations/lobby/messages"
        told = await web.post(path, content=pieces(), headers={"content-type": "application/json"})
        assert (told.status_code, told.json()["text"]) == (201, "in pieces")
        big_text = "x" * 60_000
        assert (await web.post(path, json={"text": big_text})).json()["text"] == big_text
        assert (await web.post(path, content=b"x" * 3_000_000)).status_code == 413
        assert (await web.get("/health")).status_code == 200
        assert world.table.statistics().accepted == 1


async def test_a_body_behind_its_answer_is_thrown_away(patient_clock, secure):
    """Up to a bound; then its stream is reset, and the connection goes on."""
    async with serving(secure=secure) as world, raw(world, secure) as peer:
        late = await peer.ask("POST", "/api/v1/auth/guest", end=False)
        for _ in range(3):
            peer.h2.send_data(late, b"x" * 16_000)
            await peer.flush()
        head = await peer.until(h2.events.ResponseReceived, late)
        assert (b":status", b"413") in head.headers
        sent = 0
        while not any(isinstance(event, h2.events.StreamReset) for event in peer.seen):
            while room := min(peer.h2.local_flow_control_window(late), 16_384):
                peer.h2.send_data(late, b"x" * room)
                await peer.flush()
                sent += room
            await peer.read()
        assert MAX_DISCARD_BYTES < sent < MAX_DISCARD_BYTES + 200_000
        assert (await peer.answer(await peer.ask()))[0] == 200


async def test_a_stream_that_is_left_is_left(patient_clock, secure):
    """By a reset, and by the end of the connection: the conversation knows at once, and nothing stays."""
    async with serving(secure=secure) as world, client(world, secure) as web:
        token = await log_in(web)
        bearer = ("authorization", f"Bearer {token}")
        await web.get("/health")
        gc.collect()
        before = descriptors()
        async with raw(world, secure) as peer:
            kept, left = await peer.ask("GET", EVENTS, bearer), await peer.ask("GET", EVENTS, bearer)
            for stream_id in (kept, left):
                await peer.until_data(stream_id, b"stream.open")
            counted = await web.get("/api/v1/conversations/lobby/presence")
            assert counted.json()["clients"] == 2
            peer.h2.reset_stream(left, h2.errors.ErrorCodes.CANCEL)
            await peer.flush()
            await all_quiet()
            assert len(world.lane.answers()) == 1
            await post(web, "still there")
            await peer.until_data(kept, b"still there")
        while world.lane.answers():  # noqa: ASYNC110  nothing tells of it, and time costs nothing here
            await trio.sleep(0.01)
        assert (await web.get("/api/v1/conversations/lobby/presence")).json()["clients"] == 0
        await trio.sleep(30)  # the table closes sockets gently
        gc.collect()
        assert descriptors() <= before


async def test_a_client_that_leaves_in_the_midst_leaves_nothing(patient_clock, secure):
    """Its stream was about to end when its connection did: nobody waits for that, and a drain takes no time."""
    async with serving(secure=secure) as world:
        token = await world.token()
        for resets in (True, False):
            async with raw(world, secure) as peer:
                stream_id = await peer.ask("GET", EVENTS, ("authorization", f"Bearer {token}"))
                await peer.until_data(stream_id, b"stream.open")
                if resets:
                    peer.h2.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
                    await peer.flush()
        began = trio.current_time()
        await world.lane.drain(15.0)
        assert trio.current_time() - began < 1


async def test_a_reader_that_opens_no_window_is_told_and_cut(patient_clock, secure):
    """Memory stays bounded, the stream ends as slow ones do, and the other streams of the connection are served meanwhile."""
    async with serving(ColdSettings(stall_s=9), secure=secure) as world, client(world, secure) as web:
        token = await log_in(web)
        async with raw(world, secure) as peer:
            peer.acknowledges = False
            slow = await peer.ask("GET", EVENTS, ("authorization", f"Bearer {token}"))
            await peer.until_data(slow, b"stream.open")
            (answer,) = world.lane.answers()
            for _ in range(12):
                await post(web, "x" * 60_000)
                assert answer._unsent_bytes < 2 * 1024 * 1024
                await trio.sleep(1)
            assert world.lane.statistics().connections == 2
            await peer.ask()
            while world.lane.answers():
                with trio.move_on_after(1):
                    await peer.read()
            gone = await peer.until(h2.events.StreamReset, slow)
            assert gone.error_code == h2.errors.ErrorCodes.CANCEL
            assert (await peer.answer(await peer.ask()))[0] == 200


async def test_an_answer_that_is_not_taken_is_given_up(patient_clock, secure):
    """A big answer to a shut window waits for twice the stall time, in little memory, and is reset."""
    async with (
        serving(ColdSettings(stall_s=9), api=routes(big=big), secure=secure) as world,
        raw(world, secure) as peer,
    ):
        peer.acknowledges = False
        asked = await peer.ask("GET", "/big")
        gone = None
        began = trio.current_time()
        while gone is None:
            with trio.move_on_after(5):
                gone = await peer.until(h2.events.StreamReset, asked)
        assert trio.current_time() - began == pytest.approx(18, abs=2)
        assert (await peer.answer(await peer.ask()))[0] == 200


async def test_a_big_answer_arrives_whole(patient_clock, secure):
    """Through windows that open bit by bit, several at once."""
    async with serving(api=routes(big=big), secure=secure) as world, client(world, secure) as web:
        sizes = []

        async def fetch():
            sizes.append(len((await web.get("/big")).content))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(fetch)
        assert sizes == [8 * 1024 * 1024] * 3
        assert world.table.statistics().accepted == 1


async def test_websocket_over_http2_is_not_offered(patient_clock, secure):
    """No such setting is sent; who tries all the same is told to come by HTTP/1.1, in every manner of asking."""
    async with serving(secure=secure) as world, raw(world, secure, validate_outbound_headers=False) as peer:
        told = await peer.until(h2.events.RemoteSettingsChanged)
        assert told.changed_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL].new_value == 0
        extended = peer.h2.get_next_available_stream_id()
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https")]
        peer.h2.send_headers(extended, [*fields, (":path", "/connection/websocket"), (":authority", "localhost")])
        await peer.flush()
        refused = await peer.until(h2.events.StreamReset, extended)
        assert refused.error_code == h2.errors.ErrorCodes.HTTP_1_1_REQUIRED
        status, body = await peer.answer(await peer.ask("GET", "/connection/websocket"))
        assert (status, json.loads(body)["status"]) == (426, 426)


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/a b", ()),
        ("GET", "/\xe9".encode("latin-1"), ()),
        ("get", "/health", ()),
        ("G T", "/health", ()),
        ("GET", "health", ()),
        ("GET", "//host/x?y#z", ()),
        ("PATCH", "/%ff", ()),
        ("GET", "/health", (("x-odd", b"\xff\xfe"),)),
        ("GET", "/health", tuple((f"x-{number}", "y") for number in range(150))),
    ],
)
async def test_odd_requests_cost_one_stream(patient_clock, secure, method, path, more):
    """A status or a reset, never more than that; the connection goes on."""
    config = {"validate_outbound_headers": False, "normalize_outbound_headers": False}
    async with serving(secure=secure) as world, raw(world, secure, **config) as peer:
        asked = await peer.ask(method, path, *more)
        while not any(
            isinstance(event, h2.events.StreamReset | h2.events.StreamEnded) and event.stream_id == asked
            for event in peer.seen
        ):
            assert await peer.read()
        assert (await peer.answer(await peer.ask()))[0] == 200


@pytest.mark.parametrize("value", [b"a\r\nauthorization: Bearer x", b"a\r\n\r\nGET / HTTP/1.1", b"a\0b"])
async def test_smuggling_ends_the_connection(patient_clock, secure, value):
    """A line end in a value is a protocol error, whatever follows it."""
    config = {"validate_outbound_headers": False, "normalize_outbound_headers": False}
    async with serving(secure=secure) as world, raw(world, secure, **config) as peer:
        await peer.ask("GET", "/health", ("x-odd", value))
        while await peer.read():
            pass
        assert not any(isinstance(event, h2.events.ResponseReceived) for event in peer.seen)
        await all_quiet()
        assert world.lane.statistics().connections == 0


@pytest.mark.parametrize(
    "words", [b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", b"\0" * 5_000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 99]
)
async def test_what_is_no_http2_ends_the_connection(patient_clock, secure, words):
    """Agreed on in the handshake and not spoken."""
    async with serving(secure=secure) as world, await trio.open_tcp_stream("127.0.0.1", world.port) as stream:
        tls = trio.SSLStream(stream, trusting(secure), server_hostname="localhost", https_compatible=True)
        await tls.send_all(words)
        while await tls.receive_some():
            pass
        await all_quiet()
        assert world.lane.statistics().connections == 0


async def test_silence_behind_the_handshake_is_cut_in_the_table(patient_clock, secure):
    """A client of HTTP/2 that says nothing costs the cold lane nothing."""
    async with (
        serving(secure=attrs.evolve(secure, handshake_s=3.0)) as world,
        await trio.open_tcp_stream("127.0.0.1", world.port) as stream,
    ):
        tls = trio.SSLStream(stream, trusting(secure), server_hostname="localhost", https_compatible=True)
        await tls.do_handshake()
        began = trio.current_time()
        assert await tls.receive_some() == b""
        assert trio.current_time() - began < 4
        assert world.lane.statistics().entered == 0


async def test_a_flood_of_resets_is_told_to_calm_down(patient_clock, secure):
    """Requests that are taken back at once (CVE-2023-44487) end the connection after a bounded number of them."""
    owing = Owing()
    async with serving(api=routes(owing=owing), secure=secure) as world, raw(world, secure) as peer:
        for _ in range(MAX_RESETS + 50):
            stream_id = peer.h2.get_next_available_stream_id()
            fields = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/owing")]
            peer.h2.send_headers(stream_id, fields, end_stream=True)
            peer.h2.reset_stream(stream_id)
        await peer.flush()
        told = await peer.until(h2.events.ConnectionTerminated)
        assert told.error_code == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
        assert len(owing.owed) <= MAX_RESETS + 1
        world.nursery.cancel_scope.cancel()


async def test_clients_that_change_their_minds_are_served(patient_clock, secure):
    """Half of the requests taken back is no flood, and they do not use up the streams that may be open at once."""
    async with serving(secure=secure) as world, raw(world, secure) as peer:
        for _ in range(2 * MAX_RESETS):
            stream_id = await peer.ask()
            assert (await peer.answer(stream_id))[0] == 200
            stream_id = await peer.ask("GET", "/api/v1/version")
            peer.h2.reset_stream(stream_id)
            peer.seen.clear()
        assert (await peer.answer(await peer.ask()))[0] == 200


async def test_idle_connections_are_closed_and_busy_ones_are_not(patient_clock, secure):
    """An open stream keeps a connection; without one it is closed after the idle time, also after refused requests only."""
    async with serving(ColdSettings(idle_s=7), secure=secure) as world, client(world, secure) as web:
        token = await log_in(web)
        async with raw(world, secure) as peer, raw(world, secure) as odd:
            stream_id = await peer.ask("GET", EVENTS, ("authorization", f"Bearer {token}"))
            await peer.until_data(stream_id, b"stream.open")
            odd.h2.config.validate_outbound_headers = False
            odd.h2.send_headers(1, [(":method", "CONNECT"), (":authority", "localhost")])
            await odd.flush()
            await trio.sleep(100)
            assert world.lane.statistics().connections == 1
            conn = next(iter(world.lane.answers()))
            conn.machine.end("shutdown")
            await peer.until(h2.events.StreamEnded, stream_id)
            await trio.sleep(8)
            assert world.lane.statistics().connections == 0


async def test_streams_of_the_protocol_by_http(patient_clock, secure):
    """`/connection/http_stream` and `/emulation` of the SDK, on one connection."""
    async with serving(secure=secure) as world, client(world, secure) as web:
        token = await log_in(web)
        connect = json.dumps({"id": 1, "connect": {"token": token}})
        async with web.stream("POST", "/connection/http_stream", content=connect) as stream:
            lines = stream.aiter_lines()
            reply = json.loads(await anext(lines))["connect"]
            command = json.dumps({"id": 2, "subscribe": {"channel": "lobby"}})
            said = {"session": reply["session"], "node": reply["node"], "data": command}
            assert (await web.post("/emulation", json=said)).status_code == 204
            assert json.loads(await anext(lines))["id"] == 2
            await post(web, "by http")
            assert "by http" in await anext(lines)
            (conn,) = world.lane.answers()
            assert isinstance(conn.machine, HttpStreamConnection)
            conn.machine.disconnect(Disconnect.SHUTDOWN)
            assert "3001" in await anext(lines)
            assert [line async for line in lines] == []


async def test_drain_parts_from_streams_with_a_code(patient_clock, secure):
    """As in the table: each is told to come back, requests in flight are answered, and then the connection is closed."""
    async with serving(secure=secure) as world, client(world, secure) as web:
        token = await log_in(web)
        async with raw(world, secure) as peer:
            stream_id = await peer.ask("GET", EVENTS, ("authorization", f"Bearer {token}"))
            await peer.until_data(stream_id, b"stream.open")
            world.nursery.start_soon(drain, world.engine, world.table, world.lane.drain, 15.0, world.lane.answers)
            assert b"shutdown" in await peer.until_data(stream_id, b"stream.end")
            await peer.until(h2.events.StreamEnded, stream_id)
            while await peer.read():
                pass
            assert any(isinstance(event, h2.events.ConnectionTerminated) for event in peer.seen)


async def test_the_end_of_the_server_waits_for_nobody(patient_clock, secure):
    """Cancelled with streams, stuck answers and half requests, no time passes and no descriptor stays."""
    gc.collect()
    before = descriptors()
    async with serving(api=routes(big=big), secure=secure) as world, raw(world, secure) as peer:
        token = await world.token()
        peer.acknowledges = False
        await peer.ask("GET", EVENTS, ("authorization", f"Bearer {token}"))
        await peer.ask("GET", "/big")
        await peer.ask("POST", "/api/v1/auth/guest", end=False)
        await all_quiet()
        began = trio.current_time()
        world.nursery.cancel_scope.cancel()
    assert trio.current_time() == began
    gc.collect()
    assert descriptors() <= before


def test_hypercorn_is_still_what_we_use_of_it():
    """The parts of Hypercorn's HTTP/2 that `cold_http2` builds on; when one has changed, read that file before you unpin."""
    protocol, buffer = hypercorn.protocol.h2.H2Protocol, hypercorn.protocol.h2.StreamBuffer
    assert list(inspect.signature(protocol).parameters) == [
        *("app", "config", "context", "task_group", "connection_state", "ssl", "client", "server", "send")
    ]
    for name in ("initiate", "handle", "stream_send", "send_task", "_send_data", "_handle_events", "_flush"):
        assert inspect.iscoroutinefunction(getattr(protocol, name)), f"H2Protocol.{name}"
    for name in ("_window_updated", "_close_stream"):
        assert inspect.iscoroutinefunction(getattr(protocol, name)), f"H2Protocol.{name}"
    used = {name for name in dir(buffer) if not name.startswith("_")}
    assert used <= {"close", "complete", "drain", "pop", "push", "set_complete"}, (
        "StreamBuffer has more to take the place of"
    )
