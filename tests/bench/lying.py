"""A small hubbub in one process that keeps a log and serves it by REST, WebSocket and event stream; and lies when told to."""

import base64
import hashlib
import json
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from hubbub.bench.faults.bans import Standing
from hubbub.bench.faults.client import Target
from hubbub.bench.faults.kinds import Effect
from hubbub.bench.faults.ledger import Leftovers
from hubbub.bench.faults.plan import Round
from hubbub.bench.faults.tables import Stored

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_REPEATED = 1000  # added to the offset of a changed ack


def frame(document: object) -> bytes:
    body = json.dumps(document).encode()
    size = len(body)
    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + struct.pack("!H", size)
    if size >= 1 << 16:
        head = b"\x81\x7f" + struct.pack("!Q", size)
    return head + body


@attrs.define(eq=False)
class Follower:
    """One subscription: the stream, how an event looks on it, and what is sent instead of an event."""

    stream: trio.SocketStream
    kind: str
    held: list[int] = attrs.Factory(list)


@attrs.define(eq=False)
class LyingServer:
    """The server, honest by default. Posts are counted from 1 in the order in which they first arrive.

    Attributes:
        forget: acked and never stored.
        double: stored twice.
        refuse: refused as not stored, and not stored; `ghost`: refused so, and stored.
        change_ack: every second ack of a post differs from its first.
        drop, repeat, swap, alter: offsets that live WebSocket readers do not get, get twice, get after the next one, or with
            another text.
        reset: tell recovering readers that their position is lost.
        forget_ban, double_ban, undo_ban: changes of bans, counted from 1, that are acked and not stored, stored twice, or not
            among the members.
    """

    forget: set[int] = attrs.Factory(set)
    double: set[int] = attrs.Factory(set)
    refuse: set[int] = attrs.Factory(set)
    ghost: set[int] = attrs.Factory(set)
    change_ack: bool = False
    drop: set[int] = attrs.Factory(set)
    repeat: set[int] = attrs.Factory(set)
    swap: set[int] = attrs.Factory(set)
    alter: set[int] = attrs.Factory(set)
    reset: bool = False
    forget_ban: set[int] = attrs.Factory(set)
    double_ban: set[int] = attrs.Factory(set)
    undo_ban: set[int] = attrs.Factory(set)
    changes: list[tuple[str, bool]] = attrs.Factory(list)
    banned: set[str] = attrs.Factory(set)
    log: list[str] = attrs.Factory(list)
    port: int = 0
    _acks: dict[str, int] = attrs.Factory(dict)
    _posts: int = 0
    _bans: int = 0
    _again: set[str] = attrs.Factory(set)
    _followers: list[Follower] = attrs.Factory(list)
    _turn: trio.Lock = attrs.Factory(trio.Lock)

    async def serve(self, stream: trio.SocketStream) -> None:
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    more = await stream.receive_some()
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                while len(data) < int(length[1] if length else 0):
                    data += await stream.receive_some()
                body, data = data[: int(length[1] if length else 0)], data[int(length[1] if length else 0) :]
                if await self._route(stream, head.decode(), body):
                    return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._followers = [one for one in self._followers if one.stream is not stream]
            await trio.aclose_forcefully(stream)

    async def _route(self, stream: trio.SocketStream, head: str, body: bytes) -> bool:
        method, path, _ = head.split("\r\n")[0].split(" ")
        if key := re.search(r"(?i)sec-websocket-key: (\S+)", head):
            accept = base64.b64encode(hashlib.sha1(key[1].encode() + _GUID).digest())
            await stream.send_all(b"HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            await self._websocket(stream)
            return True
        if "/events" in path:
            await self._events(stream, head)
            return True
        if path.endswith("/auth/guest"):
            await self._answer(stream, 201, {"token": "t"})
        elif path.endswith("/conversations"):
            await self._answer(stream, 201, {"epoch": "e"})
        elif "/bans/" in path:
            self._change(path.rpartition("/")[2], banned=method == "PUT")
            await stream.send_all(b"HTTP/1.1 204 X\r\n\r\n")
        elif method == "POST":
            async with self._turn:
                status, found = await self._post(json.loads(body)["text"])
            await self._answer(stream, status, found)
        else:
            after = int(re.search(r"after=(\d+)", path)[1])
            page = [self._message(offset) for offset in range(after + 1, len(self.log) + 1)]
            await self._answer(stream, 200, {"messages": page, "next": None})
        return False

    async def _answer(self, stream: trio.SocketStream, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        await stream.send_all(f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)

    # -- posts --------------------------------------------------------------------------------------------------------

    async def _post(self, text: str) -> tuple[int, dict]:
        if text in self._acks:
            offset = self._acks[text] + (_REPEATED if self.change_ack and text not in self._again else 0)
            self._again.add(text)
            return 201, {"id": f"m{offset}", "offset": offset, "text": text}
        self._posts += 1
        number = self._posts
        if number in self.refuse:
            return 503, {"code": "store_unavailable"}
        if number in self.forget:
            self._acks[text] = len(self.log) + 1
            return 201, {"id": f"m{len(self.log) + 1}", "offset": len(self.log) + 1, "text": text}
        for _ in range(2 if number in self.double else 1):
            self.log.append(text)
            await self._publish(len(self.log))
        if number in self.ghost:
            return 503, {"code": "store_unavailable"}
        self._acks[text] = self.log.index(text) + 1
        return 201, self._message(self._acks[text])

    def _change(self, user: str, *, banned: bool) -> None:
        self._bans += 1
        if self._bans in self.forget_ban:
            return
        self.changes += [(user, banned)] * (2 if self._bans in self.double_ban else 1)
        if self._bans not in self.undo_ban:
            (self.banned.add if banned else self.banned.discard)(user)

    def _message(self, offset: int) -> dict:
        return {"id": f"m{offset}", "offset": offset, "text": self.log[offset - 1]}

    # -- readers ------------------------------------------------------------------------------------------------------

    def _event(self, offset: int) -> dict:
        return {"type": "message.created", "offset": offset, "message": self._message(offset)}

    def _bytes(self, kind: str, event: dict) -> bytes:
        if kind == "websocket":
            return frame({"push": {"pub": {"data": event, "offset": event["offset"]}}})
        return f"id: {event['offset']}\nevent: message.created\ndata: {json.dumps(event)}\n\n".encode()

    async def _publish(self, offset: int) -> None:
        for follower in list(self._followers):
            try:
                for event in self._told(follower, offset):
                    await follower.stream.send_all(self._bytes(follower.kind, event))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._followers.remove(follower)

    def _told(self, follower: Follower, offset: int) -> list[dict]:
        event = self._event(offset)
        if follower.kind != "websocket":
            return [event]
        if offset in self.drop:
            return []
        if offset in self.swap:
            follower.held.append(offset)
            return []
        if offset in self.alter:
            event["message"]["text"] = "something else"
        told = [event, event] if offset in self.repeat else [event]
        told += [self._event(held) for held in follower.held]
        follower.held.clear()
        return told

    async def _events(self, stream: trio.SocketStream, head: str) -> None:
        last = re.search(r"(?i)last-event-id: (\d+)", head)
        await stream.send_all(b'HTTP/1.1 200 OK\r\n\r\nevent: stream.open\ndata: {"offset":0}\n\n')
        async with self._turn:
            await self._follow(stream, "events", int(last[1]) if last else 0)
        while await stream.receive_some():
            pass

    async def _follow(self, stream: trio.SocketStream, kind: str, after: int) -> None:
        while after < len(self.log):
            after += 1
            await stream.send_all(self._bytes(kind, self._event(after)))
        self._followers.append(Follower(stream, kind))

    async def _websocket(self, stream: trio.SocketStream) -> None:
        data = b""
        while True:
            more = await stream.receive_some()
            if not more:
                return
            data += more
            while len(data) >= 8:
                size, at = data[1] & 127, 2
                if size == 126:
                    size, at = int.from_bytes(data[2:4], "big"), 4
                if len(data) < at + 4 + size:
                    break
                mask, body = data[at : at + 4], data[at + 4 : at + 4 + size]
                data = data[at + 4 + size :]
                async with self._turn:
                    await self._command(stream, json.loads(bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))))

    async def _command(self, stream: trio.SocketStream, command: dict) -> None:
        if "connect" in command:
            await stream.send_all(frame({"id": command["id"], "connect": {}}))
        elif "subscribe" in command:
            answer = {"offset": len(self.log), "was_recovering": True, "recovered": not self.reset, "publications": []}
            after = command["subscribe"]["offset"]
            await stream.send_all(frame({"id": command["id"], "subscribe": answer}))
            await self._follow(stream, "websocket", len(self.log) if self.reset else after)
        elif "rpc" in command:
            status, found = await self._post(command["rpc"]["data"]["text"])
            if status == 201:
                await stream.send_all(frame({"id": command["id"], "rpc": {"data": found}}))
            else:
                await stream.send_all(frame({"id": command["id"], "error": {"code": 503, "message": "no"}}))


@attrs.define
class LyingGround:
    """Lets `play` believe that it is on a stage."""

    server: LyingServer
    target: Target
    effect: Effect = attrs.Factory(lambda: Effect(True, "nothing"))
    leaves: Leftovers = attrs.Factory(Leftovers)

    async def strike(self, round_: Round) -> Effect:
        await trio.sleep(round_.lasts_s)
        return self.effect

    async def stored(self, conversation: str) -> Stored:
        log = tuple((offset, f"m{offset}", text) for offset, text in enumerate(self.server.log, 1))
        return Stored(log, ())

    async def standing(self, conversation: str) -> Standing:
        return Standing(tuple(self.server.changes), frozenset(self.server.banned))

    async def leftovers(self) -> Leftovers:
        return self.leaves

    async def mend(self) -> int | None:
        return None


@asynccontextmanager
async def lying(server: LyingServer) -> AsyncIterator[LyingGround]:
    """Serve on a free port."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, server.serve, 0)
        server.port = listeners[0].socket.getsockname()[1]
        yield LyingGround(server, Target("127.0.0.1", server.port, "t"))
        nursery.cancel_scope.cancel()
