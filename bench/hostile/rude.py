"""Attacks by bad manners: bytes of no protocol, half-closed connections, resets; and the innocent neighbour who only computes."""

from __future__ import annotations

import time
from typing import Final

import trio

from .. import wire
from .arena import Arena

_TLS_HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
_REQUEST: Final = b"GET /api/v1/version HTTP/1.1\r\nHost: hostile\r\n\r\n"
_SLICE_S: Final = 0.01


async def garbage(arena: Arena, number: int) -> str:
    """A TLS hello, or bytes with the high bit set, and more of the kind behind."""
    peer = await arena.connect(number)
    noise = bytes(byte | 0x80 for byte in arena.random.randbytes(2_000))
    await peer.send(_TLS_HELLO + noise if number % 2 else noise)
    return await peer.last_words()


async def half_closed(arena: Arena, number: int) -> str:
    """End our side in the middle of a head, behind a whole request, or on an open WebSocket; then read to the end."""
    peer = await arena.connect(number)
    if number % 3 == 0:
        await peer.send(_REQUEST[:30])
    elif number % 3 == 1:
        await peer.send(_REQUEST)
    else:
        await peer.join(arena.job.token, wire.subscribe(2, arena.job.room))
    peer.end_sending()
    return await peer.last_words()


async def resets(arena: Arena, number: int) -> str:
    """Reset the connection: before a word, in a head, as a subscriber of the healthy room, with answers under way."""
    peer = await arena.connect(number)
    stage = arena.random.randrange(4)
    if stage == 1:
        await peer.send(_REQUEST[:30])
    elif stage == 2:
        await peer.join(arena.job.token, wire.subscribe(2, arena.job.room))
    elif stage == 3:
        await peer.send(_REQUEST * 50)
    await trio.sleep(arena.random.random() * 0.05)
    peer.reset()
    return "done"


async def burn(arena: Arena, number: int) -> str:
    """Use a share of a core and touch no server: what the healthy clients notice of that is not the attack's doing."""
    busy_s = _SLICE_S * arena.job.share
    while arena.left_s > 0:
        until_s = time.perf_counter() + busy_s
        while time.perf_counter() < until_s:
            pass
        await trio.sleep(_SLICE_S - busy_s)
    return "done"
