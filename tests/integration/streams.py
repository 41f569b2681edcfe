"""Readers of event streams: `httpx-sse`, `curl -N`, and a plain socket that can be cut at any byte."""

from __future__ import annotations

import asyncio
import enum
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import attrs
import httpx
import httpx_sse

from .journal import Journal
from .rest import RETRIED, Guest

READ_BYTES = 700  # small, so that cuts fall inside blocks


@attrs.frozen
class Block:
    """One event of a stream."""

    id: str | None
    event: str
    data: Any


def parse_block(raw: bytes) -> Block | None:
    """Read a block; None for a comment."""
    fields: dict[str, str] = {}
    for line in raw.decode().split("\n"):
        name, _, value = line.partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
    if "event" not in fields:
        return None
    return Block(fields.get("id"), fields["event"], json.loads(fields["data"]))


def path_of(conversation: str) -> str:
    """The path of a conversation's stream."""
    return f"/api/v1/conversations/{conversation}/events"


async def connected_socket(url: str, receive_bytes: int | None = None) -> socket.socket:
    """A connected socket, with a receive buffer of this size instead of one that grows."""
    where = urlsplit(url)
    assert where.hostname is not None
    sock = socket.socket()
    sock.setblocking(False)
    if receive_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await asyncio.get_running_loop().sock_connect(sock, (where.hostname, where.port))
    return sock


def note(journal: Journal, block: Block) -> None:
    """Put what a block says into the journal."""
    if block.event == "stream.open":
        journal.ready.set()
    elif block.event == "stream.reset":
        journal.resets += 1
    elif block.event.startswith("message."):
        said = (block.data["type"], str(block.data["offset"]))
        assert (block.event, block.id) == said, f"{journal.name}: the block and its event disagree"
        journal.take(block.data)


async def follow_httpx(who: Guest, conversation: str, journal: Journal) -> None:
    """Read with httpx-sse, and come back from `Last-Event-ID` whenever the stream ends. Runs until cancelled."""
    last_id = ""
    opened = False
    while True:
        headers = who.authorization | ({"last-event-id": last_id} if last_id else {})
        try:
            async with httpx_sse.aconnect_sse(
                who.http, "GET", path_of(conversation), headers=headers, params={"after": 0}
            ) as source:
                if source.response.status_code in RETRIED:
                    raise httpx.TransportError("not now")
                journal.resumed += opened
                opened = True
                async for sse in source.aiter_sse():
                    last_id = sse.id or last_id
                    if not sse.data:
                        continue  # a comment: httpx-sse shows it as an event without anything once an id was seen
                    note(journal, Block(sse.id, sse.event, json.loads(sse.data)))
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.05)


@asynccontextmanager
async def follow_curl(who: Guest, url: str, conversation: str, journal: Journal) -> AsyncIterator[None]:
    """Read with `curl -N` from the beginning, for as long as the context is open."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-sSN", "--noproxy", "*", "-H", f"Authorization: Bearer {who.token}",
        f"{url}{path_of(conversation)}?after=0", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    reading = asyncio.create_task(_read_blocks(process.stdout, journal))
    try:
        yield
    finally:
        process.kill()
        await process.wait()
        await reading


async def _read_blocks(stream: asyncio.StreamReader, journal: Journal) -> None:
    rest = b""
    while data := await stream.read(65_536):
        *blocks, rest = (rest + data).split(b"\n\n")
        for raw in blocks:
            block = parse_block(raw)
            if block is not None:
                note(journal, block)


class Cut(enum.Enum):
    """How a reader goes away."""

    RESET = enum.auto()  # the peer's next packet is answered with RST
    END = enum.auto()  # FIN, then reading to the end
    MIDDLE = enum.auto()  # in the middle of a block, closed without a word


class RawStream:
    """One connection of a reader on a plain socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._rest = b""

    @classmethod
    async def open(
        cls,
        url: str,
        token: str,
        conversation: str,
        query: str = "",
        last_id: str = "",
        sock: socket.socket | None = None,
    ) -> RawStream:
        """Ask for a stream and read the head of the answer.

        Args:
            sock: a connected socket to use.

        Raises:
            AssertionError: it is not a stream.
        """
        where = urlsplit(url)
        reader, writer = await asyncio.open_connection(sock=sock or await connected_socket(url))
        resume = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        writer.write(
            f"GET {path_of(conversation)}{query} HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Authorization: Bearer {token}\r\n{resume}\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head.decode()
        return cls(reader, writer)

    async def blocks(self) -> list[Block]:
        """The blocks that the next few bytes complete; raises EOFError at the end."""
        data = await self._reader.read(READ_BYTES)
        if not data:
            raise EOFError
        *raws, self._rest = (self._rest + data).split(b"\n\n")
        return [block for raw in raws if (block := parse_block(raw)) is not None]

    @property
    def inside_block(self) -> bool:
        """Whether the bytes read so far end within a block."""
        return bool(self._rest)

    async def cut(self, how: Cut) -> list[Block]:
        """Go away; return the blocks that came on the way out."""
        found: list[Block] = []
        if how is Cut.RESET:
            sock: socket.socket = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        elif how is Cut.END:
            self._writer.write_eof()
            while True:
                try:
                    found += await self.blocks()
                except EOFError:
                    break
        self._writer.close()
        return found
