"""The writer while its store is silent or away: noticed though nobody posts, told since when, mended at once, stopped in time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from hubbub.engine.core.batch import Committed, Rejected, Result, Row
from hubbub.engine.core.config import WriterSettings
from hubbub.engine.core.errors import OutcomeUnknown, StoreFenced, StoreUnavailable
from hubbub.storage.store import WriterStore
from hubbub.testing import Fault, FaultyBackend
from hubbub.testing.rows import ROOM, Post, hand_in, message, record

GIVES_UP_S = 5.0


class FrozenBackend(FaultyBackend):
    """Answers nothing while `freeze` was called and not `thaw`; what was sent meanwhile is stored when it thaws.

    Attributes:
        full: commits fail, though the connection works; probes fail as well when they write.
        taken: another server has taken the store over.
    """

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.taken = False
        self._frozen: trio.Event | None = None
        self._cut = False

    def freeze(self) -> None:
        self._frozen = trio.Event()

    def thaw(self) -> None:
        assert self._frozen is not None
        self._frozen.set()
        self._frozen = None

    @property
    def problem(self) -> str | None:  # type: ignore[override]
        return "the connection is lost" if self._cut else None

    async def _answered(self) -> None:
        if self._frozen is not None:
            with trio.move_on_after(GIVES_UP_S):
                await self._frozen.wait()
                return
            self._cut = True
            raise OutcomeUnknown("the database did not answer in time")

    async def revive(self) -> None:
        if self._frozen is not None:
            with trio.move_on_after(GIVES_UP_S):
                await self._frozen.wait()
            if self._frozen is not None:
                raise StoreUnavailable("cannot connect")
        self.apply(self._late, again=True)
        self._cut = False

    async def probe(self, *, write: bool) -> None:
        await self._answered()
        if self.taken:
            raise StoreFenced("taken")
        if self.full and write:
            raise StoreUnavailable("full")

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        if self._frozen is not None:
            self._late = list(rows)
        await self._answered()
        if self.full:
            raise StoreUnavailable("full")
        return await super().commit(rows, again=again)


@asynccontextmanager
async def running(drain_s: float = 20.0) -> AsyncIterator[tuple[WriterStore, FrozenBackend]]:
    """A store with one conversation over a backend that can freeze."""
    backend = FrozenBackend()
    store = WriterStore(backend, WriterSettings(pace_s=0.0), drain_s=drain_s)
    await store.create(record())
    async with trio.open_nursery() as nursery:
        await nursery.start(store.actor().start)
        yield store, backend
        nursery.cancel_scope.cancel()


def texts(backend: FaultyBackend) -> list[str]:
    """What is stored."""
    return [event.message.text for event in backend.log(ROOM) if event.message is not None]


def error_of(post: Post) -> type[Exception]:
    """The error of a batch of one row."""
    (result,) = post.results
    assert isinstance(result, Rejected)
    return type(result.error)


async def test_a_frozen_store_is_noticed_though_nobody_posts(autojump_clock: MockClock) -> None:
    """Within a probe and two seconds, with how long it has been silent; and it is ready again as soon as it answers."""
    async with running() as (store, backend):
        await trio.sleep(10)
        assert store.health().ready
        backend.freeze()
        frozen_at = trio.current_time()
        await trio.sleep(3.3)
        assert not store.health().ready
        await trio.sleep(30)
        health = store.health()
        assert health.problems
        assert health.away_s is not None
        assert 0 <= trio.current_time() - frozen_at - health.away_s < 1.1
        backend.thaw()
        await trio.sleep(0.01)
        assert store.health().ready
        assert store.health().away_s is None


async def test_a_commit_without_an_answer_is_no_readiness(autojump_clock: MockClock) -> None:
    """Two seconds after it was sent, health says that the database does not answer, and for how long."""
    async with running() as (store, backend):
        backend.freeze()
        post = hand_in(store, message())
        await trio.sleep(1.5)
        assert store.health().ready
        await trio.sleep(1.5)
        health = store.health()
        assert not health.ready
        assert health.away_s is not None
        assert 2.9 < health.away_s < 3.1
        backend.thaw()
        await post.done.wait()
        assert post.results == [Committed(1)]
        assert store.health().ready


async def test_what_is_posted_to_a_store_known_to_be_silent_is_not_sent(autojump_clock: MockClock) -> None:
    """It waits for the probe, can be withdrawn as unsent, and is not stored when the store answers again."""
    async with running() as (store, backend):
        backend.freeze()
        await trio.sleep(1.5)
        posts = [hand_in(store, message(text="withdrawn")), hand_in(store, message(text="kept"))]
        await trio.sleep(20)
        assert not any(post.batch.sent for post in posts)
        posts[0].batch.rows[0].withdrawn = True
        await posts[0].done.wait()
        assert error_of(posts[0]) is StoreUnavailable
        backend.thaw()
        await posts[1].done.wait()
        assert texts(backend) == ["kept"]


async def test_what_was_sent_when_it_froze_is_settled_and_what_was_queued_behind_is_unsent(
    autojump_clock: MockClock,
) -> None:
    """The batch that was out is found stored and acked once; the one behind it was withdrawn and never appears."""
    async with running() as (store, backend):
        backend.freeze()
        posts = [hand_in(store, message(text="sent"))]
        await trio.sleep(0.01)
        posts.append(hand_in(store, message(text="queued")))
        await trio.sleep(12)
        assert [post.batch.sent for post in posts] == [True, False]
        posts[1].batch.rows[0].withdrawn = True
        await posts[1].done.wait()
        assert error_of(posts[1]) is StoreUnavailable
        backend.thaw()
        await posts[0].done.wait()
        await trio.sleep(5)
        assert posts[0].results == [Committed(1)]
        assert texts(backend) == ["sent"]


async def test_readiness_comes_back_without_a_post(autojump_clock: MockClock) -> None:
    """After a failed commit whose rows were withdrawn, writing probes tell when commits can succeed again."""
    async with running() as (store, backend):
        backend.full = True
        post = hand_in(store, message())
        await trio.sleep(1)
        post.batch.rows[0].withdrawn = True
        await post.done.wait()
        await trio.sleep(10)
        assert store.health().problems == ("full",)
        backend.full = False
        await trio.sleep(1.5)
        assert store.health().ready
        assert texts(backend) == []


async def test_a_word_that_it_is_back_cuts_the_wait_short(autojump_clock: MockClock) -> None:
    """`hurry` tries at once, and changes nothing while the store is still away."""
    backend = FaultyBackend([Fault.AWAY])
    store = WriterStore(backend, WriterSettings(pace_s=0.0, retry_s=60.0, retry_max_s=60.0))
    await store.create(record())
    async with trio.open_nursery() as nursery:
        await nursery.start(store.actor().start)
        backend.away = True
        post = hand_in(store, message())
        await trio.sleep(1)
        store.hurry()
        await trio.sleep(1)
        assert not post.batch.sent
        backend.away = False
        store.hurry()
        with trio.fail_after(1):
            await post.done.wait()
        nursery.cancel_scope.cancel()
    assert post.results == [Committed(1)]


async def test_a_probe_tells_an_idle_server_that_it_was_replaced(autojump_clock: MockClock) -> None:
    """It need not wait for a post to learn that it can only stop."""
    async with running() as (store, backend):
        backend.taken = True
        with trio.fail_after(1.5):
            await store.fenced.wait()


async def test_a_drain_ends_at_the_servers_deadline(autojump_clock: MockClock) -> None:
    """`drain` bounds the writer's own time: what was sent is of unknown outcome, what was not is not stored."""
    async with running(drain_s=20.0) as (store, backend):
        backend.freeze()
        posts = [hand_in(store, message(text="sent"))]
        await trio.sleep(0.01)
        posts.append(hand_in(store, message(text="queued")))
        store.drain(6.0)
        store.drain(60.0)
        began = trio.current_time()
        await trio.sleep(2)
    assert trio.current_time() - began <= 6.1
    assert [error_of(post) for post in posts] == [OutcomeUnknown, StoreUnavailable]


async def test_a_probe_does_not_hold_a_stop_up(autojump_clock: MockClock) -> None:
    """With nothing to commit, a frozen store costs a drain no more than a tick."""
    async with running() as (_, backend):
        backend.freeze()
        await trio.sleep(1.5)
        began = trio.current_time()
    assert trio.current_time() - began < 0.5
