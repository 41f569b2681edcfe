"""The store while Postgres breaks under it: connections cut, the server killed and started again, all under load."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from signal import SIGKILL

import pytest
import trio

from hubbub.engine.core.batch import Committed, Rejected
from hubbub.engine.core.config import WriterSettings
from hubbub.engine.core.errors import OutcomeUnknown, StoreUnavailable
from hubbub.engine.core.ids import ConversationId
from hubbub.storage import PostgresStore, WriterStore
from hubbub.testing import wait_until
from hubbub.testing.rows import ROOM, commit, hand_in, message, record, running
from hubbub.testing.store_contract import PLENTY

from .postgres_server import PostgresServer, until

pytestmark = pytest.mark.postgres

ROOMS = [ConversationId(f"room-{n}") for n in range(8)]
WRITER = "select pid from pg_locks where locktype = 'advisory' and granted"
CUT_WRITER = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted"
EVENTS_LOCKED = "select count(*) from pg_locks where mode = 'ExclusiveLock' and relation = 'events'::regclass"
WAITING_FOR_REPLICA = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
CUT_ALL = """
select pg_terminate_backend(pid) from pg_stat_activity
where application_name like 'hubbub%' and datname = current_database()
"""


class Load:
    """Rooms where posts are committed one batch after another, and every ack is remembered."""

    def __init__(self, store: WriterStore) -> None:
        self.store = store
        self.acked: dict[str, int] = {}
        self.stopping = False

    async def talk(self, room: ConversationId) -> None:
        """Post to one room until it is time to stop."""
        number = 0
        while not self.stopping:
            number += 1
            rows = [message(room, text=f"{number}", key=f"{number}.{n}") for n in range(3)]
            for row, result in zip(rows, await commit(self.store, *rows), strict=True):
                assert isinstance(result, Committed), result
                self.acked[row.id] = result.offset

    async def wait_progress(self, posts: int) -> None:
        """Wait until so many more posts are acked."""
        goal = len(self.acked) + posts
        await until(lambda: len(self.acked) >= goal)

    async def check(self) -> None:
        """Every ack is in the log, at its place, once; offsets have no gap."""
        stored: dict[str, int] = {}
        for room in ROOMS:
            after = 0
            while page := await self.store.events(room, after=after, limit=500, max_bytes=PLENTY):
                for event in page:
                    assert event.offset == after + 1
                    assert event.message is not None
                    assert event.message.id not in stored
                    stored[event.message.id] = after = event.offset
        assert stored == self.acked


@asynccontextmanager
async def loaded(url: str) -> AsyncIterator[Load]:
    """A store under load; checked at the end."""
    async with PostgresStore.open(url, WriterSettings(retry_s=0.01, retry_max_s=0.1)) as store, running(store):
        for room in ROOMS:
            await store.create(record(room))
        load = Load(store)
        async with trio.open_nursery() as nursery:
            for room in ROOMS:
                nursery.start_soon(load.talk, room)
            yield load
            await load.wait_progress(50)
            load.stopping = True
        await load.check()
        assert store.health().ready


@pytest.mark.parametrize("cut", [CUT_WRITER, CUT_ALL], ids=["writer", "all"])
async def test_cut_connections_under_load_lose_and_double_nothing(
    postgres: PostgresServer, database: str, cut: str
) -> None:
    """Fifteen cuts at any point of a commit; every post is acked once, with the offset that it has."""
    async with loaded(postgres.url(database)) as load:
        for n in range(15):
            await load.wait_progress(1 + 7 * n % 40)
            await trio.to_thread.run_sync(postgres.sql, database, cut)
            await load.store.load(ROOMS[0])
        assert load.store.statistics().failures > 0


async def test_a_killed_postgres_loses_and_doubles_nothing(mortal_postgres: PostgresServer) -> None:
    """Kill -9 of all its processes and a start anew, under load, three times."""
    database = mortal_postgres.new_database()
    async with loaded(mortal_postgres.url(database)) as load:
        for _ in range(3):
            await load.wait_progress(60)
            await trio.to_thread.run_sync(mortal_postgres.stop, SIGKILL)
            with pytest.raises(StoreUnavailable):
                await load.store.load(ROOM)
            await trio.sleep(0.3)
            assert not load.store.health().ready
            await trio.to_thread.run_sync(mortal_postgres.start)


async def test_a_commit_whose_answer_was_lost_is_found_stored(mortal_postgres: PostgresServer) -> None:
    """A commit that waits for a replica after it is durable, and then loses its connection, is acked and not repeated."""
    database = mortal_postgres.new_database()
    async with PostgresStore.open(mortal_postgres.url(database)) as store, running(store):
        await store.create(record())
        mortal_postgres.sql(database, "alter system set synchronous_standby_names = 'nobody'")
        mortal_postgres.sql(database, "select pg_reload_conf()")
        first = hand_in(store, message(text="1"), message(text="2", key="k"))
        await until(lambda: mortal_postgres.sql(database, WAITING_FOR_REPLICA) == "1")
        second = hand_in(store, message(text="3"))
        mortal_postgres.sql(database, CUT_WRITER)
        with trio.fail_after(20):
            await first.done.wait()
        assert first.results == [Committed(1), Committed(2)]
        mortal_postgres.sql(database, "alter system reset synchronous_standby_names")
        mortal_postgres.sql(database, "select pg_reload_conf()")
        with trio.fail_after(20):
            await second.done.wait()
        assert second.results == [Committed(3)]
        assert store.statistics().refused_rows == 0


async def test_rows_wait_for_a_stopped_postgres_and_can_be_withdrawn(mortal_postgres: PostgresServer) -> None:
    """What is withdrawn meanwhile is refused and never stored; what is not is stored when it is back."""
    database = mortal_postgres.new_database()
    async with PostgresStore.open(mortal_postgres.url(database)) as store, running(store):
        await store.create(record())
        await trio.to_thread.run_sync(mortal_postgres.stop)
        await wait_until(lambda: not store.health().ready)
        posts = [hand_in(store, message(text="withdrawn")), hand_in(store, message(text="kept"))]
        posts[0].batch.rows[0].withdrawn = True
        with trio.fail_after(2):
            await posts[0].done.wait()
        assert not posts[1].batch.sent
        await trio.to_thread.run_sync(mortal_postgres.start)
        with trio.fail_after(10):
            await posts[1].done.wait()
        assert posts[1].results == [Committed(1)]


async def test_an_idle_store_notices_and_mends(postgres: PostgresServer, database: str) -> None:
    """The lock is taken again although nobody posts."""
    async with PostgresStore.open(postgres.url(database)) as store, running(store):
        first = postgres.sql(database, WRITER)
        postgres.sql(database, CUT_WRITER)
        await until(lambda: postgres.sql(database, WRITER) not in ("", first))
        await wait_until(lambda: store.health().ready)


async def test_a_commit_that_hangs_is_given_up_at_the_drain_deadline(postgres: PostgresServer, database: str) -> None:
    """Its rows are of unknown outcome, and the next server starts once the database has ended the old session."""
    url = postgres.url(database)
    async with trio.open_nursery() as nursery:
        async with PostgresStore.open(url, drain_s=0.5) as store, running(store):
            await store.create(record())
            lock = "begin; lock table events in exclusive mode; select pg_sleep(3); commit"
            nursery.start_soon(trio.to_thread.run_sync, postgres.sql, database, lock)
            await until(lambda: postgres.sql(database, EVENTS_LOCKED) == "1")
            post = hand_in(store, message())
            await until(lambda: post.batch.sent)
        (result,) = post.results
        assert isinstance(result, Rejected)
        assert isinstance(result.error, OutcomeUnknown)
        async with PostgresStore.open(url) as store, running(store):
            (result,) = await commit(store, message())
            loaded_record = await store.load(ROOM)
            assert loaded_record is not None
            assert result == Committed(loaded_record.offset)
