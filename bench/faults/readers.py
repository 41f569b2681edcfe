"""Readers: they follow a conversation by WebSocket or event stream, and resume after the last offset they have seen.

Some stay connected and come back only when they were cut off; others come and go all the time. What each sees goes into the
ledger in the order of arrival. A message is noted once it has arrived whole, so a cut within one leaves the cursor before it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

import attrs
import trio

from ..wire import WireError
from .client import Gone, Refused, Target, WebSocket, open_events
from .ledger import Ledger
from .protocol import Block, Blocks, Document, Event, Position, decode, subscribe

_BACK_S: Final = (0.02, 0.2)
_STAYS_S: Final = (0.05, 0.5)
_AWAY_S: Final = (0.0, 0.3)

Visit = Callable[[Target, Ledger, str], Awaitable[None]]
"""Connect as this reader and read until the connection is gone; raises `Gone`, `Refused` or `WireError`."""


async def stay(visit: Visit, target: Target, ledger: Ledger, name: str, rng: Random) -> None:
    """Stay connected; come back when cut off. Runs until cancelled."""
    while True:
        try:
            await visit(target, ledger, name)
        except (Gone, Refused, WireError):
            ledger.interruption(name)
        await trio.sleep(rng.uniform(*_BACK_S))


async def come_and_go(visit: Visit, target: Target, ledger: Ledger, name: str, rng: Random) -> None:
    """Connect, read a while, leave without a word, come back. Once the writers stop it stays. Runs until cancelled."""
    while not ledger.stopping:
        with trio.move_on_after(rng.uniform(*_STAYS_S)):
            with contextlib.suppress(Gone, Refused, WireError):  # it would have left anyway
                await visit(target, ledger, name)
        await trio.sleep(rng.uniform(*_AWAY_S))
    await stay(visit, target, ledger, name, rng)


async def visit_websocket(target: Target, ledger: Ledger, name: str) -> None:
    """Follow by WebSocket, with recovery."""
    socket = await WebSocket.connect(target)
    try:
        await socket.send(subscribe(2, ledger.conversation, ledger.cursor(name), ledger.epoch))
        while True:
            for document in await socket.receive():
                _take_document(ledger, name, document)
    finally:
        socket.close()


def _take_document(ledger: Ledger, name: str, document: Document) -> None:
    if document.error is not None:
        raise Refused(str(document.error.code))
    if document.subscribe is not None:
        ledger.joined(name)
        answer = document.subscribe
        if answer.was_recovering and not answer.recovered:
            ledger.reset(name, answer.offset, "not recovered")
        for publication in answer.publications:
            _take_event(ledger, name, publication.data)
    elif document.push is not None:
        if document.push.unsubscribe is not None:
            raise Gone("unsubscribed by the server")
        if document.push.pub is not None:
            _take_event(ledger, name, document.push.pub.data)


def _take_event(ledger: Ledger, name: str, event: Event) -> None:
    if event.offset is not None:
        ledger.seen(name, event.offset, event.post)


async def visit_events(target: Target, ledger: Ledger, name: str) -> None:
    """Follow by event stream, with `Last-Event-ID`."""
    async with open_events(target, ledger.conversation, ledger.cursor(name)) as stream:
        blocks = Blocks()
        while True:
            for block in blocks.feed(await stream.receive()):
                _take_block(ledger, name, block)


def _take_block(ledger: Ledger, name: str, block: Block) -> None:
    match block.event:
        case "stream.open":
            ledger.joined(name)
        case "stream.reset":
            ledger.reset(name, decode(block.data, Position).offset, block.data.decode(errors="replace"))
        case "stream.end":
            raise Gone("ended by the server")
        case _ if block.id:
            event = decode(block.data, Event)
            if str(event.offset) != block.id:
                raise WireError(f"block {block.id} carries event {event.offset}")
            _take_event(ledger, name, event)


@attrs.frozen
class ReaderKind:
    """One sort of reader.

    Attributes:
        stays: it wants to stay connected.
    """

    name: str
    visit: Visit
    stays: bool

    async def run(self, target: Target, ledger: Ledger, name: str, rng: Random) -> None:
        """Read from the beginning until cancelled."""
        ledger.reads(name)
        await (stay if self.stays else come_and_go)(self.visit, target, ledger, name, rng)


KINDS: Final = (
    ReaderKind("socket", visit_websocket, stays=True),
    ReaderKind("stream", visit_events, stays=True),
    ReaderKind("socket-guest", visit_websocket, stays=False),
    ReaderKind("stream-guest", visit_events, stays=False),
)
LATECOMERS: Final = (
    ReaderKind("late-socket", visit_websocket, stays=True),
    ReaderKind("late-stream", visit_events, stays=True),
)
