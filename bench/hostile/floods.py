"""Attacks by number: commands, posts, pings, requests and reconnects, as fast as they are taken."""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from .. import wire
from .arena import Arena, Gone, Peer

_MASK: Final = bytes(4)
_BATCH: Final = 64
_PIPELINED: Final = 200
_BEHIND: Final = 20
_READ_AGAIN_S: Final = 3.0
_SMALL_BUFFER_BYTES: Final = 4096


class _Recovery(msgspec.Struct, frozen=True):
    recovered: bool = False
    epoch: str = ""
    offset: int = 0


class _Reply(msgspec.Struct, frozen=True):
    id: int = 0
    subscribe: _Recovery | None = None


_read_reply: Final = msgspec.json.Decoder(_Reply).decode


async def _batches(arena: Arena, peer: Peer, batch: list[bytes]) -> str:
    """Send a batch of commands, take its replies, and again, until the attack is over."""
    data = wire.frame(b"\n".join(batch), _MASK)
    while arena.left_s > 0:
        await peer.send(data)
        await peer.replies(len(batch), arena.replies)
    return await peer.still_open()


async def subscriptions(arena: Arena, number: int) -> str:
    """Subscribe to the healthy room and leave it again, 32 times a frame."""
    peer = await arena.connect(number)
    await peer.join(arena.job.token)
    room = arena.job.room
    pairs = [
        command
        for at in range(2, 2 + _BATCH, 2)
        for command in (wire.subscribe(at, room), b'{"id":%d,"unsubscribe":{"channel":"%b"}}' % (at + 1, room.encode()))
    ]
    return await _batches(arena, peer, pairs)


async def typing(arena: Arena, number: int) -> str:
    """Say to the healthy room that somebody types, 64 times a frame."""
    peer = await arena.connect(number)
    await peer.join(arena.job.token)
    call = b'{"id":%d,"rpc":{"method":"typing","data":{"conversation":"%b"}}}'
    return await _batches(arena, peer, [call % (at, arena.job.room.encode()) for at in range(2, 2 + _BATCH)])


async def posts(arena: Arena, number: int) -> str:
    """Post to the healthy room, as many at a time as the server reads ahead for one connection."""
    peer = await arena.connect(number)
    await peer.join(arena.job.token)
    sent = 0
    while arena.left_s > 0:
        frames = []
        for at in range(_BATCH * 2):
            key = f"{arena.job.seed}-{number}-{sent + at}"
            frames.append(wire.frame(wire.publish(at + 2, arena.job.room, "flood", key), _MASK))
        sent += len(frames)
        await peer.send(b"".join(frames))
        await peer.replies(len(frames), arena.replies)
    return await peer.still_open()


async def pings(arena: Arena, number: int) -> str:
    """WebSocket pings, protocol pings and empty messages, all of them read back."""
    peer = await arena.connect(number)
    await peer.join(arena.job.token)
    data = wire.frame(b"x" * 100, _MASK, wire.PING) * 200 + wire.frame(b"", _MASK) * 200
    ask = wire.frame(b"\n".join(b'{"id":%d,"ping":{}}' % at for at in range(2, 2 + _BATCH)), _MASK)
    while arena.left_s > 0:
        await peer.send(data + ask)
        await peer.replies(_BATCH, arena.replies)
    return await peer.still_open()


async def unread_pings(arena: Arena, number: int) -> str:
    """Pings for ever, and nothing is read until the end."""
    peer = await arena.connect(number, _SMALL_BUFFER_BYTES)
    await peer.join(arena.job.token)
    data = wire.frame(b"x" * 100, _MASK, wire.PING) * 1_000
    with trio.move_on_after(arena.left_s - _READ_AGAIN_S):
        while await peer.sent(data):
            pass
        await trio.sleep_forever()
    return await peer.last_words()


async def pipelined(arena: Arena, number: int) -> str:
    """Hundreds of requests in one write; every answer is counted."""
    peer = await arena.connect(number)
    data = b"GET /api/v1/version HTTP/1.1\r\nHost: hostile\r\n\r\n" * _PIPELINED
    while arena.left_s > 0:
        await peer.send(data)
        for _ in range(_PIPELINED):
            head = await peer.until(b"\r\n\r\n")
            arena.replies[f"status {head[9:12].decode('latin-1')}"] += 1
            await peer.until(b"}")
    return "open"


async def unread_pipelined(arena: Arena, number: int) -> str:
    """Requests for ever, and no answer is read."""
    peer = await arena.connect(number, _SMALL_BUFFER_BYTES)
    data = b"GET /api/v1/version HTTP/1.1\r\nHost: hostile\r\n\r\n" * _PIPELINED
    while await peer.sent(data):
        pass
    return "cut"


async def reconnects(arena: Arena, number: int) -> str:
    """Come back with the position of twenty events ago, take what was missed, and drop the connection."""
    room = arena.job.room
    subscribe: dict[str, object] = {"channel": room}
    while arena.left_s > 0:
        peer = await arena.connect(number)
        await peer.upgrade()
        asked = msgspec.json.encode({"id": 2, "subscribe": subscribe})
        await peer.send(wire.frame(wire.connect(1, arena.job.token) + b"\n" + asked, _MASK))
        found = await _subscribed(peer)
        if "recover" in subscribe:
            arena.replies["recovered" if found.recovered else "not recovered"] += 1
        # A first page may end before the head; it never ends before where the reader asked to go on.
        subscribe = {
            "channel": room,
            "recover": True,
            "epoch": found.epoch,
            "offset": max(0, found.offset - _BEHIND),
        }
        peer.reset()
        arena.forget(number, peer)
    return "done"


async def _subscribed(peer: Peer) -> _Recovery:
    while True:
        frame = await peer.frame()
        for document in frame.body.split(b"\n"):
            reply = _read_reply(document)
            if reply.id == 2:
                if reply.subscribe is None:
                    raise Gone("not subscribed")
                return reply.subscribe
