"""The Centrifugal JSON protocol written by hand on the `websockets` library: a second, independent client."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from .journal import Journal
from .rest import Ack


class Peer:
    """One connection: commands with their replies, and the pushes of one channel into a journal.

    Attributes:
        reading: clear it to stop reading; what has come so far stays with the library and the system.
        close: code and reason, once the connection has ended.
    """

    def __init__(self, socket: ClientConnection, journal: Journal) -> None:
        self.socket = socket
        self.journal = journal
        self.reading = asyncio.Event()
        self.reading.set()
        self.unsubscribed: list[dict[str, Any]] = []
        self.close: tuple[int, str] | None = None
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and wait for its reply, an error or not.

        Raises:
            ConnectionClosed, TimeoutError.
        """
        number = next(self._ids)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"id": number, **command}))
        async with asyncio.timeout(30.0):
            return await future

    async def subscribe(self, channel: str, offset: int | None = None, epoch: str = "") -> dict[str, Any]:
        """Follow a channel, from an offset when one is given; return the reply."""
        recovery = {} if offset is None else {"recover": True, "offset": offset, "epoch": epoch}
        return await self.ask(subscribe={"channel": channel, **recovery})

    async def post(self, channel: str, key: str, text: str) -> Ack:
        """Post by `rpc`."""
        data = {"conversation": channel, "text": text, "idempotency_key": key}
        reply = await self.ask(rpc={"method": "post", "data": data})
        assert "error" not in reply, reply
        return Ack(key, reply["rpc"]["data"]["id"], reply["rpc"]["data"]["offset"])

    async def publish(self, channel: str, key: str, text: str) -> None:
        """Post by `publish`; the reply says no more than that it is committed."""
        reply = await self.ask(publish={"channel": channel, "data": {"text": text, "idempotency_key": key}})
        assert reply.get("publish") == {}, reply

    async def read(self) -> None:
        """Read until the connection ends; `close` then says how."""
        try:
            async for frame in self.socket:
                await self.reading.wait()
                for line in frame.split("\n"):
                    await self._handle(json.loads(line))
        except ConnectionClosed:
            pass
        self.close = (self.socket.close_code or 1006, self.socket.close_reason or "")
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionClosed(None, None))
                future.exception()  # whoever has gone need not be told

    async def _handle(self, document: dict[str, Any]) -> None:
        if not document:
            await self.socket.send("{}")
        elif "id" in document:
            self._take_recovered(document)
            future = self._waiting.pop(document["id"])
            if not future.done():
                future.set_result(document)
        elif "pub" in document["push"]:
            self.journal.take(document["push"]["pub"]["data"])
        elif "unsubscribe" in document["push"]:
            self.unsubscribed.append(document["push"]["unsubscribe"])

    def _take_recovered(self, document: dict[str, Any]) -> None:
        subscribed = document.get("subscribe")
        if subscribed is None:
            return
        # At once, before any push is looked at: what was missed comes before what is new.
        publications = subscribed.get("publications", [])
        for publication in publications:
            self.journal.take(publication["data"])
        if publications:
            assert subscribed["offset"] == publications[-1]["offset"], "the reply names another offset than its last"
        if subscribed.get("was_recovering"):
            self.journal.resumed += subscribed["recovered"]
            self.journal.resets += not subscribed["recovered"]


@asynccontextmanager
async def peer(
    websocket_url: str, token: str, journal: Journal, sock: socket.socket | None = None
) -> AsyncIterator[Peer]:
    """A connection that has authenticated. Leaving the context aborts it without a close frame.

    Args:
        sock: a connected socket to use.
    """
    async with asyncio.TaskGroup() as group:
        connection = await connect(
            websocket_url, proxy=None, max_size=None, max_queue=4, compression=None, ping_interval=None, sock=sock
        )
        found = Peer(connection, journal)
        reading = group.create_task(found.read())
        try:
            reply = await found.ask(connect={"token": token})
            assert "connect" in reply, reply
            yield found
        finally:
            found.reading.set()
            connection.transport.abort()
            await reading
