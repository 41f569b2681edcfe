"""The driver: the only place that meets asyncpg and trio-asyncio.

asyncpg runs in an asyncio loop that runs on trio. Each call into it costs up to 0.3 ms of CPU, so callers make few and large
ones. Invariants:

* The loop runs under a shield until its owner leaves, so that a commit can finish while everything around is cancelled.
* A connection whose call was cancelled or timed out is terminated, never used again: asyncpg would send a cancel request over
  another connection and trust the first, and its own transaction helper leaves the transaction open when cancelled.
* asyncpg's errors end here: `StoreUnavailable` (nothing happened), `OutcomeUnknown` (the connection broke after sending),
  `RowsRefused` (the statement failed for its content, and was rolled back).

Left out: asyncpg's own pool, whose reset on release costs another round trip.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import asyncpg
import trio
import trio_asyncio

from ..engine.core.errors import EngineError, OutcomeUnknown, StoreUnavailable, Unprocessable
from .ports import RowsRefused

T = TypeVar("T")

Connect = str | Mapping[str, object]
"""Where Postgres is: a URL, or asyncpg's connect arguments."""

Values = Sequence[Any]
"""One row of an answer; the statement says what is in it."""

CONNECT_S: Final = 10.0
_CLOSE_S: Final = 2.0

_BROKEN: Final = ("08", "57P")  # connection errors, and a server that shuts down: the last answer may be lost
# The statement failed for a reason that passes: resources, locks, cancellation, a standby, missing objects or rights.
_AWAY: Final = ("25", "26", "28", "3D", "40", "42", "53", "55", "57", "58")
_CONTENT: Final = ("22",)  # data errors; asyncpg gives one, too, for a value that it cannot encode


class Driver:
    """The asyncio loop under the store. Made by `open_driver`."""

    def __init__(self, loop: trio_asyncio.BaseTrioEventLoop) -> None:
        self._loop = loop

    async def connect(self, where: Connect, settings: Mapping[str, str]) -> "Session":
        """Open a connection with these server settings.

        Raises:
            StoreUnavailable: it cannot be opened; the message says why.
        """
        named: dict[str, Any] = {"dsn": where} if isinstance(where, str) else dict(where)
        named["server_settings"] = {**named.get("server_settings", {}), **settings}
        named.update(max_cached_statement_lifetime=0, statement_cache_size=100)
        try:
            with trio.fail_after(CONNECT_S):
                connection = await self._loop.run_aio_coroutine(asyncpg.connect(**named))
        except trio.TooSlowError:
            raise StoreUnavailable("the database does not answer") from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as exc:
            raise StoreUnavailable(f"cannot connect to the database: {exc}") from exc
        return Session(self, connection)

    async def call(self, work: Coroutine[Any, Any, T], terminate: Callable[[], None]) -> T:
        """Run a coroutine of asyncpg to its end. When cancelled, `terminate` is called, which must make it end soon."""
        task = trio.lowlevel.current_task()
        future = asyncio.ensure_future(work, loop=self._loop)
        future.add_done_callback(lambda _: trio.lowlevel.reschedule(task))
        raise_cancel: Callable[[], Any] | None = None

        def abort(raising: Callable[[], Any]) -> trio.lowlevel.Abort:
            nonlocal raise_cancel
            raise_cancel = raising
            terminate()
            return trio.lowlevel.Abort.FAILED

        await trio.lowlevel.wait_task_rescheduled(abort)
        if raise_cancel is not None and (future.cancelled() or future.exception() is not None):
            raise_cancel()
        return future.result()


@asynccontextmanager
async def open_driver() -> AsyncIterator[Driver]:
    """Run the loop while the block runs, shielded from cancellation until the block has been left."""
    drivers: list[Driver] = []
    settled, leaving = trio.Event(), trio.Event()
    failure: BaseException | None = None

    async def hold() -> None:
        try:
            async with trio_asyncio.open_loop() as loop:
                drivers.append(Driver(loop))
                settled.set()
                await leaving.wait()
        finally:
            settled.set()

    async def hold_shielded() -> None:
        with trio.CancelScope(shield=True):
            await hold()

    try:
        async with trio.open_nursery() as nursery:
            # Not `nursery.start`: when cancelled it waits for a task that heeds cancellation, and this one does not.
            nursery.start_soon(hold_shielded)
            try:
                with trio.CancelScope(shield=True):
                    await settled.wait()
                for driver in drivers:  # one; or none, and the nursery raises why
                    yield driver
            except BaseException as exc:  # noqa: BLE001  raised again below: the nursery would wrap it in a group
                failure = exc
            leaving.set()
    finally:
        if failure is not None:
            raise failure


class Session:
    """One connection. Not for use by two tasks at once."""

    def __init__(self, driver: Driver, connection: Any) -> None:
        self._driver = driver
        self._connection = connection
        self.server_pid: int = connection.get_server_pid()

    @property
    def closed(self) -> bool:
        """Whether it is known to be of no more use."""
        return bool(self._connection.is_closed())

    async def fetch(self, statement: str, *values: object, timeout_s: float) -> list[Values]:
        """Run one prepared statement and return its rows.

        Raises:
            StoreUnavailable: nothing happened.
            OutcomeUnknown: the connection broke, or did not answer in time, after the statement was sent; it is closed.
            RowsRefused: it failed for its content, and was rolled back.
        """
        rows: list[Values] = await self._run(self._connection.fetch, statement, *values, timeout_s=timeout_s)
        return rows

    async def execute(self, script: str, *, timeout_s: float) -> None:
        """Run one or more statements without values. Raises as `fetch` does."""
        await self._run(self._connection.execute, script, timeout_s=timeout_s)

    @asynccontextmanager
    async def transaction(self, *, timeout_s: float) -> AsyncIterator[None]:
        """Commit at the end of the block, or roll back, under a shield, when it raises."""
        await self.execute("begin", timeout_s=timeout_s)
        try:
            yield
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._roll_back(timeout_s)
            raise
        await self.execute("commit", timeout_s=timeout_s)

    async def _roll_back(self, timeout_s: float) -> None:
        try:
            if not self.closed:
                await self.execute("rollback", timeout_s=timeout_s)
        except (EngineError, RowsRefused):
            self.terminate()  # which rolls back, too

    def terminate(self) -> None:
        """Cut the connection at once; what it was doing fails."""
        self._connection.terminate()

    async def aclose(self) -> None:
        """Take leave of the server, for a short time at most."""
        with trio.CancelScope(shield=True), trio.move_on_after(_CLOSE_S):
            try:
                await self._driver.call(self._connection.close(), self.terminate)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                self.terminate()

    async def _run(self, verb: Callable[..., Coroutine[Any, Any, Any]], *values: object, timeout_s: float) -> Any:
        await trio.lowlevel.checkpoint_if_cancelled()  # or the call would cost the connection for nothing
        if self.closed:
            raise StoreUnavailable("the connection to the database is lost")
        try:
            with trio.fail_after(timeout_s):
                return await self._driver.call(verb(*values), self.terminate)
        except trio.TooSlowError:
            raise OutcomeUnknown("the database did not answer in time") from None
        except Exception as exc:
            error = _mapped(exc)
            if isinstance(error, OutcomeUnknown):
                self.terminate()
            raise error from exc


def _mapped(exc: Exception) -> Exception:
    """What an error of asyncpg means. Errors that are not asyncpg's are ours: the outcome is unknown all the same."""
    if isinstance(exc, asyncpg.PostgresError):
        state = exc.sqlstate or ""
        if state.startswith(_BROKEN) or getattr(exc, "severity_en", None) in ("FATAL", "PANIC"):
            return OutcomeUnknown(f"the connection broke: {exc}")
        if state.startswith(_AWAY):
            return StoreUnavailable(f"the database cannot do it now ({state}): {exc}")
        if state.startswith(_CONTENT):
            return RowsRefused(state, Unprocessable("the store cannot keep this content"))
        return RowsRefused(state)
    return OutcomeUnknown(f"the connection broke: {type(exc).__name__}")


class Pool:
    """Connections for reads and small idempotent writes: at most `size`, opened when needed, kept while they work.

    Args:
        connect: opens one.
        size: most connections; callers past it wait.
        timeout_s: time for one call, waiting included.
    """

    def __init__(self, connect: Callable[[], Awaitable[Session]], *, size: int, timeout_s: float) -> None:
        self._connect = connect
        self._timeout_s = timeout_s
        self._slots = trio.Semaphore(size)
        self._idle: list[Session] = []

    async def fetch(self, statement: str, *values: object) -> list[Values]:
        """Run one statement that may safely run twice, and return its rows. A connection that broke is replaced once.

        Raises:
            StoreUnavailable: the database cannot be reached, or is too slow.
            EngineError: the values cannot be handled.
        """
        try:
            with trio.fail_after(self._timeout_s):
                async with self._slots:
                    return await self._fetch(statement, values)
        except trio.TooSlowError:
            raise StoreUnavailable("the database did not answer in time") from None
        except OutcomeUnknown as exc:
            raise StoreUnavailable("the connection to the database is lost") from exc
        except RowsRefused as refused:
            raise refused.error from refused

    async def _fetch(self, statement: str, values: Sequence[object]) -> list[Values]:
        while (session := self._take()) is not None:
            try:
                return await self._use(session, statement, values)
            except (OutcomeUnknown, StoreUnavailable):
                if not session.closed:
                    raise
        return await self._use(await self._connect(), statement, values)

    def _take(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if not session.closed:
                return session
        return None

    async def _use(self, session: Session, statement: str, values: Sequence[object]) -> list[Values]:
        try:
            return await session.fetch(statement, *values, timeout_s=self._timeout_s)
        finally:
            if not session.closed:
                self._idle.append(session)

    async def aclose(self) -> None:
        """Close the idle connections. No call may be running."""
        while self._idle:
            await self._idle.pop().aclose()
