"""A room full of readers in one process: plain asyncio protocols that count, check the order, and measure each delivery."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from hubbub.bench import wire

from .journal import until
from .protocol import Peer

KEY = base64.b64encode(bytes(16))
MASK = bytes(4)


class Member(asyncio.Protocol):
    """One reader. It must see consecutive offsets; anything else ends up in `faults`."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._rest = b""
        self._upgraded = False
        self.transport: asyncio.Transport | None = None
        self.offset: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(wire.upgrade(self._crowd.host, KEY))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._upgraded:
            rest = wire.upgraded(data, KEY)
            if rest is None:
                self._rest = data
                return
            self._upgraded = True
            self._send(wire.connect(1, self._crowd.token))
            self._send(wire.subscribe(2, self._crowd.room))
            data = rest
        frames, end = wire.split(data)
        self._rest = data[end:]
        for frame in frames:
            if frame.opcode == wire.CLOSE:
                self._crowd.faults.append(f"closed: {frame.body!r}")
            elif frame.body == wire.SERVER_PING:
                self._send(wire.SERVER_PING)
            else:
                self._read(frame.body)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._crowd.leaving:
            self._crowd.faults.append(f"lost: {exc!r}")

    def _send(self, body: bytes) -> None:
        assert self.transport is not None
        self.transport.write(wire.frame(body, MASK))

    def _read(self, body: bytes) -> None:
        for document in wire.documents(body):
            if document.error is not None:
                self._crowd.faults.append(document.error.message)
            elif document.subscribe is not None:
                self.offset = document.subscribe.offset
            elif document.push is not None and document.push.pub is not None:
                self._take(document.push.pub)

    def _take(self, pub: wire.Publication) -> None:
        if self.offset is None or pub.offset != self.offset + 1:
            self._crowd.faults.append(f"{pub.offset} after {self.offset}")
        self.offset = pub.offset
        assert pub.data.message is not None
        sent_ns = int(pub.data.message.text.split(" ", 1)[0])
        self._crowd.delays_ms.append((time.monotonic_ns() - sent_ns) / 1e6)


class Crowd:
    """All readers of one room.

    Attributes:
        delays_ms: from the post's sending to its arrival, of all deliveries since it was last cleared.
        faults: what should not have happened.
    """

    def __init__(self, url: str, token: str, room: str) -> None:
        self.host = urlsplit(url).netloc
        self.token = token
        self.room = room
        self.members: list[Member] = []
        self.delays_ms: list[float] = []
        self.faults: list[str] = []
        self.leaving = False

    def percentile_ms(self, percent: int) -> float:
        """A percentile of the delays."""
        ordered = sorted(self.delays_ms)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]

    async def reach(self, offset: int, within_s: float) -> None:
        """Wait until everybody has seen an offset."""
        what = f"everybody in the crowd at {offset}"
        await until(lambda: all((member.offset or 0) >= offset for member in self.members), within_s, what)


@asynccontextmanager
async def crowd(url: str, token: str, room: str, size: int) -> AsyncIterator[Crowd]:
    """So many subscribed readers, for as long as the context is open."""
    found = Crowd(url, token, room)
    where = urlsplit(url)
    loop = asyncio.get_running_loop()
    try:
        for _ in range(size):
            _, member = await loop.create_connection(lambda: Member(found), where.hostname, where.port)
            found.members.append(member)
        await until(lambda: all(member.offset is not None for member in found.members), 30.0, f"{size} subscribed")
        yield found
    finally:
        found.leaving = True
        for member in found.members:
            if member.transport is not None:
                member.transport.abort()
        await asyncio.sleep(0)


class Ticker:
    """A poster at a fixed rate, whose texts begin with the time of their sending.

    Attributes:
        posts: acknowledged so far.
    """

    def __init__(self, hand: Peer, room: str, *, rate: float, text_bytes: int) -> None:
        self._hand = hand
        self._room = room
        self._rate = rate
        self._padding = os.urandom(text_bytes // 2).hex()
        self._stop = asyncio.Event()
        self.posts = 0

    async def run(self) -> None:
        """Post until told to stop."""
        due_s = time.monotonic()
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(due_s - time.monotonic(), 0.001))
                return
            due_s = max(due_s + 1 / self._rate, time.monotonic())  # on a busy machine it goes slower, and not in bursts
            await self._hand.publish(self._room, f"tick-{self.posts}", f"{time.monotonic_ns()} {self._padding}")
            self.posts += 1

    def stop(self) -> None:
        """Let it finish."""
        self._stop.set()
