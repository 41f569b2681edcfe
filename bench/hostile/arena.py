"""One attacking process: connections of which each byte is the attacker's own choice, and the count of how they ended.

The words for how a connection ended: `status N` (HTTP answer), `close N` (WebSocket close code), `end CODE` (event
stream), `eof` (closed without a word), `reset`, `refused` (no connection was had), `hung` (the server did nothing within
the time), `nonsense` (what it said is not of the protocol), and what an attack itself returns, such as `open`.

Bounds: as many connections at a time as the job says, `HANDSHAKES` of them connecting; everything ends `GRACE_S` after the
attack's end. Local ports are spread over `SOURCES` loopback addresses, since one address has fewer than 30,000.
"""

from __future__ import annotations

import re
import resource
import socket
import struct
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

import trio

from .. import wire
from .protocol import Job, Report

GRACE_S: Final = 12.0
HANDSHAKES: Final = 128
SOURCES: Final = 16
_IP_BIND_ADDRESS_NO_PORT: Final = 24  # Linux: choose the port at connect, when the destination is known
_KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
_LAST_ID: Final = 4_000_000_000
_KEPT_BYTES: Final = 64 * 1024
_STREAM_END: Final = re.compile(rb'event: stream\.end\ndata: \{"code":\s*"([a-z_]+)"')


class Gone(Exception):
    """The connection has ended; `how` is the word for it."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how: Final = how


class Peer:
    """One hostile connection. Of what it reads and the attack does not take it keeps 64 KiB, or one frame."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._sock: Final = sock
        self.data = b""
        self.upgraded = False
        self._frames: Final[deque[wire.Frame]] = deque()  # whole frames split off `data`, not yet taken

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises `Gone` when the server has closed; what it has said before that is read first."""
        if not await self.sent(data):
            raise Gone(await self.last_words())

    async def sent(self, data: bytes) -> bool:
        """Send all of it; False when the server has closed. For attacks that read at the same time."""
        view = memoryview(data)
        try:
            while view:
                view = view[await self._sock.send(view) :]
        except OSError:
            return False
        return True

    async def more(self) -> bool:
        """Read once; False at the end. Raises `Gone` on a reset."""
        try:
            piece = await self._sock.recv(65_536)
        except OSError:
            raise Gone(self._word() or "reset") from None
        self.data += piece
        if not self.upgraded:
            self.data = self.data[-_KEPT_BYTES:]
        return bool(piece)

    async def last_words(self) -> str:
        """Read until the server has closed; how it ended."""
        try:
            while self.upgraded:
                await self.frame()
            while await self.more():
                pass
        except Gone as gone:
            return gone.how
        return self._word() or "eof"

    async def until(self, mark: bytes) -> bytes:
        """Take everything up to a mark, which is included. Raises `Gone` when it does not come."""
        while mark not in self.data:
            if not await self.more():
                raise Gone(self._word() or "eof")
        before, _, self.data = self.data.partition(mark)
        return before + mark

    def _word(self) -> str:
        """What the server has said last, of what is kept; empty for nothing, or when frames are spoken."""
        if self.data.startswith(b"HTTP/1."):
            return f"status {self.data[9:12].decode('latin-1')}"
        found = _STREAM_END.findall(self.data)
        return f"end {found[-1].decode()}" if found else ""

    # -- WebSocket

    async def upgrade(self, *headers: str) -> bytes:
        """Open a WebSocket; the head of the answer. Raises `Gone` when it is not opened."""
        extra = "".join(f"{header}\r\n" for header in headers).encode()
        await self.send(wire.upgrade("hostile", _KEY)[:-2] + extra + b"\r\n")
        head = await self.until(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Gone(f"status {head[9:12].decode('latin-1')}")
        self.upgraded = True
        return head

    async def frame(self) -> wire.Frame:
        """Take the next whole frame. Raises `Gone` at a close or at the end."""
        while not self._frames:
            frames, rest_at = wire.split(self.data)
            self._frames.extend(frames)
            self.data = self.data[rest_at:]
            if not frames and not await self.more():
                raise Gone("eof")
        frame = self._frames.popleft()
        if frame.opcode == wire.CLOSE:
            raise Gone(f"close {int.from_bytes(frame.body[:2], 'big')}")
        return frame

    async def replies(self, count: int, tally: Counter[str]) -> None:
        """Take replies to commands until there were `count`, and count what they say; pings are answered."""
        while count > 0:
            frame = await self.frame()
            if frame.body == wire.SERVER_PING:
                await self.send(wire.frame(wire.SERVER_PING, bytes(4)))
            elif frame.opcode == wire.TEXT:
                for document in wire.documents(frame.body):
                    if document.id:
                        count -= 1
                        tally[f"error {document.error.code}" if document.error else "ok"] += 1

    async def join(self, token: str, *commands: bytes) -> None:
        """Upgrade, authenticate and carry out commands. Raises `Gone` when one is refused."""
        await self.upgrade()
        await self.send(wire.frame(b"\n".join([wire.connect(1, token), *commands]), bytes(4)))
        tally: Counter[str] = Counter()
        await self.replies(1 + len(commands), tally)
        if tally["ok"] != 1 + len(commands):
            raise Gone(f"join: {dict(tally)}")

    async def still_open(self) -> str:
        """Ask what is always answered; "open" once it was. Raises `Gone` when it was not."""
        await self.send(wire.frame(b'{"id":%d,"ping":{}}' % _LAST_ID, bytes(4)))
        while True:
            frame = await self.frame()
            if frame.opcode == wire.TEXT and b'"id":%d' % _LAST_ID in frame.body:
                return "open"

    # -- the end

    def end_sending(self) -> None:
        """Half-close."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close."""
        self._sock.close()

    def reset(self) -> None:
        """Close in the way of a crash."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


Program = Callable[["Arena", int], Awaitable[str]]
"""What one connection does: gets the arena and its number, returns how it ended."""


class Arena:
    """The attack of this process.

    Attributes:
        job: What to attack.
        random: For what the attack draws; seeded by the job.
        replies: What requests and commands were answered with.
    """

    def __init__(self, job: Job, seconds: float) -> None:
        self.job: Final = job
        self.random: Final = Random(job.seed * 1_000_003 + job.first)
        self.replies: Final[Counter[str]] = Counter()
        self._outcomes: Final[Counter[str]] = Counter()
        self._end_s: Final = trio.current_time() + seconds
        self._handshakes: Final = trio.Semaphore(HANDSHAKES)
        self._peers: Final[dict[int, set[Peer]]] = {}
        self._connected = 0

    @property
    def left_s(self) -> float:
        """Time until the attack is over."""
        return self._end_s - trio.current_time()

    async def connect(self, number: int, receive_buffer_bytes: int | None = None) -> Peer:
        """Connect; closed when connection `number` has ended at the latest. Raises `Gone` when it is refused."""
        job = self.job
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        peer = Peer(sock)
        self._peers.setdefault(number, set()).add(peer)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        if job.host == "127.0.0.1":
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            await sock.bind((f"127.0.0.{2 + (job.first + self._connected) % SOURCES}", 0))
        self._connected += 1
        try:
            async with self._handshakes:
                await sock.connect((job.host, job.port))
        except OSError:
            raise Gone("refused") from None
        return peer

    def forget(self, number: int, peer: Peer) -> None:
        """This connection was closed by its attack, which opens another."""
        self._peers[number].discard(peer)

    async def run(self, program: Program, *, repeat: bool) -> Report:
        """Carry the attack out; ends by itself, `GRACE_S` after the attack's end at the latest."""
        used_s = _cpu_s()
        async with trio.open_nursery() as nursery:
            for number in range(self.job.first, self.job.first + self.job.count):
                nursery.start_soon(self._one, program, number, repeat)
        return Report(outcomes=dict(self._outcomes), replies=dict(self.replies), cpu_s=_cpu_s() - used_s)

    async def _one(self, program: Program, number: int, repeat: bool) -> None:
        while True:
            outcome = "hung"
            with trio.move_on_at(self._end_s + GRACE_S):
                try:
                    outcome = await program(self, number)
                except Gone as gone:
                    outcome = gone.how
                except wire.WireError:
                    outcome = "nonsense"
            for peer in self._peers.pop(number, ()):
                peer.close()
            self._outcomes[outcome] += 1
            if not repeat or self.left_s <= 0:
                return
            await trio.lowlevel.checkpoint()


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
