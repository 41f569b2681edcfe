"""The readers of a soak: who stays, who comes and goes with missed events, who stops reading, who looks at old pages.

Each reads until it is cancelled, and whatever it gets goes through the ledger. A reader that was cut off comes back at its
cursor. Once the soak is stopping nobody leaves any more, so that every reader gets to the head.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from random import Random
from typing import Final

import trio

from .faults.client import Gone, Http, Refused, WebSocket, open_events
from .faults.protocol import Block, Blocks, Document, Event, Page, Position, decode, subscribe
from .soak_ledger import FOREIGN, Cursor, Room
from .soak_world import World
from .wire import WireError

_BACK_S: Final = (0.2, 1.0)
_STAYS_S: Final = (3.0, 20.0)
_AWAY_S: Final = (0.5, 15.0)
_STALL_S: Final = (5.0, 35.0)
_STALL_EVERY_S: Final = (20.0, 60.0)
_CATCHES_UP_S: Final = 60.0
_PAGE: Final = 50
_LIVELY: Final = 0.6

Visit = Callable[[World, Cursor, bool], Awaitable[None]]
"""Connect and read until the connection is gone; the flag says whether what is live is timed."""


async def visit_socket(world: World, cursor: Cursor, timed: bool) -> None:
    """Follow by WebSocket, with recovery.

    Raises:
        Gone, Refused, WireError: the connection is over.
    """
    socket = await WebSocket.connect(world.target())
    try:
        await socket.send(subscribe(2, cursor.room.name, cursor.offset, cursor.room.epoch))
        await read_on(world, socket, cursor, timed)
    finally:
        socket.close()


async def read_on(world: World, socket: WebSocket, cursor: Cursor, timed: bool) -> None:
    """Read a socket that has subscribed, until it is gone."""
    live_since_ns: int | None = None
    while True:
        for document in await socket.receive():
            _take_document(world, cursor, document, live_since_ns)
            if document.subscribe is not None and timed:
                live_since_ns = time.monotonic_ns()


def _take_document(world: World, cursor: Cursor, document: Document, live_since_ns: int | None) -> None:
    if document.error is not None:
        raise Refused(str(document.error.code))
    if document.subscribe is not None:
        answer = document.subscribe
        if answer.was_recovering and not answer.recovered:
            world.ledger.reset(cursor, "not recovered")
            cursor.offset = answer.offset
        for publication in answer.publications:
            world.take(cursor, publication.data, None)
    elif document.push is not None:
        if document.push.unsubscribe is not None:
            raise Gone("unsubscribed by the server")
        if document.push.pub is not None:
            world.take(cursor, document.push.pub.data, live_since_ns)


async def visit_stream(world: World, cursor: Cursor, timed: bool) -> None:
    """Follow by event stream, with `Last-Event-ID`; raises as `visit_socket`."""
    async with open_events(world.target(), cursor.room.name, cursor.offset) as stream:
        live_since_ns = time.monotonic_ns() if timed else None
        blocks = Blocks()
        while True:
            for block in blocks.feed(await stream.receive()):
                _take_block(world, cursor, block, live_since_ns)


def _take_block(world: World, cursor: Cursor, block: Block, live_since_ns: int | None) -> None:
    match block.event:
        case "stream.open":
            pass
        case "stream.reset":
            world.ledger.reset(cursor, block.data.decode(errors="replace"))
            cursor.offset = decode(block.data, Position).offset
        case "stream.end":
            raise Gone("ended by the server")
        case _:
            world.take(cursor, decode(block.data, Event), live_since_ns)


async def stay(world: World, visit: Visit, cursor: Cursor) -> None:
    """Stay connected; come back when cut off, which is counted."""
    while True:
        try:
            await visit(world, cursor, True)
        except (Gone, Refused, WireError) as error:
            world.happened[f"cut off a steady reader: {error}"] += 1
        await trio.sleep(world.rng.uniform(*_BACK_S))


async def come_and_go(world: World, visit: Visit, cursor: Cursor) -> None:
    """Read a while, leave without a word, come back and get what was missed."""
    while not world.stopping:
        with trio.move_on_after(_span(world.rng, _STAYS_S)) as staying:
            try:
                await visit(world, cursor, False)
            except (Gone, Refused, WireError) as error:
                world.happened[f"cut off a visitor: {error}"] += 1
        if staying.cancelled_caught:
            world.happened["reconnects with missed events"] += 1
        with trio.move_on_after(_span(world.rng, _AWAY_S)):
            while not world.stopping:  # noqa: ASYNC110  it comes back at once for the end
                await trio.sleep(0.2)
    await stay(world, visit, cursor)


async def stall(world: World, room: Room, reach: int) -> None:
    """Now and then ask for a long replay, stop reading in the midst of it, and go on later: cut off by then, or not.

    Args:
        reach: how far behind the head the replay begins.
    """
    number = 0
    while True:
        await trio.sleep(_span(world.rng, _STALL_EVERY_S))
        number += 1
        cursor = Cursor(f"staller {number}", room, max(0, room.head - reach))
        with trio.move_on_after(_STALL_S[1] + _CATCHES_UP_S):
            try:
                await _stall_once(world, cursor)
            except (Gone, Refused, WireError) as error:
                world.happened[f"cut off a staller: {error}"] += 1
            await _catch_up(world, cursor)
            world.happened["stalls resumed"] += 1


async def _stall_once(world: World, cursor: Cursor) -> None:
    socket = await WebSocket.connect(world.target())
    try:
        await socket.send(subscribe(2, cursor.room.name, cursor.offset, cursor.room.epoch))
        await trio.sleep(_span(world.rng, _STALL_S))
        with trio.move_on_after(5.0):
            await read_on(world, socket, cursor, timed=False)
    finally:
        socket.close()


async def _catch_up(world: World, cursor: Cursor) -> None:
    """Reconnect until the head of now has been reached."""
    head = cursor.room.head
    while cursor.offset < head:
        with trio.move_on_after(1.0):
            try:
                await visit_socket(world, cursor, False)
            except (Gone, Refused, WireError) as error:
                world.happened[f"cut off a staller: {error}"] += 1
                await trio.sleep(0.2)


async def look_back(world: World, pause_s: float) -> None:
    """Read pages of history anywhere in the logs and compare them with what readers saw."""
    http = Http(world.target())
    try:
        while True:
            await trio.sleep(_span(world.rng, (0.5 * pause_s, 1.5 * pause_s)))
            room = world.choose() if world.rng.random() < _LIVELY else world.rng.choice(world.everywhere())
            after = world.rng.randint(0, room.head)
            try:
                answer = await http.call("GET", f"/conversations/{room.name}/messages?after={after}&limit={_PAGE}")
                if answer.status != HTTPStatus.OK:
                    raise Gone(f"status {answer.status}")
                page = decode(answer.body, Page)
            except (Gone, WireError) as error:
                world.happened[f"a page failed: {error}"] += 1
                continue
            world.happened["pages of history"] += 1
            cursor = Cursor("history", room, after)
            for message in page.messages:
                mark = world.read(cursor, message)
                world.ledger.seen(cursor, message.offset, FOREIGN if mark is None else mark.number)
    finally:
        http.close()


def _span(rng: Random, ends: tuple[float, float]) -> float:
    return rng.uniform(*ends)
