"""Members of a room, and rooms that come and go, in an engine of this process: 100,000 connections would only add noise, and
memory can be traced to the byte. The clock is a mock: it jumps over waits.

What is measured is all that the engine does for a command, trio's loop included: from `Engine.send` to the last effect.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import trio
from trio.testing import MockClock

from ...engine import Engine
from ...engine.core.authors import Author
from ...engine.core.batch import Committed, Result, Row
from ...engine.core.commands import Command, Join, Presence, Signal, Submit
from ...engine.core.compose import compose_post
from ...engine.core.config import EngineSettings, WriterSettings
from ...engine.core.ids import ConversationId
from ...engine.core.kinds import EventType, Visibility
from ...engine.core.messages import Draft, Record
from ...engine.core.principals import Principal
from ...engine.core.subscriber import Subscriber
from ...storage import MemoryBackend, MemoryStore
from ...storage.store import WriterStore
from ...transport.centrifugal_framing import WEBSOCKET
from ..errors import BenchError
from ..fleet import Tell
from ..micro.inputs import NullOutlet
from .dimension import Curve, Curves
from .law import Law

_ROOM: Final = ConversationId("room")
_BLOCKS: Final = 5
_AT_ONCE: Final = 200
_LISTED: Final = 1000
_TEXT: Final = "The rollout to the second region is done; could somebody check the dashboards, please? " + "x" * 33
_WAVE: Final = 100


class Inside:
    """An engine, and commands to it that are waited for."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._owed = 0
        self._answered = trio.Event()

    def reply(self, answer: object) -> None:
        """Takes the answer to a command."""
        if isinstance(answer, Exception):
            raise BenchError(f"a command was refused: {answer!r}")
        self._owed -= 1
        if not self._owed:
            self._answered.set()

    async def carry_out(self, commands: Sequence[tuple[ConversationId, Command]]) -> None:
        """Send commands and wait for the last answer, and until the actors have nothing left to do."""
        self._owed, self._answered = len(commands), trio.Event()
        for conversation, command in commands:
            self.engine.send(conversation, command)
        await self._answered.wait()
        await trio.testing.wait_all_tasks_blocked()

    def post(self, room: ConversationId, author: Principal) -> tuple[ConversationId, Submit]:
        """A post, as a transport composes it."""
        draft = Draft(_TEXT, author=author.author)
        settings = self.engine.settings.conversation
        return compose_post(settings, author, room, draft, self.engine.stamp(), self.reply)


async def _cost_us(work: Callable[[], Awaitable[int]]) -> float:
    """CPU of one operation: the median of some blocks."""
    taken: list[float] = []
    for _ in range(_BLOCKS):
        gc.collect()
        before = time.thread_time_ns()
        count = await work()
        taken.append((time.thread_time_ns() - before) / count / 1e3)
    return statistics.median(taken)


def _member(number: int) -> Principal:
    return Principal(Author(f"member-{number}", f"Member {number}"))


def members(sizes: Sequence[int], tell: Tell) -> tuple[Curve, ...]:
    """Members present in one room, each a subscriber whose connection takes everything."""
    curves = Curves(
        Curve(what="to join and leave", unit="us", allowed=Law.CONSTANT),
        Curve(what="how many are present", unit="us", allowed=Law.CONSTANT),
        Curve(what=f"who is present, at most {_LISTED:,}", unit="us", allowed=Law.LINEAR),
        Curve(what="one types: told to all", unit="us", allowed=Law.LINEAR),
        Curve(what="one types: told to one of them", unit="us", allowed=Law.CONSTANT),
        Curve(what="a post: told to one of them", unit="us", allowed=Law.CONSTANT),
    )
    trio.run(_members, sizes, tell, curves, clock=MockClock(autojump_threshold=0))
    return curves.measured()


async def _members(sizes: Sequence[int], tell: Tell, curves: Curves) -> None:
    async with Engine.open(store=MemoryStore()) as engine:
        await engine.create(_ROOM)
        inside = Inside(engine)
        present = 0
        for size in sizes:
            tell(f"{size:,} members")
            while present < size:
                more = min(_AT_ONCE, size - present)
                await inside.carry_out([_join(inside, present + number) for number in range(more)])
                present += more
            await _measure_members(inside, size, curves)


def _join(inside: Inside, number: int) -> tuple[ConversationId, Join]:
    principal = _member(number)
    subscriber = Subscriber(NullOutlet(), WEBSOCKET.format, principal, f"client-{number}")
    return _ROOM, Join(inside.reply, principal, subscriber, None, 0)


async def _measure_members(inside: Inside, size: int, curves: Curves) -> None:
    somebody = _member(0)
    posts = max(1, min(100, 100_000 // size))

    async def come_and_go() -> int:
        joins = [_join(inside, size + number) for number in range(_AT_ONCE)]
        await inside.carry_out(joins)
        for _, join in joins:
            join.subscriber.leave()
        return _AT_ONCE

    async def ask(limit: int) -> int:
        commands = [(_ROOM, Presence(inside.reply, somebody, limit)) for _ in range(_AT_ONCE)]
        await inside.carry_out(commands)
        return _AT_ONCE

    async def type_on() -> int:
        for number in range(posts):
            author = _member(number)
            signal = Signal(inside.reply, author, EventType.TYPING, inside.engine.now_ms(), b'{"expires_in_ms":6000}')
            await trio.sleep(1)  # what an author types within a second is said once
            await inside.carry_out([(_ROOM, signal)])
        return posts

    async def post() -> int:
        for _ in range(posts):
            await inside.carry_out([inside.post(_ROOM, somebody)])
        return posts

    curves.add("to join and leave", size, await _cost_us(come_and_go))
    curves.add("how many are present", size, await _cost_us(lambda: ask(0)))
    curves.add(f"who is present, at most {_LISTED:,}", size, await _cost_us(lambda: ask(_LISTED)))
    typing = await _cost_us(type_on)
    curves.add("one types: told to all", size, typing)
    curves.add("one types: told to one of them", size, typing / size)
    curves.add("a post: told to one of them", size, await _cost_us(post) / size)


class _Forgetful(MemoryBackend):
    """Says that everything is committed, and keeps nothing: what is left in memory is the engine's."""

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        """Every row is the first event of its conversation."""
        await trio.lowlevel.checkpoint()
        return [Committed(1) for _ in rows]

    async def load(self, conversation: ConversationId) -> Record | None:
        """Every conversation is there, and empty."""
        await trio.lowlevel.checkpoint()
        return Record(conversation, "Room", Visibility.PUBLIC, "owner", "00000000", 0, 0)


def passivated(sizes: Sequence[int], tell: Tell) -> tuple[Curve, ...]:
    """Rooms that were posted to once and then left alone, until they have left memory."""
    curves = Curves(
        Curve(what="memory of a live one", unit="B", allowed=Law.CONSTANT),
        Curve(what="left of all of them, used at the same time", unit="B", allowed=Law.LINEAR, floor=100_000),
        Curve(what=f"left of all of them, used {_WAVE} at a time", unit="B", allowed=Law.NOTHING, floor=100_000),
    )
    tracemalloc.start()
    try:
        for size in sizes:
            tell(f"{size:,} rooms used once")
            trio.run(_passivated, size, curves, clock=MockClock(autojump_threshold=0))
    finally:
        tracemalloc.stop()
    return curves.measured()


async def _passivated(size: int, curves: Curves) -> None:
    store = WriterStore(_Forgetful(), WriterSettings())
    async with Engine.open(store=store, settings=EngineSettings()) as engine:
        inside = Inside(engine)
        await _use(inside, "warm", _WAVE)
        await _gone(engine)
        before = _traced_bytes()
        for at in range(0, size, _WAVE):
            await _use(inside, f"wave-{at}", min(_WAVE, size - at))
            await _gone(engine)
        waves = _traced_bytes()
        curves.add(f"left of all of them, used {_WAVE} at a time", size, waves - before)
        for at in range(0, size, _WAVE):
            await _use(inside, f"together-{at}", min(_WAVE, size - at))
        curves.add("memory of a live one", size, (_traced_bytes() - waves) / size)
        await _gone(engine)
        curves.add("left of all of them, used at the same time", size, _traced_bytes() - waves)


async def _use(inside: Inside, name: str, count: int) -> None:
    ada = _member(0)
    await inside.carry_out([inside.post(ConversationId(f"{name}-{number}"), ada) for number in range(count)])


async def _gone(engine: Engine) -> None:
    """Wait until every room has left memory."""
    with suppress(trio.TooSlowError), trio.fail_after(10 * engine.settings.idle_s):
        while engine.statistics(rooms=0).conversations:  # noqa: ASYNC110  the clock jumps
            await trio.sleep(engine.settings.tick_s)
    if left := engine.statistics(rooms=0).conversations:
        raise BenchError(f"{left:,} rooms did not leave memory")


def _traced_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
