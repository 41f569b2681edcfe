"""Readers that are cut at any byte, and come back: what they saw together is the table, in order, each row once."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest

from .journal import Journal
from .processes import Server
from .protocol import peer
from .rest import Guest, guest
from .streams import Cut, RawStream, connected_socket, note
from .tables import Tables, read_tables

pytestmark = pytest.mark.server

ROOM = "resume"
WRITERS = 20
READERS = 20
CUTS_EACH = 10
CUTS = READERS * CUTS_EACH
AWAY_S = 0.2  # at most; something is missed meanwhile
TAIL_EVENTS = 4_096
LONG_LOG = 6_000
MEANWHILE = 300
BIG_POSTS, BIG_BYTES = 500, 8_000
WITHIN_S = 60.0
SEED = int(os.getenv("HUBBUB_RESUME_SEED", "0")) or random.randrange(1 << 30)


@attrs.define
class Writers:
    """20 clients that post one message after the other until they are told to stop."""

    stop: asyncio.Event = attrs.Factory(asyncio.Event)
    posts: int = 0

    async def write_on(self, who: Guest, name: str) -> None:
        number = 0
        while not self.stop.is_set():
            await who.post(ROOM, f"{name}-{number}", f"{name} says {number}")
            number += 1
            self.posts += 1


@asynccontextmanager
async def _writing(server: Server) -> AsyncIterator[tuple[Guest, Writers]]:
    async with guest(server.url, "Ada") as who:
        await who.create(ROOM)
        writers = Writers()
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(writers.write_on(who, f"writer-{number}"))
            try:
                yield who, writers
            finally:
                writers.stop.set()


async def _all_done(readers: list[asyncio.Task[None]], writers: Writers) -> None:
    """Wait for the readers' cuts while the writers write."""
    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*readers)
    writers.stop.set()


# -- event streams ------------------------------------------------------------------------------------------------------


async def _cut_streams(server: Server, token: str, journal: Journal, rng: random.Random) -> None:
    """Read, be cut somewhere, come back with the last id; ten times."""
    for _ in range(CUTS_EACH):
        stream = await _reopen(server, token, journal)
        wanted, how = journal.offset + rng.randrange(1, 40), rng.choice(list(Cut))
        while journal.offset < wanted or (how is Cut.MIDDLE and not stream.inside_block):
            for block in await stream.blocks():
                note(journal, block)
        for block in await stream.cut(how):
            note(journal, block)
        await asyncio.sleep(rng.random() * AWAY_S)


async def _reopen(server: Server, token: str, journal: Journal) -> RawStream:
    last_id = str(journal.offset) if journal.offset else ""
    return await RawStream.open(server.url, token, ROOM, "?after=0", last_id)


async def _read_stream_to(server: Server, token: str, journal: Journal, head: int) -> None:
    stream = await _reopen(server, token, journal)
    async with asyncio.timeout(WITHIN_S):
        while journal.offset < head:
            for block in await stream.blocks():
                note(journal, block)
    await stream.cut(Cut.RESET)


def test_streams_cut_at_random(server: Server) -> None:
    """200 random disconnects of event streams (RST, FIN, within a block) while 20 clients post lose and double nothing."""
    asyncio.run(_streams_cut(server))


async def _streams_cut(server: Server) -> None:
    began = time.monotonic()
    journals = [Journal(f"stream {number} (seed {SEED})") for number in range(READERS)]
    async with _writing(server) as (who, writers):
        cuts = [
            asyncio.create_task(_cut_streams(server, who.token, journal, random.Random(SEED + number)))
            for number, journal in enumerate(journals)
        ]
        await _all_done(cuts, writers)
    async with guest(server.url, "Bea") as who:
        tables = await read_tables(server, ROOM)
        tables.check()
        await asyncio.gather(*[_read_stream_to(server, who.token, journal, tables.head) for journal in journals])
    _compare(journals, tables)
    print(f"seed {SEED}: {CUTS} cuts of streams during {tables.head} posts, {time.monotonic() - began:.1f} s")


def _compare(journals: list[Journal], tables: Tables) -> None:
    for journal in journals:
        journal.check(tables.events)
        assert not journal.resets, f"{journal.name} was told that something may be missing"


# -- WebSocket recovery -------------------------------------------------------------------------------------------------


async def _cut_sockets(server: Server, token: str, epoch: str, journal: Journal, rng: random.Random) -> None:
    """Subscribe with recovery, read, be cut (abort, or a close frame); ten times."""
    for _ in range(CUTS_EACH):
        await _recover_to(
            server, token, epoch, journal, journal.offset + rng.randrange(1, 40), polite=rng.random() < 0.3
        )
        await asyncio.sleep(rng.random() * AWAY_S)


async def _recover_to(
    server: Server, token: str, epoch: str, journal: Journal, offset: int, *, polite: bool = False
) -> None:
    async with peer(server.websocket_url, token, journal) as hand:
        reply = await hand.subscribe(ROOM, journal.offset, epoch)
        assert reply["subscribe"]["recovered"] is True, reply
        await journal.reach(offset, WITHIN_S)
        if polite:
            await hand.socket.close()


def test_websockets_cut_at_random(server: Server) -> None:
    """200 random disconnects of WebSocket clients that recover by offset and epoch lose and double nothing."""
    asyncio.run(_sockets_cut(server))


async def _sockets_cut(server: Server) -> None:
    began = time.monotonic()
    journals = [Journal(f"socket {number} (seed {SEED})") for number in range(READERS)]
    async with _writing(server) as (who, writers):
        epoch = (await read_tables(server, ROOM)).epoch
        cuts = [
            asyncio.create_task(_cut_sockets(server, who.token, epoch, journal, random.Random(SEED + number)))
            for number, journal in enumerate(journals)
        ]
        await _all_done(cuts, writers)
    async with guest(server.url, "Bea") as who:
        tables = await read_tables(server, ROOM)
        tables.check()
        await asyncio.gather(*[_recover_to(server, who.token, epoch, journal, tables.head) for journal in journals])
    _compare(journals, tables)
    print(f"seed {SEED}: {CUTS} cuts of sockets during {tables.head} posts, {time.monotonic() - began:.1f} s")


# -- beyond the tail ----------------------------------------------------------------------------------------------------


def test_resume_beyond_the_tail(server: Server) -> None:
    """Who resumes from before the tail gets all of it, with a full tail, and after a restart with a short one."""
    asyncio.run(_beyond_the_tail(server))


async def _beyond_the_tail(server: Server) -> None:
    async with guest(server.url, "Ada") as who:
        await who.create(ROOM)
        await _fill(server, who, LONG_LOG, "first")
        assert (await read_tables(server, ROOM)).head == LONG_LOG > TAIL_EVENTS
        await _all_from(server, who, "full tail")
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        await _all_from(server, who, "after a restart")


async def _fill(server: Server, who: Guest, count: int, name: str, *, lanes: int = 64, text_bytes: int = 0) -> None:
    """Post many, `lanes` on their way at a time, over one connection."""
    async with peer(server.websocket_url, who.token, Journal("filler")) as hand:

        async def lane(numbers: range) -> None:
            for number in numbers:
                await hand.publish(ROOM, f"{name}-{number}", f"{name} {number} ".ljust(text_bytes, "."))

        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*[lane(range(first, count, lanes)) for first in range(lanes)])


async def _all_from(server: Server, who: Guest, when: str) -> None:
    """Readers of both kinds from the beginning, the middle and the end, while somebody posts."""
    before = await read_tables(server, ROOM)
    epoch, head = before.epoch, before.head
    starts = [0, 1, 1_000, LONG_LOG - TAIL_EVENTS, LONG_LOG - 500, LONG_LOG - 1, LONG_LOG]
    streams = [(start, Journal(f"stream from {start}, {when}")) for start in starts]
    sockets = [(start, Journal(f"socket from {start}, {when}")) for start in starts]
    began = time.monotonic()
    await asyncio.gather(
        _fill(server, who, MEANWHILE, when.replace(" ", "-"), lanes=4),
        *[_stream_from(server, who, start, journal, head + MEANWHILE) for start, journal in streams],
        *[_socket_from(server, who, start, journal, epoch, head + MEANWHILE) for start, journal in sockets],
    )
    tables = await read_tables(server, ROOM)
    tables.check()
    assert tables.head == head + MEANWHILE
    for start, journal in streams + sockets:
        journal.check(tables.events[start:])
    print(f"{len(streams + sockets)} readers of up to {tables.head} events, {when}: {time.monotonic() - began:.2f} s")


async def _stream_from(server: Server, who: Guest, start: int, journal: Journal, head: int) -> None:
    stream = await RawStream.open(server.url, who.token, ROOM, f"?after={start}")
    async with asyncio.timeout(WITHIN_S):
        while not journal.ready.is_set() or max(start, journal.offset) < head:
            for block in await stream.blocks():
                note(journal, block)
    await stream.cut(Cut.RESET)


async def _socket_from(server: Server, who: Guest, start: int, journal: Journal, epoch: str, head: int) -> None:
    async with peer(server.websocket_url, who.token, journal) as hand:
        reply = await hand.subscribe(ROOM, start, epoch)
        assert reply["subscribe"]["recovered"] is True, reply
        await journal.reach(head, WITHIN_S)


def test_live_readers_fall_out_of_the_tail(server: Server) -> None:
    """Live readers that stop for a while, until the tail has gone on without them, read on where they were, and miss nothing."""
    asyncio.run(_out_of_the_tail(server))


async def _out_of_the_tail(server: Server) -> None:
    paused, held = Journal("paused socket"), Journal("paused stream")
    async with guest(server.url, "Ada") as who:
        await who.create(ROOM)
        narrow = await connected_socket(server.url, 4_096)
        stream = await RawStream.open(server.url, who.token, ROOM, sock=await connected_socket(server.url, 4_096))
        async with peer(server.websocket_url, who.token, paused, narrow) as hand:
            assert "subscribe" in await hand.subscribe(ROOM)
            hand.reading.clear()
            await _fill(server, who, BIG_POSTS, "big", text_bytes=BIG_BYTES)  # twice what the tail holds
            hand.reading.set()
            async with asyncio.timeout(WITHIN_S):
                while held.offset < BIG_POSTS:
                    for block in await stream.blocks():
                        note(held, block)
            await paused.reach(BIG_POSTS, WITHIN_S)
            assert hand.close is None, "it was cut off"
        await stream.cut(Cut.RESET)
        tables = await read_tables(server, ROOM)
        tables.check()
        _compare([paused, held], tables)


# -- cursors that cannot be served --------------------------------------------------------------------------------------


def test_positions_of_another_log(server: Server) -> None:
    """A wrong epoch and an offset from the future are said aloud on every transport, and the reader goes on live."""
    asyncio.run(_wrong_positions(server))


async def _wrong_positions(server: Server) -> None:
    async with guest(server.url, "Ada") as who:
        epoch = (await who.create(ROOM))["epoch"]
        for number in range(3):
            await who.post(ROOM, f"first-{number}", f"number {number}")
        await _wrong_stream(server, who, "?after=1&epoch=nonsense", "epoch_changed")
        await _wrong_stream(server, who, "?after=99", "ahead")
        await _wrong_socket(server, who, 1, "nonsense")
        await _wrong_socket(server, who, 99, epoch)
        async with peer(server.websocket_url, who.token, Journal("asker")) as hand:
            for since in ({"offset": 1, "epoch": "nonsense"}, {"offset": 99, "epoch": epoch}):
                reply = await hand.ask(history={"channel": ROOM, "limit": 10, "since": since})
                assert reply["error"]["code"] == 112, reply
        answer = await who.http.get(
            f"/api/v1/conversations/{ROOM}/messages", params={"after": 99}, headers=who.authorization
        )
        assert (answer.status_code, answer.json()["messages"]) == (200, [])


async def _wrong_stream(server: Server, who: Guest, query: str, reason: str) -> None:
    stream = await RawStream.open(server.url, who.token, ROOM, query)
    blocks = []
    async with asyncio.timeout(10.0):
        while len(blocks) < 2:
            blocks += await stream.blocks()
        head = blocks[1].data["offset"]
        assert [block.event for block in blocks] == ["stream.open", "stream.reset"]
        assert (blocks[0].id, blocks[1].id, blocks[1].data["reason"]) == (None, str(head), reason)
        ack = await who.post(ROOM, f"after-{reason}-on-a-stream", "live")
        while len(blocks) < 3:
            blocks += await stream.blocks()
    assert (blocks[2].id, ack.offset) == (str(head + 1), head + 1)
    await stream.cut(Cut.RESET)


async def _wrong_socket(server: Server, who: Guest, offset: int, epoch: str) -> None:
    journal = Journal("wrong position")
    async with peer(server.websocket_url, who.token, journal) as hand:
        reply = (await hand.subscribe(ROOM, offset, epoch))["subscribe"]
        assert (reply["was_recovering"], reply["recovered"]) == (True, False)
        assert reply["epoch"] != "nonsense"
        assert "publications" not in reply
        ack = await who.post(ROOM, f"after-{offset}-{epoch}", "live")
        assert ack.offset == reply["offset"] + 1
        await journal.reach(ack.offset, 10.0)
        assert [row.offset for row in journal.seen] == [ack.offset]
