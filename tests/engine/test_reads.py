"""History and replay against the log itself: every page, both ways, with events between the messages, from memory and store."""

import random

import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import (
    Ack,
    Engine,
    EngineClosed,
    Event,
    InvalidCommand,
    MessagePage,
    NotFound,
    Overloaded,
    RecoveryFailed,
)
from hubbub.engine.core.commands import History, Replay, Replayed
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.recovery import FromTail, Since
from hubbub.engine.core.subscriber import Joined
from hubbub.testing import Fault

from .world import ADA, ROOM, FaultyStore, Outlet, Replies, join, post, subscriber_of, until, world

_SHAPES = [
    "mmmmmmmm",
    "ccmmcmcccmmmcc",
    "cccc",
    "m",
    "",
    "cmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmc",
]
"""Logs: m is a message, c a change of the conversation, which takes an offset and shows in no page of messages."""


async def write(engine: Engine, shape: str) -> list[int]:
    """Write a log of this shape; returns the offsets of its messages."""
    room = engine.conversation(ROOM)
    for number, kind in enumerate(shape, 1):
        if kind == "m":
            await post(engine, f"m{number}").wait()
        else:
            await room.update(title=f"t{number}")
    return [number for number, kind in enumerate(shape, 1) if kind == "m"]


def offsets(page: MessagePage) -> list[int]:
    """The offsets of a page."""
    return [message.offset for message in page.messages]


@pytest.mark.parametrize("tail_items", [4, 100])
@pytest.mark.parametrize("shape", _SHAPES)
async def test_every_page_of_history(shape: str, tail_items: int, autojump_clock: MockClock) -> None:
    """Any bound and any limit gives the messages that a list would give, and leads on exactly when there is more."""
    async with world(FaultyStore(), tail_items=tail_items, tail_load_items=3) as engine:
        there = await write(engine, shape)
        room, head = engine.conversation(ROOM), len(shape)
        for limit in (1, 2, 3, 7, 100):
            assert offsets(await room.history(limit=limit)) == there[-limit:]
            for bound in range(head + 3):
                newer = [offset for offset in there if offset > bound]
                page = await room.history(after=bound, limit=limit)
                assert offsets(page) == newer[:limit]
                assert (page.next is not None) or len(newer) <= limit
                older = [offset for offset in there if offset < bound]
                page = await room.history(before=bound, limit=limit)
                assert offsets(page) == older[-limit:]
                assert (page.previous is not None) or len(older) <= limit
        for middle in there:
            [message] = (await room.history(after=middle - 1, limit=1)).messages
            for limit in (1, 2, 5, 100):
                page = offsets(await room.history(around=message.id, limit=limit))
                place = there.index(middle)
                older = there[:place][-(limit // 2) :] if limit // 2 else []
                assert page == older + there[place : place + limit - len(older)]


async def test_the_newest_page_is_made_once_and_never_shown_late(autojump_clock: MockClock) -> None:
    """Readers share a page until the log goes on; what is added shows in the very next one, a change of the room too."""
    async with world(FaultyStore()) as engine:
        room = engine.conversation(ROOM)
        for number in range(1, 6):
            await post(engine, f"m{number}").wait()
            first, second = await room.history(limit=3), await room.history(limit=3)
            assert first is second
            assert offsets(first) == list(range(max(1, number - 2), number + 1))
            assert offsets(await room.history(limit=2)) == list(range(max(1, number - 1), number + 1))
        await room.update(title="else")
        assert offsets(await room.history(limit=3)) == [3, 4, 5]
        await post(engine, "m7").wait()
        assert offsets(await room.history(limit=3)) == [4, 5, 7]


@pytest.mark.parametrize("tail_items", [4, 100])
@pytest.mark.parametrize("shape", _SHAPES)
async def test_pages_lead_through_everything_once(shape: str, tail_items: int, autojump_clock: MockClock) -> None:
    """From any first page `previous` and `next` lead over every other message exactly once, then end."""
    async with world(FaultyStore(), tail_items=tail_items, tail_load_items=3) as engine:
        there = await write(engine, shape)
        room = engine.conversation(ROOM)
        first_pages = [await room.history(limit=2)]
        for bound in range(len(shape) + 2):
            first_pages += [await room.history(after=bound, limit=2), await room.history(before=bound, limit=2)]
        for first in first_pages:
            seen, page = offsets(first), first
            for _ in range(50):
                if page.previous is None:
                    break
                page = await room.history(before=page.previous, limit=3)
                seen = offsets(page) + seen
            assert page.previous is None
            page = first
            for _ in range(50):
                if page.next is None:
                    break
                page = await room.history(after=page.next, limit=3)
                seen += offsets(page)
            assert page.next is None
            assert seen == there


@pytest.mark.parametrize("tail_items", [4, 100])
async def test_every_page_of_replay(tail_items: int, autojump_clock: MockClock) -> None:
    """The log forwards and backwards, from any position, by any limit, from memory and from the store."""
    shape = "ccmmcmcccmmmcc"
    async with world(FaultyStore(), tail_items=tail_items) as engine:
        await write(engine, shape)
        head = len(shape)
        log = list(range(1, head + 1))

        async def replay(since: int | None, limit: int, *, reverse: bool) -> list[int | None]:
            replies = Replies()
            where = None if since is None else Since(since)
            engine.send(ROOM, Replay(replies, ADA, where, limit, reverse))
            answer = await replies.wait()
            assert isinstance(answer, Replayed)
            assert answer.record.offset == head
            return [event.offset for event in answer.events]

        for limit in (0, 1, 2, 5, 100):
            assert await replay(None, limit, reverse=False) == log[:limit]
            assert await replay(None, limit, reverse=True) == log[::-1][:limit]
            for since in range(head + 1):
                assert await replay(since, limit, reverse=False) == [o for o in log if o > since][:limit]
                assert await replay(since, limit, reverse=True) == [o for o in log if o < since][::-1][:limit]


async def test_a_replay_that_cannot_be_served_says_why(autojump_clock: MockClock) -> None:
    """Beyond the head, or of another epoch: RecoveryFailed with the reason."""
    async with world(FaultyStore()) as engine:
        await write(engine, "mm")
        for since, reason in ((Since(3), "ahead"), (Since(1, "other"), "epoch_changed")):
            replies = Replies()
            engine.send(ROOM, Replay(replies, ADA, since, 10, reverse=False))
            answer = await replies.wait()
            assert isinstance(answer, RecoveryFailed)
            assert answer.reason == reason


async def test_large_pages_are_cut_and_go_on(autojump_clock: MockClock) -> None:
    """A replay page bounded in bytes holds at least one event, and going on from its last gives the whole log."""
    async with world(FaultyStore(), tail_items=2, page_bytes=1000) as engine:
        chance = random.Random(7)
        for _ in range(30):
            await post(engine, "x" * chance.choice([10, 900, 3000])).wait()
        seen: list[int] = []
        while len(seen) < 30:
            replies = Replies()
            engine.send(ROOM, Replay(replies, ADA, Since(len(seen)), 100, reverse=False))
            events = (await replies.wait()).events
            assert events
            seen += [event.offset for event in events]
        assert seen == list(range(1, 31))


class GuardedStore(FaultyStore):
    """Is not to be read past `head` while that is set; a reader that tries is cut off with a bug, and so shows less."""

    head: int | None = None

    async def events(self, conversation: ConversationId, *, after: int, limit: int, max_bytes: int) -> list[Event]:
        assert self.head is None or after + limit <= self.head, "a page past the head"
        return await super().events(conversation, after=after, limit=limit, max_bytes=max_bytes)


@pytest.mark.parametrize("page_items", [3, 50])
async def test_nobody_reads_past_the_head(page_items: int, autojump_clock: MockClock) -> None:
    """Committed, but the answer was lost: no page, replay or late reader shows it before the conversation does."""
    store = GuardedStore()
    async with world(store, tail_items=2, page_items=page_items) as engine:
        there = await write(engine, "mmmmmmm")
        room = engine.conversation(ROOM)
        store.backend.script.append(Fault.STORED)
        store.backend.away = True
        unsettled = post(engine, "unsettled")
        await until(lambda: len(store.texts()) == 8)
        store.head = 7
        message = store.backend.log(ROOM)[-1].message
        assert message is not None
        assert offsets(await room.history(after=0, limit=3)) == there[:3]
        assert offsets(await room.history(after=4, limit=3)) == there[4:]
        assert offsets(await room.history(before=100, limit=3)) == there[-3:]
        assert offsets(await room.history(limit=3)) == there[-3:]
        with pytest.raises(NotFound):
            await room.history(around=message.id)
        outlet, late = Outlet(), subscriber_of(Outlet(), "late")
        for subscriber in (subscriber_of(outlet, "c1"), late):
            assert isinstance(await join(engine, subscriber, 0).wait(), Joined)
        async with room.subscribe(since=0) as events:
            assert [(await anext(events)).offset for _ in range(7)] == there
            with trio.move_on_after(2.0):
                await anext(events)
                pytest.fail("it was shown before it was settled")
            assert outlet.offsets == there
            late.leave()
            again = await join(engine, subscriber_of(Outlet(), "again"), 7).wait()
            assert isinstance(again.decision, FromTail)
            store.head = None
            store.backend.away = False
            assert isinstance(await unsettled.wait(), Ack)
            assert (await anext(events)).offset == 8
            assert outlet.offsets == [*there, 8]


async def test_history_refuses_nonsense(autojump_clock: MockClock) -> None:
    """Two bounds, a limit out of range, a message that is not there: each its own refusal."""
    async with world(FaultyStore()) as engine:
        room = engine.conversation(ROOM)
        for wrong in ({"after": 1, "before": 2}, {"limit": 0}, {"limit": 501}, {"around": "x"}):
            with pytest.raises(InvalidCommand):
                await room.history(**wrong)
        with pytest.raises(NotFound):
            await room.history(around=engine.fresh_id())


async def test_reads_of_history_are_bounded_and_fail_alone(autojump_clock: MockClock) -> None:
    """Past the bound of pages being read a further one is refused; a bug in one read answers it, and only it."""
    store = FaultyStore()
    async with world(store, tail_items=2) as engine:
        await write(engine, "mmmmmm")
        store.read_s = 1.0

        def ask() -> Replies:
            replies = Replies()
            engine.send(ROOM, Replay(replies, ADA, Since(0), 10, reverse=False))
            return replies

        store.event_errors.append(RuntimeError("bug"))
        asked = [ask() for _ in range(70)]
        answers = [await replies.wait() for replies in asked]
        assert sum(isinstance(answer, Overloaded) for answer in answers) == 6
        assert sum(getattr(answer, "code", "") == "internal" for answer in answers) == 1
        assert sum(isinstance(answer, Replayed) for answer in answers) == 63
        assert isinstance(await ask().wait(), Replayed)


async def test_a_read_that_the_end_of_the_engine_overtakes_is_answered(autojump_clock: MockClock) -> None:
    """Nobody waits for a page of a store that hangs when its engine is gone."""
    store = FaultyStore()
    replies = [Replies(), Replies()]
    async with world(store, tail_items=2) as engine:
        await write(engine, "mmmmmm")
        store.read_s = 1e6
        engine.send(ROOM, Replay(replies[0], ADA, Since(0), 10, reverse=False))
        engine.send(ROOM, History(replies[1], ADA, 0, None, None, 10))
        await trio.sleep(1)
        assert not any(one.answers for one in replies)
    for one in replies:
        assert isinstance(one.answer, EngineClosed)


@pytest.mark.parametrize(("events", "reads"), [(0, 1), (1, 2), (40, 2)])
async def test_a_conversation_is_loaded_with_as_few_reads_as_can_be(
    events: int, reads: int, autojump_clock: MockClock
) -> None:
    """Its record, and the end of its log when there is one; a log of any length is one read."""
    store = FaultyStore()
    async with world(store) as engine:
        for number in range(events):
            await post(engine, f"m{number}").wait()
        while engine.statistics().conversations:  # noqa: ASYNC110  the clock jumps
            await trio.sleep(10)  # until it has left memory
        before = store.reads
        assert isinstance(await join(engine, subscriber_of(Outlet(), "c")).wait(), Joined)
        assert store.reads - before == reads


async def test_resuming_inside_the_tail_reads_nothing(autojump_clock: MockClock) -> None:
    """However long the log is: what was missed is in memory."""
    store = FaultyStore()
    async with world(store) as engine:
        for number in range(60):
            await post(engine, f"m{number}").wait()
            before = store.reads
            joined = await join(engine, subscriber_of(Outlet(), f"c{number}"), max(0, number - 10)).wait()
            assert isinstance(joined.decision, FromTail)
            assert store.reads == before
