"""Upkeep: what an operator looks at and does to a database beside the server: schema, fitness, and the word after a restore.

Looking changes nothing and works while a server runs. Doing takes the lock that servers take, so it never happens under one.

Left out: commands (`hubbub.migrate`, `hubbub.doctor`, `hubbub.backup`), finding the database (`hubbub.database`).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, Self

import attrs
import trio

from ..engine.core.errors import OutcomeUnknown, StoreUnavailable
from . import sql
from .driver import Connect, Session, open_driver
from .migrate import Migration, migrate, missing, packaged
from .ports import RowsRefused, StoreInUse

_QUERY_S: Final = 10.0
_RENEW_S: Final = 600.0
_COUNT_S: Final = 120.0
_NAME: Final = "hubbub upkeep"
_POLL_S: Final = 0.05

_SETTINGS: Final = "select name, setting from pg_settings where name = any($1)"
SHOWN_KEYS: Final = 100
"""API keys named after a restore."""
_WATCHED: Final = (
    "server_version",
    "server_version_num",
    "fsync",
    "full_page_writes",
    "max_connections",
    "server_encoding",
)
_STATE: Final = """
select extract(epoch from clock_timestamp())::float8, pg_is_in_recovery(), pg_database_size(current_database()),
    (select count(*) from pg_stat_activity where backend_type = 'client backend')
"""
_NAME_AND_SIZE: Final = "select current_database(), pg_database_size(current_database())"
_TABLES: Final = """
select c.relname::text from pg_class c where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace order by 1
"""
_HAS_ROOMS: Final = "select to_regclass('conversations') is not null"
_TRY_WRITE: Final = """
create table hubbub_doctor_tries_to_write (number integer);
insert into hubbub_doctor_tries_to_write values (1);
"""


class _Undo(Exception):
    """Raised to roll back."""


@attrs.frozen(kw_only=True)
class DatabaseFacts:
    """What a look at a database told.

    Attributes:
        settings: of Postgres, by name, as it prints them.
        clock_ahead_s: its clock less ours; right to within `clock_within_s`.
        standby: it replicates another one and takes no writes.
        size_bytes: of the whole database on disk.
        connections: open ones of all clients and databases.
        holder: the server that works on it, or None.
    """

    settings: Mapping[str, str]
    clock_ahead_s: float
    clock_within_s: float
    standby: bool
    size_bytes: int
    connections: int
    holder: str | None


@attrs.frozen(kw_only=True)
class Contents:
    """What is in a database.

    Attributes:
        name: of the database.
        size_bytes: on disk.
        rows: by table, counted at this moment; None where that would have taken too long.
    """

    name: str
    size_bytes: int
    rows: Mapping[str, int] | None


@attrs.frozen
class KeyFacts:
    """An API key as an operator sees it; nothing of its secret.

    Attributes:
        id: of the key.
        user: the user name of whose it is.
        label: what its owner calls it.
        scopes: what it is good for.
    """

    id: str
    user: str
    label: str
    scopes: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Restored:
    """What was done to a database that came out of a backup, and what is left to look at.

    Attributes:
        conversations: those whose epoch was renewed.
        ended_sessions, ended_keys: how many.
        keys: API keys that are good as they were at the backup, `SHOWN_KEYS` of them at most.
        keys_in_force: how many there are.
    """

    conversations: int
    ended_sessions: int
    ended_keys: int
    keys: tuple[KeyFacts, ...]
    keys_in_force: int


class Upkeep:
    """A connection for upkeep. Made by `open`; not for two tasks at once."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, where: Connect) -> AsyncIterator[Self]:
        """Connect for the time of the block.

        Args:
            where: a URL, or asyncpg's connect arguments.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        async with open_driver() as driver:
            session = await driver.connect(where, {"application_name": _NAME})
            try:
                yield cls(session)
            finally:
                await session.aclose()

    async def facts(self) -> DatabaseFacts:
        """Look. Raises StoreUnavailable where the connection fails."""
        rows = await self._session.fetch(_SETTINGS, list(_WATCHED), timeout_s=_QUERY_S)
        before_s = time.time()
        [(clock_s, standby, size_bytes, connections)] = await self._session.fetch(_STATE, timeout_s=_QUERY_S)
        after_s = time.time()
        return DatabaseFacts(
            settings={name: value for name, value in rows},  # noqa: C416  the checker cannot see pairs in a Sequence
            clock_ahead_s=clock_s - (before_s + after_s) / 2,
            clock_within_s=(after_s - before_s) / 2,
            standby=standby,
            size_bytes=size_bytes,
            connections=connections,
            holder=await self.holder(),
        )

    async def contents(self) -> Contents:
        """Count what there is; reads every table. The last use of this connection: it may be over then.

        Raises:
            StoreUnavailable: the connection failed before anything was counted.
        """
        [(name, size_bytes)] = await self._session.fetch(_NAME_AND_SIZE, timeout_s=_QUERY_S)
        rows: dict[str, int] = {}
        deadline = trio.current_time() + _COUNT_S
        try:
            for (table,) in await self._session.fetch(_TABLES, timeout_s=_QUERY_S):
                left_s = max(0.0, deadline - trio.current_time())
                quoted = table.replace('"', '""')
                [(rows[table],)] = await self._session.fetch(f'select count(*) from "{quoted}"', timeout_s=left_s)  # noqa: S608
        except (StoreUnavailable, OutcomeUnknown):
            return Contents(name=name, size_bytes=size_bytes, rows=None)
        return Contents(name=name, size_bytes=size_bytes, rows=rows)

    async def try_to_write(self) -> str | None:
        """Make a table with a row and roll it back; gives why that does not go, or None."""
        try:
            async with self._session.transaction(timeout_s=_QUERY_S):
                await self._session.execute(_TRY_WRITE, timeout_s=_QUERY_S)
                raise _Undo
        except _Undo:
            return None
        except (StoreUnavailable, OutcomeUnknown, RowsRefused) as exc:
            return str(exc.__cause__ or exc)

    async def holder(self) -> str | None:
        """The server that holds the database: its name, and where it connects from."""
        rows = await self._session.fetch(sql.HOLDER, sql.LOCK_KEY, timeout_s=_QUERY_S)
        return "; ".join(f"{name or 'unnamed'} (from {address})" for _, name, address in rows) or None

    async def has_rooms(self) -> bool:
        """Whether there is a schema of ours in it, or of somebody else with the same names."""
        return bool((await self._session.fetch(_HAS_ROOMS, timeout_s=_QUERY_S))[0][0])

    async def missing(self) -> list[Migration]:
        """The migrations that a start would apply. Raises SchemaRefused as `migrate.missing` does."""
        return await missing(self._session, packaged())

    async def take_lock(self, *, wait_s: float) -> None:
        """Keep servers out until the block of `open` is left.

        Raises:
            StoreInUse: a server works on the database.
        """
        deadline = trio.current_time() + wait_s
        while not (await self._session.fetch(sql.TRY_LOCK, sql.LOCK_KEY, timeout_s=_QUERY_S))[0][0]:
            if trio.current_time() >= deadline:
                raise StoreInUse(
                    f"a server works on this database: {await self.holder() or 'it has just gone, try again'}"
                )
            await trio.sleep(_POLL_S)

    async def migrate(self) -> list[Migration]:
        """Bring the schema up to date; call `take_lock` first. Raises as `migrate.migrate` does."""
        return await migrate(self._session, packaged())

    async def begin_restore(self) -> None:
        """From now on no server starts on this database, until `restored` or `call_off_restore`. Call `take_lock` first."""
        await self._session.execute(sql.BEGIN_RESTORE, timeout_s=_QUERY_S)

    async def call_off_restore(self) -> None:
        """Nothing was loaded after `begin_restore`: the database is what it was."""
        await self._session.execute(sql.END_RESTORE, timeout_s=_QUERY_S)

    async def is_restore_unfinished(self) -> bool:
        """Whether a restore has begun and has not ended."""
        return bool((await self._session.fetch(sql.IS_RESTORE_UNFINISHED, timeout_s=_QUERY_S))[0][0])

    async def restored(self, *, keep_sessions: bool = False, revoke_keys: bool = False) -> Restored:
        """Make a database that came out of a backup fit for clients that have seen more than it; all of it or nothing.

        Every conversation's log gets a new name, since it is not the log that clients have followed: a client that knows more
        than the backup would otherwise resume at an offset that means another message by now. The term is moved ahead, too: a
        server that was never told of the restore cannot write any more. And what was revoked since the backup would open again:
        all sessions end. Call `take_lock` and `migrate` first.

        Args:
            keep_sessions: leave sessions as they were at the backup.
            revoke_keys: end all API keys as well.
        """
        ended_keys = ended_sessions = 0
        async with self._session.transaction(timeout_s=_RENEW_S):
            [(conversations,)] = await self._session.fetch(sql.RENEW_EPOCHS, timeout_s=_RENEW_S)
            if not keep_sessions:
                ended_sessions = await self._end("session")
            if revoke_keys:
                ended_keys = await self._end("key")
            await self._session.execute(sql.END_RESTORE, timeout_s=_QUERY_S)
        rows = await self._session.fetch(sql.KEYS_IN_FORCE, SHOWN_KEYS, timeout_s=_QUERY_S)
        return Restored(
            conversations=conversations,
            ended_sessions=ended_sessions,
            ended_keys=ended_keys,
            keys=tuple(KeyFacts(key, user, label, tuple(scopes)) for key, user, label, scopes, _ in rows),
            keys_in_force=rows[0][4] if rows else 0,
        )

    async def _end(self, kind: str) -> int:
        rows = await self._session.fetch(sql.END_TOKENS_OF_KIND, kind, timeout_s=_RENEW_S)
        return int(rows[0][0])
