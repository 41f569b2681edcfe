"""What a second review found and proved: answers that come late or never, and what a stranger can tell or take."""

from collections import Counter

import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import (
    Ack,
    Author,
    Draft,
    Engine,
    EngineClosed,
    OutcomeUnknown,
    Overloaded,
    Principal,
    StoreFenced,
    Visibility,
)
from hubbub.engine.core.commands import Describe, History
from hubbub.engine.core.compose import compose_change
from hubbub.engine.core.messages import ConversationChange
from hubbub.storage import MemoryStore
from hubbub.testing import Fault

from .world import (
    ADA,
    BOB,
    ROOM,
    FaultyStore,
    Outlet,
    Replies,
    join,
    post,
    query,
    settings,
    subscriber_of,
    until,
    world,
)

POSTS = 300  # more than one batch


async def test_posts_behind_a_refused_batch_go_on(autojump_clock: MockClock) -> None:
    """When the store refuses one batch and takes the next, what waits behind it is committed at once."""
    store = FaultyStore()
    async with world(store) as engine:
        await query(engine, lambda reply: Describe(reply, ADA)).wait()
        store.submit_errors.append(Overloaded("once"))
        began = trio.current_time()
        replies = [post(engine, str(number)) for number in range(POSTS)]
        answers = [await reply.wait() for reply in replies]
        assert Counter(type(answer) for answer in answers) == {Overloaded: 64, Ack: POSTS - 64}
        assert max(reply.at for reply in replies) - began < 1.0


async def test_a_fence_is_told_to_everybody_at_once(autojump_clock: MockClock) -> None:
    """When nothing can ever be committed again, nobody behind the first batch waits for a deadline to be told."""
    async with world(FaultyStore([Fault.FENCED])) as engine:
        began = trio.current_time()
        replies = [post(engine, str(number)) for number in range(POSTS)]
        answers = [await reply.wait() for reply in replies]
        assert {type(answer) for answer in answers} == {StoreFenced, EngineClosed}
        assert max(reply.at for reply in replies) - began < 1.0


@pytest.mark.parametrize("_attempt", range(24))  # what comes first within the moment is left to chance
async def test_settled_in_the_moment_in_which_the_drain_ends(autojump_clock: MockClock, _attempt: int) -> None:
    """A commit that lands exactly when the time to drain is over is answered, as an ack or as unknown, never not at all."""
    store = FaultyStore()
    store.backend.commit_s = 5.0
    async with Engine.open(store=store, settings=settings(drain_s=5.0, idle_s=1e6)) as engine:
        await engine.create(ROOM)
        reply = post(engine, "x", timeout_s=60.0)
        while not store.backend.commits:
            await trio.lowlevel.checkpoint()
    assert isinstance(reply.answer, Ack | OutcomeUnknown)
    assert store.texts() == ["x"]


async def test_a_join_that_needs_pages_does_not_crash_a_drain(autojump_clock: MockClock) -> None:
    """What was accepted is committed although a subscriber behind the tail is read from the mailbox during the drain."""
    store = FaultyStore()
    async with world(store, tail_items=4, tail_load_items=4, idle_s=1.0) as engine:
        for number in range(20):
            await post(engine, str(number)).wait()
        await trio.sleep(100)  # passivated
        store.read_s = 1.0  # the conversation is being loaded when the engine is left
        late = post(engine, "late")
        await trio.sleep(0.1)
        joined = join(engine, subscriber_of(Outlet(), "c1"), since=0)
        await trio.sleep(0.1)
    assert engine.statistics().crashes == 0
    assert isinstance(late.answer, Ack)
    assert joined.answer.code == "closed"


async def test_a_key_keeps_the_name_of_its_first_author(autojump_clock: MockClock) -> None:
    """The ack of a repeat shows the author as it was called then, from memory and from the store alike."""
    async with world(MemoryStore(), idle_s=1.0) as engine:
        renamed = Principal(Author("ada", "Ada Lovelace"))
        first = await post(engine, "x", key="k").wait()
        known = await post(engine, "x", key="k", by=renamed).wait()
        await trio.sleep(100)  # passivated: the store answers now
        committed = await post(engine, "x", key="k", by=renamed).wait()
        assert first.message == known.message == committed.message


@pytest.mark.parametrize("began", ["before", "after"])
async def test_a_load_does_not_outlast_the_drain(autojump_clock: MockClock, began: str) -> None:
    """A conversation whose load hangs holds the engine no longer than its one deadline, whichever came first."""
    store = FaultyStore()
    async with Engine.open(store=store, settings=settings()) as engine:
        await engine.create(ROOM)
        store.read_s = 9.0
        reply = query(engine, lambda reply: Describe(reply, ADA))
        if began == "before":
            await trio.sleep(0.1)
        engine.drain(1.0)
        left = trio.current_time()
    assert trio.current_time() - left < 1.5
    assert reply.answer.code == "closed"


async def private_room(engine: Engine) -> None:
    """Make ROOM private to Ada, and loaded."""
    await engine.create(ROOM, visibility=Visibility.PRIVATE, owner=ADA.author)
    await query(engine, lambda reply: Describe(reply, ADA)).wait()


async def test_a_stranger_cannot_tell_private_from_absent_by_a_bound(autojump_clock: MockClock) -> None:
    """However many keyed posts a stranger sends at once, a private conversation answers as one that does not exist."""
    store = FaultyStore()
    async with Engine.open(store=store, settings=settings()) as engine:
        await private_room(engine)
        store.read_s = 0.005
        for name in (ROOM, "absent"):
            replies = [post(engine, "x", by=BOB, key=f"k{number}", name=name) for number in range(100)]
            assert {(await reply.wait()).code for reply in replies} == {"not_found"}


async def test_a_stranger_cannot_tell_private_from_absent_by_a_slow_store(autojump_clock: MockClock) -> None:
    """When the store does not say in time whether the key is known, a stranger is still told that there is nothing."""
    store = FaultyStore()
    async with Engine.open(store=store, settings=settings()) as engine:
        await private_room(engine)
        store.read_s = 5.0
        assert (await post(engine, "x", by=BOB, key="k", timeout_s=0.5).wait()).code == "not_found"


async def test_keyed_posts_do_not_take_the_reads_of_others(autojump_clock: MockClock) -> None:
    """Pages of history are read while every look-up of a key is taken."""
    store = FaultyStore()
    async with world(store, tail_items=4, tail_load_items=4) as engine:
        await engine.create("secret", visibility=Visibility.PRIVATE, owner=ADA.author)
        for number in range(20):
            await post(engine, str(number)).wait()
        await query(engine, lambda reply: Describe(reply, ADA), name="secret").wait()
        store.read_s = 0.5
        lookups = [post(engine, "x", by=BOB, key=f"k{number}", name="secret") for number in range(100)]
        await until(lambda: any(reply.answers for reply in lookups))
        page = await query(engine, lambda reply: History(reply, ADA, 0, None, None, 5)).wait()
        assert [message.text for message in page.messages] == ["0", "1", "2", "3", "4"]


async def archived_room(engine: Engine) -> None:
    """Make ROOM, archived."""
    await engine.create(ROOM, owner=ADA.author)
    replies = Replies()
    conversation, command = compose_change(ADA, ROOM, ConversationChange(archived=True), engine.stamp(), replies)
    engine.send(conversation, command)
    assert (await replies.wait()).archived


async def test_who_may_read_is_told_of_the_bound_of_look_ups(autojump_clock: MockClock) -> None:
    """Past the bound a keyed post that would be refused is told to come back, because its key may be known."""
    store = FaultyStore()
    async with Engine.open(store=store, settings=settings()) as engine:
        await archived_room(engine)
        store.read_s = 0.5
        replies = [post(engine, "x", key=f"k{number}") for number in range(100)]
        codes = Counter([(await reply.wait()).code for reply in replies])
        assert codes == {"conflict": 64, "overloaded": 36}


async def test_a_look_up_of_a_key_ends_at_the_deadline_of_its_post(autojump_clock: MockClock) -> None:
    """A keyed post that would be refused is answered by its deadline, though the store is slow to say if the key is known."""
    store = FaultyStore()
    async with Engine.open(store=store, settings=settings()) as engine:
        await archived_room(engine)
        store.read_s = 5.0
        began = trio.current_time()
        reply = post(engine, "x", key="k", timeout_s=0.5)
        assert (await reply.wait()).code == "store_unavailable"
        assert reply.at - began == pytest.approx(0.5, abs=0.1)


async def test_a_retry_is_found_under_its_key_in_an_archived_conversation(autojump_clock: MockClock) -> None:
    """The look-up with a deadline still finds what was committed before."""
    async with Engine.open(store=FaultyStore(), settings=settings(idle_s=1.0)) as engine:
        conversation = await engine.create(ROOM, owner=ADA.author)
        first = await conversation.post(Draft("x", author=ADA.author, idempotency_key="k"))
        await conversation.update(archived=True)
        await trio.sleep(100)
        again = await post(engine, "x", key="k").wait()
        assert again.message == first.message
        assert again.repeated
