"""The loop under the driver: an error inside it costs connections; when it ends itself, nobody waits for what cannot come."""

import asyncio
import gc
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from ctypes import addressof, create_string_buffer
from typing import Any, Never

import pytest
import trio
from trio.testing import MockClock

from hubbub.engine.core.batch import Committed, Rejected
from hubbub.engine.core.config import WriterSettings
from hubbub.engine.core.errors import EngineClosed, OutcomeUnknown, StoreUnavailable
from hubbub.storage import WriterStore
from hubbub.storage._loop import Cut, Loop, open_aio
from hubbub.storage.driver import Session, open_driver
from hubbub.storage.ports import StoreLost
from hubbub.storage.postgres import PostgresBackend
from hubbub.testing import wait_until
from hubbub.testing.rows import ROOM, Post, commit, hand_in, message, record, running

from .postgres_server import PostgresServer, until

EVENTS_LOCKED = "select count(*) from pg_locks where mode = 'ExclusiveLock' and relation = 'events'::regclass"
DROP_ALL = struct.pack("HBBI", 6, 0, 0, 0)  # a socket filter of one instruction: take no bytes of any packet


def fail() -> Never:
    raise MemoryError


def end() -> Never:
    raise SystemExit(3)


class Uncuttable:
    """A connection that cannot be cut for want of memory, so that the loop's handler of errors fails, too."""

    def terminate(self) -> None:
        raise MemoryError


async def the_aio_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def inject(loop: Loop, callback: Callable[[], None]) -> None:
    """Run a callback in the loop."""
    (await loop.call(the_aio_loop())).call_soon(callback)


async def break_loop(loop: Loop) -> Uncuttable:
    """Let the loop end by an error. The answer must be held until it has."""
    line = Uncuttable()
    loop.lines.add(line)
    await inject(loop, fail)
    return line


async def expect(kind: type[BaseException], loop: Loop, work: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(kind):
        await loop.call(work)


async def deaf() -> None:
    """A call that heeds nothing, as one does whose wake-up was lost."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


async def test_an_error_in_a_callback_cuts_what_is_on_the_way_and_the_loop_goes_on(autojump_clock: MockClock) -> None:
    """Calls on the way end at once, and the next ones work."""
    async with open_aio() as loop:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(expect, Cut, loop, asyncio.sleep(3600))
            await trio.testing.wait_all_tasks_blocked()
            await inject(loop, fail)
        assert trio.current_time() < 3600
        assert await loop.call(asyncio.sleep(5, "goes on")) == "goes on"
        assert loop.dead is None


async def test_a_loop_that_ends_fails_all_calls_and_cancels_its_block(autojump_clock: MockClock) -> None:
    """Calls on the way end, those after them are refused, and the error of the block is the cause."""

    async def work() -> None:
        async with open_aio() as loop, trio.open_nursery() as nursery:
            nursery.start_soon(expect, Cut, loop, asyncio.sleep(3600))
            await trio.testing.wait_all_tasks_blocked()
            _line = await break_loop(loop)
            try:
                await trio.sleep(60)
            finally:
                assert loop.dead is not None
                with trio.CancelScope(shield=True):
                    await expect(StoreLost, loop, asyncio.sleep(0))

    began = trio.current_time()
    with pytest.raises(StoreLost, match="MemoryError") as caught:
        await work()
    assert trio.current_time() == began
    assert isinstance(caught.value.__cause__, Exception)


async def test_an_order_to_exit_inside_the_loop_is_obeyed(autojump_clock: MockClock) -> None:
    """It stops the loop where it runs callbacks, with calls on the way; it comes out as it is."""

    async def work() -> None:
        async with open_aio() as loop, trio.open_nursery() as nursery:
            nursery.start_soon(expect, Cut, loop, asyncio.sleep(3600))
            await trio.testing.wait_all_tasks_blocked()
            await inject(loop, end)
            await trio.sleep(60)

    with pytest.raises(BaseExceptionGroup) as caught:
        await work()
    assert caught.group_contains(SystemExit)
    gc.collect()  # the call that was given up complains to nobody


async def test_a_call_that_outlives_its_connection_ends_the_loop(autojump_clock: MockClock) -> None:
    """Rather that than a store that waits for ever."""

    async def work() -> None:
        async with open_aio() as loop, trio.open_nursery() as nursery:
            nursery.start_soon(expect, Cut, loop, deaf())
            await trio.testing.wait_all_tasks_blocked()
            await inject(loop, fail)
            await trio.sleep(60)

    began = trio.current_time()
    with pytest.raises(StoreLost, match="RuntimeError"):
        await work()
    assert trio.current_time() - began < 5


async def test_a_slow_call_after_an_error_is_left_alone(autojump_clock: MockClock) -> None:
    """Only what was on the way when something failed has to end soon."""
    async with open_aio() as loop:
        await inject(loop, fail)
        await trio.testing.wait_all_tasks_blocked()
        assert await loop.call(asyncio.sleep(60, "slow")) == "slow"


@asynccontextmanager
async def backed(url: str, *, drain_s: float = 10.0) -> AsyncIterator[tuple[WriterStore, Loop]]:
    """A store with one conversation, and the loop under it."""
    async with open_driver() as driver:
        backend = PostgresBackend(driver, url)
        try:
            await backend.start()
            store = WriterStore(backend, WriterSettings(retry_s=0.01), drain_s=drain_s)
            async with running(store):
                await store.create(record())
                yield store, driver.loop
        finally:
            await backend.aclose()


@pytest.mark.postgres
async def test_errors_in_callbacks_under_load_lose_and_double_nothing(postgres: PostgresServer, database: str) -> None:
    """Twenty of them at any point of a commit; every post is acked once, in order, and the store is well afterwards."""
    acked: list[str] = []

    async def talk(store: WriterStore) -> None:
        while len(acked) < 400:
            rows = [message(text="x", key=f"{len(acked) + n}") for n in range(4)]
            assert all(isinstance(result, Committed) for result in await commit(store, *rows))
            acked.extend(row.id for row in rows)

    async with backed(postgres.url(database)) as (store, loop):
        aio = await loop.call(the_aio_loop())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, store)
            for n in range(20):
                goal = len(acked) + 4 * (n % 3)
                await wait_until(lambda goal=goal: len(acked) >= min(goal, 400))
                await trio.sleep(0.001 * (n % 5))
                aio.call_soon(fail)
        events = await store.events(ROOM, after=0, limit=500, max_bytes=1 << 20)
        assert [event.message.id for event in events if event.message] == acked
        assert store.statistics().failures > 0
        await wait_until(lambda: store.health().ready)


@pytest.mark.postgres
async def test_a_store_whose_loop_ends_answers_everybody_at_once(postgres: PostgresServer, database: str) -> None:
    """What was sent is of unknown outcome, what waited is not stored, and the store is left without its time to drain."""
    posts: list[Post] = []

    async def serve(locking: trio.Nursery) -> None:
        async with backed(postgres.url(database), drain_s=60.0) as (store, loop):
            lock = "begin; lock table events in exclusive mode; select pg_sleep(3); commit"
            locking.start_soon(trio.to_thread.run_sync, postgres.sql, database, lock)
            await until(lambda: postgres.sql(database, EVENTS_LOCKED) == "1")
            posts.append(hand_in(store, message(text="sent")))
            await until(lambda: posts[0].batch.sent)
            posts.append(hand_in(store, message(text="waits")))
            _line = await break_loop(loop)
            try:
                await trio.sleep(60)
            finally:
                await see_everybody_answered(store)

    async def see_everybody_answered(store: WriterStore) -> None:
        with trio.fail_after(2, shield=True):
            for post in posts:
                await post.done.wait()
            with pytest.raises(StoreUnavailable):
                await store.load(ROOM)
        assert not store.health().ready
        with pytest.raises(EngineClosed):
            hand_in(store, message())

    async with trio.open_nursery() as locking:
        began = trio.current_time()
        with pytest.raises(StoreLost, match="MemoryError"):
            await serve(locking)
        assert trio.current_time() - began < 3
    refusals = [result.error for post in posts for result in post.results if isinstance(result, Rejected)]
    assert [type(error) for error in refusals] == [OutcomeUnknown, StoreUnavailable]


@pytest.mark.postgres
async def test_closing_a_connection_of_a_loop_that_has_ended_is_no_error(
    postgres: PostgresServer, database: str
) -> None:
    """It is closed already, for Postgres, too; and using it says that nothing helps any more."""

    async def work() -> None:
        async with open_driver() as driver:
            session = await driver.connect(postgres.url(database), {"application_name": "closing"})
            _line = await break_loop(driver.loop)
            try:
                await trio.sleep(60)
            finally:
                assert session.closed
                with trio.CancelScope(shield=True):
                    with pytest.raises(StoreLost):
                        await session.fetch("select 1", timeout_s=5)
                    session.terminate()
                    await session.aclose()
                    closed.append(session)

    closed: list[Session] = []
    with pytest.raises(StoreLost):
        await work()
    assert closed
    gone = "select count(*) from pg_stat_activity where application_name = 'closing'"
    await until(lambda: postgres.sql(database, gone) == "0")


class Wire:
    """A TCP address in front of a unix socket. `die` lets every packet to it vanish, also the acknowledgements; while `flow` of a
    connection is not set nobody there reads, and its kernel acknowledges with a window that closes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.flow: list[trio.Event] = []
        self._fronts: list[trio.SocketStream] = []

    async def carry(self, front: trio.SocketStream) -> None:
        self._fronts.append(front)
        self.flow.append(trio.Event())
        self.flow[-1].set()
        number = len(self.flow) - 1
        async with await trio.open_unix_socket(self._path) as back, trio.open_nursery() as nursery:
            nursery.start_soon(self._copy, number, front, back)
            nursery.start_soon(self._copy, number, back, front)

    async def _copy(self, number: int, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        async for data in source:
            await self.flow[number].wait()
            await sink.send_all(data)

    def die(self, number: int) -> None:
        program = create_string_buffer(DROP_ALL)
        pointer = struct.pack("HL", 1, addressof(program))
        self._fronts[number].socket.setsockopt(socket.SOL_SOCKET, 26, pointer)  # SO_ATTACH_FILTER


async def die_soon(wire: Wire) -> None:
    """Kill the first two connections once what was asked over them has arrived."""
    await trio.sleep(0.5)
    wire.die(0)
    wire.die(1)


@pytest.mark.postgres
async def test_a_dead_wire_is_told_from_a_slow_answer(postgres: PostgresServer, database: str) -> None:
    """Where keepalives have no answer the connection breaks after five seconds; one that is slow, or that takes no more bytes for
    now, is waited for."""
    wire = Wire(f"{postgres.directory}/.s.PGSQL.5432")
    async with trio.open_nursery() as nursery, open_driver() as driver:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, wire.carry, [listener])
        url = f"postgresql://hubbub@127.0.0.1:{listener.socket.getsockname()[1]}/{database}?sslmode=disable"
        dead, idle, slow, stopped = [await driver.connect(url, {}) for _ in range(4)]
        await stopped.fetch("select length($1::text)", "", timeout_s=5)  # prepared: then all is sent at once
        wire.flow[3] = trio.Event()
        async with trio.open_nursery() as calls:
            calls.start_soon(lambda: slow.fetch("select pg_sleep(9)", timeout_s=30))
            calls.start_soon(lambda: stopped.fetch("select length($1::text)", "x" * 16_000_000, timeout_s=30))
            began = trio.current_time()
            async with trio.open_nursery() as sent:
                sent.start_soon(die_soon, wire)
                with pytest.raises(OutcomeUnknown):
                    await dead.fetch("select pg_sleep(9)", timeout_s=30)
            assert 4 < trio.current_time() - began < 8
            assert idle.closed
            await trio.sleep(began + 8.5 - trio.current_time())
            wire.flow[3].set()
        assert not slow.closed
        assert not stopped.closed
        nursery.cancel_scope.cancel()
