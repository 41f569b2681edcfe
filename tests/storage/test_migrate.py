"""Migrations: applied once, in order, each whole or not at all; a database that is not ours to change is refused."""

from collections.abc import AsyncIterator

import attrs
import pytest

from hubbub.storage import PostgresStore, SchemaRefused
from hubbub.storage.driver import Session, open_driver
from hubbub.storage.migrate import Migration, migrate, packaged
from hubbub.testing.rows import record

from .postgres_server import PostgresServer

pytestmark = pytest.mark.postgres

LEDGER = "select number, name from migrations order by number"
ONE = Migration(1, "one", "create table one (a int); insert into one values (1)")
TWO = Migration(2, "two", "create table two (a int); insert into one values (2)")
BAD = Migration(3, "bad", "create table three (a int); insert into nothing values (1)")


@pytest.fixture
async def session(postgres: PostgresServer, database: str) -> AsyncIterator[Session]:
    """A connection to an empty database."""
    async with open_driver() as driver:
        session = await driver.connect(postgres.url(database), {})
        yield session
        await session.aclose()


def test_the_packaged_migrations_are_numbered_from_one() -> None:
    """Without a gap, and found where an installed package keeps them."""
    known = packaged()
    assert [migration.number for migration in known] == list(range(1, len(known) + 1))
    assert known[0].name == "first"


async def test_request_ids_come_without_writing_the_log_anew(
    session: Session, postgres: PostgresServer, database: str
) -> None:
    """The events of a large server stay in the file that they are in, and have none."""
    file = "select pg_relation_filenode('events'), pg_relation_filenode('conversations')"
    known = packaged()
    before = next(place for place, migration in enumerate(known) if migration.name == "request_id")
    await migrate(session, known[:before])
    event = "'room', 1, 'message.created', gen_random_uuid(), '{}', now(), '{}'"
    postgres.sql(database, f"insert into events values ({event})")
    was = postgres.sql(database, file)
    await migrate(session, known[: before + 1])
    assert postgres.sql(database, file) == was
    assert postgres.sql(database, "select count(*), count(request_id) from events") == "1|0"


async def test_each_is_applied_once(session: Session, postgres: PostgresServer, database: str) -> None:
    """A later start applies only what is new."""
    assert await migrate(session, [ONE]) == [ONE]
    assert await migrate(session, [ONE]) == []
    assert await migrate(session, [ONE, TWO]) == [TWO]
    assert postgres.sql(database, LEDGER) == "1|one\n2|two"
    assert postgres.sql(database, "select a from one order by a") == "1\n2"


async def test_one_that_fails_leaves_nothing_of_itself(
    session: Session, postgres: PostgresServer, database: str
) -> None:
    """Those before it stay, the message says why, and the connection is of use."""
    with pytest.raises(SchemaRefused, match=r'0003_bad cannot be applied: relation "nothing" does not exist'):
        await migrate(session, [ONE, TWO, BAD])
    assert postgres.sql(database, LEDGER) == "1|one\n2|two"
    assert postgres.sql(database, "select to_regclass('three') is null") == "t"
    assert await migrate(session, [ONE, TWO]) == []


async def test_a_newer_schema_is_refused(postgres: PostgresServer, database: str) -> None:
    """An older program says what to do, and changes nothing."""
    url = postgres.url(database)
    async with PostgresStore.open(url) as store:
        await store.create(record())
    postgres.sql(database, "insert into migrations (number, name, sha256) values (9999, 'later', '')")
    with pytest.raises(SchemaRefused, match=r"newer hubbub .*9999_later.* upgrade hubbub"):
        async with PostgresStore.open(url):
            pass
    assert postgres.sql(database, "select term from server") == "1"
    postgres.sql(database, "delete from migrations where number = 9999")
    async with PostgresStore.open(url) as store:
        assert await store.load(record().id) == record()


async def test_a_changed_migration_is_refused(session: Session) -> None:
    """The database was made from another text than ours."""
    await migrate(session, [ONE])
    with pytest.raises(SchemaRefused, match="0001_one was changed"):
        await migrate(session, [attrs.evolve(ONE, script="select 1"), TWO])
