"""Postgres: the durable store.

The writer's backend holds one connection, and on it a session advisory lock: while the connection lives, no other server can
write, and when it is lost, taking the lock again proves that whatever it was doing has ended. Each start takes the next term,
every commit checks it, so a server that was paused or cut off while another started can never write after it.

Reads and the small writes outside the log (a new conversation, a token) go over a pool of their own.

Left out: SQL (`sql.py`), connections and their errors (`driver.py`), order, pace and retries (`writer.py`).
"""

import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

import attrs
import trio

from ..engine.core.batch import Committed, Rejected, Repeat, Result, Row
from ..engine.core.config import WriterSettings
from ..engine.core.errors import NotFound, OutcomeUnknown, StoreFenced, StoreUnavailable, Unprocessable
from ..engine.log import get_logger
from ..engine.ports import StoreHealth
from . import sql
from .body import decode_actor, encode_actor, encode_body
from .driver import Connect, Driver, Pool, Session, Values, open_driver
from .migrate import migrate, packaged
from .ports import RowsRefused, SchemaRefused, StoreInUse
from .reads import PostgresReads
from .store import DRAIN_S, WriterStore

LOCK_WAIT_S: Final = 8.0
"""How long a start waits for the session of a server that was killed to end."""

_COMMIT_S: Final = 10.0  # nobody waits longer for a post; what was sent is then looked for over a new connection
_QUERY_S: Final = 10.0
_READ_S: Final = 5.0
_PROBE_S: Final = 5.0
_REVIVE_LOCK_S: Final = 1.0
_POLL_S: Final = 0.05
_READERS: Final = 4
_RESENT_WINDOW: Final = 1024

_LOST: Final = "the connection to the database is lost"
_TAKEN: Final = "another server has taken the database over"
_RESTORE_UNFINISHED: Final = (
    "a restore into this database has not ended, so revoked sessions would be good again: end it with "
    "`hubbub migrate --restored`, or restore into another one"
)

_log = get_logger("hubbub.storage.postgres")


class PostgresBackend(PostgresReads):
    """A `Backend` on Postgres. Call `start` first and `aclose` last.

    Args:
        driver: the loop under it; outlives it.
        where: the database.
        lock_wait_s: how long `start` waits for another server's lock, seconds.
    """

    def __init__(self, driver: Driver, where: Connect, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        self._driver = driver
        self._where = where
        self._lock_wait_s = lock_wait_s
        self._name = f"hubbub {os.getpid()}@{socket.gethostname()}"[:63]
        self._session: Session | None = None
        self._old_pid: int | None = None
        super().__init__(Pool(self._connect_reader, size=_READERS, timeout_s=_READ_S))

    async def start(self) -> None:
        """Connect, take the lock, migrate, take the next term.

        Raises:
            StoreUnavailable: the database cannot be reached.
            StoreInUse: another server holds it.
            SchemaRefused: its schema is not ours, or cannot be brought up to date; or a restore into it has not ended.
        """
        session = await self._connect_writer()
        try:
            await session.fetch(sql.NOTICE_CLOSED, timeout_s=_QUERY_S)
            if not await self._try_lock(session, wait_s=self._lock_wait_s):
                raise StoreInUse(await _holder(session))
            if (await session.fetch(sql.IS_RESTORE_UNFINISHED, timeout_s=_QUERY_S))[0][0]:
                raise SchemaRefused(_RESTORE_UNFINISHED)
            for migration in await migrate(session, packaged()):
                _log.info("migrated", number=migration.number, name=migration.name)
            self.term = (await session.fetch(sql.NEXT_TERM, self._name, timeout_s=_QUERY_S))[0][0]
        except OutcomeUnknown as exc:
            raise StoreUnavailable("the database broke off while starting") from exc
        finally:
            if self.term is None:
                await session.aclose()
        self._adopt(session)

    @property
    def problem(self) -> str | None:
        """Why nothing can be committed now."""
        if self._session is None or self._session.closed:
            return _LOST
        return None

    async def revive(self) -> None:
        """Connect again and take the lock again; see `Backend.revive`."""
        if self._session is not None:
            self._session.terminate()
            self._session = None
        session = await self._connect_writer()
        try:
            await self._take_over(session)
        except (OutcomeUnknown, RowsRefused) as exc:
            session.terminate()
            raise StoreUnavailable(str(exc)) from exc
        except BaseException:
            session.terminate()
            raise
        self._adopt(session)

    async def _take_over(self, session: Session) -> None:
        """Follow our own lost session: end it if it lingers, and make sure that nobody came in between."""
        await session.fetch(sql.NOTICE_CLOSED, timeout_s=_QUERY_S)
        await self._check_term(session)
        if not await self._try_lock(session, wait_s=0):
            await session.fetch(sql.END_OLD_SESSION, self._old_pid, self._name, timeout_s=_QUERY_S)
            if not await self._try_lock(session, wait_s=_REVIVE_LOCK_S):
                raise StoreUnavailable("waiting for the lost connection to end on the database's side")
        await self._check_term(session)

    async def probe(self, *, write: bool) -> None:
        """Ask over the writer's connection; see `Backend.probe`."""
        session = self._session
        if session is None or session.closed:
            raise StoreUnavailable(_LOST)
        try:
            if write:
                _require(await session.fetch(sql.WRITE_TERM, self.term, timeout_s=_PROBE_S), self.term)
            else:
                _require(await session.fetch(sql.TERM, timeout_s=_PROBE_S), self.term)
        except RowsRefused as exc:
            raise StoreUnavailable(str(exc)) from exc

    async def _check_term(self, session: Session) -> None:
        _require(await session.fetch(sql.TERM, timeout_s=_QUERY_S), self.term)

    async def _try_lock(self, session: Session, *, wait_s: float) -> bool:
        deadline = trio.current_time() + wait_s
        while not (await session.fetch(sql.TRY_LOCK, sql.LOCK_KEY, timeout_s=_QUERY_S))[0][0]:
            if trio.current_time() >= deadline:
                return False
            await trio.sleep(_POLL_S)
        return True

    def _adopt(self, session: Session) -> None:
        self._session = session
        self._old_pid = session.server_pid

    async def _connect_writer(self) -> Session:
        return await self._driver.connect(self._where, {**sql.WRITER_SETTINGS, "application_name": self._name})

    async def _connect_reader(self) -> Session:
        return await self._driver.connect(self._where, {"application_name": self._name, "jit": "off"})

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        """Store rows in one statement; see `Backend.commit`."""
        session = self._session
        if session is None or session.closed:
            raise StoreUnavailable(_LOST)
        found: dict[str, int] = await self._present(session, rows) if again else {}
        results: list[Result | None] = [None] * len(rows)
        first_of: dict[tuple[str, str, str], int] = {}
        sent: list[int] = []
        doubles: list[tuple[int, int]] = []
        for index, row in enumerate(rows):
            if row.id in found:
                results[index] = Committed(found[row.id])
            if row.key is not None:
                first = first_of.setdefault((row.conversation, row.actor.id, row.key), index)
                if first != index:
                    doubles.append((index, first))
                    continue
            if results[index] is None:
                sent.append(index)
        if sent:
            for index, result in zip(sent, await self._store(session, [rows[i] for i in sent]), strict=True):
                results[index] = result
        for index, first in doubles:
            results[index] = _as_repeat(rows[first], results[first])
        return [result for result in results if result is not None]

    async def _present(self, session: Session, rows: Sequence[Row]) -> dict[str, int]:
        try:
            answer = await session.fetch(
                sql.PRESENT,
                list({row.conversation for row in rows}),
                [row.id for row in rows],
                max(_RESENT_WINDOW, 8 * len(rows)),
                timeout_s=_QUERY_S,
            )
        except RowsRefused:
            return {}  # an id that is no UUID was not stored; the commit will say so
        return {row_id: offset for row_id, offset in answer}  # noqa: C416  the checker cannot see pairs in a Sequence

    async def _store(self, session: Session, rows: Sequence[Row]) -> list[Result]:
        statement = sql.COMMIT if all(row.change is None and row.member is None for row in rows) else sql.COMMIT_CHANGES
        answer = await session.fetch(statement, self.term, *_columns(rows), timeout_s=_COMMIT_S)
        results: list[Result] = [Rejected(NotFound("no such conversation"))] * len(rows)
        for place, offset, first_id, first_at_ms, first_digest, first_actor in answer:
            if place == 0:
                if offset != self.term:
                    raise StoreFenced(_TAKEN)
            elif first_id is None:
                results[place - 1] = Committed(offset)
            else:
                results[place - 1] = Repeat(offset, first_id, first_at_ms, first_digest, decode_actor(first_actor))
        return results

    async def aclose(self) -> None:
        """Close all connections, which gives the lock back."""
        sessions = self._pool.take_idle()
        if self._session is not None:
            sessions.append(self._session)
            self._session = None
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:  # at once: each may take its time with a database that hangs
                for session in sessions:
                    nursery.start_soon(session.aclose)


class PostgresStore(WriterStore):
    """The durable store on Postgres (13 or later). Made by `open`."""

    _notice: Callable[[], str | None] | None = None

    def health(self) -> StoreHealth:
        """Whether commits can succeed now."""
        found = super().health()
        known = None if found.ready or self._notice is None else self._notice()
        return found if known is None else attrs.evolve(found, problems=(*found.problems, known))

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        where: Connect,
        settings: WriterSettings | None = None,
        *,
        drain_s: float = DRAIN_S,
        lock_wait_s: float = LOCK_WAIT_S,
        notice: Callable[[], str | None] | None = None,
    ) -> AsyncIterator[Self]:
        """Open the store for the time of the block. Leave the engine first: its storage actor commits until it has stopped.

        When the block is cancelled, the connections last until it has been left, so that the actor can drain.

        Args:
            where: a URL, or asyncpg's connect arguments.
            settings: bounds and pace of the writer.
            drain_s: how long stopping the actor may take, seconds.
            lock_wait_s: how long to wait for another server's lock, seconds.
            notice: what else is known of a database that is away, a sentence for `health`.

        Raises:
            StoreUnavailable: the database cannot be reached.
            StoreInUse: another server holds the database.
            SchemaRefused: a newer hubbub has migrated it, or other files made it.
        """
        async with open_driver() as driver:
            backend = PostgresBackend(driver, where, lock_wait_s=lock_wait_s)
            try:
                await backend.start()
                store = cls(backend, settings or WriterSettings(), drain_s=drain_s)
                store._notice = notice
                try:
                    yield store
                finally:
                    store.close()
            finally:
                await backend.aclose()


def _require(rows: Sequence[Values], term: int | None) -> None:
    if not rows or rows[0][0] != term:
        raise StoreFenced(_TAKEN)


def _columns(rows: Sequence[Row]) -> list[list[object]]:
    """The rows as the arrays of the commit statement.

    Raises:
        RowsRefused: a text cannot be encoded.
    """
    try:
        return [
            [row.conversation for row in rows],
            [row.type for row in rows],
            [row.id for row in rows],
            [encode_actor(row.actor) for row in rows],
            [row.actor.id for row in rows],
            [row.at_ms for row in rows],
            [encode_body(row) for row in rows],
            [row.text for row in rows],
            [row.reply_to for row in rows],
            [None if row.meta_json is None else row.meta_json.decode() for row in rows],
            [row.key for row in rows],
            [row.digest for row in rows],
            [row.request_id for row in rows],
        ]
    except UnicodeError as exc:
        raise RowsRefused("a text cannot be encoded", Unprocessable("the store cannot keep this content")) from exc


def _as_repeat(first: Row, result: Result | None) -> Result:
    """What a second row with the same key in one commit comes to, from the first and its result."""
    assert result is not None
    if isinstance(result, Committed):
        return Repeat(result.offset, first.id, first.at_ms, first.digest, first.actor)
    return result


async def _holder(session: Session) -> str:
    rows: list[Values] = await session.fetch(sql.HOLDER, sql.LOCK_KEY, timeout_s=_QUERY_S)
    who = "; ".join(f"{name or 'unnamed'} (backend {pid}, from {address})" for pid, name, address in rows)
    return f"another server holds this database: {who or 'it has just gone, try again'}"
