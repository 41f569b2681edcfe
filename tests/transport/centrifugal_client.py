"""A peer of the Centrifugal connection on WebSocket, without a socket."""

from __future__ import annotations

from collections import deque
from typing import Any

from trio.testing import wait_all_tasks_blocked

from hubbub.transport.centrifugal_settings import SocketSettings
from hubbub.transport.centrifugal_websocket import WebSocketConnection

from .fakes import FakeConnection
from .house import House, commands, documents, head_of

UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SUBSCRIBE = {"id": 2, "subscribe": {"channel": "lobby"}}
PING = {"id": 3, "ping": {}}


class Client:
    """A peer: keeps what it sends while it is not read, as a socket does."""

    def __init__(self, there: House, *headers: str, **bounds: Any) -> None:
        self.there = there
        self.conn = FakeConnection()
        self.unread: deque[bytes] = deque()
        head = head_of("GET", "/connection/websocket", *UPGRADE, *headers)
        self.machine = WebSocketConnection(self.conn, head, there.api, SocketSettings(**bounds))
        self.conn.machine = self.machine
        self.handshake = b""
        self.upgraded()

    def upgraded(self) -> bool:
        """Whether the handshake has been answered with 101; it is taken out of what was written."""
        if self.conn.written.startswith(b"HTTP/1.1 101 "):
            head, _, rest = self.conn.take().partition(b"\r\n\r\n")
            self.handshake = head
            self.conn.written += rest
        return bool(self.handshake)

    @property
    def gone(self) -> bool:
        return self.conn.is_closed or self.conn.is_aborted

    def send(self, *chunks: bytes) -> None:
        """Send, and run the turns of the table."""
        self.unread += chunks
        self.pump()

    def pump(self) -> None:
        while True:
            if self.conn.wants_again and not self.gone:
                self.conn.wants_again = False
                self.machine.again()
            elif self.unread and not self.conn.is_paused and not self.gone:
                self.machine.received(self.unread.popleft())
            else:
                return

    async def settle(self) -> None:
        """Let the engine answer everything."""
        await wait_all_tasks_blocked()
        self.pump()
        await wait_all_tasks_blocked()
        self.pump()

    async def ask(self, *each: dict[str, Any]) -> list[Any]:
        """Send commands; what came back."""
        self.send(commands(*each))
        await self.settle()
        return self.said()

    def said(self) -> list[Any]:
        assert self.upgraded()
        return documents(self.conn.take())

    async def connect(self) -> None:
        [reply] = await self.ask({"id": 1, "connect": {"token": self.there.token}})
        assert reply["connect"]["pong"] is True


async def connected(there: House, **bounds: Any) -> Client:
    client = Client(there, **bounds)
    await client.connect()
    return client


def status(client: Client) -> bytes:
    assert client.conn.is_closed
    return client.conn.take().split(b" ", 2)[1]
