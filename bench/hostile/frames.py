"""Attacks with WebSocket frames: thousands of fragments, too much in one frame or many, compression."""

from __future__ import annotations

from typing import Final

from .. import wire
from .arena import Arena, Gone

_MASK: Final = bytes(4)
_FRAGMENTS: Final = 5_000
_PIECE_BYTES: Final = 32 * 1024
_PIECES: Final = 16
_HUGE_BYTES: Final = 1 << 40


async def fragments(arena: Arena, number: int) -> str:
    """A message in thousands of frames of one byte."""
    peer = await arena.connect(number)
    await peer.join(arena.job.token)
    await peer.send(b"\x01\x81" + _MASK + b"x" + (b"\x00\x81" + _MASK + b"x") * _FRAGMENTS)
    return await peer.last_words()


async def oversized_frame(arena: Arena, number: int) -> str:
    """A frame that announces a terabyte, of which nothing is sent."""
    peer = await arena.connect(number)
    await peer.join(arena.job.token)
    await peer.send(b"\x81\xff" + _HUGE_BYTES.to_bytes(8, "big") + _MASK)
    return await peer.last_words()


async def oversized_message(arena: Arena, number: int) -> str:
    """A message of half a megabyte in fragments of which each is allowed."""
    peer = await arena.connect(number)
    await peer.join(arena.job.token)
    rest_of_frame = b"\xfe" + _PIECE_BYTES.to_bytes(2, "big") + _MASK + b"x" * _PIECE_BYTES
    for first in (b"\x01", *[b"\x00"] * (_PIECES - 1)):
        await peer.send(first + rest_of_frame)
    return await peer.last_words()


async def compression(arena: Arena, number: int) -> str:
    """Offer compression; it is declined and the connection works; then send a compressed frame all the same."""
    peer = await arena.connect(number)
    head = await peer.upgrade("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
    if b"extensions" in head.lower():
        raise Gone("compression accepted")
    await peer.send(wire.frame(wire.connect(1, arena.job.token), _MASK))
    await peer.replies(1, arena.replies)
    compressed = b"\xc1\x87" + _MASK + b"\xf2\x48\xcd\xc9\xc9\x07\x00"  # "Hello", RFC 7692 section 7.2.3.1
    await peer.send(compressed)
    return await peer.last_words()
