"""The faulty store: each fault does to a program what its name says, and no more. The writer's own tests use it at length."""

import pytest
import trio
from trio.testing import MockClock

from hubbub import (
    Conversation,
    Draft,
    EngineBroken,
    OutcomeUnknown,
    Overloaded,
    StoreFenced,
    StoreUnavailable,
    Unprocessable,
)
from hubbub.testing import POISON, Fault, FaultyStore, open_test_engine


def draft(text: str) -> Draft:
    """A post of Ada's whose key is its text."""
    return Draft(text, author="ada", idempotency_key=text)


async def post_twice(room: Conversation) -> list[int]:
    """One post, tried again under its key when the outcome is unknown, and one behind it; their offsets."""
    try:
        first = await room.post(draft("a"))
    except OutcomeUnknown:
        first = await room.post(draft("a"))
    return [first.cursor.offset, (await room.post(draft("b"))).cursor.offset]


@pytest.mark.parametrize("fault", [Fault.NONE, Fault.AWAY, Fault.LOST, Fault.STORED, Fault.LATE])
async def test_a_fault_of_the_connection_costs_time_only(autojump_clock: MockClock, fault: Fault) -> None:
    """The writer settles it: each post is stored once, in order."""
    store = FaultyStore([fault])
    async with open_test_engine(store) as engine:
        assert await post_twice(engine.conversation("room")) == [1, 2]
    assert store.texts() == ["a", "b"]
    assert len(store.backend.commits) == (2 if fault is Fault.NONE else 3)


@pytest.mark.parametrize("fault", [Fault.CRASH, Fault.CRASH_STORED])
async def test_a_bug_of_the_backend_restarts_the_writer(autojump_clock: MockClock, fault: Fault) -> None:
    """The supervision tree shows the restart, and the post is stored once."""
    store = FaultyStore([fault])
    async with open_test_engine(store) as engine:
        assert await post_twice(engine.conversation("room")) == [1, 2]
        [storage] = [node for node in engine.tree().walk() if node.name == "storage"]
        assert storage.restarts == 1
    assert store.texts() == ["a", "b"]


async def test_a_store_that_hangs_leaves_the_outcome_open(autojump_clock: MockClock) -> None:
    """The post is stored, its poster is told that nobody knows, and draining ends all the same."""
    store = FaultyStore([Fault.HANG], drain_s=2.0)
    async with open_test_engine(store, post_deadline_s=1.0) as engine:
        with pytest.raises(OutcomeUnknown):
            await engine.conversation("room").post(draft("a"))
    assert store.texts() == ["a"]


async def test_a_fenced_store_stores_nothing_more(autojump_clock: MockClock) -> None:
    """For good."""
    store = FaultyStore([Fault.FENCED])
    async with open_test_engine(store) as engine:
        with pytest.raises(StoreFenced):
            await engine.conversation("room").post(draft("a"))
        assert not engine.health().ready
    assert store.texts() == []


async def test_poison_is_refused_alone(autojump_clock: MockClock) -> None:
    """The posts beside it, in one commit with it, are stored."""
    store = FaultyStore()
    async with open_test_engine(store) as engine, trio.open_nursery() as nursery:
        room = engine.conversation("room")
        held = store.backend.hold()
        nursery.start_soon(room.post, draft("first"))
        await trio.sleep(0.1)
        for text in ("before", "behind"):
            nursery.start_soon(room.post, draft(text))
        held.set()
        with pytest.raises(Unprocessable):
            await room.post(draft(POISON))
    assert sorted(store.texts()) == ["before", "behind", "first"]


async def test_away_is_away_for_everything_and_comes_back(autojump_clock: MockClock) -> None:
    """Reads fail, posts end at their deadline unsent, health says so; afterwards all of it works again."""
    store = FaultyStore()
    async with open_test_engine(store, post_deadline_s=2.0) as engine:
        room = engine.conversation("room")
        await room.post(draft("a"))
        store.go_away()
        assert not engine.health().ready
        with pytest.raises(StoreUnavailable):
            await room.post(draft("b"))
        listing = store.list_conversations(None, after=None, limit=1)
        for read in (listing, store.accounts.find_token(b""), store.accounts.prune_tokens(1)):
            with pytest.raises(StoreUnavailable):
                await read
        store.come_back()
        assert (await room.post(draft("c"))).cursor.offset == 2
        assert engine.health().ready
    assert store.texts() == ["a", "c"]


async def test_reads_and_submit_fail_as_told(autojump_clock: MockClock) -> None:
    """Each error once, first to last; reads take as long as they should."""
    store = FaultyStore()
    async with open_test_engine(store) as engine:
        room = engine.conversation("room")
        await room.post(draft("a"))
        store.submit_errors = [Overloaded("full")]
        with pytest.raises(Overloaded, match="full"):
            await room.post(draft("b"))
        store.event_errors = [StoreUnavailable("once"), EngineBroken("twice")]
        for error in (StoreUnavailable, EngineBroken):
            with pytest.raises(error):
                await store.events(room.id, after=0, limit=1, max_bytes=1)
        store.read_s = 3.0
        started = trio.current_time()
        assert len(await store.events(room.id, after=0, limit=1, max_bytes=1)) == 1
        assert trio.current_time() - started == pytest.approx(3.0)


async def test_slow_commits_are_slow(autojump_clock: MockClock) -> None:
    """An ack comes no sooner than the commit."""
    store = FaultyStore()
    store.backend.commit_s = 2.5
    async with open_test_engine(store) as engine:
        started = trio.current_time()
        await engine.conversation("room").post(draft("a"))
        assert trio.current_time() - started >= 2.5
