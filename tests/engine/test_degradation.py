"""The engine while its store is away, and acks that outlive what became of their conversation."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import (
    Ack,
    Conflict,
    ConversationQuarantined,
    Engine,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Record,
    StoreUnavailable,
    Unprocessable,
    Visibility,
)
from hubbub.engine.core.commands import History, Join, Replay
from hubbub.engine.core.compose import compose_change
from hubbub.engine.core.messages import ConversationChange
from hubbub.engine.core.recovery import Since
from hubbub.storage import MemoryStore

from .world import (
    ADA,
    BOB,
    QUERIES,
    ROOM,
    SYSTEM,
    FaultyStore,
    Outlet,
    Replies,
    poison,
    post,
    query,
    subscriber_of,
    until,
    world,
)


def change(engine: Engine, what: ConversationChange, *, timeout_s: float | None = None) -> Replies:
    """Change the conversation as its owner."""
    replies = Replies()
    engine.send(*compose_change(SYSTEM, ROOM, what, engine.stamp(timeout_s), replies))
    return replies


def first_ack(ack: Ack) -> tuple[Any, ...]:
    """What must be the same for ever."""
    return ack.message.id, ack.cursor, ack.message.created_at_ms, ack.message.text


# -- the same key, the same ack, for ever --------------------------------------------------------------------------------


@pytest.mark.parametrize("remembered", [0, 1], ids=["forgotten", "remembered"])
@pytest.mark.parametrize(
    "what",
    [ConversationChange(archived=True), ConversationChange(visibility=Visibility.PRIVATE)],
    ids=["archived", "private"],
)
async def test_a_retry_gets_its_ack_whatever_became_of_the_conversation(
    what: ConversationChange, remembered: int, autojump_clock: MockClock
) -> None:
    """Also when its key has left memory; another body is refused as such, a fresh post is refused, and nothing is stored."""
    async with world(FaultyStore(), dedupe_items=1) as engine:
        ack = await post(engine, "said", by=BOB, key="k").wait()
        if not remembered:
            await post(engine, "other", by=BOB, key="other").wait()
        assert isinstance(await change(engine, what).wait(), Record)
        again = await post(engine, "said", by=BOB, key="k").wait()
        assert isinstance(again, Ack), again
        assert again.repeated
        assert first_ack(again) == first_ack(ack)
        assert isinstance(await post(engine, "else", by=BOB, key="k").wait(), Unprocessable)
        refusal = Conflict if what.archived else NotFound
        assert isinstance(await post(engine, "new", by=BOB, key="new").wait(), refusal)
        assert isinstance(await post(engine, "new", by=BOB).wait(), refusal)
        assert engine.store.texts() == (["said"] if remembered else ["said", "other"])  # type: ignore[attr-defined]


async def test_a_retry_that_waits_while_the_conversation_is_archived(autojump_clock: MockClock) -> None:
    """The change overtakes nobody's ack: the retry behind it is looked up, the fresh post behind it is refused."""
    store = FaultyStore()
    async with world(store, dedupe_items=1) as engine:
        ack = await post(engine, "said", key="k").wait()
        await post(engine, "other", key="other").wait()
        release = store.backend.hold()
        archived = change(engine, ConversationChange(archived=True))
        await until(lambda: store.statistics().in_flight)
        retry, fresh = post(engine, "said", key="k"), post(engine, "new", key="new")
        await trio.sleep(0.1)
        release.set()
        assert isinstance(await archived.wait(), Record)
        again = await retry.wait()
        assert isinstance(again, Ack)
        assert first_ack(again) == first_ack(ack)
        assert isinstance(await fresh.wait(), Conflict)


async def test_a_doubted_retry_says_so_when_the_store_is_away(autojump_clock: MockClock) -> None:
    """Neither an ack nor a conflict can be given then; later it gets its ack."""
    store = FaultyStore()
    async with world(store, dedupe_items=1) as engine:
        await post(engine, "said", key="k").wait()
        await post(engine, "other", key="other").wait()
        await change(engine, ConversationChange(archived=True)).wait()
        store.away = True
        assert isinstance(await post(engine, "said", key="k").wait(), StoreUnavailable)
        store.away = False
        assert isinstance(await post(engine, "said", key="k").wait(), Ack)


async def test_a_retry_in_quarantine_gets_its_ack(autojump_clock: MockClock) -> None:
    """What was committed before the crashes is acked; a fresh post is refused as quarantined."""
    async with world(FaultyStore()) as engine:
        ack = await post(engine, "said", key="k").wait()
        while not engine.statistics().quarantined:
            await poison(engine).wait()
            await trio.sleep(1)
        again = await post(engine, "said", key="k").wait()
        assert isinstance(again, Ack)
        assert first_ack(again) == first_ack(ack)
        assert isinstance(await post(engine, "new", key="new").wait(), ConversationQuarantined)


# -- a crash with a change out -------------------------------------------------------------------------------------------


async def test_a_change_that_lands_after_a_crash_is_answered_with_what_it_made(autojump_clock: MockClock) -> None:
    """Not with an unknown outcome: title and offset are those of the log. A change that had not left yet is refused."""
    store = FaultyStore()
    async with world(store) as engine:
        await post(engine, "said").wait()
        release = store.backend.hold()
        answers = [change(engine, ConversationChange(title=title)) for title in ("one", "two")]
        await until(lambda: store.statistics().in_flight)
        await poison(engine).wait()
        release.set()
        one, two = [await replies.wait() for replies in answers]
        assert (one.title, one.offset) == ("one", 2)
        assert isinstance(two, Overloaded)
        assert (await query(engine, QUERIES["describe"]).wait()) == one


# -- reads and signals without a store -----------------------------------------------------------------------------------


async def test_what_is_in_memory_goes_on_while_the_store_is_away(autojump_clock: MockClock) -> None:
    """Pages and resumes inside the tail, presence and signals, long after an idle conversation would have left memory."""
    store = FaultyStore()
    async with world(store, idle_s=5.0) as engine:
        for number in range(5):
            await post(engine, str(number)).wait()
        store.go_away()
        await trio.sleep(600)
        assert not engine.health().ready
        for make in QUERIES.values():
            assert not isinstance(await query(engine, make).wait(), Exception)
        page = await query(engine, lambda reply: History(reply, ADA, 2, None, None, 2)).wait()
        assert [message.offset for message in page.messages] == [3, 4]
        outlet = Outlet()
        subscriber = subscriber_of(outlet, "c")
        engine.send(ROOM, Join(Replies(), ADA, subscriber, Since(2), 0))
        await until(lambda: outlet.offsets == [3, 4, 5])
        assert isinstance(await post(engine, "later").wait(), StoreUnavailable)
        subscriber.leave()
        store.come_back()
        await until(lambda: engine.health().ready)
        await trio.sleep(60)
        assert engine.statistics().conversations == 0


async def test_what_is_not_in_memory_is_refused_while_the_store_is_away(autojump_clock: MockClock) -> None:
    """Pages behind the tail, in either direction, and conversations that are not loaded."""
    store = FaultyStore()
    async with world(store, tail_items=2, tail_load_items=2) as engine:
        for number in range(9):
            await post(engine, str(number)).wait()
        store.go_away()
        asked = [
            query(engine, lambda reply: History(reply, ADA, 1, None, None, 2)),
            query(engine, lambda reply: Replay(reply, ADA, Since(1), 2, reverse=False)),
            query(engine, lambda reply: Replay(reply, ADA, Since(4), 2, reverse=True)),
            query(engine, QUERIES["describe"], name="elsewhere"),
        ]
        for replies in asked:
            assert isinstance(await replies.wait(), StoreUnavailable)


# -- one deadline for all stages of a drain ------------------------------------------------------------------------------


async def test_a_drain_takes_no_longer_than_its_one_deadline(autojump_clock: MockClock) -> None:
    """Conversations and storage actor share it: a store that hangs costs it once, and what was sent is unknown."""
    store = FaultyStore()
    async with world(store, drain_s=6.0, post_deadline_s=60.0) as engine:
        store.backend.hold()
        sent = post(engine, "sent")
        await until(lambda: store.statistics().in_flight)
        waiting = post(engine, "waiting")
        await trio.sleep(0.1)
        began = trio.current_time()
        engine.drain()
        await trio.sleep(2)
    assert trio.current_time() - began < 6.5
    assert isinstance(sent.answer, OutcomeUnknown)
    assert isinstance(waiting.answer, StoreUnavailable)


async def test_a_drain_does_not_wait_for_what_nobody_waits_for(autojump_clock: MockClock) -> None:
    """Once every poster was told at its deadline, a store that hangs is given up soon."""
    store = FaultyStore()
    async with world(store, drain_s=15.0, post_deadline_s=3.0) as engine:
        store.backend.hold()
        sent = post(engine, "sent")
        await until(lambda: store.statistics().in_flight)
        began = trio.current_time()
        engine.drain()
        assert isinstance(await sent.wait(), OutcomeUnknown)
    assert trio.current_time() - began < 4.5


# -- pages in bytes ------------------------------------------------------------------------------------------------------


class CountingStore(MemoryStore):
    """Remembers how many bytes of events and messages its largest read returned."""

    largest_bytes = 0

    def _count(self, found: list[Any]) -> None:
        contents = [getattr(one, "message", one) for one in found]
        self.largest_bytes = max(self.largest_bytes, sum(one.content_bytes for one in contents if one is not None))

    async def latest(self, *args: Any, **kwargs: Any) -> list[Any]:
        found = await super().latest(*args, **kwargs)
        self._count(found)
        return found

    async def messages(self, *args: Any, **kwargs: Any) -> list[Any]:
        found = await super().messages(*args, **kwargs)
        self._count(found)
        return found


async def test_pages_are_bounded_where_they_are_read(autojump_clock: MockClock) -> None:
    """A page of 500 large messages reads about as much as it answers, forwards and backwards, and all of them are reached."""
    store = CountingStore()
    text = "ü" * 30_000
    async with world(store, tail_items=1, tail_load_items=1) as engine:
        for _ in range(60):
            await post(engine, text).wait()
        for backwards in (False, True):
            seen: list[int] = []
            edge: int | None = None if backwards else 0
            while True:
                after, before = (None, edge) if backwards else (edge, None)
                page = await query(engine, lambda r: History(r, ADA, after, before, None, 500)).wait()  # noqa: B023
                found = [message.offset for message in page.messages]
                seen = found + seen if backwards else seen + found
                edge = page.previous if backwards else page.next
                if edge is None:
                    break
            assert seen == list(range(1, 61))
        middle = (await query(engine, lambda r: History(r, ADA, 29, None, None, 1)).wait()).messages[0].id
        await query(engine, lambda r: History(r, ADA, None, None, middle, 500)).wait()
        assert store.largest_bytes <= 1024 * 1024 + 60_000
        store.largest_bytes = 0
        replayed = await query(engine, lambda r: Replay(r, ADA, Since(50), 500, reverse=True)).wait()
        assert [event.offset for event in replayed.events] == list(range(49, 49 - len(replayed.events), -1))
        assert replayed.events
        assert store.largest_bytes <= engine.settings.page_bytes + 60_000
