"""The writer over a backend that tears: nothing is lost, doubled, stored against its word, or left without an answer."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from hubbub.engine.core.batch import Batch, Committed, Rejected, Result, Row
from hubbub.engine.core.config import WriterSettings
from hubbub.engine.core.errors import (
    EngineClosed,
    OutcomeUnknown,
    Overloaded,
    StoreFenced,
    StoreUnavailable,
    Unprocessable,
)
from hubbub.storage.ports import RowsRefused
from hubbub.storage.store import WriterStore
from hubbub.testing import POISON, Fault, FaultyBackend
from hubbub.testing.rows import OTHER, ROOM, Post, hand_in, message, record

TICK_S = 0.3


@asynccontextmanager
async def running(store: WriterStore) -> AsyncIterator[None]:
    """The store's actor runs during the block, under no supervisor: a crash comes out, and the test starts it again."""
    async with trio.open_nursery() as nursery:
        await nursery.start(store.actor().start)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def torn(
    *script: Fault, settings: WriterSettings | None = None, drain_s: float = 5.0
) -> AsyncIterator[tuple[WriterStore, FaultyBackend]]:
    """A running store with two conversations over a backend that follows the script."""
    backend = FaultyBackend(script)
    store = WriterStore(backend, settings or WriterSettings(pace_s=0.0), drain_s=drain_s)
    for name in (ROOM, OTHER):
        await store.create(record(name))
    async with running(store):
        yield store, backend


def texts(backend: FaultyBackend, conversation: str = ROOM) -> list[str]:
    """The stored messages of a conversation."""
    return [event.message.text for event in backend.log(conversation) if event.message is not None]


def errors(post: Post) -> list[type[Exception]]:
    """The errors of a batch that was rejected as a whole."""
    return [type(result.error) for result in post.results if isinstance(result, Rejected)]


async def test_what_was_not_sent_waits_in_order_while_the_store_is_away(autojump_clock: MockClock) -> None:
    """A failed commit is tried again, as new, with backoff, and health tells."""
    async with torn(Fault.AWAY) as (store, backend):
        backend.away = True
        posts = [hand_in(store, message(text="1"))]
        await trio.sleep(0.0005)
        posts += [hand_in(store, message(text="2")), hand_in(store, message(OTHER, text="3"))]
        await trio.sleep(5)
        assert not posts[0].batch.sent
        assert not store.health().ready
        posts += [hand_in(store, message(text="4"))]
        await trio.sleep(5)
        assert len(backend.commits) == 1
        backend.away = False
        for post in posts:
            await post.done.wait()
        assert texts(backend) == ["1", "2", "4"]
        assert all(not again for _, again in backend.commits)
        assert store.health().ready
        assert store.statistics().failures > 5


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.STORED, Fault.LATE])
async def test_an_unknown_outcome_is_settled_before_anything_newer(autojump_clock: MockClock, fault: Fault) -> None:
    """The same rows are sent again until it is known; they are stored once, with one answer."""
    async with torn(fault, fault) as (store, backend):
        first = hand_in(store, message(text="1"), message(text="2", key="k"))
        await trio.sleep(0.0005)
        assert first.batch.sent
        second = hand_in(store, message(text="3"))
        await second.done.wait()
        assert first.results == [Committed(1), Committed(2)]
        assert second.results == [Committed(3)]
        assert texts(backend) == ["1", "2", "3"]
        assert backend.commits == [(["1", "2"], False), (["1", "2"], True), (["1", "2"], True), (["3"], False)]


async def test_a_withdrawn_batch_is_settled_within_a_tick_while_the_store_is_away(autojump_clock: MockClock) -> None:
    """Its conversation need not wait for the store to come back."""
    async with torn(Fault.AWAY) as (store, backend):
        backend.away = True
        posts = [hand_in(store, message()), hand_in(store, message(OTHER), message(OTHER))]
        await trio.sleep(1)
        for row in posts[1].batch.rows:
            row.withdrawn = True
        await trio.sleep(TICK_S)
        assert errors(posts[1]) == [StoreUnavailable] * 2
        backend.away = False
        await posts[0].done.wait()
        assert not backend.log(OTHER)


async def test_a_withdrawn_batch_is_settled_within_a_tick_while_a_commit_hangs(autojump_clock: MockClock) -> None:
    """The same behind a transaction that does not end."""
    async with torn(Fault.HANG, drain_s=1.0) as (store, _):
        hand_in(store, message())
        await trio.sleep(0.01)
        post = hand_in(store, message(OTHER))
        post.batch.rows[0].withdrawn = True
        await trio.sleep(TICK_S)
        assert errors(post) == [StoreUnavailable]


async def test_poison_is_rejected_alone(autojump_clock: MockClock) -> None:
    """Rows before and after it in its conversation, and all others, are stored in order."""
    async with torn() as (store, backend):
        first = hand_in(store, *(message(text=POISON if n in (3, 9) else str(n)) for n in range(10)))
        second = hand_in(store, *(message(OTHER, text=str(n)) for n in range(10)))
        third = hand_in(store, message(text="10"))
        for post in (first, second, third):
            await post.done.wait()
        assert texts(backend) == [str(n) for n in range(11) if n not in (3, 9)]
        assert texts(backend, OTHER) == [str(n) for n in range(10)]
        assert errors(first) == [Unprocessable, Unprocessable]
        assert third.results == [Committed(9)]
        assert store.statistics().refused_rows == 2
        assert store.health().ready


class Fickle(FaultyBackend):
    """Refuses the second commit because of its rows, though it took them at the first: a bug of a database, or of its driver."""

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        if len(self.commits) == 1:
            self.commits.append(([row.text for row in rows], again))
            raise RowsRefused("XX000")
        return await super().commit(rows, again=again)


async def test_halves_of_a_second_try_are_second_tries(autojump_clock: MockClock) -> None:
    """What was sent with unknown outcome and is then refused is halved, and its halves are looked for like the whole."""
    backend = Fickle([Fault.STORED])
    store = WriterStore(backend, WriterSettings(pace_s=0.0))
    await store.create(record())
    async with running(store):
        post = hand_in(store, *(message(text=text) for text in "abcd"))
        await post.done.wait()
    assert post.results == [Committed(1), Committed(2), Committed(3), Committed(4)]
    assert texts(backend) == ["a", "b", "c", "d"]
    assert [again for _, again in backend.commits] == [False, True, True, True]


async def test_a_fenced_writer_refuses_everything(autojump_clock: MockClock) -> None:
    """What waits is rejected as certainly not stored, the server is told, and the actor still stops in order."""
    async with torn(Fault.FENCED) as (store, backend):
        posts = [hand_in(store, message()), hand_in(store, message(OTHER))]
        await store.fenced.wait()
        assert [errors(post) for post in posts] == [[StoreFenced], [StoreFenced]]
        with pytest.raises(EngineClosed):
            hand_in(store, message())
        assert not store.health().ready
        await trio.sleep(10)
        assert len(backend.commits) == 1


async def test_a_fenced_resend_stays_unknown(autojump_clock: MockClock) -> None:
    """Rows that may be stored are not called unstored."""
    async with torn(Fault.STORED, Fault.FENCED) as (store, _):
        posts = [hand_in(store, message())]
        await trio.sleep(0.0005)
        posts.append(hand_in(store, message(OTHER)))
        await store.fenced.wait()
        assert [errors(post) for post in posts] == [[OutcomeUnknown], [StoreFenced]]


async def test_stopping_commits_what_was_accepted(autojump_clock: MockClock) -> None:
    """Batches handed in just before the stop are stored, and later ones refused."""
    async with torn(Fault.NONE, Fault.AWAY, Fault.STORED, settings=WriterSettings(commit_items=4)) as (store, backend):
        posts = [hand_in(store, message(text=f"{n}.{m}"), message(text=f"{n}.{m}")) for n in range(5) for m in range(2)]
    assert all(isinstance(result, Committed) for post in posts for result in post.results)
    assert len(texts(backend)) == 20
    with pytest.raises(EngineClosed):
        hand_in(store, message())
    assert not store.health().ready


async def test_the_drain_ends_at_its_deadline_with_a_hanging_commit(autojump_clock: MockClock) -> None:
    """What was sent is unknown, what was not is unavailable; a hang does not hold the stop up."""
    async with torn(Fault.HANG, drain_s=3.0) as (store, backend):
        sent = hand_in(store, message(text="sent"))
        await trio.sleep(1)
        waiting = hand_in(store, message(text="waiting"))
        started = trio.current_time()
    assert trio.current_time() - started == pytest.approx(3.0, abs=0.1)
    assert errors(sent) == [OutcomeUnknown]
    assert errors(waiting) == [StoreUnavailable]
    assert texts(backend) == ["sent"]


async def test_the_drain_ends_at_its_deadline_with_the_store_away(autojump_clock: MockClock) -> None:
    """Nothing was sent, so everything is refused as unavailable."""
    async with torn(Fault.AWAY, drain_s=3.0) as (store, backend):
        backend.away = True
        posts = [hand_in(store, message()), hand_in(store, message(OTHER))]
        await trio.sleep(1)
    assert [errors(post) for post in posts] == [[StoreUnavailable], [StoreUnavailable]]


async def test_a_stopped_actor_may_start_again(autojump_clock: MockClock) -> None:
    """A supervisor may restart it with its siblings."""
    async with torn() as (store, _):
        pass
    async with running(store):
        post = hand_in(store, message())
        await post.done.wait()
    assert post.results == [Committed(1)]


async def test_submitting_past_the_bound_is_refused_whole(autojump_clock: MockClock) -> None:
    """Nothing of the batch is kept; a smaller one still fits."""
    async with torn(settings=WriterSettings(queue_items=5)) as (store, backend):
        accepted = hand_in(store, *(message() for _ in range(4)))
        with pytest.raises(Overloaded):
            hand_in(store, message(), message())
        last = hand_in(store, message())
        await last.done.wait()
        assert accepted.results == [Committed(n) for n in range(1, 5)]
        assert len(backend.log(ROOM)) == 5


async def test_a_lost_connection_is_mended_while_nobody_posts(autojump_clock: MockClock) -> None:
    """Health is true again without traffic."""
    async with torn() as (store, backend):
        await trio.sleep(1)
        backend.lose_connection()
        assert not store.health().ready
        await trio.sleep(TICK_S)
        assert store.health().ready


async def test_posts_wait_for_an_actor_that_has_not_started(autojump_clock: MockClock) -> None:
    """They are committed once it runs, and health says what is missing before."""
    store = WriterStore(FaultyBackend(), WriterSettings())
    await store.create(record())
    assert not store.health().ready
    post = hand_in(store, message())
    await trio.sleep(10)
    assert post.batch.results is None
    async with running(store):
        await post.done.wait()


async def test_a_crashing_callback_costs_no_other_answer(autojump_clock: MockClock) -> None:
    """The next incarnation tells what the crash left untold, and nothing twice."""
    store = WriterStore(FaultyBackend(), WriterSettings(pace_s=0.0))
    await store.create(record())

    def crash(batch: Batch, results: Sequence[Result]) -> None:
        raise RuntimeError("a bug of the conversation")

    bad = Batch(ROOM, [message()], crash)
    before, after = hand_in(store, message()), None
    store.submit(bad)
    after = hand_in(store, message())
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug"), flatten_subgroups=True):
        async with running(store):
            await trio.sleep_forever()
    assert before.results == [Committed(1)]
    assert after.batch.results is None
    async with running(store):
        with trio.fail_after(60):
            await after.done.wait()
    assert bad.results == [Committed(2)]
    assert after.results == [Committed(3)]


@attrs.frozen
class Submission:
    """A batch of a scenario: which conversation, its texts, its keys, and when (seconds) its rows are withdrawn."""

    conversation: str
    rows: tuple[tuple[str, str | None], ...]
    pause_s: float
    withdraw_after_s: float | None


submissions = st.builds(
    Submission,
    conversation=st.sampled_from([ROOM, OTHER, "nowhere"]),
    rows=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", POISON]), st.sampled_from([None, None, "k", "l"])),
        min_size=1,
        max_size=5,
    ).map(tuple),
    pause_s=st.sampled_from([0.0, 0.0, 0.0005, 0.3, 2.0]),
    withdraw_after_s=st.sampled_from([None, None, 0.0, 0.5, 3.0]),
)
FAULTS = [Fault.NONE, Fault.AWAY, Fault.LOST, Fault.STORED, Fault.LATE, Fault.CRASH, Fault.CRASH_STORED]


@attrs.define(eq=False)
class Scenario:
    """Batches handed in one after another while commits fail and the actor crashes, and what is promised at the end."""

    plan: list[Submission]
    faults: list[Fault]
    stop_early: bool
    posts: list[Post] = attrs.field(factory=list)
    promised_unstored: set[str] = attrs.field(factory=set)
    backend: FaultyBackend = attrs.field(init=False)
    store: WriterStore = attrs.field(init=False)

    async def play(self) -> None:
        """Run it to the end."""
        self.backend = FaultyBackend(self.faults)
        settings = WriterSettings(commit_items=6, pace_s=0.004)
        self.store = WriterStore(self.backend, settings, drain_s=0.02 if self.stop_early else 60.0)
        for name in (ROOM, OTHER):
            await self.store.create(record(name))
        async with trio.open_nursery() as nursery:
            await nursery.start(self._keep_running)
            for submission in self.plan:
                await trio.sleep(submission.pause_s)
                post = hand_in(self.store, *(message(submission.conversation, t, key=k) for t, k in submission.rows))
                self.posts.append(post)
                if submission.withdraw_after_s is not None:
                    nursery.start_soon(self._withdraw, post, submission.withdraw_after_s)
            if not self.stop_early:
                with trio.fail_after(1000):
                    for post in self.posts:
                        await post.done.wait()
            nursery.cancel_scope.cancel()
        self.store.close()  # what a crash while stopping left

    async def _keep_running(self, *, task_status: trio.TaskStatus[None]) -> None:
        while True:
            try:
                async with running(self.store):
                    task_status.started()
                    task_status = trio.TASK_STATUS_IGNORED
                    await trio.sleep_forever()
            except* RuntimeError:
                pass

    async def _withdraw(self, post: Post, after_s: float) -> None:
        """What a conversation does at a deadline."""
        await trio.sleep(after_s)
        if post.batch.results is None and not post.batch.sent:
            for row in post.batch.rows[:-1] or post.batch.rows:
                row.withdrawn = True
                self.promised_unstored.add(row.id)

    def check(self) -> None:
        """Everything that is promised."""
        stored = {e.message.id: e for room in (ROOM, OTHER) for e in self.backend.log(room) if e.message is not None}
        assert not self.promised_unstored & stored.keys()
        told: set[str] = set()
        for post in self.posts:
            last = 0
            for row, result in zip(post.batch.rows, post.results, strict=True):
                match result:
                    case Committed(offset):
                        assert stored[row.id].offset == offset
                        assert offset > last
                        last = offset
                        told.add(row.id)
                    case Rejected(OutcomeUnknown()):
                        assert self.stop_early
                        told.add(row.id)
                    case Rejected(StoreUnavailable()):
                        assert row.id not in stored
                        assert self.stop_early or row.withdrawn
                    case Rejected():
                        assert row.id not in stored
                        assert row.text == POISON or post.batch.conversation == "nowhere"
                    case repeat:
                        assert stored[repeat.id].offset == repeat.offset
                        assert row.id not in stored
        assert stored.keys() <= told
        for room in (ROOM, OTHER):
            assert [e.offset for e in self.backend.log(room)] == list(range(1, len(self.backend.log(room)) + 1))
            order = [row.id for p in self.posts if p.batch.conversation == room for row in p.batch.rows]
            ids = [e.message.id for e in self.backend.log(room) if e.message is not None]
            assert ids == [row_id for row_id in order if row_id in stored]


@settings(max_examples=200, deadline=None)
@given(
    plan=st.lists(submissions, min_size=1, max_size=12),
    faults=st.lists(st.sampled_from(FAULTS), max_size=12),
    stop_early=st.booleans(),
)
def test_promises_hold_while_commits_tear_and_the_actor_crashes(
    plan: list[Submission], faults: list[Fault], stop_early: bool
) -> None:
    """Every row has one answer that is true; nothing is stored twice, out of order, or after it was called unstored."""
    scenario = Scenario(plan, faults, stop_early)
    trio.run(scenario.play, clock=MockClock(autojump_threshold=0))
    scenario.check()


@pytest.mark.parametrize(("more", "ends_s"), [(1, 2.0), (2, 1.0)])
async def test_enough_rows_end_the_longer_wait(autojump_clock: MockClock, more: int, ends_s: float) -> None:
    """Few rows of a busy system wait for two paces; the one that makes them enough ends that after one."""
    store = WriterStore(FaultyBackend(), WriterSettings(pace_s=1.0, pace_items=4))
    rooms = [f"room{number}" for number in range(3 + more)]
    for room in rooms:
        await store.create(record(room))
    async with running(store):
        began = trio.current_time()
        posts = [hand_in(store, message(rooms[0]))]
        await posts[0].done.wait()
        posts.extend(hand_in(store, message(room)) for room in rooms[1:3])
        await trio.sleep(0.5)
        posts.extend(hand_in(store, message(room)) for room in rooms[3:])
        for post in posts:
            await post.done.wait()
        assert trio.current_time() - began == pytest.approx(ends_s, abs=0.01)
    assert store.statistics().commits == 2
