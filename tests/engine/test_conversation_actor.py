"""The conversation actor under crashes, a sick store and impatient callers: every command is answered once, nothing is lost."""

import random
from collections.abc import Callable, Sequence

import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import (
    Ack,
    Conflict,
    ConversationQuarantined,
    Draft,
    Engine,
    EngineBroken,
    EngineClosed,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Record,
    StoreUnavailable,
    Visibility,
    WriterSettings,
)
from hubbub.engine.core.batch import Result, Row
from hubbub.engine.core.compose import compose_post
from hubbub.engine.core.subscriber import Stage, Subscriber
from hubbub.storage import MemoryStore
from hubbub.storage.store import WriterStore
from hubbub.testing import OFFSETS, Fault, FaultyBackend

from .world import (
    ADA,
    BOB,
    QUERIES,
    ROOM,
    FaultyStore,
    Outlet,
    Replies,
    is_error,
    join,
    poison,
    post,
    query,
    subscriber_of,
    until,
    world,
)


async def joined(engine: Engine, client: str = "c1", since: int | None = None) -> tuple[Outlet, "object"]:
    outlet = Outlet()
    subscriber = subscriber_of(outlet, client)
    assert not is_error(await join(engine, subscriber, since).wait())
    return outlet, subscriber


# -- crashes ---------------------------------------------------------------------------------------------------------------


async def test_a_crash_answers_everything_that_was_in_hand(autojump_clock: MockClock) -> None:
    """A poisoned command among others: each of them is answered exactly once, and the next ones work."""
    async with world(FaultyStore()) as engine:
        await post(engine, "first").wait()
        before = [post(engine, "a"), *(query(engine, make) for make in QUERIES.values())]
        bad = poison(engine)
        after = [post(engine, "b"), *(query(engine, make) for make in QUERIES.values())]
        for replies in [*before, bad, *after]:
            await replies.wait()
        assert isinstance(bad.answer, Overloaded)
        assert isinstance(await post(engine, "later").wait(), Ack)


async def test_posts_in_flight_survive_a_crash(autojump_clock: MockClock) -> None:
    """What was handed to the store before a crash is acked when it lands, and shown to a subscriber once, in order."""
    store = FaultyStore()
    async with world(store) as engine:
        outlet, _ = await joined(engine)
        release = store.backend.hold()
        flying = post(engine, "flying")
        await until(lambda: store.statistics().in_flight)
        waiting = post(engine, "waiting")
        await poison(engine).wait()
        assert isinstance(waiting.answer, Overloaded)
        assert not flying.answers
        assert outlet.offsets == []
        release.set()
        ack = await flying.wait()
        assert isinstance(ack, Ack)
        assert ack.cursor.offset == 1
        await until(lambda: outlet.offsets == [1])
        assert (await post(engine, "next").wait()).cursor.offset == 2
        await until(lambda: outlet.offsets == [1, 2])
        assert store.texts() == ["flying", "next"]


async def test_posts_that_land_just_before_a_crash_are_acked(autojump_clock: MockClock) -> None:
    """The store settles a batch while its actor is busy with what will crash it: the posters are answered all the same."""
    store = FaultyStore()
    async with world(store) as engine:
        await post(engine, "first").wait()
        store.backend.commit_s = 0.0
        release = store.backend.hold()
        flying = post(engine, "flying")
        await until(lambda: store.statistics().in_flight)
        for _ in range(50):  # each lets others run
            query(engine, QUERIES["typing"])
        bad = poison(engine)
        release.set()
        with trio.fail_after(60):
            assert isinstance(await bad.wait(), Overloaded)
            ack = await flying.wait()
            assert isinstance(ack, Ack)
            assert ack.cursor.offset == 2
            assert (await post(engine, "next").wait()).cursor.offset == 3


class EagerBackend(FaultyBackend):
    """Does something else just before it tells that the next commit is done."""

    meanwhile: Callable[[], None] | None = None

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        results = await super().commit(rows, again=again)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return results


class Trap(Subscriber):
    """A subscriber with a bug: whoever looks at its stage while it is armed gets an exception, once."""

    armed = False

    @property
    def stage(self) -> Stage:
        if self.armed:
            self.armed = False
            raise RuntimeError("a bug of a subscriber")
        return self.kept

    @stage.setter
    def stage(self, stage: Stage) -> None:
        self.kept = stage


async def test_a_post_that_leaves_in_the_batch_that_crashes_is_acked(autojump_clock: MockClock) -> None:
    """The batch is handed to the store, then the pass over the subscribers crashes: the post is not called lost."""
    backend = EagerBackend()
    async with world(WriterStore(backend, WriterSettings())) as engine:
        outlet = Outlet()
        trap = Trap(outlet, OFFSETS, ADA, "c1")
        assert not is_error(await join(engine, trap).wait())
        second: list[Replies] = []

        def meanwhile() -> None:
            trap.armed = True
            second.append(post(engine, "second"))

        backend.meanwhile = meanwhile
        assert isinstance(await post(engine, "first").wait(), Ack)
        ack = await second[0].wait()
        assert not trap.armed
        assert isinstance(ack, Ack)
        assert ack.cursor.offset == 2
        await until(lambda: outlet.offsets == [1, 2])


async def test_deadlines_are_watched_while_no_actor_lives(autojump_clock: MockClock) -> None:
    """A post whose actor crashed while the store hangs is answered at its deadline, and others are not kept waiting."""
    store = FaultyStore()
    async with world(store) as engine:
        await post(engine, "first").wait()
        release = store.backend.hold()
        flying = post(engine, "flying", timeout_s=3.0)
        await until(lambda: store.statistics().in_flight)
        await poison(engine).wait()
        began = trio.current_time()
        waiting = [post(engine, "late", timeout_s=3.0), query(engine, QUERIES["describe"])]
        assert isinstance(await flying.wait(), OutcomeUnknown)
        for replies in waiting:
            assert isinstance(await replies.wait(), Overloaded)
        assert trio.current_time() - began < 4.0
        release.set()
        await until(lambda: store.texts() == ["first", "flying"])
        assert isinstance(await post(engine, "next").wait(), Ack)


async def test_an_orphan_that_was_not_sent_is_withdrawn(autojump_clock: MockClock) -> None:
    """After a crash an unsent post is refused as unavailable at its deadline, and is never stored."""
    store = FaultyStore([Fault.AWAY])
    store.backend.away = True
    async with world(store) as engine:
        orphan = post(engine, "orphan", timeout_s=2.0)
        await until(lambda: not store.health().ready)
        await poison(engine).wait()
        assert isinstance(await orphan.wait(), StoreUnavailable)
        store.backend.away = False
        await until(lambda: store.health().ready)
        assert isinstance(await post(engine, "next").wait(), Ack)
        assert store.texts() == ["next"]


async def test_subscribers_are_served_after_a_crash_without_anybody_asking(autojump_clock: MockClock) -> None:
    """The store is away when the conversation restarts; once it is back, subscribers get what landed meanwhile."""
    store = FaultyStore()
    async with world(store) as engine:
        outlet, _ = await joined(engine)
        reader = trio.Event()
        async with engine.conversation(ROOM).subscribe() as events, trio.open_nursery() as nursery:

            async def read() -> None:
                assert (await anext(events)).offset == 1
                reader.set()

            nursery.start_soon(read)
            release = store.backend.hold()
            flying = post(engine, "flying")
            await until(lambda: store.statistics().in_flight)
            store.away = True
            await poison(engine).wait()
            release.set()
            assert isinstance(await flying.wait(), Ack)
            await trio.sleep(5.0)
            assert outlet.offsets == []
            store.away = False
            with trio.fail_after(2.0):
                await reader.wait()
            assert outlet.offsets == [1]


async def test_a_store_that_raises_at_submit(autojump_clock: MockClock) -> None:
    """A bug of the store at hand-over crashes the conversation; its posters are answered and the next post works."""
    store = FaultyStore()
    async with world(store) as engine:
        store.submit_errors.append(RuntimeError("bug"))
        assert isinstance(await post(engine, "a").wait(), EngineBroken)
        assert isinstance(await post(engine, "b").wait(), Ack)
        store.submit_errors.append(Overloaded())
        assert isinstance(await post(engine, "c").wait(), Overloaded)
        assert isinstance(await post(engine, "d").wait(), Ack)
        assert store.texts() == ["b", "d"]


async def test_a_crash_while_loading_keeps_the_commands(autojump_clock: MockClock) -> None:
    """A load that fails by a bug is tried again, and the commands that woke the actor are carried out."""
    store = FaultyStore()
    async with world(store) as engine:
        store.load_errors.append(RuntimeError("bug"))
        assert isinstance(await post(engine, "a").wait(), Ack)


async def test_too_many_crashes_quarantine_one_conversation(autojump_clock: MockClock) -> None:
    """Crashing at every load ends in quarantine: everybody is answered, the other conversations go on, release works."""
    store = FaultyStore()
    async with world(store) as engine:
        outlet, _ = await joined(engine)
        other = await engine.create("other")
        store.load_errors.extend(RuntimeError("bug") for _ in range(20))
        await poison(engine).wait()
        answer = await post(engine, "a").wait()
        assert isinstance(answer, ConversationQuarantined)
        assert outlet.cut == ["quarantined"]
        with pytest.raises(ConversationQuarantined):
            post(engine, "b")
        assert engine.statistics().quarantined == 1
        store.load_errors.clear()
        assert isinstance(await other.post(Draft("x", author="ada")), Ack)
        assert engine.release(ROOM)
        assert not engine.release(ROOM)
        assert isinstance(await post(engine, "c").wait(), Ack)
        assert engine.statistics().quarantined == 0


async def test_a_reply_that_raises_costs_nobody_else_an_answer(autojump_clock: MockClock) -> None:
    """A caller's broken reply is its own affair: not the others' in its batch, nor the conversation's."""
    store = FaultyStore()

    class Broken(Replies):
        def __call__(self, answer: object) -> None:
            super().__call__(answer)
            raise RuntimeError("bug in a caller")

    async with world(store) as engine:
        outlet, _ = await joined(engine)
        release = store.backend.hold()
        first = post(engine, "first")
        await until(lambda: store.statistics().in_flight)
        replies = Broken()

        for text in ("broken", "retry"):
            draft = Draft(text, author=ADA.author)
            where, command = compose_post(engine.settings.conversation, ADA, ROOM, draft, engine.stamp(), Broken())
            engine.send(where, command)
        second = post(engine, "second")
        query(engine, lambda _: QUERIES["describe"](replies))
        release.set()
        assert isinstance(await first.wait(), Ack)
        assert isinstance(await second.wait(), Ack)
        assert isinstance(await replies.wait(), Record)
        await until(lambda: outlet.offsets == [1, 2, 3, 4])
        assert "restarts" not in engine.tree().render()


# -- the store is away -------------------------------------------------------------------------------------------------------


async def test_an_unsent_post_is_withdrawn_at_its_deadline(autojump_clock: MockClock) -> None:
    """StoreUnavailable is a promise: the post never appears, and a retry with its key is a new post."""
    store = FaultyStore([Fault.AWAY])
    store.backend.away = True
    async with world(store) as engine:
        outlet, _ = await joined(engine)
        began = trio.current_time()
        replies = post(engine, "gone", key="k", timeout_s=2.0)
        assert isinstance(await replies.wait(), StoreUnavailable)
        assert 2.0 <= trio.current_time() - began < 2.5
        store.backend.away = False
        await until(lambda: store.health().ready)
        ack = await post(engine, "gone", key="k").wait()
        assert ack.cursor.offset == 1
        assert not ack.repeated
        await until(lambda: outlet.offsets == [1])


@pytest.mark.parametrize("fault", [Fault.STORED, Fault.LATE, Fault.LOST])
async def test_a_sent_post_is_unknown_at_its_deadline_and_a_retry_settles_it(
    fault: Fault, autojump_clock: MockClock
) -> None:
    """Sent and unanswered: OutcomeUnknown; the retry with its key gets the ack, and the event is published once."""
    store = FaultyStore([fault])
    store.backend.away = True
    async with world(store) as engine:
        outlet, _ = await joined(engine)
        assert isinstance(await post(engine, "hm", key="k", timeout_s=2.0).wait(), OutcomeUnknown)
        retry = post(engine, "hm", key="k", timeout_s=20.0)
        await trio.sleep(1.0)
        store.backend.away = False
        assert (await retry.wait()).cursor.offset == 1
        await until(lambda: outlet.offsets == [1])
        again = await post(engine, "hm", key="k").wait()
        assert again.repeated
        assert again.cursor.offset == 1
        assert store.texts() == ["hm"]


async def test_reads_and_live_subscriptions_go_on_while_the_store_is_away(autojump_clock: MockClock) -> None:
    """What is in memory is served without the store; a conversation that is not loaded says so, and is not quarantined."""
    store = FaultyStore()
    async with world(store) as engine:
        await engine.create("other")
        outlet, _ = await joined(engine)
        await post(engine, "a").wait()
        store.away = True
        assert [message.text for message in (await engine.conversation(ROOM).history()).messages] == ["a"]
        assert (await engine.conversation(ROOM).describe()).offset == 1
        assert await query(engine, QUERIES["typing"]).wait() is None
        assert outlet.signals == ["typing"]
        for _ in range(20):
            with pytest.raises(StoreUnavailable):
                await engine.conversation("other").describe()
            await trio.sleep(0.3)
        assert engine.statistics().quarantined == 0
        store.away = False
        await trio.sleep(0.3)
        assert (await engine.conversation("other").describe()).offset == 0


async def test_deadlines_hold_while_the_engine_drains(autojump_clock: MockClock) -> None:
    """Leaving the block while the store is away: the caller is told at its deadline, not at the end of the drain."""
    store = FaultyStore([Fault.AWAY])
    store.backend.away = True
    async with world(store, drain_s=10.0) as engine:
        replies = post(engine, "a", timeout_s=2.0)
        await until(lambda: not store.health().ready)
        began = trio.current_time()
    assert isinstance(replies.answer, StoreUnavailable)
    assert replies.at - began < 2.5
    assert trio.current_time() - began < 4.0
    assert store.texts() == []


# -- who exists ----------------------------------------------------------------------------------------------------------------


async def test_a_conversation_made_after_it_was_missed_is_found_at_once(autojump_clock: MockClock) -> None:
    """NotFound is never remembered past the making of the conversation."""
    async with Engine.open(store=MemoryStore()) as engine:
        for _ in range(3):
            assert isinstance(await post(engine, "a").wait(), NotFound)
        assert engine.tail_of(ROOM) is None
        await engine.create(ROOM)
        assert isinstance(await post(engine, "a").wait(), Ack)


async def test_a_subscriber_that_may_no_longer_read_is_cut_off(autojump_clock: MockClock) -> None:
    """Making a conversation private ends the subscriptions of everybody but its owner, before they see another event."""
    async with Engine.open(store=FaultyStore()) as engine:
        room = await engine.create(ROOM, owner=ADA.author)
        mine, theirs = Outlet(), Outlet()
        await join(engine, subscriber_of(mine, "c1", ADA)).wait()
        await join(engine, subscriber_of(theirs, "c2", BOB)).wait()
        await post(engine, "public").wait()
        await room.update(visibility=Visibility.PRIVATE)
        await post(engine, "secret").wait()
        await until(lambda: mine.offsets == [1, 2, 3])
        assert theirs.offsets == [1]
        assert theirs.cut == ["not_found"]
        assert isinstance(await join(engine, subscriber_of(Outlet(), "c3", BOB)).wait(), NotFound)
        for make in QUERIES.values():
            replies = Replies()
            command = make(replies)
            command.principal = BOB
            engine.send(ROOM, command)
            assert isinstance(await replies.wait(), NotFound)
        assert isinstance(await post(engine, "x", by=BOB).wait(), NotFound)


async def test_a_retry_is_acked_although_its_conversation_was_archived_since(autojump_clock: MockClock) -> None:
    """The first ack, from the store, when memory has forgotten the key; a key that nobody knows is refused."""
    async with world(MemoryStore(), dedupe_items=1) as engine:
        first = await post(engine, "hi", key="k1").wait()
        await post(engine, "ho", key="k2").wait()
        await engine.conversation(ROOM).update(archived=True)
        again = await post(engine, "hi", key="k1").wait()
        assert isinstance(again, Ack)
        assert (again.message, again.cursor, again.repeated) == (first.message, first.cursor, True)
        assert isinstance(await post(engine, "hi", key="k3").wait(), Conflict)


async def test_an_archived_conversation_can_be_read_only(autojump_clock: MockClock) -> None:
    """Archived: posts and signals are refused as a conflict, reads go on, and unarchiving undoes it."""
    async with world(FaultyStore()) as engine:
        outlet, _ = await joined(engine)
        room = engine.conversation(ROOM)
        await room.update(archived=True)
        assert isinstance(await post(engine, "a").wait(), Conflict)
        assert isinstance(await query(engine, QUERIES["typing"]).wait(), Conflict)
        assert (await room.describe()).archived
        await room.update(archived=False)
        assert isinstance(await post(engine, "a").wait(), Ack)
        await until(lambda: outlet.offsets == [1, 2, 3])


async def test_passivation_keeps_offsets_and_epoch(autojump_clock: MockClock) -> None:
    """A quiet conversation leaves memory and comes back with the next post where it stood."""
    async with world(FaultyStore(), idle_s=1.0) as engine:
        first = await post(engine, "a", key="k").wait()
        await until(lambda: engine.tail_of(ROOM) is None)
        second = await post(engine, "b").wait()
        assert (second.cursor.epoch, second.cursor.offset) == (first.cursor.epoch, 2)
        await until(lambda: engine.tail_of(ROOM) is None)
        again = await post(engine, "a", key="k").wait()
        assert again.repeated
        assert again.cursor == first.cursor
        assert again.message == first.message


# -- callers -------------------------------------------------------------------------------------------------------------------


async def test_parallel_retries_of_one_post_give_one_offset(autojump_clock: MockClock) -> None:
    """Many callers, one key: one message, one offset, one first ack."""
    store = FaultyStore()
    async with world(store) as engine:
        acks: list[Ack] = []

        async def call() -> None:
            acks.append(await engine.conversation(ROOM).post(Draft("a", author="ada", idempotency_key="k")))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(call)
        assert {ack.cursor.offset for ack in acks} == {1}
        assert sum(not ack.repeated for ack in acks) == 1
        assert store.texts() == ["a"]


async def test_a_full_mailbox_refuses_and_answers_what_it_took(autojump_clock: MockClock) -> None:
    """Past its bound the mailbox refuses at once; everything it had taken is answered."""
    store = FaultyStore()
    async with world(store, mailbox_items=10, waiting_items=5) as engine:
        taken, refused = [], 0
        for number in range(30):
            try:
                taken.append(post(engine, str(number)))
            except Overloaded:
                refused += 1
        assert len(taken) == 10
        assert refused == 20
        answers = [await replies.wait() for replies in taken]
        acked = [answer.message.text for answer in answers if isinstance(answer, Ack)]
        assert acked == store.texts()
        assert all(isinstance(answer, Overloaded) for answer in answers if not isinstance(answer, Ack))


async def test_cancelled_callers_break_nothing(autojump_clock: MockClock) -> None:
    """Callers that leave while their post is on its way: the others get their answers, the log has no gap."""
    store = FaultyStore()
    async with world(store) as engine:
        room = engine.conversation(ROOM)
        acked: list[str] = []

        async def call(text: str, patience_s: float) -> None:
            with trio.move_on_after(patience_s):
                await room.post(Draft(text, author="ada"))
                acked.append(text)

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(call, str(number), (0.0, 0.0015, 5.0)[number % 3])
        await until(lambda: not engine.statistics().rooms[0].waiting)
        assert set(acked) <= set(store.texts())
        assert {str(number) for number in range(2, 60, 3)} <= set(acked)
        assert len(store.texts()) == len(set(store.texts()))


async def test_a_join_that_waits_while_the_engine_drains_is_answered(autojump_clock: MockClock) -> None:
    """A join and posts still in the mailbox when the block is left: answered, committed, and nobody crashes for it."""
    store = FaultyStore()
    async with world(store) as engine:
        await post(engine, "first").wait()
        outlet = Outlet()
        replies = [post(engine, "a"), join(engine, subscriber_of(outlet, "c1")), post(engine, "b")]
    assert isinstance(replies[0].answer, Ack)
    assert isinstance(replies[2].answer, Ack)
    assert isinstance(replies[1].answer, EngineClosed) or outlet.cut == ["closed"]
    assert store.texts() == ["first", "a", "b"]


async def test_a_subscription_that_joined_while_draining_ends(autojump_clock: MockClock) -> None:
    """An iterator whose join was still waiting when the engine closed does not wait for ever."""
    store = FaultyStore()
    ended: list[type[Exception]] = []
    async with trio.open_nursery() as nursery:

        async def follow(engine: Engine) -> None:
            try:
                async with engine.conversation(ROOM).subscribe() as events:
                    async for _ in events:
                        pass
            except EngineClosed as error:
                ended.append(type(error))

        async with world(store) as engine:
            nursery.start_soon(follow, engine)
            await trio.lowlevel.checkpoint()
        await until(lambda: bool(ended))
    assert ended == [EngineClosed]


# -- everything at once ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
async def test_any_mix_of_crashes_and_faults_answers_everything_once(seed: int, autojump_clock: MockClock) -> None:
    """Random commands, crashes and faults: one answer each; acked posts are stored once; a subscriber has no gap."""
    chance = random.Random(seed)
    faults = [chance.choice([Fault.NONE] * 6 + [Fault.AWAY, Fault.LOST, Fault.STORED, Fault.LATE]) for _ in range(60)]
    store = FaultyStore(faults)
    sent: list[Replies] = []
    async with world(store, waiting_items=50, mailbox_items=60, batch_items=chance.choice([1, 4, 64])) as engine:
        outlet, _ = await joined(engine)
        crashes = 0
        for number in range(150):
            try:
                dice = chance.random()
                if dice < 0.02 and crashes < 4:
                    crashes += 1
                    sent.append(poison(engine))
                elif dice < 0.2:
                    sent.append(query(engine, chance.choice([*QUERIES.values()])))
                else:
                    key = chance.choice([None, f"k{chance.randrange(20)}"])
                    sent.append(post(engine, key or f"t{number}", key=key, timeout_s=chance.choice([0.05, 5.0])))
            except Overloaded:
                pass
            store.read_s = chance.choice([0.0, 0.0, 0.02])
            if chance.random() < 0.3:
                await trio.sleep(chance.random() * 0.02)
        if chance.random() < 0.5:
            for replies in sent:
                await replies.wait()
            await until(lambda: outlet.offsets == list(range(1, len(store.texts()) + 1)))
    acked = {
        replies.answer.cursor.offset: replies.answer.message for replies in sent if isinstance(replies.answer, Ack)
    }
    log = store.backend.log(ROOM)
    for offset, message in acked.items():
        assert log[offset - 1].message == message
    refused = [replies for replies in sent if not replies.answers]
    assert not refused
    keyed = [text for text in store.texts() if text.startswith("k")]
    assert len(keyed) == len(set(keyed))
    assert outlet.offsets == list(range(1, len(outlet.offsets) + 1))
