"""A small hubbub of one conversation that speaks HTTP by hand on real sockets, and misbehaves on demand.

It keeps the promises of the wire (a committed message has an offset, a key posts once), and breaks connections, repeats itself,
restarts, refuses and forgets as a test tells it.
"""

import json
import random
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import attrs
import trio

ROOM = "lobby"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@attrs.frozen
class Heard:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path.removeprefix("/api/v1")

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@attrs.define(eq=False)
class ScriptedServer:
    """The server.

    Attributes:
        log: messages by offset; None stands for an event that is no message.
        faults: what happens to the next requests whose path ends so: a whole raw answer, or "drop" (close unanswered) or
            "lose" (carry it out, then close unanswered).
        cuts: chance that a stream breaks after a piece; `repeats`: chance that it begins a few events too early.
        skip: offsets that streams leave out.
        trimmed: offsets up to here are no longer kept.
    """

    epoch: str = "e1"
    log: list[dict | None] = attrs.Factory(list)
    tokens: set[str] = attrs.Factory(lambda: {"good"})
    guests: bool = True
    faults: dict[str, deque[bytes | str]] = attrs.Factory(dict)
    cuts: float = 0.0
    repeats: float = 0.0
    skip: set[int] = attrs.Factory(set)
    trimmed: int = 0
    page_items: int = 3
    seed: int = 0
    heard: list[Heard] = attrs.Factory(list)
    port: int = 0
    streams: int = 0
    _keys: dict[str, dict] = attrs.Factory(dict)
    _news: trio.Event = attrs.Factory(trio.Event)
    _connections: set[trio.CancelScope] = attrs.Factory(set)
    _random: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # -- what a test does -----------------------------------------------------------------------------------------------

    def say(self, text: str, author: str = "ada") -> dict:
        """Commit a message."""
        offset = len(self.log) + 1
        message = {
            "id": f"{self.epoch}-{offset}",
            "conversation": ROOM,
            "offset": offset,
            "author": {"id": "a", "name": author, "kind": "guest"},
            "text": text,
            "created_at": "2026-11-21T05:36:00.123Z",
            "revision": 1,
        }
        self._append(message)
        return message

    def rename(self) -> None:
        """Commit an event that is no message."""
        self._append(None)

    def recreate(self, epoch: str) -> None:
        """Another log takes the place of this one; break every stream."""
        self.epoch, self.log = epoch, []
        self.break_streams()

    def break_streams(self) -> None:
        """Break every connection; the port stays open."""
        for scope in self._connections:
            scope.cancel()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer on the port; leaving breaks every connection and closes the port, entering again takes the same port."""
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)
            yield
            nursery.cancel_scope.cancel()

    # -- the wire -------------------------------------------------------------------------------------------------------

    def _append(self, message: dict | None) -> None:
        self.log.append(message)
        self._news.set()
        self._news = trio.Event()

    async def _serve(self, stream: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self._connections.add(scope)
            try:
                await self._answer(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            finally:
                self._connections.discard(scope)
        if self._random.random() < 0.5:  # leave by a reset, not by a clean end
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.SocketStream) -> None:
        request = await self._read(stream)
        if request is None:
            return
        self.heard.append(request)
        planned = self.faults.get(request.path.rsplit("/", 1)[-1])
        fault = planned.popleft() if planned else None
        if fault == "drop":
            return
        if isinstance(fault, bytes):
            await stream.send_all(fault)
        elif request.path != "/auth/guest" and request.token not in self.tokens:
            await stream.send_all(problem(401, "unknown token", "never"))
        elif request.path == f"/conversations/{ROOM}/events":
            await self._stream(stream, request)
        else:
            answer = self._call(request)
            if fault != "lose":
                await stream.send_all(answer)

    @staticmethod
    async def _read(stream: trio.SocketStream) -> Heard | None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = await stream.receive_some()
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += await stream.receive_some()
        method, target, _ = first.split(" ")
        return Heard(method, target, headers, body)

    def _call(self, request: Heard) -> bytes:
        if request.path == "/auth/guest":
            if not self.guests:
                return problem(403, "guests are not admitted here", "never")
            token = f"guest-{len(self.heard)}"
            self.tokens.add(token)
            return answer(201, {"token": token})
        if request.path != f"/conversations/{ROOM}/messages":
            return problem(404, "no such conversation", "never")
        if request.method == "POST":
            return self._post(request)
        after = int(request.query["after"])
        if after < self.trimmed:
            return problem(410, "the position cannot be resumed: trimmed", "resync")
        found = [message for message in self.log[after:] if message is not None][: self.page_items]
        more = bool(found) and any(self.log[found[-1]["offset"] :])
        return answer(200, {"messages": found, "next": found[-1]["offset"] if more else None, "previous": None})

    def _post(self, request: Heard) -> bytes:
        key = request.headers["idempotency-key"] + request.token
        if key not in self._keys:
            self._keys[key] = self.say(json.loads(request.body)["text"])
        return answer(201, self._keys[key])

    async def _stream(self, stream: trio.SocketStream, request: Heard) -> None:
        self.streams += 1
        last, epoch, head = request.headers.get("last-event-id"), request.query.get("epoch"), len(self.log)
        at = head if last is None else int(last)
        opening = block("stream.open", {"epoch": self.epoch, "offset": at}, at if last is None else None)
        reason = None
        if epoch is not None and epoch != self.epoch:
            reason = "epoch_changed"
        elif at > head:
            reason = "ahead"
        elif at < self.trimmed:
            reason = "trimmed"
        if reason is not None:
            at = head
            opening += block("stream.reset", {"reason": reason, "epoch": self.epoch, "offset": at}, at)
        elif self._random.random() < self.repeats:
            at = max(0, at - self._random.randrange(4))
        await stream.send_all(HEAD + b"retry: 10\n" + opening)
        while True:
            news, upto = self._news, len(self.log)
            data = b"".join(self._event(offset) for offset in range(at + 1, upto + 1) if offset not in self.skip)
            at = upto
            while data:
                size = self._random.choice((1, 7, 60, 400, 5_000))
                await stream.send_all(data[:size])
                data = data[size:]
                if self._random.random() < self.cuts:
                    return
            await news.wait()

    def _event(self, offset: int) -> bytes:
        message = self.log[offset - 1]
        noise = b": heartbeat\n\n" + block("typing", {"type": "typing", "conversation": ROOM}, None)
        if message is None:
            return noise + block("conversation.updated", {"type": "conversation.updated", "offset": offset}, offset)
        event = {"type": "message.created", "conversation": ROOM, "offset": offset, "message": message}
        return noise + block("message.created", event, offset)


def block(kind: str, data: dict, number: int | None) -> bytes:
    """An event as an SSE block."""
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def answer(status: int, body: dict, *headers: str) -> bytes:
    """A whole HTTP answer."""
    data = json.dumps(body).encode()
    lines = (f"HTTP/1.1 {status} X", f"content-length: {len(data)}", "connection: close", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def problem(status: int, detail: str, retry: str, *headers: str) -> bytes:
    """A problem document."""
    return answer(status, {"status": status, "detail": detail, "retry": retry}, *headers)
