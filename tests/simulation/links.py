"""Connections of the clients: HTTP calls, event streams and WebSocket sessions over a simulated link."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from .network import Link, LinkBroken
from .town import Town
from .wire import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    Block,
    BlockReader,
    FrameReader,
    Garbled,
    HttpReader,
    Response,
    frame,
    request,
)

ANSWER_S = 60.0
"""A server that has not answered by then, on a link that works, never will: deadlines are shorter."""


class Gone(Exception):
    """The connection ended before the answer came."""


class Slow:
    """How a client reads: it can be made to stop for a while."""

    def __init__(self) -> None:
        self._until_s = 0.0

    def stop(self, seconds: float) -> None:
        """Take nothing for so long."""
        self._until_s = trio.current_time() + seconds

    async def receive(self, link: Link) -> bytes:
        """Read, when it reads."""
        while trio.current_time() < self._until_s:
            await trio.sleep_until(self._until_s)
        return await link.receive()


async def call(town: Town, link: Link, token: str, method: str, path: str, **more: Any) -> Response:
    """One request on a link and its answer.

    Raises:
        Gone: none came, and the connection is no more.
    """
    reader = HttpReader()
    try:
        with trio.fail_after(ANSWER_S):
            await link.send(request(method, path, token, **more))
            while True:
                data = await link.receive()
                if not data:
                    raise Gone
                reader.feed(data)
                response = reader.response()
                if response is not None:
                    return response
    except LinkBroken:
        raise Gone from None
    except trio.TooSlowError:
        unanswered(town, link, f"{method} {path}")
        raise Gone from None


def unanswered(town: Town, link: Link, what: str) -> None:
    """A client has waited for long enough: on a working link that is a broken promise."""
    if not (link.lost or link.broken or link.weather.delay_s > 0.04 or link.weather.crumb_bytes):
        town.find("unanswered", f"{what} on link {link.number}")


class Stream:
    """An event stream that has begun."""

    def __init__(self, link: Link, slow: Slow, rest: bytes) -> None:
        self._link = link
        self._slow = slow
        self._reader = BlockReader()
        self._blocks: deque[Block] = deque(self._reader.feed(rest))

    async def next(self) -> Block:
        """The next event.

        Raises:
            Gone: the stream has ended.
        """
        while not self._blocks:
            try:
                data = await self._slow.receive(self._link)
            except LinkBroken:
                raise Gone from None
            if not data:
                raise Gone
            self._blocks.extend(self._reader.feed(data))
        return self._blocks.popleft()


async def open_stream(town: Town, link: Link, slow: Slow, token: str, path: str, last_id: str) -> Stream | int:
    """Ask for an event stream: it, or the status of a refusal.

    Raises:
        Gone: no answer came.
    """
    reader = HttpReader()
    try:
        with trio.fail_after(ANSWER_S):
            await link.send(request("GET", path, token, headers={"last-event-id": last_id} if last_id else None))
            while (found := reader.head()) is None:
                data = await link.receive()
                if not data:
                    raise Gone
                reader.feed(data)
    except LinkBroken:
        raise Gone from None
    except trio.TooSlowError:
        unanswered(town, link, path)
        raise Gone from None
    return Stream(link, slow, reader.rest()) if found[0] == 200 else found[0]


class Socket:
    """A WebSocket session that has connected and authenticated."""

    def __init__(self, town: Town, link: Link, slow: Slow) -> None:
        self._town = town
        self._link = link
        self._slow = slow
        self._ids = itertools.count(1)
        self._replies: dict[int, dict[str, Any]] = {}
        self._asked: dict[int, trio.Event] = {}
        self._channels: dict[int, str] = {}
        self._pushes: deque[dict[str, Any]] = deque()
        self._pushed = trio.Event()
        self.close_code: int | None = None
        self.ended = False
        self.scope = trio.CancelScope()

    async def ask(self, **command: Any) -> dict[str, Any]:
        """A command and its reply.

        Raises:
            Gone: none came.
        """
        return await self.reply(await self.put(**command))

    async def put(self, **command: Any) -> int:
        """Send a command; `reply` waits for its answer.

        Raises:
            Gone: the connection is no more.
        """
        number = next(self._ids)
        self._asked[number] = trio.Event()
        if "subscribe" in command:
            self._channels[number] = command["subscribe"]["channel"]
        try:
            await self._link.send(frame(TEXT, json.dumps({"id": number, **command}).encode()))
        except LinkBroken:
            raise Gone from None
        return number

    async def reply(self, number: int) -> dict[str, Any]:
        """Wait for the answer to a command.

        Raises:
            Gone: none came.
        """
        try:
            with trio.fail_after(ANSWER_S):
                if not self.ended:
                    await self._asked[number].wait()
        except trio.TooSlowError:
            unanswered(self._town, self._link, f"command {number}")
            raise Gone from None
        finally:
            del self._asked[number]
        if number not in self._replies:
            raise Gone
        return self._replies.pop(number)

    async def next_push(self) -> dict[str, Any]:
        """The next push; a reply to `subscribe` stands among them, where it came. All name their channel.

        Raises:
            Gone: the session has ended.
        """
        while not self._pushes:
            if self.ended:
                raise Gone
            self._pushed = trio.Event()
            await self._pushed.wait()
        return self._pushes.popleft()

    async def read(self) -> None:
        """Read until the end; run beside the rest."""
        try:
            with self.scope:
                await self._read()
        except LinkBroken:
            pass
        finally:
            self._end()

    async def _read(self) -> None:
        http, frames, upgraded = HttpReader(), FrameReader(), False
        while data := await self._slow.receive(self._link):
            if not upgraded:
                http.feed(data)
                found = http.head()
                if found is None:
                    continue
                if found[0] != 101:
                    return
                upgraded, data = True, http.rest()
            for opcode, payload in frames.feed(data):
                await self._take(opcode, payload)

    async def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            await self._link.send(frame(PONG, payload))
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
            if 3500 <= self.close_code < 4000:
                self._town.find("refused for ever", f"close code {self.close_code}")
        elif opcode == TEXT:
            for line in payload.split(b"\n"):
                await self._take_document(json.loads(line))
        else:
            raise Garbled(f"opcode {opcode}")

    async def _take_document(self, document: dict[str, Any]) -> None:
        if not document:
            await self._link.send(frame(TEXT, b"{}"))
        elif "id" in document:
            if "subscribe" in document:  # among the pushes: what it carries comes before them
                self._push({**document, "channel": self._channels[document["id"]]})
            if document["id"] in self._asked:
                self._replies[document["id"]] = document
                self._asked[document["id"]].set()
        else:
            self._push(document["push"])

    def _push(self, push: dict[str, Any]) -> None:
        self._pushes.append(push)
        self._pushed.set()

    def _end(self) -> None:
        self.ended = True
        self._pushed.set()
        for replied in self._asked.values():
            replied.set()


@asynccontextmanager
async def session(town: Town, slow: Slow, token: str) -> AsyncIterator[Socket]:
    """Connect, upgrade, authenticate.

    Raises:
        Gone: it did not come to that.
    """
    try:
        link = town.network.connect()
        await link.send(UPGRADE)
    except LinkBroken:
        raise Gone from None
    socket = Socket(town, link, slow)
    # In the town's nursery and not in one of its own: an error of the caller shall stay what it is, not become a group.
    town.nursery.start_soon(socket.read)
    try:
        reply = await socket.ask(connect={"token": token})
        if "connect" not in reply:
            raise Gone
        yield socket
    finally:
        link.close()
        socket.scope.cancel()
