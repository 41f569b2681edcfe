"""Attacks that take their time: heads and bodies in dribbles, connections that say nothing, readers that stop reading."""

from __future__ import annotations

from typing import Final

import trio

from .. import wire
from .arena import Arena

_DRIBBLE_S: Final = 1.0
_SMALL_BUFFER_BYTES: Final = 4096
_LARGE_POSTS: Final = 24
_LARGE_BYTES: Final = 32 * 1024
_READ_AGAIN_S: Final = 3.0


async def _dribbled(arena: Arena, number: int, opening: bytes) -> str:
    """Send some of a request, then a byte a second; how it ends."""
    peer = await arena.connect(number)
    await peer.send(opening)
    how = ""
    async with trio.open_nursery() as nursery:

        async def dribble() -> None:
            await trio.sleep(arena.random.random() * _DRIBBLE_S)
            while await peer.sent(b"x"):  # noqa: ASYNC110  the pause is the attack
                await trio.sleep(_DRIBBLE_S)

        async def read() -> None:
            nonlocal how
            how = await peer.last_words()
            nursery.cancel_scope.cancel()

        nursery.start_soon(dribble)
        nursery.start_soon(read)
    return how


async def heads(arena: Arena, number: int) -> str:
    """A head that never ends."""
    return await _dribbled(arena, number, b"GET /api/v1/version HTTP/1.1\r\nHost: hostile\r\nX-Slow: ")


async def bodies(arena: Arena, number: int) -> str:
    """A body that never ends, on the one endpoint that needs no token."""
    head = b"POST /api/v1/auth/guest HTTP/1.1\r\nHost: hostile\r\nContent-Length: 4000\r\n\r\n{"
    return await _dribbled(arena, number, head)


async def silent(arena: Arena, number: int) -> str:
    """A connection on which nothing is ever said."""
    peer = await arena.connect(number)
    return await peer.last_words()


async def stopped_sockets(arena: Arena, number: int) -> str:
    """Join the healthy room over WebSocket and read no more; number 0 sends what they do not read. Read on at the end."""
    if number == 0:
        return await _large_posts(arena, number)
    peer = await arena.connect(number, _SMALL_BUFFER_BYTES)
    await peer.join(arena.job.token, wire.subscribe(2, arena.job.room))
    await trio.sleep(arena.left_s - _READ_AGAIN_S)
    return await peer.last_words()


async def stopped_streams(arena: Arena, number: int) -> str:
    """The same over event streams."""
    if number == 0:
        return await _large_posts(arena, number)
    peer = await arena.connect(number, _SMALL_BUFFER_BYTES)
    job = arena.job
    await peer.send(
        f"GET /api/v1/conversations/{job.room}/events HTTP/1.1\r\nHost: hostile\r\n"
        f"Authorization: Bearer {job.token}\r\n\r\n".encode()
    )
    await peer.until(b"event: stream.open\n")
    await trio.sleep(arena.left_s - _READ_AGAIN_S)
    return await peer.last_words()


async def _large_posts(arena: Arena, number: int) -> str:
    """Once the others have joined, post enough to fill what the system keeps for each of them."""
    peer = await arena.connect(number)
    await peer.join(arena.job.token)
    await trio.sleep(1.5)
    for at in range(_LARGE_POSTS):
        command = wire.publish(at + 2, arena.job.room, "x" * _LARGE_BYTES, f"large-{arena.job.seed}-{at}")
        await peer.send(wire.frame(command, bytes(4)))
        await peer.replies(1, arena.replies)
        await trio.sleep(0.02)
    return await peer.still_open()
