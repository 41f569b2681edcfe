"""Readers that stop reading in a busy room: the others do not notice, memory is flat, and the slow ones lose nothing.

By hand with the real stall time: `HUBBUB_STALL_S=20 pytest tests/integration/test_slow_reader.py -s`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from .crowd import Crowd, Ticker, crowd
from .journal import Journal, until
from .processes import Server
from .protocol import Peer, peer
from .rest import Guest, guest
from .streams import Cut, RawStream, connected_socket, note
from .tables import Tables, read_tables

pytestmark = pytest.mark.server

ROOM = "slow"
CROWD = 500
RATE = 25.0
TEXT_BYTES = 4_000
NARROW_BYTES = 4_096
STALL_S = float(os.getenv("HUBBUB_STALL_S", "1"))
CALM_S = 2.0
FILL_S = 60.0  # more than enough for the buffers of the system between the two to be full
GROWTH_BYTES = 32 * 1024 * 1024
WITHIN_S = 30.0


@pytest.fixture
def impatient() -> Iterator[Server]:
    """A server with the stall time of this test."""
    found = Server(program=(sys.executable, str(Path(__file__).with_name("impatient.py")), str(STALL_S)))
    try:
        found.start()
        yield found
        found.check_log()
    finally:
        found.discard()


class _Memory:
    """The server's resident memory, sampled."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.samples: list[int] = []

    async def sample_on(self) -> None:
        while True:
            self.samples.append(self._process.memory_info().rss)
            await asyncio.sleep(0.05)


def test_slow_readers_are_cut_off_alone(impatient: Server) -> None:
    """One WebSocket and one event stream stop reading in a room of 500: both are told to resume, and catch up without loss."""
    asyncio.run(_slow_readers(impatient))


async def _slow_readers(server: Server) -> None:
    sleepy, drowsy = Journal("slow socket"), Journal("slow stream")
    async with AsyncExitStack() as stack:
        who = await stack.enter_async_context(guest(server.url, "Ada"))
        epoch = (await who.create(ROOM))["epoch"]
        others = await stack.enter_async_context(crowd(server.url, who.token, ROOM, CROWD))
        hand = await stack.enter_async_context(peer(server.websocket_url, who.token, Journal("ticker")))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        ticker, memory = Ticker(hand, ROOM, rate=RATE, text_bytes=TEXT_BYTES), _Memory(server.pid)
        ticking, sampling = group.create_task(ticker.run()), group.create_task(memory.sample_on())

        calm = await _window(others, asyncio.sleep(CALM_S))
        memory.samples.clear()
        narrow = await connected_socket(server.url, NARROW_BYTES)
        slow_peer = await stack.enter_async_context(peer(server.websocket_url, who.token, sleepy, narrow))
        assert "subscribe" in await slow_peer.subscribe(ROOM)
        narrow = await connected_socket(server.url, NARROW_BYTES)
        slow_stream = await RawStream.open(server.url, who.token, ROOM, sock=narrow)
        slow_peer.reading.clear()
        began = time.monotonic()
        busy = await _window(others, _alone(who, CROWD, FILL_S + STALL_S))
        cut_after_s = time.monotonic() - began

        await _told_to_resume(slow_peer, slow_stream, drowsy)
        ticker.stop()
        await ticking
        sampling.cancel()
        tables = await read_tables(server, ROOM)
        tables.check()
        await others.reach(tables.head, WITHIN_S)
        assert not others.faults, others.faults[:5]
        await _catch_up(server, who, epoch, tables, sleepy, drowsy)

    growth = max(memory.samples) - memory.samples[0]
    print(
        f"stall time {STALL_S:g} s, cut off {cut_after_s:.1f} s after they stopped reading; {ticker.posts} posts of"
        f" {TEXT_BYTES} bytes to {CROWD}; p50, p99 calm {calm}, with slow readers {busy};"
        f" memory {memory.samples[0] / 2**20:.0f} MiB, grew {growth / 2**20:.1f} MiB"
    )
    assert growth < GROWTH_BYTES


async def _window(others: Crowd, work: Awaitable[None]) -> str:
    """The others' delays while something happens."""
    others.delays_ms.clear()
    await work
    return f"{others.percentile_ms(50):.1f}, {others.percentile_ms(99):.1f} ms"


async def _alone(who: Guest, count: int, within_s: float) -> None:
    """Wait until only so many follow the room: the server has let go of the slow ones, who cannot be asked."""
    clients = -1

    async def look() -> None:
        nonlocal clients
        while clients != count:
            answer = await who.http.get(f"/api/v1/conversations/{ROOM}/presence", headers=who.authorization)
            clients = answer.json()["clients"]
            await asyncio.sleep(0.05)

    try:
        await asyncio.wait_for(look(), within_s)
    except TimeoutError:
        raise AssertionError(f"{clients} still follow after {within_s:g} s, not {count}") from None


async def _told_to_resume(slow_peer: Peer, slow_stream: RawStream, drowsy: Journal) -> None:
    """They read again, and find what was under way, then the reason."""
    slow_peer.reading.set()
    await until(lambda: slow_peer.close is not None, WITHIN_S, "the end of the slow socket")
    assert slow_peer.close == (3008, "slow")
    codes = []
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                blocks = await slow_stream.blocks()
            except EOFError:
                break
            for block in blocks:
                note(drowsy, block)
                if block.event == "stream.end":
                    codes.append(block.data["code"])
    assert codes == ["slow"]
    assert not slow_stream.inside_block, "the end came within a block"
    await slow_stream.cut(Cut.RESET)


async def _catch_up(server: Server, who: Guest, epoch: str, tables: Tables, sleepy: Journal, drowsy: Journal) -> None:
    """They come back from where they were, and miss nothing from the first event that they saw."""
    for journal in (sleepy, drowsy):
        assert 0 < journal.offset < tables.head, f"{journal.name} was not behind"
    async with peer(server.websocket_url, who.token, sleepy) as hand:
        reply = await hand.subscribe(ROOM, sleepy.offset, epoch)
        assert reply["subscribe"]["recovered"] is True
        await sleepy.reach(tables.head, WITHIN_S)
    stream = await RawStream.open(server.url, who.token, ROOM, last_id=str(drowsy.offset))
    async with asyncio.timeout(WITHIN_S):
        while drowsy.offset < tables.head:
            for block in await stream.blocks():
                note(drowsy, block)
    await stream.cut(Cut.RESET)
    for journal in (sleepy, drowsy):
        journal.check(tables.events[journal.seen[0].offset - 1 :])
