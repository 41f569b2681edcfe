"""The embedder's handles: an iterator that misses nothing however slow or often cancelled, and verbs that refuse bad input."""

import random

import attrs
import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import (
    Author,
    Conflict,
    ConversationQuarantined,
    Cursor,
    Draft,
    Engine,
    Event,
    InvalidCommand,
    PayloadTooLarge,
    Principal,
    Record,
    RecoveryFailed,
    Subscription,
    Unprocessable,
)
from hubbub.engine.core.batch import Batch
from hubbub.storage import MemoryStore
from hubbub.testing import open_test_engine

from .world import ADA, QUERIES, ROOM, SYSTEM, FaultyStore, poison, post, query, until, world


async def fill(engine: Engine, count: int) -> None:
    """Post and wait for all acks."""
    for replies in [post(engine, "x") for _ in range(count)]:
        await replies.wait()


async def take(events: Subscription, count: int) -> list[int | None]:
    """So many events; a test fails when they do not come."""
    got: list[int | None] = []
    with trio.fail_after(30.0):
        while len(got) < count:
            got.append((await anext(events)).offset)
    return got


class Noting(MemoryStore):
    """Notes by which requests rows and records come."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str | None] = []

    def submit(self, batch: Batch) -> None:
        self.noted += [row.request_id for row in batch.rows]
        super().submit(batch)

    async def create(self, record: Record) -> None:
        self.noted.append(record.request_id)
        await super().create(record)


async def test_the_store_is_told_by_which_request(autojump_clock: MockClock) -> None:
    """An embedder names the request that it serves, where it likes; readers are not told."""
    store = Noting()
    async with open_test_engine(store, conversations=()) as engine:
        there = await engine.create("there", request_id="made")
        async with there.subscribe() as events:
            await there.post(Draft("hi", author="ada"), request_id="said")
            await there.update(title="new", request_id="changed")
            await attrs.evolve(there.members, request_id="put").put("bob")
            await there.post(Draft("hi", author="ada"))
            told = [await anext(events) for _ in range(4)]
        await engine.direct("ada", "bob")
    assert store.noted == ["made", "said", "changed", "put", None, None]
    assert not any(word in repr(told) for word in ("said'", "changed'", "put'"))


async def test_a_request_id_that_could_not_stand_in_a_log_is_refused(autojump_clock: MockClock) -> None:
    """Before anything is sent."""
    store = Noting()
    async with open_test_engine(store, conversations=()) as engine:
        there, bad = await engine.create("there"), "a b"
        for attempt in (
            there.post(Draft("hi", author="ada"), request_id=bad),
            there.update(title="new", request_id=bad),
            attrs.evolve(there.members, request_id=bad).put("bob"),
            engine.create("another", request_id=bad),
        ):
            with pytest.raises(InvalidCommand, match="request id"):
                await attempt
    assert store.noted == [None]


async def test_a_cursor_older_than_the_tail(autojump_clock: MockClock) -> None:
    """An embedder resumes from the beginning of a log that is mostly in the store; nobody crashes."""
    async with world(FaultyStore(), tail_items=4, page_items=7) as engine:
        await fill(engine, 30)
        for since in (0, 5, 29, 30):
            async with engine.conversation(ROOM).subscribe(since=since) as events:
                assert await take(events, 30 - since) == list(range(since + 1, 31))
                assert events.cursor.offset == 30
        assert "restarts" not in engine.tree().render()


async def test_an_event_at_any_moment_of_falling_asleep_wakes_the_reader(autojump_clock: MockClock) -> None:
    """Posts are sent a few scheduler turns before the reader looks, so that they land before, while and after it does."""
    async with world(MemoryStore()) as engine, engine.conversation(ROOM).subscribe() as events:
        for offset in range(1, 401):
            post(engine, "hi")
            for _ in range(offset % 20):
                await trio.lowlevel.checkpoint()
            with trio.fail_after(60):
                assert (await anext(events)).offset == offset


async def test_a_page_that_ends_at_the_head_loses_no_wake_up(autojump_clock: MockClock) -> None:
    """A reader whose last page from the store ends exactly at the head still notices the next post."""
    async with world(FaultyStore(), tail_items=1) as engine, engine.conversation(ROOM).subscribe() as events:
        await fill(engine, 10)
        assert await take(events, 10) == list(range(1, 11))
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                assert await take(events, 1) == [11]

            nursery.start_soon(read)
            await trio.sleep(1.0)
            await fill(engine, 1)


@pytest.mark.parametrize("seed", range(100))
async def test_a_slow_reader_misses_nothing(seed: int, autojump_clock: MockClock) -> None:
    """Iterators at any pace, cancelled at any moment, over crashes and pages: the events after the cursor, once, in order."""
    chance = random.Random(seed)
    store = FaultyStore()
    bounds = {
        "tail_items": chance.choice([1, 4, 100]),
        "page_items": chance.choice([2, 500]),
        "batch_items": chance.choice([1, 64]),
    }
    async with world(store, **bounds) as engine, trio.open_nursery() as nursery:
        await fill(engine, 10)
        total = 60
        finished: list[int] = []

        async def read(since: int | None, pace_s: float, patience_s: float) -> None:
            async with engine.conversation(ROOM).subscribe(since=since) as events:
                at = events.cursor.offset
                joined[0] += 1
                while at < total:
                    event: Event | None = None
                    with trio.move_on_after(patience_s):
                        event = await anext(events)
                    if event is not None:
                        at += 1
                        assert event.offset == at
                    assert events.cursor.offset == at
                    await trio.sleep(pace_s * chance.random())
                with trio.move_on_after(1.0):
                    await anext(events)
                    pytest.fail("an event too many")
                finished.append(at)

        readers, joined = 0, [0]
        for since in (None, 0, 5, 10):
            for pace_s in (0.0, 0.01, 0.5):
                nursery.start_soon(read, since, pace_s, chance.choice([0.0005, 0.02, 100.0]))
                readers += 1
        await until(lambda: joined[0] == readers)
        crashes, sent = 0, 10
        while sent < total:
            if chance.random() < 0.1 and crashes < 4:
                crashes += 1
                await poison(engine).wait()
            count = min(chance.choice([1, 1, 7]), total - sent)
            await fill(engine, count)
            sent += count
            await trio.sleep(chance.random() * 0.05)
        await until(lambda: len(finished) == readers, 120.0)
        assert (await engine.conversation(ROOM).presence()).clients == 0


async def test_a_subscription_reads_pages_while_the_store_comes_and_goes(autojump_clock: MockClock) -> None:
    """The store is away while a slow reader is behind the tail: it waits, and goes on without a gap."""
    store = FaultyStore()
    async with world(store, tail_items=2) as engine, engine.conversation(ROOM).subscribe() as events:
        await fill(engine, 10)
        store.away = True
        with trio.move_on_after(5.0):
            await anext(events)
            pytest.fail("an event that the store could not give")
        store.away = False
        assert await take(events, 10) == list(range(1, 11))


async def test_a_cursor_that_cannot_be_served(autojump_clock: MockClock) -> None:
    """Ahead of the head, or of another log: RecoveryFailed says which, and nobody stays subscribed."""
    async with world(FaultyStore()) as engine:
        await fill(engine, 2)
        room = engine.conversation(ROOM)
        epoch = (await room.describe()).epoch
        for since, reason in ((3, "ahead"), (Cursor(epoch, 3), "ahead"), (Cursor("other", 1), "epoch_changed")):
            with pytest.raises(RecoveryFailed) as failed:
                async with room.subscribe(since=since):
                    pytest.fail("it was served")
            assert failed.value.reason == reason
        async with room.subscribe(since=Cursor(epoch, 1)) as events:
            assert await take(events, 1) == [2]
            assert events.cursor == Cursor(epoch, 2)
        assert (await room.presence()).clients == 0


async def test_ephemeral_events_when_wanted(autojump_clock: MockClock) -> None:
    """An application's own signals reach those who asked for them, the newest when there are too many."""
    async with world(FaultyStore()) as engine:
        room = engine.conversation(ROOM)
        async with room.subscribe(ephemeral=True) as wants, room.subscribe() as does_not:
            for number in range(70):
                await room.signal("cursor.moved", {"x": number}, actor=ADA)
            await fill(engine, 1)
            seen = [(await anext(wants)) for _ in range(65)]
            assert [event.data_json for event in seen if event.offset is None][-1] == b'{"x":69}'
            assert [event.offset for event in seen if event.offset is not None] in ([1], [])
            assert (await anext(does_not)).offset == 1


@pytest.mark.parametrize(
    ("event_type", "data", "actor", "error"),
    [
        ("", None, ADA, InvalidCommand),
        ("..", None, ADA, InvalidCommand),
        ("Cursor.moved", None, ADA, InvalidCommand),
        ("a\nevent: message.created", None, ADA, InvalidCommand),
        ("x" * 101, None, ADA, InvalidCommand),
        ("message.created", None, ADA, InvalidCommand),
        ("typing", None, ADA, InvalidCommand),
        ("server.draining", None, ADA, InvalidCommand),
        ("stream.end", None, ADA, InvalidCommand),
        ("ok", {"x": object()}, ADA, Unprocessable),
        ("ok", {"x": "\ud800"}, ADA, Unprocessable),
        ("ok", {"x": "y" * 10_000}, ADA, PayloadTooLarge),
        ("ok", None, Principal(Author("\ud800", "x")), Unprocessable),
        ("ok", None, Principal(Author("", "x")), Unprocessable),
    ],
)
async def test_signals_that_are_refused(
    event_type: str,
    data: dict[str, object] | None,
    actor: Principal,
    error: type[Exception],
    autojump_clock: MockClock,
) -> None:
    """A type of the engine's own, a malformed one, data or an actor that cannot be encoded: refused before anybody sees it."""
    async with world(FaultyStore()) as engine:
        with pytest.raises(error):
            await engine.conversation(ROOM).signal(event_type, data, actor=actor)
        assert "restarts" not in engine.tree().render()


async def test_authors_that_cannot_be_stored_are_refused(autojump_clock: MockClock) -> None:
    """An actor or owner with a surrogate, a NUL or nothing at all would poison the log; it is refused on the way in."""
    async with world(FaultyStore()) as engine:
        room = engine.conversation(ROOM)
        for bad in (Author("\ud800", "x"), Author("x", "a\x00b"), Author("", "x"), Author("x" * 2000, "x")):
            with pytest.raises(Unprocessable):
                await room.post(Draft("x", author=bad))
            with pytest.raises(Unprocessable):
                await room.update(title="t", actor=Principal(bad, all_powerful=True))
            with pytest.raises(Unprocessable):
                await engine.create("other", owner=bad)
        with pytest.raises(InvalidCommand):
            await room.update()
        assert (await room.update(title="t", actor=SYSTEM)).title == "t"


async def test_update_by_somebody_else(autojump_clock: MockClock) -> None:
    """Only the owner changes a conversation; the record comes back as changed."""
    async with world(FaultyStore()) as engine:
        room = await engine.create("mine", owner=ADA.author)
        record = await room.update(title="new", actor=ADA)
        assert (record.title, record.offset) == ("new", 1)
        with pytest.raises(Exception, match="owner"):
            await room.update(title="x", actor=Principal(Author("eve", "Eve")))
        await room.update(archived=True, actor=ADA)
        with pytest.raises(Conflict):
            await room.post(Draft("x", author="ada"))


async def test_quarantine_ends_an_iterator(autojump_clock: MockClock) -> None:
    """A conversation that gives up tells its readers inside the program; what they had not read is still given first."""
    store = FaultyStore()
    async with world(store) as engine, engine.conversation(ROOM).subscribe() as events:
        await fill(engine, 3)
        assert await take(events, 1) == [1]
        store.load_errors.extend(RuntimeError("bug") for _ in range(20))
        poison(engine)
        await until(lambda: engine.statistics().quarantined == 1)
        assert await take(events, 2) == [2, 3]
        with pytest.raises(ConversationQuarantined):
            await anext(events)


async def test_cancelling_a_subscribe_leaves_nobody_behind(autojump_clock: MockClock) -> None:
    """A subscribe that is cancelled while it joins is undone."""
    store = FaultyStore()
    async with world(store, idle_s=0.1) as engine:
        for delay_s in (0.0, 0.05, 0.3):
            store.read_s = 0.1
            await until(lambda: engine.tail_of(ROOM) is None)
            with trio.move_on_after(delay_s):
                async with engine.conversation(ROOM).subscribe():
                    await trio.sleep_forever()
            store.read_s = 0.0
            await query(engine, QUERIES["describe"]).wait()
            assert (await engine.conversation(ROOM).presence()).clients == 0
