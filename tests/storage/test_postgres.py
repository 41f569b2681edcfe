"""The store on Postgres: the contract on a real server, and what only a database does."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from hubbub.engine.core.authors import Author
from hubbub.engine.core.batch import Committed, Rejected, Result, Row
from hubbub.engine.core.errors import EngineBroken, EngineError, StoreFenced, StoreUnavailable, Unprocessable
from hubbub.engine.core.ids import MAX_REQUEST_ID_CHARS
from hubbub.engine.core.members import Member, Role
from hubbub.storage import PostgresStore, StoreInUse, sql
from hubbub.storage.driver import open_driver
from hubbub.storage.postgres import PostgresBackend
from hubbub.testing.rows import (
    AT_MS,
    BOB,
    OTHER,
    ROOM,
    commit,
    hand_in,
    membership,
    message,
    record,
    running,
)
from hubbub.testing.store_contract import PLENTY, BackendContract, DurableStoreContract

from .postgres_server import PostgresServer, until

pytestmark = pytest.mark.postgres

WRITER_PIDS = "select pid from pg_locks where locktype = 'advisory' and granted"
CONNECTIONS = """
select count(*) from pg_stat_activity where datname = current_database() and application_name like 'hubbub%'
"""


class TestPostgresStore(DurableStoreContract):
    """The contract, on Postgres."""

    @pytest.fixture(autouse=True)
    def _fresh(self, postgres: PostgresServer, database: str) -> None:
        self.url = postgres.url(database)

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[PostgresStore]:
        """The test's own database."""
        async with PostgresStore.open(self.url) as store:
            yield store


class TestPostgresBackend(BackendContract):
    """What the writer is promised, on Postgres."""

    poison = message(text="a\x00b")

    @pytest.fixture(autouse=True)
    def _fresh(self, postgres: PostgresServer, database: str) -> None:
        self.url = postgres.url(database)

    @asynccontextmanager
    async def open_backend(self) -> AsyncIterator[PostgresBackend]:
        """A connected backend on the test's own database."""
        async with open_driver() as driver:
            backend = PostgresBackend(driver, self.url)
            await backend.start()
            try:
                yield backend
            finally:
                await backend.aclose()


@pytest.fixture
def url(postgres: PostgresServer, database: str) -> str:
    """A fresh database."""
    return postgres.url(database)


@asynccontextmanager
async def opened(url: str, *, lock_wait_s: float = 8.0) -> AsyncIterator[PostgresStore]:
    """A running store."""
    async with PostgresStore.open(url, lock_wait_s=lock_wait_s) as store, running(store):
        yield store


def descriptor_count() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def rejections(results: Sequence[Result]) -> list[type[EngineError] | None]:
    """The errors of rejected rows, None for the others."""
    return [type(result.error) if isinstance(result, Rejected) else None for result in results]


async def test_the_tables_tell_by_which_request(url: str, postgres: PostgresServer, database: str) -> None:
    """For the operator: of each event and of the making of a conversation; null where there was none."""
    longest = "x" * MAX_REQUEST_ID_CHARS
    async with opened(url) as store:
        await store.create(attrs.evolve(record(), request_id="made-1"))
        await store.create(record(OTHER))
        join = membership(member=Member(BOB, Role.MEMBER, AT_MS))
        await commit(store, message(request_id="said-1"), message(), message(request_id=longest))
        await commit(store, attrs.evolve(join, request_id="joined-1"), message(OTHER))
    made = postgres.sql(database, "select id, request_id from conversations order by id")
    assert sorted(made.split("\n")) == sorted([f"{ROOM}|made-1", f"{OTHER}|"])
    found = postgres.sql(database, f"select request_id from events where conversation = '{ROOM}' order by \"offset\"")
    assert found.split("\n") == ["said-1", "", longest, "joined-1"]


async def test_a_second_server_is_refused_by_name(url: str) -> None:
    """The message names the program that holds the database; the first goes on undisturbed."""
    async with opened(url) as store:
        await store.create(record())
        with pytest.raises(StoreInUse, match=r"hubbub \d+@\S+ \(backend \d+, from a local socket\)"):
            async with PostgresStore.open(url, lock_wait_s=0.1):
                pass
        assert await commit(store, message()) == [Committed(1)]


async def test_a_server_waits_for_the_one_before_it(url: str) -> None:
    """A start during the end of another succeeds as soon as that one is gone."""

    async def first(*, task_status: trio.TaskStatus[None]) -> None:
        async with opened(url) as store:
            await store.create(record())
            task_status.started()
            await trio.sleep(0.3)
            hand_in(store, message())

    async with trio.open_nursery() as nursery:
        await nursery.start(first)
        async with opened(url) as store:
            assert await commit(store, message()) == [Committed(2)]


async def test_a_paused_old_server_never_writes_after_a_new_one(
    url: str, postgres: PostgresServer, database: str
) -> None:
    """Its connection is lost while it sleeps, another starts, and its commit is refused for good."""
    async with PostgresStore.open(url) as old:
        await old.create(record())
        postgres.sql(database, f"select pg_terminate_backend(pid) from ({WRITER_PIDS}) w")
        async with opened(url) as new:
            async with running(old):
                post = hand_in(old, message(text="old"))
                await post.done.wait()
                await old.fenced.wait()
                assert rejections(post.results) == [StoreFenced]
                assert not old.health().ready
                with pytest.raises(StoreFenced):
                    await old.create(record(OTHER))
            assert await commit(new, message(text="new")) == [Committed(1)]


async def test_a_commit_with_an_old_term_is_refused(url: str, postgres: PostgresServer, database: str) -> None:
    """Even over a connection that holds the lock."""
    async with opened(url) as store:
        await store.create(record())
        postgres.sql(database, "update server set term = term + 1")
        post = hand_in(store, message(key="k"), message("nowhere"))
        await post.done.wait()
        assert rejections(post.results) == [StoreFenced, StoreFenced]
    assert postgres.sql(database, "select count(*) from events") == "0"
    assert postgres.sql(database, "select count(*) from keys") == "0"


@pytest.mark.parametrize(
    ("poison", "error"),
    [
        (message(text="a\x00b"), Unprocessable),
        (message(text="a\ud800b"), Unprocessable),
        (message(author=Author("x\x00", "x")), Unprocessable),
        (message(meta_json=b"{not json"), Unprocessable),
        (message(key="k" * 9000 + "".join(map(chr, range(0x4E00, 0x5E00)))), EngineBroken),
    ],
    ids=["nul", "surrogate", "author", "meta", "key too long for the index"],
)
async def test_poison_that_slipped_past_the_core_is_rejected_alone(
    url: str, poison: Row, error: type[EngineError]
) -> None:
    """All rows around it are stored, in order."""
    async with opened(url) as store:
        await store.create(record(ROOM))
        await store.create(record(OTHER))
        posts = [
            hand_in(store, message(text="1"), poison, message(text="2")),
            hand_in(store, *(message(OTHER, text=str(n)) for n in range(5))),
            hand_in(store, message(text="3")),
        ]
        for post in posts:
            await post.done.wait()
        assert rejections(posts[0].results) == [None, error, None]
        assert posts[1].results == [Committed(n) for n in range(1, 6)]
        assert posts[2].results == [Committed(3)]
        assert store.health().ready
        events = await store.events(ROOM, after=0, limit=10, max_bytes=PLENTY)
        assert [event.message.text for event in events if event.message] == ["1", "2", "3"]


async def test_an_id_that_exists_is_refused_alone(url: str) -> None:
    """Nothing is stored twice under one id."""
    async with opened(url) as store:
        await store.create(record())
        row = message()
        assert await commit(store, row) == [Committed(1)]
        assert rejections(await commit(store, message(), row, message())) == [None, EngineBroken, None]


async def test_the_commit_looks_rows_up_by_index(url: str, postgres: PostgresServer, database: str) -> None:
    """The planner must not read or hash whole tables, however long `unnest` may be."""
    async with opened(url) as store:
        await store.create(record())
        await commit(store, *(message(key=f"k{n}") for n in range(500)))
    settings = "".join(f"set {name} = '{value}';" for name, value in sql.WRITER_SETTINGS.items())
    for statement in (sql.COMMIT, sql.COMMIT_CHANGES):
        plan = postgres.sql(database, f"analyze; {settings} explain (generic_plan) {statement}")
        assert re.search(r"Index .*Scan using keys_pkey", plan)
        assert re.search(r"Index .*Scan using conversations_pkey", plan)
        for line in plan.splitlines():
            assert not re.search(r"Seq Scan on (keys|messages|events|conversations)", line), plan
            assert not re.search(r"(Hash|Merge) (Left |Right )?Join", line), plan


async def test_leaving_while_everything_is_cancelled_drains(url: str, postgres: PostgresServer, database: str) -> None:
    """Posts in flight are answered, with the truth, and no connection is left."""
    posts = []
    with trio.move_on_after(20) as scope:
        async with PostgresStore.open(url) as store, trio.open_nursery() as nursery:
            await store.create(record())
            await nursery.start(store.actor().start)
            for n in range(20):
                posts.append(hand_in(store, *(message(text=f"{n}") for _ in range(20))))
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert [result for post in posts for result in post.results] == [Committed(n) for n in range(1, 401)]
    assert postgres.sql(database, 'select count(*), max("offset") from events') == "400|400"
    await until(lambda: postgres.sql(database, CONNECTIONS) == "0")


async def test_a_start_cancelled_anywhere_leaves_nothing(url: str, postgres: PostgresServer, database: str) -> None:
    """No descriptor, no connection, no lock; the next start succeeds."""
    async with opened(url):
        pass
    descriptors = descriptor_count()
    finished = 0
    for n in range(60):
        with trio.move_on_after(0.0007 * n):
            async with PostgresStore.open(url):
                finished += 1
    assert finished < 60
    async with opened(url) as store:
        await store.create(record())
        assert await commit(store, message()) == [Committed(1)]
    assert descriptor_count() <= descriptors
    await until(lambda: postgres.sql(database, CONNECTIONS) == "0")


async def test_an_error_in_the_block_comes_out_as_it_is(url: str) -> None:
    """No group of an inner nursery around it."""
    with pytest.raises(KeyError, match="mine"):
        async with PostgresStore.open(url):
            raise KeyError("mine")


async def test_a_database_that_is_not_there_is_unavailable(postgres: PostgresServer) -> None:
    """The message says why."""
    with pytest.raises(StoreUnavailable, match="does not exist"):
        async with PostgresStore.open(postgres.url("absent")):
            pass
    with pytest.raises(StoreUnavailable, match="cannot connect"):
        async with PostgresStore.open("postgresql://hubbub@/x?host=/nonexistent"):
            pass


async def test_commits_wait_for_the_disk_whatever_the_database_says(
    url: str, postgres: PostgresServer, database: str
) -> None:
    """A database whose default is a lazy commit does not make an ack less than a commit."""
    postgres.sql(database, f"alter database {database} set synchronous_commit = off")
    async with opened(url) as store:
        await store.create(record())
        postgres.sql(
            database,
            """
            create table seen (setting text);
            create function see() returns trigger language plpgsql as
                $$ begin insert into seen values (current_setting('synchronous_commit')); return null; end $$;
            create trigger see after insert on events for each row execute function see();
            """,
        )
        assert await commit(store, message()) == [Committed(1)]
    assert postgres.sql(database, "select setting from seen") == "on"
