"""The engine as a whole: what it keeps, what it refuses, what it says about itself, and how it ends."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from hubbub.actors import ChildSpec, RestartsExceeded
from hubbub.engine import (
    Ack,
    Author,
    Conflict,
    Draft,
    Engine,
    EngineClosed,
    InvalidCommand,
    NotFound,
    Overloaded,
    Principal,
    StoreHealth,
    Unprocessable,
    Visibility,
)
from hubbub.storage import MemoryStore
from hubbub.testing import Fault

from .world import (
    ADA,
    BOB,
    QUERIES,
    ROOM,
    SYSTEM,
    FaultyStore,
    Outlet,
    Replies,
    join,
    poison,
    post,
    query,
    settings,
    subscriber_of,
    until,
    world,
)


async def test_ten_thousand_conversations_leave_memory(autojump_clock: MockClock) -> None:
    """Conversations that were touched once are gone after the idle time, rooms and actors alike."""
    async with Engine.open(store=MemoryStore(), settings=settings(idle_s=2.0)) as engine:
        for first in range(0, 10_000, 1_000):
            sent = []
            for number in range(first, first + 1_000):
                await engine.create(f"r{number}")
                sent.append(post(engine, "x", name=f"r{number}"))
            for replies in sent:
                assert isinstance(await replies.wait(), Ack)
        assert engine.statistics().conversations == 10_000
        await trio.sleep(20.0)
        assert engine.statistics().conversations == 0
        [registry] = [node for node in engine.tree().walk() if node.kind == "registry"]
        assert registry.depth == 0
        assert (await engine.conversation("r17").describe()).offset == 1


async def test_names_that_nobody_made_take_no_room(autojump_clock: MockClock) -> None:
    """Asking for conversations that do not exist starts no actor that stays."""
    async with world(MemoryStore(), live_conversations=50) as engine:
        for number in range(500):
            with pytest.raises(NotFound):
                await engine.conversation(f"x{number}").describe()
        [registry] = [node for node in engine.tree().walk() if node.kind == "registry"]
        assert registry.depth == 0
        await trio.sleep(11.0)
        assert engine.statistics().conversations == 0


async def test_too_many_live_conversations(autojump_clock: MockClock) -> None:
    """Past the bound a conversation is refused as overloaded, whether it was in memory before or not; room is made."""
    async with Engine.open(store=MemoryStore(), settings=settings(live_conversations=3, idle_s=0.5)) as engine:
        for name in ("a", "b", "c", "d"):
            await engine.create(name)
        await post(engine, "x", name="a").wait()
        await trio.sleep(1.0)
        pinned = [subscriber_of(Outlet(), name) for name in ("b", "c", "d")]
        for subscriber in pinned:
            await join(engine, subscriber, name=subscriber.client).wait()
        with pytest.raises(Overloaded, match="live"):
            post(engine, "x", name="a")
        with pytest.raises(Overloaded, match="live"):
            post(engine, "x", name="e")
        pinned[0].leave()
        await trio.sleep(1.0)
        assert isinstance(await post(engine, "x", name="a").wait(), Ack)


async def test_the_budget_of_all_tails(autojump_clock: MockClock) -> None:
    """When all tails together are too large, the quiet ones shrink; nothing is lost for a reader."""
    async with world(FaultyStore(), tails_bytes=100_000) as engine:
        for _ in range(20):
            await post(engine, "x" * 20_000).wait()
        assert engine.statistics().tail_bytes > 100_000
        await trio.sleep(12.0)
        assert engine.statistics().tail_bytes <= 100_000
        outlet = Outlet()
        await join(engine, subscriber_of(outlet, "c1"), 0).wait()
        await until(lambda: outlet.offsets == list(range(1, 21)))


async def test_drain_tells_readers_and_refuses_posts(autojump_clock: MockClock) -> None:
    """Draining: readers see an event, new commands are refused, what was accepted is committed, `settled` waits for it."""
    store = FaultyStore()
    async with world(store) as engine:
        outlet = Outlet()
        await join(engine, subscriber_of(outlet, "c1")).wait()
        release = store.backend.hold()
        accepted = [post(engine, "a"), post(engine, "b")]
        asked = query(engine, QUERIES["describe"])
        engine.drain()
        engine.drain()
        await until(lambda: outlet.signals == ["server.draining"])
        with pytest.raises(EngineClosed):
            post(engine, "c")
        with pytest.raises(EngineClosed):
            await engine.create("other")
        assert not engine.health().ready
        with trio.move_on_after(1.0) as waited:
            await engine.settled()
        assert waited.cancelled_caught
        release.set()
        await engine.settled()
        assert all(isinstance(replies.answer, Ack) for replies in accepted)
        assert asked.answers
        assert outlet.cut == []
    assert outlet.cut == ["closed"]
    assert outlet.offsets == [1, 2]
    assert store.texts() == ["a", "b"]
    with pytest.raises(EngineClosed):
        await engine.conversation(ROOM).describe()


async def test_settled_waits_for_what_is_still_in_a_mailbox(autojump_clock: MockClock) -> None:
    """A post that no actor has read yet is owed an answer too."""
    async with world(FaultyStore()) as engine:
        replies = post(engine, "a")
        await engine.settled()
        assert isinstance(replies.answer, Ack)
        page = Replies()
        engine.send(ROOM, QUERIES["from start"](page))
        await engine.settled()
        assert page.answers


async def test_leaving_commits_what_was_accepted(autojump_clock: MockClock) -> None:
    """Leaving the block with posts in the mailbox, behind a flight and in it: all committed and answered."""
    store = FaultyStore()
    async with world(store, batch_items=2) as engine:
        replies = [post(engine, str(number)) for number in range(20)]
    assert all(isinstance(reply.answer, Ack) for reply in replies)
    assert store.texts() == [str(number) for number in range(20)]


async def test_leaving_while_the_store_hangs_answers_everybody(autojump_clock: MockClock) -> None:
    """A store that never answers: the drain ends after its time, each caller has an answer, no later than that."""
    store = FaultyStore([Fault.HANG])
    began = trio.current_time()
    async with world(store, drain_s=3.0) as engine:
        outlet = Outlet()
        await join(engine, subscriber_of(outlet, "c1")).wait()
        replies = [post(engine, str(number), timeout_s=100.0) for number in range(5)]
        await until(lambda: store.statistics().in_flight)
        replies += [
            post(engine, "late", timeout_s=100.0),
            query(engine, QUERIES["describe"]),
            poison(engine),
            post(engine, "x"),
        ]
    assert trio.current_time() - began < 10.0
    assert all(reply.answers for reply in replies)
    assert not any(isinstance(reply.answer, Ack) for reply in replies)
    assert outlet.cut == ["closed"]


async def test_create_list_and_owners(autojump_clock: MockClock) -> None:
    """Conversations are made once, found again, and listed to those who may see them."""
    async with Engine.open(store=MemoryStore()) as engine:
        await engine.create("b", title="B")
        await engine.create("a", visibility=Visibility.PRIVATE, owner=ADA.author)
        fresh = await engine.create()
        with pytest.raises(Conflict):
            await engine.create("b")
        assert (await (await engine.create("b", title="other", exist_ok=True)).describe()).title == "B"
        with pytest.raises(InvalidCommand):
            await engine.create("no spaces")
        with pytest.raises(Unprocessable):
            await engine.create("c", title="")
        assert {record.id for record in await engine.conversations()} == {"a", "b", fresh.id}
        assert {record.id for record in await engine.conversations(ADA)} == {"a", "b", fresh.id}
        assert {record.id for record in await engine.conversations(BOB)} == {"b", fresh.id}
        assert [record.id for record in await engine.conversations(limit=1)] == [min("a", fresh.id)]
        assert [record.id for record in await engine.conversations(after="a")] == [
            name for name in sorted(["b", fresh.id]) if name > "a"
        ]


async def test_who_may_do_what(autojump_clock: MockClock) -> None:
    """A private conversation does not exist for strangers, a public one is everybody's to post in and its owner's to change."""
    async with Engine.open(store=MemoryStore()) as engine:
        await engine.create("private", visibility=Visibility.PRIVATE, owner=ADA.author)
        public = await engine.create("public", owner=ADA.author)
        stranger = Principal(Author("eve", "Eve"))
        assert isinstance(await post(engine, "x", by=stranger, name="private").wait(), NotFound)
        assert isinstance(await post(engine, "x", by=ADA, name="private").wait(), Ack)
        assert isinstance(await post(engine, "x", by=stranger, name="public").wait(), Ack)
        assert (await join(engine, subscriber_of(Outlet(), "c", stranger), name="private").wait()).code == "not_found"
        with pytest.raises(Exception, match="owner"):
            await public.update(title="x", actor=stranger)
        assert (await public.update(title="x", actor=SYSTEM)).title == "x"


async def test_it_shows_itself(autojump_clock: MockClock) -> None:
    """The tree names the parts in start order; figures and health are plain values."""
    store = FaultyStore()
    async with world(store) as engine:
        await engine.conversation(ROOM).post(Draft("x", author="ada"))
        await join(engine, subscriber_of(Outlet(), "c1")).wait()
        assert [child.name for child in engine.tree().children] == ["storage", "reads", "housekeeping", "conversations"]
        assert "room (actor) running" in engine.tree().render()
        [room] = engine.statistics().rooms
        assert (room.id, room.head, room.subscribers, room.tail_items, room.waiting) == (ROOM, 1, 1, 1, 0)
        assert engine.health() == StoreHealth(ready=True)
        store.backend.lose_connection()
        assert not engine.health().ready


async def test_a_part_that_crashes_for_ever_ends_the_engine(autojump_clock: MockClock) -> None:
    """The storage actor gives up: the block is cancelled, the callers are answered, the error says what happened."""

    class Hopeless(MemoryStore):
        def actor(self) -> ChildSpec[Any]:
            async def run(*, task_status: trio.TaskStatus[None]) -> None:
                task_status.started()
                await trio.sleep(0.01)
                raise RuntimeError("bug")

            return ChildSpec("storage", run)

    outlet = Outlet()

    async def embed() -> None:
        async with world(Hopeless()) as engine:
            await join(engine, subscriber_of(outlet, "c1")).wait()
            await trio.sleep_forever()

    with pytest.raises(RestartsExceeded):
        await embed()
    assert outlet.cut == ["closed"]
