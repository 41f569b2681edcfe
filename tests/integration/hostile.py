"""A server in this process on real sockets, and clients that write every byte themselves, also the wrong ones.

`world` ends with a count: whatever its clients did, tasks, descriptors and subscribers are back where they were, and
nothing was logged as an error.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from hubbub.engine import Engine
from hubbub.engine.core.config import EngineSettings
from hubbub.storage import MemoryStore
from hubbub.transport.centrifugal_settings import SocketSettings
from hubbub.transport.door import DoorSettings
from hubbub.transport.http_settings import HttpSettings
from hubbub.transport.limit_settings import LimitSettings
from hubbub.transport.live import AccessSettings, LiveSettings
from hubbub.transport.serve import ServeSettings, serve
from hubbub.transport.sse import StreamSettings
from hubbub.transport.table import TableSettings

from ..logs import capture_logs

PATIENCE_S = 10.0
"""How long anything may take before a test gives up."""

UPGRADE = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@attrs.frozen
class Answer:
    """One HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem document; the checks that every refusal must pass."""
        assert self.headers.get("content-type") == "application/problem+json", self
        assert self.json["status"] == self.status
        return str(self.json["code"])


@attrs.frozen
class Closed:
    """A Close frame."""

    code: int
    reason: str


class Peer:
    """A raw connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.data = b""

    async def send(self, data: bytes) -> None:
        """Send all, or as much as the server takes before it closes."""
        with contextlib.suppress(trio.BrokenResourceError), trio.fail_after(PATIENCE_S):
            await self.stream.send_all(data)

    async def more(self) -> bool:
        """Read on; False at the end."""
        try:
            with trio.fail_after(PATIENCE_S):
                piece = await self.stream.receive_some(65_536)
        except trio.BrokenResourceError:
            return False
        self.data += piece
        return bool(piece)

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        while await self.more():
            pass
        data, self.data = self.data, b""
        return data

    async def take(self, count: int) -> bytes:
        """Exactly so many bytes."""
        while len(self.data) < count:
            if not await self.more():
                raise EOFError(self.data)
        piece, self.data = self.data[:count], self.data[count:]
        return piece

    async def until(self, mark: bytes) -> bytes:
        """Everything up to a mark, which is included."""
        while mark not in self.data:
            if not await self.more():
                raise EOFError(self.data)
        return await self.take(self.data.index(mark) + len(mark))

    async def answer(self, *, head_only: bool = False) -> Answer:
        """One HTTP response."""
        lines = (await self.until(b"\r\n\r\n")).decode("latin-1").splitlines()
        pairs = (line.partition(": ") for line in lines[1:] if line)
        headers = {name.lower(): value for name, _, value in pairs}
        length = 0 if head_only else int(headers.get("content-length", "0"))
        return Answer(int(lines[0].split()[1]), headers, await self.take(length))

    async def ask(self, data: bytes) -> Answer:
        """Send a request and read its answer."""
        await self.send(data)
        return await self.answer()

    async def close(self) -> None:
        await self.stream.aclose()


class Socket(Peer):
    """A connection after the WebSocket handshake."""

    count = 0

    async def frame(self, first: int, payload: bytes = b"", *, length: int | None = None) -> None:
        """Send one masked frame; `length` may lie."""
        await self.send(masked(first, payload, length))

    async def say(self, *commands: dict[str, Any]) -> None:
        """Send commands, joined in one frame."""
        await self.frame(0x81, b"\n".join(json.dumps(command).encode() for command in commands))

    async def event(self) -> bytes | Closed:
        """The payload of the next text frame, or the Close."""
        first, second = await self.take(2)
        length = second
        if second >= 126:
            length = int.from_bytes(await self.take(2 if second == 126 else 8), "big")
        payload = await self.take(length)
        if first == 0x88:
            return Closed(int.from_bytes(payload[:2], "big"), payload[2:].decode())
        return payload

    async def replies(self, count: int) -> list[dict[str, Any]]:
        """So many documents, pings left out."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            event = await self.event()
            assert isinstance(event, bytes), event
            found += [json.loads(line) for line in event.split(b"\n") if line != b"{}"]
        assert len(found) == count
        return found

    async def command(self, **verb: Any) -> dict[str, Any]:
        """Send one command with a fresh id; its reply, pushes before it left out."""
        self.count += 1
        await self.say({"id": self.count, **verb})
        while True:
            for reply in await self.replies(1):
                if "push" not in reply:
                    assert reply["id"] == self.count
                    return reply

    async def error(self, **verb: Any) -> int:
        """The code of the error that a command is answered with."""
        return int((await self.command(**verb))["error"]["code"])

    async def end(self) -> Closed:
        """The Close that the server sends, whatever comes before it; then the connection ends."""
        while isinstance(event := await self.event(), bytes):
            pass
        assert await self.rest() == b""
        return event


def masked(first: int, payload: bytes = b"", length: int | None = None) -> bytes:
    """A client's frame with a mask of zeros, which is a mask."""
    length = len(payload) if length is None else length
    if length < 126:
        head = bytes((first, 0x80 | length))
    elif length < 65_536:
        head = bytes((first, 0xFE)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + length.to_bytes(8, "big")
    return head + bytes(4) + payload


def request(
    method: str, path: str, body: Any = None, *headers: str, token: str | None = None, version: str = "1.1"
) -> bytes:
    """A request; a body that is not bytes is sent as JSON."""
    lines = [f"{method} {path} HTTP/{version}", "Host: test", *headers]
    data = b""
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines.append(f"Content-Length: {len(data)}")
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + data


@attrs.frozen
class Count:
    """What must not grow."""

    tasks: int
    descriptors: int
    subscribers: int


@attrs.define(eq=False)
class World:
    """A running server and what is known of it."""

    engine: Engine
    port: int
    nursery: trio.Nursery
    token: str = ""
    peers: list[Peer] = attrs.field(factory=list)

    async def peer(self, kind: type[Peer] = Peer) -> Peer:
        """A fresh connection, closed with the world at the latest."""
        peer = kind(await trio.open_tcp_stream("127.0.0.1", self.port))
        self.peers.append(peer)
        return peer

    async def ask(self, data: bytes) -> Answer:
        """One request on a connection of its own."""
        peer = await self.peer()
        answer = await peer.ask(data)
        await peer.close()
        return answer

    async def call(self, method: str, path: str, body: Any = None, *headers: str) -> Answer:
        """One authenticated request below /api/v1."""
        return await self.ask(request(method, "/api/v1" + path, body, *headers, token=self.token))

    async def upgraded(self, *headers: str) -> Socket:
        """A WebSocket that has not yet sent `connect`."""
        socket = Socket((await self.peer()).stream)
        self.peers.append(socket)
        await socket.send(UPGRADE + b"".join(line.encode() + b"\r\n" for line in headers) + b"\r\n")
        assert (await socket.answer()).status == 101
        return socket

    async def socket(self) -> Socket:
        """A connected WebSocket."""
        socket = await self.upgraded()
        assert "connect" in await socket.command(connect={"token": self.token})
        return socket

    async def stream(self, path: str, *headers: str) -> Peer:
        """An event stream, its opening read."""
        peer = await self.peer()
        await peer.send(request("GET", "/api/v1" + path, None, *headers, token=self.token))
        assert (await peer.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert b"event: stream.open\n" in await peer.until(b"\n\n")
        return peer

    def count(self) -> Count:
        """Counted now."""
        return Count(
            trio.lowlevel.current_statistics().tasks_living,
            len(list(Path("/proc/self/fd").iterdir())),
            sum(room.subscribers for room in self.engine.statistics().rooms),
        )

    async def is_back_at(self, base: Count) -> None:
        """Wait until nothing is left of the clients."""
        for peer in self.peers:
            await peer.close()
        with trio.move_on_after(PATIENCE_S):
            while self.count() != base:  # noqa: ASYNC110  three counters of the system have no event
                await trio.sleep(0.01)
        assert self.count() == base


class _Errors(logging.Handler):
    """Keeps what the standard library's logging was told."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextlib.contextmanager
def no_errors_logged() -> Any:
    """Fail when an error is logged, by structlog or by the standard library."""
    handler = _Errors()
    logging.getLogger().addHandler(handler)
    try:
        with capture_logs() as entries:
            yield entries
    finally:
        logging.getLogger().removeHandler(handler)
    assert [entry for entry in entries if entry["log_level"] in {"error", "critical"}] == []
    assert handler.records == []


QUICK_TABLE = TableSettings(tick_s=0.02, stall_s=0.3, linger_s=0.5, drain_s=0.3)
QUICK_HTTP = HttpSettings(discard_timeout_s=0.1)


@contextlib.asynccontextmanager
async def world(
    *,
    guests: bool = True,
    http: HttpSettings | None = None,
    socket: SocketSettings | None = None,
    stream: StreamSettings | None = None,
    table: TableSettings = QUICK_TABLE,
    engine: EngineSettings | None = None,
) -> AsyncIterator[World]:
    """A server with the conversation `lobby`; on the way out everything is counted."""
    door = DoorSettings(http=http or QUICK_HTTP, socket=socket or SocketSettings(), stream=stream or StreamSettings())
    # Without rates: what is tried here must not be met by the rates first, and all of it comes from a guest or two.
    live = LiveSettings(access=AccessSettings(guests=guests), limits=LimitSettings(on=False))
    settings = ServeSettings(port=0, live=live, door=door, table=table)
    bounds = engine or EngineSettings(idle_s=0.05, tick_s=0.02)
    with no_errors_logged():
        async with Engine.open(store=MemoryStore(), settings=bounds) as running, trio.open_nursery() as nursery:
            serving = await nursery.start(serve, running, settings)
            made = World(running, int(serving.url.rpartition(":")[2]), nursery)
            await wait_all_tasks_blocked()  # all of the server has started
            base = made.count()
            if guests:
                answer = await made.ask(request("POST", "/api/v1/auth/guest", {"name": "Eve"}))
                made.token = answer.json["token"]
            try:
                yield made
                await made.is_back_at(base)
            finally:
                for peer in made.peers:
                    peer.stream.socket.close()
            nursery.cancel_scope.cancel()
