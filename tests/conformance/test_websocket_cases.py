"""WebSocket conformance: the cases of the Autobahn test suite that apply, each sent whole, byte by byte, and in random pieces.

The server is an echo on the library's own handshake, frame reader and connection table (`echo.py`), the client a raw socket.
`docs/conformance.md` has the groups, the deviations with their reasons, and how to run the Autobahn test suite itself.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from . import cases_close, cases_frames, cases_utf8
from .echo import echo_server
from .frames import CLOSE, TEXT, Case, closing, frame, text

PATIENCE_S = 20.0
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
CASES = [
    *cases_frames.FRAMING,
    *cases_frames.PINGS,
    *cases_frames.RESERVED,
    *cases_frames.OPCODES,
    *cases_frames.FRAGMENTS,
    *cases_frames.OURS,
    *cases_utf8.VALID,
    *cases_utf8.INVALID,
    *cases_utf8.FAIL_FAST,
    *cases_utf8.DECODER,
    *cases_close.CLOSES,
    *cases_close.LIMITS,
]


class Client:
    """A raw connection after the handshake."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._data = b""

    async def upgrade(self, *headers: str) -> bytes:
        """Open the WebSocket; the head of the answer."""
        lines = [
            "GET / HTTP/1.1",
            "Host: test",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {KEY.decode()}",
            *headers,
        ]
        await self.stream.send_all("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._data:
            self._data += await self.stream.receive_some(65_536)
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        return head

    async def send(self, piece: bytes) -> None:
        """Send, or not: a server that has failed the connection need not read on."""
        with contextlib.suppress(trio.BrokenResourceError):
            await self.stream.send_all(piece)

    async def frames(self) -> list[tuple[int, bytes]]:
        """Every frame until the server has closed; each must be whole, unmasked and final."""
        while True:
            try:
                piece = await self.stream.receive_some(65_536)
            except trio.BrokenResourceError:
                pytest.fail("the connection was reset: the peer may not get what was said last")
            if not piece:
                break
            self._data += piece
        return list(parsed(self._data))


def parsed(data: bytes) -> Iterator[tuple[int, bytes]]:
    """A server's frames."""
    at = 0
    while at < len(data):
        first, length, body = data[at], data[at + 1], at + 2
        assert first & 0xF0 == 0x80, "final, no reserved bits"
        assert length < 128, "a server does not mask"
        if length >= 126:
            body = at + (4 if length == 126 else 10)
            length = int.from_bytes(data[at + 2 : body], "big")
        at = body + length
        assert at <= len(data), "a whole frame"
        yield first & 15, data[body:at]


@contextlib.asynccontextmanager
async def connected(*headers: str) -> AsyncIterator[tuple[Client, bytes]]:
    """A client of a fresh echo server, and the head of its answer. Nothing may fail inside the server."""
    failures: list[Exception] = []
    with trio.fail_after(PATIENCE_S):
        async with echo_server(failures=failures) as (table, port):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                client = Client(stream)
                yield client, await client.upgrade(*headers)
            assert table.statistics().failures == 0
    assert failures == []


def chopped(data: bytes, how: str, seed: str) -> list[bytes]:
    """Data in pieces."""
    if how == "whole":
        return [data]
    if how == "bytes":
        return [data[at : at + 1] for at in range(len(data))]
    draw, pieces, at = random.Random(seed), [], 0
    while at < len(data):
        size = draw.choice([1, 2, 3, 7, 20, 100, 1_400, 9_000])
        pieces.append(data[at : at + size])
        at += size
    return pieces


def parameters() -> Iterator[object]:
    """Every case in every way; byte by byte only where that is not the same bytes for ever."""
    for case in CASES:
        yield pytest.param(case, "whole", id=f"{case.id}-whole")
        yield pytest.param(case, "random", id=f"{case.id}-random")
        if len(case.send) <= 700:
            yield pytest.param(case, "bytes", id=f"{case.id}-bytes")


@pytest.mark.parametrize(("case", "how"), list(parameters()))
async def test_case(case: Case, how: str) -> None:
    """The server answers as the case expects, then closes as it expects, however the bytes are cut."""
    async with connected() as (client, _), trio.open_nursery() as nursery:
        got: list[tuple[int, bytes]] = []

        async def read() -> None:
            got.extend(await client.frames())
            nursery.cancel_scope.cancel()

        nursery.start_soon(read)
        ours = case.close is None and case.echoes is None
        for piece in chopped(case.send + (closing(1000) if ours else b""), how, case.id):
            await client.send(piece)
            if how != "whole":
                await wait_all_tasks_blocked()  # else the pieces meet again in the system's buffers
        await trio.sleep_forever()
    *before, (opcode, payload) = got
    assert before == list(case.expect)
    assert opcode == CLOSE
    wanted = case.close or case.echoes or 1000
    assert int.from_bytes(payload[:2], "big") == wanted
    assert len(payload) <= 125
    payload[2:].decode()


OFFERS = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10",
    "permessage-deflate; server_max_window_bits=99, permessage-deflate; client_max_window_bits=9, permessage-deflate",
    "x-webkit-deflate-frame, permessage-bzip2",
]


@pytest.mark.parametrize("offer", OFFERS)
async def test_compression_is_declined_and_the_connection_works(offer: str) -> None:
    """Cases 12 and 13: no extension is in the answer, messages are echoed, and a compressed one is refused all the same."""
    async with connected(f"Sec-WebSocket-Extensions: {offer}") as (client, head):
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"extensions" not in head.lower()
        await client.send(text(b"plain") + frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=1))
        assert [_by_code(found) for found in await client.frames()] == [(TEXT, b"plain"), (CLOSE, 1002)]


def _by_code(found: tuple[int, bytes]) -> tuple[int, bytes | int]:
    """A close by its code alone."""
    return (CLOSE, int.from_bytes(found[1][:2], "big")) if found[0] == CLOSE else found


def test_every_case_has_its_own_number() -> None:
    """Counts per group as docs/conformance.md states them."""
    assert max(Counter(case.id for case in CASES).values()) == 1
    groups = Counter(int(case.id.partition(".")[0]) for case in CASES)
    assert dict(groups) == {1: 14, 2: 9, 3: 7, 4: 10, 5: 19, 6: 145, 7: 37, 9: 22, 10: 1}
