"""What a review found and proved: each stays found."""

import gc

import trio
from trio.testing import MockClock

from hubbub.engine import (
    Ack,
    Conflict,
    Draft,
    Engine,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Visibility,
)
from hubbub.engine._room import Room
from hubbub.engine._step import STEP_ITEMS
from hubbub.engine.core.commands import History
from hubbub.engine.core.compose import compose_change
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.messages import ConversationChange
from hubbub.engine.core.subscriber import Joined, Stage

from .world import ADA, BOB, ROOM, FaultyStore, Outlet, Replies, join, poison, post, subscriber_of, until, world


def change(engine: Engine, what: ConversationChange) -> Replies:
    """Send a change by the owner."""
    replies = Replies()
    conversation, command = compose_change(ADA, ROOM, what, engine.stamp(), replies)
    engine.send(conversation, command)
    return replies


async def test_made_private_while_no_actor_ran(autojump_clock: MockClock) -> None:
    """A change of visibility that lands after a crash still ends the subscriptions of strangers, before they read on."""
    store = FaultyStore()
    async with Engine.open(store=store) as engine:
        await engine.create(ROOM, owner=ADA.author)
        theirs = Outlet()
        await join(engine, subscriber_of(theirs, "c1", BOB)).wait()
        held = store.backend.hold()
        change(engine, ConversationChange(visibility=Visibility.PRIVATE))
        await trio.sleep(0.1)
        poison(engine)
        await trio.sleep(0.3)
        held.set()
        await until(lambda: theirs.cut == ["not_found"])
        assert isinstance(await post(engine, "secret", by=ADA).wait(), Ack)
        assert theirs.offsets == []


async def test_what_waits_is_checked_again_after_a_change(autojump_clock: MockClock) -> None:
    """A post that waits behind an archive, or behind a change to private, is refused as it would be after it."""
    for what, refusal in (
        (ConversationChange(archived=True), Conflict),
        (ConversationChange(visibility=Visibility.PRIVATE), NotFound),
    ):
        store = FaultyStore()
        async with Engine.open(store=store) as engine:
            await engine.create(ROOM, owner=ADA.author)
            held = store.backend.hold()
            changed = change(engine, what)
            await trio.sleep(0.05)
            late = post(engine, "late", by=BOB, key="k")
            await trio.sleep(0.05)
            held.set()
            await changed.wait()
            assert isinstance(await late.wait(), refusal)
            assert store.texts() == []


async def test_waiting_posts_are_bounded_in_bytes_and_retries_share_one_text(autojump_clock: MockClock) -> None:
    """Behind a store that hangs a conversation keeps so many bytes of posts, and a retry keeps none of its own."""
    store = FaultyStore()
    async with world(store, waiting_bytes=10_000) as engine:
        held = store.backend.hold()
        first = post(engine, "flying")
        await trio.sleep(0.05)
        waiting = [post(engine, "x" * 1_000, key="same") for _ in range(50)]
        more = [post(engine, "y" * 1_000) for _ in range(20)]
        await trio.sleep(0.05)
        refused = [replies for replies in more if replies.answers]
        assert refused
        assert all(isinstance(replies.answer, Overloaded) for replies in refused)
        assert not any(replies.answers for replies in waiting)
        held.set()
        acks = [await replies.wait() for replies in waiting]
        assert len({ack.cursor for ack in acks}) == 1
        assert isinstance(await first.wait(), Ack)
        assert isinstance(await post(engine, "z" * 9_000).wait(), Ack)


async def test_a_join_that_reads_pages_keeps_its_conversation(autojump_clock: MockClock) -> None:
    """While the first page is being read the conversation does not passivate, however long that takes."""
    store = FaultyStore()
    async with world(store, tail_items=8, idle_s=1.0) as engine:
        for number in range(40):
            await engine.conversation(ROOM).post(Draft(str(number), author="ada"))
        store.read_s = 5.0
        outlet = Outlet()
        subscriber = subscriber_of(outlet, "c1")
        replies = join(engine, subscriber, 0)
        assert isinstance(await replies.wait(), Joined)
        await until(lambda: outlet.offsets == list(range(1, 41)))
        assert subscriber.stage is Stage.LIVE
        subscriber.leave()
        store.read_s = 0.0
        await until(lambda: engine.tail_of(ROOM) is None)


async def test_many_questions_let_others_run(autojump_clock: MockClock) -> None:
    """A mailbox full of requests for history is no standstill: other tasks run in between."""
    async with world(FaultyStore()) as engine:
        await post(engine, "a").wait()
        answered: list[Replies] = []
        for _ in range(512):
            replies = Replies()
            answered.append(replies)
            engine.send(ConversationId(ROOM), History(replies, ADA, None, None, None, 10))
        seen: list[int] = []
        while not all(replies.answers for replies in answered):
            await trio.lowlevel.checkpoint()
            seen.append(sum(bool(replies.answers) for replies in answered))
        assert len(set(seen)) >= 512 // STEP_ITEMS // 2  # the clock stands still: no step ends by its time


async def test_a_conversation_that_leaves_memory_needs_no_garbage_collector(autojump_clock: MockClock) -> None:
    """Also one that nobody has made: a server collects seldom, and anyone may ask for names by the thousand."""
    async with world(FaultyStore()) as engine:
        gc.collect()
        gc.disable()
        try:
            for number in range(20):
                replies = Replies()
                engine.send(ConversationId(f"nobody-made-{number}"), History(replies, ADA, None, None, None, 10))
                assert isinstance(await replies.wait(), NotFound)
            subscriber = subscriber_of(Outlet(), "c")
            await join(engine, subscriber).wait()
            await engine.conversation(ROOM).signal("app.wave", actor=ADA)
            subscriber.leave()
            while engine.statistics().conversations:  # noqa: ASYNC110  the clock jumps
                await trio.sleep(10)
            await trio.sleep(10)
            del subscriber
            assert [one.id for one in gc.get_objects() if isinstance(one, Room)] == []
        finally:
            gc.enable()


async def test_a_drain_does_not_wait_for_what_everybody_was_told(autojump_clock: MockClock) -> None:
    """A batch that hangs, and whose posters were told that its outcome is unknown, is no debt of the drain."""
    store = FaultyStore()
    async with world(store) as engine:
        held = store.backend.hold()
        assert isinstance(await post(engine, "a", timeout_s=1.0).wait(), OutcomeUnknown)
        engine.drain()
        with trio.fail_after(1.0):
            await engine.settled()
        held.set()
