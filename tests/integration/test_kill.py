"""kill -9 of the server, and of its Postgres, under load: what was acknowledged is there, once, in one order.

By hand more rounds: `HUBBUB_KILL_ROUNDS=20 pytest tests/integration/test_kill.py -s`; `HUBBUB_KILL_SEED` replays the moments.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import pytest

from . import sdk
from .journal import Journal, until
from .processes import Server
from .rest import Ack, Guest, guest
from .streams import follow_httpx
from .tables import Tables, read_tables

pytestmark = pytest.mark.server

ROOM = "kill"
POSTERS = 20
ROUNDS = int(os.getenv("HUBBUB_KILL_ROUNDS", "3"))
SEED = int(os.getenv("HUBBUB_KILL_SEED", "0")) or random.randrange(1 << 30)
MENDED_S = 30.0

Post = Callable[[str, str], Coroutine[None, None, Ack]]


@attrs.define
class Load:
    """What the posters have sent and what they were promised."""

    stop: asyncio.Event = attrs.Factory(asyncio.Event)
    sent: dict[str, str] = attrs.Factory(dict)
    acks: dict[str, Ack] = attrs.Factory(dict)

    async def post_on(self, name: str, post: Post) -> None:
        """Post one message after the other, each until it is acknowledged."""
        number = 0
        while not self.stop.is_set():
            key, number = f"{name}-{number}", number + 1
            self.sent[key] = f"text of {key}"
            self.acks[key] = await post(key, self.sent[key])

    async def more(self, count: int) -> None:
        """Wait until so many more posts were acknowledged."""
        wanted = len(self.acks) + count
        await until(lambda: len(self.acks) >= wanted, MENDED_S, f"{wanted} acks, there are {len(self.acks)}")

    def check(self, tables: Tables) -> None:
        """Every post is in the tables, once, where its ack says."""
        assert set(self.acks) == set(self.sent), "a poster gave up"
        assert {ack.key: (ack.id, ack.offset) for ack in self.acks.values()} == tables.keys
        texts = {row.id: row.text for row in tables.messages}
        assert {key: texts[id_] for key, (id_, _) in tables.keys.items()} == self.sent
        assert len(tables.messages) == len(self.sent), "a post is there twice"


@attrs.define
class Room:
    """Posters and readers at work."""

    load: Load
    readers: list[Journal]

    async def resumed(self, times: int) -> None:
        """Wait until every reader has come back so often."""
        what = f"all readers back {times} times"
        await until(lambda: min(reader.resumed for reader in self.readers) >= times, MENDED_S, what)

    async def settle(self, server: Server, posters: list[asyncio.Task[None]]) -> Tables:
        """Let the posters finish, and compare everybody with the tables."""
        self.load.stop.set()
        async with asyncio.timeout(MENDED_S):
            await asyncio.gather(*posters)
        tables = await read_tables(server, ROOM)
        tables.check()
        self.load.check(tables)
        for reader in self.readers:
            await reader.reach(tables.head, MENDED_S)
            reader.check(tables.events)
            assert not reader.resets, f"{reader.name} was told that something may be missing"
        return tables


@asynccontextmanager
async def _busy_room(server: Server) -> AsyncIterator[tuple[Room, list[asyncio.Task[None]]]]:
    """20 clients that post, half by REST and half by the SDK, two readers with the SDK and two of event streams."""
    load, readers = Load(), [Journal(f"{kind} reader {number}") for kind in ("SDK", "SSE") for number in (1, 2)]
    async with AsyncExitStack() as stack:
        who = await stack.enter_async_context(guest(server.url, "Ada"))
        await who.create(ROOM)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        streams = [group.create_task(follow_httpx(who, ROOM, journal)) for journal in readers[2:]]
        for journal in readers[:2]:
            client = await stack.enter_async_context(sdk.sdk(server.websocket_url, who.token))
            await sdk.follow(client, ROOM, journal)
        posters = []
        for number in range(POSTERS):
            post = await _poster(stack, server, who) if number % 2 else _rest_poster(who)
            posters.append(group.create_task(load.post_on(f"poster-{number}", post)))
        yield Room(load, readers), posters
        for stream in streams:
            stream.cancel()


def _rest_poster(who: Guest) -> Post:
    return lambda key, text: who.post(ROOM, key, text)


async def _poster(stack: AsyncExitStack, server: Server, who: Guest) -> Post:
    client = await stack.enter_async_context(sdk.sdk(server.websocket_url, who.token))
    return lambda key, text: sdk.post(client, ROOM, key, text)


def test_server_killed(server: Server) -> None:
    """After kill -9 of the server every acknowledged post is there once, offsets are gapless, readers resumed where they were."""
    asyncio.run(_kill_server(server, random.Random(SEED)))


async def _kill_server(server: Server, rng: random.Random) -> None:
    async with _busy_room(server) as (room, posters):
        starts = []
        for number in range(ROUNDS):
            await room.load.more(rng.randrange(20, 300))
            await asyncio.sleep(rng.random() * 0.02)  # anywhere between two commits
            if number % 2:  # the power failed: both at once
                os.kill(server.postgres_pid, signal.SIGKILL)
            await asyncio.to_thread(server.kill)
            began = time.monotonic()
            await asyncio.to_thread(server.start)
            starts.append(time.monotonic() - began)
            await room.resumed(len(starts))
        await room.load.more(100)
        tables = await room.settle(server, posters)
        retried = sum(ack.tries > 1 for ack in room.load.acks.values())
        print(
            f"seed {SEED}: server killed {ROUNDS} times, {tables.head} posts, {retried} retried,"
            f" ready again after {max(starts):.2f} s at most"
        )


def test_postgres_killed(server: Server) -> None:
    """After kill -9 of Postgres the running server mends it, and nothing acknowledged is missing, doubled or turned round."""
    asyncio.run(_kill_postgres(server, random.Random(SEED)))


async def _kill_postgres(server: Server, rng: random.Random) -> None:
    # The embedded Postgres may die five times within a minute; more is taken for a fault that restarting does not mend.
    rounds, pid = min(ROUNDS, 5), server.pid
    async with _busy_room(server) as (room, posters):
        mended = []
        for _ in range(rounds):
            await room.load.more(rng.randrange(20, 300))
            began = time.monotonic()
            os.kill(server.postgres_pid, signal.SIGKILL)
            await room.load.more(POSTERS + 1)  # at least one of them was sent after the kill
            mended.append(time.monotonic() - began)
        await room.load.more(100)
        tables = await room.settle(server, posters)
        assert server.pid == pid
        retried = sum(ack.tries > 1 for ack in room.load.acks.values())
        print(
            f"seed {SEED}: Postgres killed {rounds} times, {tables.head} posts, {retried} retried,"
            f" posts went on after {max(mended):.2f} s at most"
        )
