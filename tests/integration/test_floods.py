"""Clients that ask too much, too fast, or do not read: the others are served in time, memory stays bounded, the greedy
are cut off (design: G6, G8)."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import attrs
import trio

from hubbub.engine import Draft
from hubbub.engine.core.config import EngineSettings
from hubbub.transport.centrifugal_settings import SocketSettings

from .hostile import QUICK_TABLE, Closed, Peer, Socket, World, masked, request, world

MIB = 1024 * 1024
BOUND_S = 1.0
"""A well-behaved client's round trip while others flood; generous, the machine is shared."""


@asynccontextmanager
async def flooding(server: World, peer: Peer, data: bytes) -> AsyncIterator[None]:
    """Send `data` for ever, and read whatever comes."""

    async def send() -> None:
        while True:
            await peer.stream.send_all(data)

    async def read() -> None:
        while await peer.more():
            peer.data = b""

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        nursery.start_soon(read)
        yield
        nursery.cancel_scope.cancel()


async def worst_round_trip_s(socket: Socket, rounds: int) -> float:
    worst = 0.0
    for _ in range(rounds):
        start = trio.current_time()
        assert "presence_stats" in await socket.command(presence_stats={"channel": "lobby"})
        worst = max(worst, trio.current_time() - start)
        await trio.sleep(0.01)
    return worst


async def test_floods_of_commands_do_not_keep_others_waiting() -> None:
    """Small frames, many commands a frame, empty frames, WebSocket pings and pipelined requests, all at once."""
    floods = [
        masked(0x81, b'{"id":1,"ping":{}}') * 2_000,
        masked(0x81, b'{"id":1,"history":{"channel":"lobby"}}\n' * 1_000),
        masked(0x81, b"") * 10_000,
        masked(0x89, b"x") * 10_000,
    ]
    async with world() as server:
        polite = await server.socket()
        async with (
            flooding(server, await server.peer(), request("GET", "/health") * 500),
            trio.open_nursery() as nursery,
        ):
            for data in floods:
                nursery.start_soon(_flood_for_ever, server, data)
            assert await worst_round_trip_s(polite, 30) < BOUND_S
            nursery.cancel_scope.cancel()


async def _flood_for_ever(server: World, data: bytes) -> None:
    async with flooding(server, await server.socket(), data):
        await trio.sleep_forever()


@contextmanager
def growing_less_than(limit_bytes: int) -> Iterator[None]:
    """Fail when Python's memory grows by more at any moment."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit_bytes
    finally:
        tracemalloc.stop()


async def until_unsubscribed(server: World) -> None:
    with trio.fail_after(10):
        while server.count().subscribers:  # noqa: ASYNC110  counters have no event
            await trio.sleep(0.01)


async def test_tiny_frames_are_not_taken_in_faster_than_they_are_handled() -> None:
    """Frames that cost a step each stay with the system; the server's memory does not grow with them."""
    data = masked(0x8A) * (16 * MIB // 6)
    async with world(socket=SocketSettings(commands_per_turn=1)) as server:
        socket = await server.socket()
        with growing_less_than(2 * MIB), trio.move_on_after(0.5):
            await socket.stream.send_all(data)


async def test_who_asks_without_reading_is_cut_off() -> None:
    """Replies are not piled up: the connection ends within the stall time and what was kept for it is little."""
    async with world() as server:
        for _ in range(8):
            await server.engine.conversation("lobby").post(Draft("x" * 60_000, author="bot"))
        greedy = await server.socket()
        assert "subscribe" in await greedy.command(subscribe={"channel": "lobby"})
        command = b'{"id":1,"history":{"channel":"lobby","limit":8}}\n' * 100
        with growing_less_than(16 * MIB):
            await greedy.send(masked(0x81, command) * 20)
            await until_unsubscribed(server)
        assert len(await greedy.rest()) < 64 * MIB


async def test_who_stops_reading_is_cut_off_and_resumes() -> None:
    """A stream and a socket that take nothing while the room talks end with a resumable code, and lose nothing."""
    async with world(table=attrs.evolve(QUICK_TABLE, linger_s=5.0)) as server:
        room = server.engine.conversation("lobby")
        stream = await server.stream("/conversations/lobby/events")
        socket = await server.socket()
        assert "subscribe" in await socket.command(subscribe={"channel": "lobby"})
        count = 0
        with trio.fail_after(10):
            while count < 64 or server.count().subscribers:
                await room.post(Draft("x" * 60_000, author="bot"))
                count += 1
        text = (await stream.rest()).decode()
        assert text.endswith('event: stream.end\ndata: {"code":"slow"}\n\n')
        last = text.count("event: message.created")
        assert text.count("\nid: ") + text.startswith("id: ") == last < count
        assert await socket.end() == Closed(3008, "slow")
        again = await server.stream("/conversations/lobby/events", f"Last-Event-ID: {last}")
        assert (await again.until(b"\n")) == b"id: %d\n" % (last + 1)


async def test_more_conversations_than_there_is_room_for() -> None:
    """Names without end are refused as overloaded, with a time to come back, and push nobody out."""
    bounds = EngineSettings(live_conversations=5, idle_s=0.05, tick_s=0.02)
    async with world(engine=bounds) as server:
        polite, greedy = await server.socket(), await server.socket()
        assert "subscribe" in await polite.command(subscribe={"channel": "lobby"})
        commands = [{"id": n, "subscribe": {"channel": f"made-up-{n}"}} for n in range(1, 101)]
        await greedy.say(*commands)
        codes = {reply["error"]["code"] for reply in await greedy.replies(100)}
        assert codes == {102, 503}
        answer = await server.call("POST", "/conversations/lobby/messages", {"text": "still here"})
        assert answer.status == 201
        [push] = await polite.replies(1)
        assert push["push"]["pub"]["offset"] == 1
        with trio.fail_after(5):
            while (await server.call("GET", "/conversations/made-up-7")).status != 404:  # noqa: ASYNC110  only asking tells
                await trio.sleep(0.01)


async def test_connections_that_come_and_go() -> None:
    """Five hundred connections, some with half a request, closed at once: the world's count is the check."""
    async with world() as server:
        for number in range(500):
            peer = await server.peer()
            if number % 3:
                await peer.send(b"GET /health HTTP/1.1\r\nHost: te"[: number % 40])
            await peer.close()
        assert (await server.ask(request("GET", "/health"))).status == 200
