"""Signals in a room: newest wins, nobody waits long for them, and what is stored never waits for them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import Ack, Author, Engine, Event, Principal
from hubbub.engine.core.commands import Describe, Signal
from hubbub.engine.core.subscriber import Joined, Stage, Subscriber

from .world import (
    ADA,
    BOB,
    ROOM,
    FaultyStore,
    OffsetFormat,
    Outlet,
    Replies,
    join,
    poison,
    post,
    query,
    subscriber_of,
    until,
    world,
)

_MOST_ROUNDS = 20_000
PEOPLE = [Principal(Author(name, name)) for name in ("ada", "bob", "cyd")]


class Telling(OffsetFormat):
    """Shows an ephemeral event as its type, author and data."""

    def encode(self, event: Event, body: bytes) -> bytes:
        if event.offset is not None:
            return super().encode(event, body)
        return b"%b:%b:%b;" % (event.type.encode(), event.actor.id.encode(), event.data_json or b"")


class Noted(Outlet):
    """Writes what it takes into a log that many share."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self._log = log

    def push(self, data: bytes) -> bool:
        self._log.append(data.decode())
        return super().push(data)


def signal(engine: Engine, event_type: str = "typing", by: Principal = ADA, data: bytes | None = None) -> Replies:
    return query(engine, lambda reply: Signal(reply, by, event_type, 0, data))


def prompt_store() -> FaultyStore:
    """Commits at once: the clock of these tests stands still while anything is to be done."""
    store = FaultyStore()
    store.backend.commit_s = 0.0
    return store


async def crowd(engine: Engine, size: int, outlet: Callable[[], Outlet] = Outlet) -> list[Outlet]:
    """So many subscribers, at the head, in two wire formats."""
    outlets = [outlet() for _ in range(size)]
    for number, each in enumerate(outlets):
        wire = OffsetFormat("ab"[number % 2])
        assert isinstance(await join(engine, subscriber_of(each, f"c{number}", wire=wire)).wait(), Joined)
    return outlets


async def test_many_signals_of_one_author_are_spread_once(autojump_clock: MockClock) -> None:
    """What waits together collapses into the newest of each type and author; everybody who asked is answered."""
    async with world(FaultyStore()) as engine:
        outlet = Outlet()
        assert isinstance(await join(engine, subscriber_of(outlet, "c", wire=Telling("t"))).wait(), Joined)
        asked = [
            signal(engine, event_type, by, b"%d" % number)
            for number in range(20)
            for event_type in ("cursor.moved", "typing")
            for by in (ADA, BOB)
        ]
        assert {await replies.wait() for replies in asked} == {None}
        await until(lambda: len(outlet.signals) == 4)
        assert outlet.signals == ["typing:ada:0", "typing:bob:0", "cursor.moved:ada:19", "cursor.moved:bob:19"]


async def test_signals_one_after_another_are_all_spread(autojump_clock: MockClock) -> None:
    """Nothing waits when each is awaited: an application's own signals are not slowed down."""
    async with world(FaultyStore()) as engine:
        [outlet] = await crowd(engine, 1)
        for _ in range(5):
            assert await signal(engine, "cursor.moved").wait() is None
        assert outlet.signals == ["cursor.moved"] * 5


async def test_typing_again_is_answered_and_not_shown(autojump_clock: MockClock) -> None:
    """Within the pause an author's typing is shown once; after it again; another author's meanwhile."""
    async with world(FaultyStore(), typing_again_s=1.0) as engine:
        outlet = Outlet()
        assert isinstance(await join(engine, subscriber_of(outlet, "c", wire=Telling("t"))).wait(), Joined)
        for _ in range(4):
            assert await signal(engine).wait() is None
            await trio.sleep(0.3)
        assert outlet.signals == ["typing:ada:"]
        assert await signal(engine, by=BOB).wait() is None
        assert await signal(engine).wait() is None
        assert outlet.signals == ["typing:ada:", "typing:bob:", "typing:ada:"]


async def test_who_is_behind_is_not_told_even_when_it_could_take_it(autojump_clock: MockClock) -> None:
    """A signal stands after everything that was said before it: who still has to be given that never sees the signal."""
    async with world(FaultyStore()) as engine:
        here, behind = await crowd(engine, 2)
        behind.blocked = True
        await post(engine, "x").wait()
        behind.blocked = False  # it has not said so yet
        assert await signal(engine).wait() is None
        assert (here.signals, behind.signals, behind.offsets) == (["typing"], [], [])


async def test_others_run_between_the_steps_of_a_pass(autojump_clock: MockClock) -> None:
    """However many follow, a signal keeps the process for one step at a time."""
    async with world(FaultyStore(), pass_items=10) as engine, trio.open_nursery() as nursery:
        log: list[str] = []
        await crowd(engine, 500, lambda: Noted(log))
        beats: list[int] = []

        async def beat() -> None:
            while True:
                beats.append(len(log))
                await trio.lowlevel.checkpoint()

        nursery.start_soon(beat)
        signal(engine)
        await settle(lambda: len(log) == 500)
        nursery.cancel_scope.cancel()
    # Between two beats the actor may run twice: as the last of one round and the first of the next.
    assert max(after - before for before, after in pairwise(beats)) <= 20


async def test_what_is_stored_overtakes_a_signal(autojump_clock: MockClock) -> None:
    """A post in the midst of a pass reaches everybody after a few steps, not after the pass; then the pass goes on."""
    async with world(prompt_store(), pass_items=10) as engine:
        log: list[str] = []
        outlets = await crowd(engine, 1_000, lambda: Noted(log))
        signal(engine)
        await settle(lambda: len(log) >= 100)
        began = len(log)
        assert isinstance(await post(engine, "x").wait(), Ack)
        await settle(lambda: len(log) == 2_000)
        overtaken = log.index("1;") - began
        assert overtaken <= 100  # the steps while the post is on its way to the store and back
        assert log.count("1;") == 1_000
        assert "typing;" not in log[log.index("1;") : log.index("1;") + 1_000]
        assert all((outlet.offsets, outlet.signals) == ([1], ["typing"]) for outlet in outlets)


async def test_a_flood_of_signals_holds_no_post_back(autojump_clock: MockClock) -> None:
    """While three people signal without a pause, each post is delivered within a fraction of a pass."""
    async with world(prompt_store(), pass_items=10) as engine, trio.open_nursery() as nursery:
        log: list[str] = []
        await crowd(engine, 500, lambda: Noted(log))

        async def flood(by: Principal) -> None:
            while True:
                for event_type in ("cursor.moved", "typing"):
                    assert await signal(engine, event_type, by).wait() is None

        for person in PEOPLE:
            nursery.start_soon(flood, person)
        await settle(lambda: len(log) >= 1_000)
        for number in range(1, 6):
            began = len(log)
            assert isinstance(await post(engine, "x").wait(), Ack)
            await settle(lambda number=number: log.count(f"{number};") == 500)
            assert log.index(f"{number};") - began <= 100
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(60))
async def test_any_schedule_shows_a_part_of_what_was_said_in_order(seed: int, autojump_clock: MockClock) -> None:
    """Readers block, leave and join, the conversation crashes: no signal twice or out of order, no durable event missed;
    in the end the newest of each type and author is seen by all who can take it."""
    chance = random.Random(seed)
    bounds = {
        "pass_items": chance.choice([1, 3, 256]),
        "write_bytes": chance.choice([1, 600, 100_000]),
        "batch_items": chance.choice([1, 64]),
        "signal_items": chance.choice([4, 256]),
    }
    async with world(FaultyStore(), **bounds) as engine:
        readers: list[tuple[Subscriber, Outlet, int]] = []
        said = crashes = 0

        def say() -> None:
            nonlocal said
            said += 1
            kind = chance.choice(["cursor.moved", "cursor.hidden"])
            signal(engine, kind, chance.choice(PEOPLE), b"%d" % said)

        async def join_one(number: int) -> None:
            outlet = Outlet()
            subscriber = subscriber_of(outlet, f"c{number}", wire=Telling(chance.choice("ab")))
            answer = await join(engine, subscriber).wait()
            if isinstance(answer, Joined):
                readers.append((subscriber, outlet, answer.offset))

        for step in range(80):
            dice = chance.random()
            if dice < 0.2 or not readers:
                await join_one(step)
            elif dice < 0.6:
                for _ in range(chance.choice([1, 1, 10])):
                    say()
            elif dice < 0.8:
                post(engine, "x")
            elif dice < 0.9:
                subscriber, outlet, _ = chance.choice(readers)
                if outlet.blocked:
                    outlet.free(subscriber)
                else:
                    outlet.blocked = True
            elif dice < 0.93:
                chance.choice(readers)[0].leave()
            elif dice < 0.95 and crashes < 3:
                crashes += 1
                poison(engine)
            if chance.random() < 0.5:
                await trio.sleep(chance.choice([0, 0, 0.01, 1.0]))
        await trio.sleep(30.0)
        for subscriber, outlet, _ in readers:
            outlet.free(subscriber)
        head = (await engine.conversation(ROOM).describe()).offset
        for person in PEOPLE[:2]:
            said += 1
            signal(engine, "cursor.moved", person, b"%d" % said)
        await trio.sleep(1.0)
        for subscriber, outlet, start in readers:
            numbers = [int(shown.rpartition(":")[2]) for shown in outlet.signals]
            assert numbers == sorted(set(numbers))
            if subscriber.stage is Stage.LIVE:
                assert outlet.offsets == list(range(start + 1, head + 1))
                assert numbers[-2:] == [said - 1, said]


async def test_a_crash_ends_what_was_still_to_be_said(autojump_clock: MockClock) -> None:
    """The next incarnation does not repeat old signals to those who were not reached, and shows new ones to all."""
    async with world(FaultyStore(), pass_items=1) as engine:
        outlets = await crowd(engine, 50)
        signal(engine)
        await settle(lambda: sum(len(outlet.signals) for outlet in outlets) >= 10)
        await poison(engine).wait()
        await trio.sleep(60.0)
        reached = [len(outlet.signals) for outlet in outlets]
        assert 10 <= sum(reached) <= 15
        assert await signal(engine).wait() is None
        await until(lambda: [len(outlet.signals) for outlet in outlets] == [1 + before for before in reached])


async def drain(engine: Engine) -> None:
    engine.drain()
    await engine.settled()


async def nothing(engine: Engine) -> None:
    """Just leave."""


@pytest.mark.parametrize("before_leaving", [drain, nothing])
async def test_all_are_told_of_the_drain_before_they_are_cut(
    before_leaving: Callable[[Engine], Awaitable[None]], autojump_clock: MockClock
) -> None:
    """Also in a room larger than a step, and also when the engine's block is just left."""
    async with world(FaultyStore(), pass_items=2) as engine:
        outlets = await crowd(engine, 21)
        await before_leaving(engine)
        if before_leaving is drain:
            assert all((outlet.signals, outlet.cut) == (["server.draining"], []) for outlet in outlets)
    assert all((outlet.signals, outlet.cut) == (["server.draining"], ["closed"]) for outlet in outlets)


async def test_a_quarantined_room_is_told_of_the_drain(autojump_clock: MockClock) -> None:
    """It takes no signals, but its keeper tells its subscribers that the server is going away."""
    async with world(FaultyStore(), pass_items=2) as engine:
        outlets = await crowd(engine, 5)
        while not engine.statistics().quarantined:
            await poison(engine).wait()
        await query(engine, lambda reply: Describe(reply, ADA)).wait()
        await drain(engine)
        assert all(outlet.signals == ["server.draining"] for outlet in outlets)


async def settle(done: Callable[[], bool]) -> None:
    """Let others run until `done`: in rounds of the scheduler and not in time, because nothing here takes any."""
    for _ in range(_MOST_ROUNDS):
        if done():
            return
        await trio.lowlevel.checkpoint()
    pytest.fail("it did not come about")
