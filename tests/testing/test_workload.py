"""Posters, readers and the log: they note in the audit what happened, through errors, restarts and the end of the engine."""

import pytest
import trio
from trio.testing import MockClock

from hubbub import Ack, Draft, MemoryStore, NotFound, StoreUnavailable
from hubbub.testing import Audit, Fault, FaultyStore, Kind, Poster, Reader, note_log, open_test_engine


async def test_a_whole_run_is_audited(autojump_clock: MockClock) -> None:
    """Posters and readers through faults of the store: every post acked, seen by all, nothing violated."""
    store = FaultyStore([Fault.AWAY, Fault.STORED, Fault.LOST, Fault.LATE, Fault.CRASH_STORED])
    audit = Audit(durable=lambda room, offset: dict(enumerate(store.texts(room), 1)).get(offset))
    readers = [Reader(audit, f"r{number}") for number in range(3)]
    posters = [Poster(audit, f"p{number}", timeout_s=0.2) for number in range(4)]

    async def talk(poster: Poster, name: int) -> None:
        for number in range(10):
            assert isinstance(await poster.post(room, f"{name}.{number}"), Ack)

    async with open_test_engine(store) as engine, trio.open_nursery() as watching:
        room = engine.conversation("room")
        for reader in readers:
            await watching.start(reader.run, room)
        async with trio.open_nursery() as posting:
            for number, poster in enumerate(posters):
                posting.start_soon(talk, poster, number)
        for reader in readers:
            await reader.wait_offset(40)
        assert await note_log(audit, store, "room") == 40
        watching.cancel_scope.cancel()
    verdict = audit.finish()
    assert verdict.ok, verdict.violations
    assert (verdict.tried, verdict.acked, verdict.stored, verdict.seen) == (40, 40, 40, 120)


async def test_a_poster_gives_up_where_it_is_told_to(autojump_clock: MockClock) -> None:
    """An error that never goes away is not tried again; one that may is, so many times."""
    store, audit = FaultyStore(), Audit()
    async with open_test_engine(store, post_deadline_s=0.5) as engine:
        room = engine.conversation("room")
        assert await Poster(audit).post(room, "\x00") is None
        store.go_away()
        assert await Poster(audit, tries=3).post(room, "away") is None
        store.come_back()
        await note_log(audit, store, "room")
    verdict = audit.finish()
    assert verdict.ok
    assert (verdict.tried, verdict.refused, verdict.open, verdict.stored) == (2, 2, 0, 0)


async def test_posting_a_text_again_is_a_retry(autojump_clock: MockClock) -> None:
    """Also after the first call gave up: the same key, the same ack."""
    store, audit = FaultyStore([Fault.HANG]), Audit()
    store.backend.script = [Fault.STORED]
    store.backend.commit_s = 1.0
    poster = Poster(audit, tries=1, timeout_s=0.5)
    async with open_test_engine(store) as engine:
        room = engine.conversation("room")
        assert await poster.post(room, "a") is None
        await trio.sleep(10)
        store.backend.commit_s = 0.001
        first, second = await poster.post(room, "a"), await poster.post(room, "a")
        assert first is not None
        assert second is not None
        assert first.cursor == second.cursor
        await note_log(audit, store, "room")
    assert store.texts() == ["a"]
    assert audit.finish().ok


async def test_a_reader_goes_on_after_errors_and_in_the_next_engine(autojump_clock: MockClock) -> None:
    """From its cursor; the end of an engine ends a run, not the reader."""
    store, audit = FaultyStore(), Audit()
    poster, reader = Poster(audit), Reader(audit)
    store.load_errors = [StoreUnavailable("once"), StoreUnavailable("twice")]
    for first in (1, 4):
        async with trio.open_nursery() as nursery, open_test_engine(store, conversations=["room"]) as engine:
            room = engine.conversation("room")
            nursery.start_soon(reader.run, room)
            for number in range(first, first + 3):
                await poster.post(room, f"{number}")
            await reader.wait_offset(first + 2)
    await note_log(audit, store, "room")
    verdict = audit.finish()
    assert verdict.ok, verdict.violations
    assert reader.cursor == verdict.seen == 6
    assert reader.errors
    assert set(reader.errors) == {"store_unavailable"}


async def test_a_reader_that_stops_owes_nothing(autojump_clock: MockClock) -> None:
    """One that is only cancelled owes the rest of the log."""
    audit, store = Audit(), MemoryStore()
    async with open_test_engine(store) as engine, trio.open_nursery() as nursery:
        room = engine.conversation("room")
        stopped, cancelled = Reader(audit, "stopped"), Reader(audit, "cancelled")
        stopped.stop()
        await stopped.run(room)
        again = Reader(audit, "again")
        for reader in (again, cancelled):
            await nursery.start(reader.run, room)
        again.stop()
        nursery.cancel_scope.cancel()
    async with open_test_engine(store) as engine:
        await Poster(audit).post(engine.conversation("room"), "a")
        await note_log(audit, store, "room")
    verdict = audit.finish()
    assert verdict.counts == {Kind.DROPPED: 1}
    assert "cancelled" in verdict.violations[0].detail


async def test_a_reader_ends_where_reading_is_of_no_use(autojump_clock: MockClock) -> None:
    """With the error, for whoever runs it."""
    async with open_test_engine() as engine:
        with pytest.raises(NotFound):
            await Reader(Audit()).run(engine.conversation("nowhere"))


async def test_the_log_is_read_in_pages_with_its_changes(autojump_clock: MockClock) -> None:
    """A change counts as posted; a message that nobody noted does not."""
    audit, store = Audit(), MemoryStore()
    poster = Poster(audit)
    async with open_test_engine(store) as engine:
        room = engine.conversation("room")
        async with trio.open_nursery() as nursery:
            for number in range(1100):
                nursery.start_soon(poster.post, room, f"{number}")
        await room.update(title="new")
        await room.post(Draft("not noted", author="eve"))
        assert await note_log(audit, store, "room") == 1102
    assert audit.finish().counts == {Kind.GHOST: 1}
