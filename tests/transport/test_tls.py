"""A server that speaks TLS, on real sockets: what is promised over plain HTTP holds, and bad peers cost nothing."""

from __future__ import annotations

import gc
import json
import shutil
import socket
import ssl

import attrs
import pytest
import trio

from hubbub.transport.centrifugal_websocket import WebSocketConnection
from hubbub.transport.certificates import Certificates
from hubbub.transport.sse import EventStream
from hubbub.transport.table import TableSettings
from hubbub.transport.tls_connection import machine_of
from hubbub.transport.tls_settings import TlsSettings

from ..certificates import make_certificate
from ..logs import capture_logs
from .quiet import all_quiet
from .test_cold import BIG, big, descriptors, events, routes
from .world import Client, Secure, World, serving


@pytest.fixture(autouse=True)
def quiet():
    """Nothing may be logged: every test here has peers at fault only."""
    with capture_logs() as logs:
        yield
    assert logs == []


@pytest.fixture(scope="module")
def secure(tmp_path_factory) -> Secure:
    made = make_certificate(tmp_path_factory.mktemp("tls"))
    return Secure(Certificates(TlsSettings(cert=made.cert, key=made.key)), made.client())


def streams(world: World) -> list[EventStream]:
    return [machine for conn in world.table.connections() if isinstance(machine := machine_of(conn), EventStream)]


async def test_calls_pages_and_streams_over_one_connection(patient_clock, secure):
    """From the table to the cold lane and back to the table, with the session taken along each time."""
    async with serving(secure=secure) as world:
        token = await world.token()
        async with world.client() as client:
            for target in ("/health", "/", "/health", "/static/app.js", "/api/v1/version"):
                assert (await client.ask("GET", target)).status == 200
            await client.send(events(token))
            await client.until(b"stream.open")
            await all_quiet()
            assert len(streams(world)) == 1
            async with world.client() as poster:
                body = json.dumps({"text": "hello"}).encode()
                posted = await poster.ask(
                    "POST", "/api/v1/conversations/lobby/messages", body, authorization=f"Bearer {token}"
                )
                assert posted.status == 201
            await client.until(b"message.created")
            streams(world)[0].end("shutdown")
            assert b"event: stream.end" in await client.rest()  # ends by close_notify: a cut would raise
        statistics = world.lane.statistics()
        assert (statistics.entered, statistics.returned, statistics.connections) == (1, 1, 0)


@pytest.mark.parametrize("target", ["/health", "/"])
async def test_an_answer_that_closes_ends_by_close_notify(patient_clock, secure, target):
    """In both lanes the client can tell the end from a cut."""
    async with serving(secure=secure) as world, world.client() as client:
        assert (await client.ask("GET", target, connection="close")).status == 200
        assert await client.rest() == b""


@pytest.mark.parametrize("count", [2, 600])
async def test_pipelined_requests_survive_the_hand_over(patient_clock, secure, count):
    """What came with the request that leaves is served behind it, in whatever records it came."""
    async with serving(secure=secure) as world, world.client() as client, trio.open_nursery() as nursery:
        nursery.start_soon(
            client.send,
            b"GET / HTTP/1.1\r\nhost: h\r\n\r\n" + b"GET /api/v1/version HTTP/1.1\r\nhost: h\r\n\r\n" * count,
        )
        for _ in range(count + 1):
            assert (await client.answer()).status == 200


@pytest.mark.parametrize("target", [b"/health", b"/"])
async def test_a_half_closed_peer_gets_its_answers(patient_clock, secure, target):
    """A client that says its end behind its request is answered, in both lanes."""
    async with serving(secure=secure) as world:
        stream = await trio.open_tcp_stream("127.0.0.1", world.port)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = secure.trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
        shaken = False
        while not shaken:
            try:
                tls.do_handshake()
                shaken = True
            except ssl.SSLWantReadError:
                await stream.send_all(outgoing.read())
                incoming.write(await stream.receive_some())
        tls.write(b"GET " + target + b" HTTP/1.1\r\nhost: h\r\n\r\n")
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
        await stream.send_all(outgoing.read())
        await stream.send_eof()
        while data := await stream.receive_some():
            incoming.write(data)
        assert tls.read(64).startswith(b"HTTP/1.1 200")
        await stream.aclose()
        await all_quiet()
        assert world.lane.statistics().connections == 0


async def test_a_websocket_over_tls(patient_clock, secure):
    """The handshake and a first command, also on a connection that the cold lane had."""
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    upgrade = (
        b"GET /connection/websocket HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: " + key + b"\r\n\r\n"
    )
    async with serving(secure=secure) as world, world.client() as client:
        assert (await client.ask("GET", "/")).status == 200
        await client.send(upgrade)
        assert b"101 Switching" in await client.until(b"\r\n\r\n")
        await all_quiet()
        assert [type(machine_of(conn)) for conn in world.table.connections()] == [WebSocketConnection]


@pytest.mark.parametrize("lane", ["hot", "cold"])
async def test_a_big_answer_to_a_slow_reader_is_whole(mock_clock, secure, lane):
    """Who reads a little now and then is served to the end, close_notify included."""
    mock_clock.rate = 5
    async with serving(api=routes(big=big), secure=secure) as world, world.client() as client:
        if lane == "cold":
            await client.ask("GET", "/")
        await client.send(b"GET /big HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        length = 0
        while data := await client.stream.receive_some(1 << 20):
            length += len(data)
            await trio.sleep(0.01)
        assert length > BIG


async def test_a_reader_that_takes_nothing_is_cut(patient_clock, secure):
    """A room full of messages and a reader that stopped: the stall time ends it, and what waits is bounded meanwhile."""
    async with serving(table=TableSettings(stall_s=9, linger_s=5), secure=secure) as world:
        token = await world.token()
        async with world.client() as client, world.client() as poster:
            await client.send(events(token))
            await client.until(b"stream.open")
            body = json.dumps({"text": "x" * 60_000}).encode()
            with trio.fail_after(500):
                while streams(world):
                    answer = await poster.ask(
                        "POST", "/api/v1/conversations/lobby/messages", body, authorization=f"Bearer {token}"
                    )
                    assert answer.status == 201
                    assert max(conn._unsent_bytes for conn in world.table.connections()) < 2 * 1024 * 1024
                    await trio.sleep(1)
                while world.table.statistics().connections > 1:  # noqa: ASYNC110
                    await trio.sleep(1)
            assert world.table.statistics().stalled == 1
            assert (await poster.ask("GET", "/health")).status == 200
            await trio.aclose_forcefully(client.stream)


async def test_a_handshake_that_stops_is_cut_in_time(patient_clock, secure):
    """Silence, half a hello, a hello without the rest: all are gone after the deadline, others are served meanwhile."""
    async with serving(secure=attrs.evolve(secure, handshake_s=3.0)) as world:
        peers = [await trio.open_tcp_stream("127.0.0.1", world.port) for _ in range(3)]
        await peers[1].send_all(b"\x16\x03\x01\x02\x00\x01")
        outgoing = ssl.MemoryBIO()
        tls = secure.trusting.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        await peers[2].send_all(outgoing.read())
        await all_quiet()
        async with world.client() as client:
            assert (await client.ask("GET", "/health")).status == 200
        began = trio.current_time()
        for peer in peers:
            while await peer.receive_some():
                pass
            await peer.aclose()
        assert trio.current_time() - began < 4
        await trio.sleep(30)
        assert world.table.statistics().connections == 0


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", b"HTTP/1.1 400 "),
        (b"\x00" * 100_000, b""),
        (b"\x16\x03\x01\x00\x05hello", b"\x15"),
    ],
    ids=["plain", "garbage", "no hello"],
)
async def test_what_is_no_tls_is_refused(patient_clock, secure, sent, status):
    """In words, by an alert, or by nothing; and gently, so that the peer can read it."""
    async with serving(secure=secure) as world:
        stream = await trio.open_tcp_stream("127.0.0.1", world.port)
        await stream.send_all(sent)
        received = b""
        while data := await stream.receive_some():
            received += data
        assert received.startswith(status)
        assert bool(received) == bool(status)
        await stream.aclose()
        await trio.sleep(30)
        assert world.table.statistics().connections == 0


async def test_renegotiation_is_refused(secure):
    """A client of TLS 1.2 that asks for new keys is told no; nothing is logged, and others are served."""
    async with serving(secure=secure) as world:
        ask = [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{world.port}", "-tls1_2"),
            *("-CAfile", str(next(secure.certificates.files()))),
        ]
        told = await trio.run_process(ask, stdin=b"R\n", capture_stdout=True, capture_stderr=True, check=False)
        assert b"no renegotiation" in told.stderr
        async with world.client() as client:
            assert (await client.ask("GET", "/health")).status == 200


async def test_a_reset_at_any_moment_leaves_nothing(patient_clock, secure):
    """In the handshake, behind it, in the cold lane, in a stream: no descriptor and no connection stays."""
    async with serving(secure=secure) as world:
        token = await world.token()
        await all_quiet()
        gc.collect()
        before = descriptors()
        for words in (None, b"", b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", events(token)):
            stream = await trio.open_tcp_stream("127.0.0.1", world.port)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            if words is None:
                await stream.send_all(b"\x16\x03\x01\x02\x00\x01")
            else:
                client = Client(trio.SSLStream(stream, secure.trusting, server_hostname="localhost"))
                await client.stream.do_handshake()
                if words:
                    await client.send(words)
                    await client.stream.receive_some()
            await all_quiet()
            await trio.aclose_forcefully(stream)
            await trio.sleep(1)
        gc.collect()
        assert descriptors() <= before
        assert world.table.statistics().failures == 0
        assert world.lane.statistics().connections == 0


async def test_a_new_certificate_drops_nobody(patient_clock, tmp_path):
    """Who is connected stays so; who comes next meets the new one."""
    old, new = make_certificate(tmp_path, "old"), make_certificate(tmp_path, "new")
    certificates = Certificates(TlsSettings(cert=old.cert, key=old.key))
    old_trust = old.client()
    async with serving(secure=Secure(certificates, old_trust)) as world, world.client() as client:
        token = await world.token()
        await client.send(events(token))
        await client.until(b"stream.open")
        shutil.copy(new.cert, old.cert)
        shutil.copy(new.key, old.key)
        assert certificates.reload()
        with pytest.raises(trio.BrokenResourceError):
            async with world.client() as late:
                await late.ask("GET", "/health")
        world.trusting = new.client()
        async with world.client() as late:
            body = json.dumps({"text": "hello"}).encode()
            await late.ask("POST", "/api/v1/conversations/lobby/messages", body, authorization=f"Bearer {token}")
        await client.until(b"message.created")


async def test_cookies_are_for_https_only(patient_clock, secure):
    """Whatever Origin says, once the server speaks TLS itself."""
    async with serving(api={"secure": True}, secure=secure) as world, world.client() as client:
        answer = await client.ask("POST", "/api/v1/auth/guest", b'{"name":"Ada"}')
        assert "; Secure" in str(answer.header("set-cookie"))


async def test_the_end_of_the_server_holds_for_nobody(patient_clock, secure):
    """Cancelled with handshakes, blocked answers and streams open, it ends at once and every socket is closed."""
    before = descriptors()
    async with serving(api=routes(big=big), secure=secure) as world:
        silent = await trio.open_tcp_stream("127.0.0.1", world.port)
        stuck = []
        for first in (b"", b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"):
            stream = await trio.open_tcp_stream("127.0.0.1", world.port)
            client = Client(trio.SSLStream(stream, secure.trusting, server_hostname="localhost"))
            await client.send(first + b"GET /big HTTP/1.1\r\nhost: h\r\n\r\n")
            stuck.append(stream)
        await all_quiet()
        began = trio.current_time()
    assert trio.current_time() == began
    for stream in (silent, *stuck):
        await trio.aclose_forcefully(stream)
    gc.collect()
    assert descriptors() <= before
