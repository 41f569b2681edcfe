"""Tests of storage/upkeep.py: looking changes nothing, doing keeps servers out, a restore gives every log a new name."""

import pytest

from hubbub.storage import PostgresStore, SchemaRefused, StoreInUse
from hubbub.storage.migrate import packaged
from hubbub.storage.upkeep import Upkeep
from hubbub.testing.rows import record

from .postgres_server import PostgresServer

pytestmark = pytest.mark.postgres


async def test_looking_changes_nothing(postgres: PostgresServer, database: str) -> None:
    """An empty database lacks every migration, and is as empty afterwards."""
    async with Upkeep.open(postgres.url(database)) as upkeep:
        assert await upkeep.missing() == packaged()
        assert not await upkeep.has_rooms()
        assert await upkeep.try_to_write() is None
        facts = await upkeep.facts()
    assert facts.settings["fsync"] == "off"
    assert facts.holder is None
    assert not facts.standby
    assert abs(facts.clock_ahead_s) <= facts.clock_within_s + 0.1
    assert postgres.sql(database, "select count(*) from pg_tables where schemaname = 'public'") == "0"


async def test_migrating_is_what_a_start_does(postgres: PostgresServer, database: str) -> None:
    """Afterwards nothing is missing, and a store opens without applying anything."""
    async with Upkeep.open(postgres.url(database)) as upkeep:
        await upkeep.take_lock(wait_s=1)
        assert await upkeep.migrate() == packaged()
        assert await upkeep.missing() == []
        assert await upkeep.has_rooms()
    async with PostgresStore.open(postgres.url(database)) as store:
        await store.create(record())


async def test_rows_are_counted_by_table(postgres: PostgresServer, database: str) -> None:
    """Of every table that there is, with the database's own name and size."""
    async with PostgresStore.open(postgres.url(database)) as store:
        await store.create(record())
    async with Upkeep.open(postgres.url(database)) as upkeep:
        found = await upkeep.contents()
    assert found.name == database
    assert found.size_bytes > 1_000_000
    assert found.rows is not None
    assert found.rows["conversations"] == 1
    assert len(found.rows) == int(postgres.sql(database, "select count(*) from pg_tables where schemaname = 'public'"))


async def test_a_running_server_is_named_and_left_alone(postgres: PostgresServer, database: str) -> None:
    """Looking goes on beside it; the lock is refused, with its name."""
    url = postgres.url(database)
    async with PostgresStore.open(url), Upkeep.open(url) as upkeep:
        assert await upkeep.missing() == []
        assert "hubbub" in str(await upkeep.holder())
        with pytest.raises(StoreInUse, match="a server works on this database: hubbub "):
            await upkeep.take_lock(wait_s=0)


async def test_servers_are_kept_out_meanwhile(postgres: PostgresServer, database: str) -> None:
    """A start while somebody migrates is refused, as beside another server."""
    url = postgres.url(database)
    async with Upkeep.open(url) as upkeep:
        await upkeep.take_lock(wait_s=0)
        with pytest.raises(StoreInUse, match="hubbub upkeep"):
            async with PostgresStore.open(url, lock_wait_s=0):
                pass


async def test_epochs_and_the_term_are_renewed(postgres: PostgresServer, database: str) -> None:
    """Each conversation has another epoch, of the same form; no earlier server's term is met again."""
    url = postgres.url(database)
    ones = [record("a"), record("b")]
    async with PostgresStore.open(url) as store:
        for one in ones:
            await store.create(one)
    async with Upkeep.open(url) as upkeep:
        await upkeep.take_lock(wait_s=1)
        done = await upkeep.restored()
    assert (done.conversations, done.ended_sessions, done.ended_keys, done.keys_in_force) == (2, 0, 0, 0)
    async with PostgresStore.open(url) as store:
        found = [await store.load(one.id) for one in ones]
    epochs = {one.epoch for one in found if one is not None}
    assert len(epochs) == 2
    assert not epochs & {one.epoch for one in ones}
    assert all(len(epoch) == 8 and int(epoch, 16) >= 0 for epoch in epochs)
    assert int(postgres.sql(database, "select term from server")) > 1 << 20


SOMEBODY = """
insert into users (id, username, name, role, created_at) values ('u1', 'ada', 'Ada', 'admin', now());
insert into tokens (id, user_id, kind, digest, former_until, label, scopes, created_at, last_used_at, expires_at)
select kind || n, 'u1', kind, sha256((kind || n)::bytea), now(), 'of ' || n, array['read'], now(), now(),
    now() + n * interval '1 day'
from unnest(array['session', 'key']) kind, generate_series(-1, 2) n where n <> 0
"""
"""Three sessions and three keys, one of each over."""


@pytest.mark.parametrize(
    ("options", "left"),
    [({}, {"key"}), ({"keep_sessions": True}, {"session", "key"}), ({"revoke_keys": True}, set())],
)
async def test_a_restore_ends_what_may_have_been_revoked(
    postgres: PostgresServer, database: str, options: dict[str, bool], left: set[str]
) -> None:
    """Sessions unless they are to be kept, keys where that is said; keys that are left and not over are named."""
    url = postgres.url(database)
    async with Upkeep.open(url) as upkeep:
        await upkeep.migrate()
        postgres.sql(database, SOMEBODY)
        done = await upkeep.restored(**options)
    kinds = postgres.sql(database, "select coalesce(string_agg(distinct kind, ' '), '') from tokens")
    assert set(kinds.split()) == left
    assert (done.ended_sessions, done.ended_keys) == (0 if "session" in left else 3, 0 if "key" in left else 3)
    assert [key.id for key in done.keys] == (["key1", "key2"] if "key" in left else [])
    assert done.keys_in_force == len(done.keys)


async def test_a_newer_schema_is_refused(postgres: PostgresServer, database: str) -> None:
    """As at a start."""
    url = postgres.url(database)
    async with Upkeep.open(url) as upkeep:
        await upkeep.migrate()
        postgres.sql(database, "insert into migrations (number, name, sha256) values (9999, 'later', '')")
        with pytest.raises(SchemaRefused, match="newer hubbub"):
            await upkeep.missing()


async def test_a_database_that_takes_no_writes_says_why(postgres: PostgresServer, database: str) -> None:
    """A reason of Postgres's own, and the connection is of use afterwards."""
    postgres.sql(database, f"alter database {database} set default_transaction_read_only = on")
    async with Upkeep.open(postgres.url(database)) as upkeep:
        assert "read-only" in str(await upkeep.try_to_write())
        assert await upkeep.missing() == packaged()


async def test_no_server_starts_between_loading_and_renewing(postgres: PostgresServer, database: str) -> None:
    """What was loaded opens to nobody before its sessions have ended, however the restore was broken off."""
    url = postgres.url(database)
    async with PostgresStore.open(url) as store:
        await store.create(record())
    async with Upkeep.open(url) as upkeep:
        await upkeep.take_lock(wait_s=1)
        await upkeep.begin_restore()
        await upkeep.begin_restore()
    with pytest.raises(SchemaRefused, match="hubbub migrate --restored"):
        async with PostgresStore.open(url):
            pass
    async with Upkeep.open(url) as upkeep:
        assert await upkeep.is_restore_unfinished()
        await upkeep.take_lock(wait_s=1)
        await upkeep.migrate()
        await upkeep.restored()
        assert not await upkeep.is_restore_unfinished()
    async with PostgresStore.open(url) as store:
        assert await store.load(record().id) is not None


async def test_a_restore_that_loaded_nothing_is_called_off(postgres: PostgresServer, database: str) -> None:
    """A file that is no backup leaves a database that a server may use."""
    url = postgres.url(database)
    async with Upkeep.open(url) as upkeep:
        await upkeep.take_lock(wait_s=1)
        await upkeep.begin_restore()
        await upkeep.call_off_restore()
    async with PostgresStore.open(url):
        pass
