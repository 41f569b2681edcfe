"""The driver: the only place that meets asyncpg.

asyncpg runs in an asyncio loop that runs on trio (`_loop.py`). Each call into it costs up to 0.3 ms of CPU, so callers make few
and large ones. Invariants:

* The loop runs under a shield until its owner leaves, so that a commit can finish while everything around is cancelled.
* A connection whose call was cancelled or timed out is terminated, never used again: asyncpg would send a cancel request over
  another connection and trust the first, and its own transaction helper leaves the transaction open when cancelled.
* asyncpg's errors end here: `StoreUnavailable` (nothing happened), `OutcomeUnknown` (the connection broke after sending),
  `RowsRefused` (the statement failed for its content, and was rolled back), `StoreLost` (nothing happened, or ever will).

Left out: asyncpg's own pool, whose reset on release costs another round trip.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import trio

from ..engine.core.errors import EngineError, OutcomeUnknown, StoreUnavailable, Unprocessable
from ._loop import Cut, Loop, open_aio
from .ports import RowsRefused, StoreLost

Connect = str | Mapping[str, object]
"""Where Postgres is: a URL, or asyncpg's connect arguments."""

Values = Sequence[Any]
"""One row of an answer; the statement says what is in it."""

CONNECT_S: Final = 10.0
_NO_ANSWER: Final = "the database does not answer"
_CLOSE_S: Final = 0.5
# The kernel asks a peer from which nothing has come for 2 s, three times within 3 s. Not TCP_USER_TIMEOUT: it would replace this
# count, and it takes a peer that acknowledges with a closed window, as a stopped Postgres does, for one that is gone.
_WIRE_OPTIONS: Final = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3}

_BROKEN: Final = ("08", "57P")  # connection errors, and a server that shuts down: the last answer may be lost
# The statement failed for a reason that passes: resources, locks, cancellation, a standby, missing objects or rights.
_AWAY: Final = ("25", "26", "28", "3D", "40", "42", "53", "55", "57", "58")
_CONTENT: Final = ("22",)  # data errors; asyncpg gives one, too, for a value that it cannot encode


class Driver:
    """What opens connections. Made by `open_driver`."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    async def connect(self, where: Connect, settings: Mapping[str, str]) -> "Session":
        """Open a connection with these server settings.

        Raises:
            StoreUnavailable: it cannot be opened; the message says why.
        """
        named: dict[str, Any] = {"dsn": where} if isinstance(where, str) else dict(where)
        named["server_settings"] = {**named.get("server_settings", {}), **settings}
        named.update(max_cached_statement_lifetime=0, statement_cache_size=100)
        connection: Any = None
        try:
            with trio.fail_after(CONNECT_S):
                connection = await self.loop.call(asyncpg.connect(**named))
            _notice_dead_wire(connection._transport)
        except trio.TooSlowError:
            raise StoreUnavailable(_NO_ANSWER) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, MemoryError, Cut) as exc:
            if connection is not None:
                connection.terminate()
            why = str(exc).partition("\n")[0] or type(exc).__name__  # the rest is detail and hints
            raise StoreUnavailable(f"cannot connect to the database: {why}") from exc
        return Session(self, connection)


def _notice_dead_wire(transport: asyncio.BaseTransport) -> None:
    """Break the connection when the other machine does not even answer the kernel; one that is busy or stopped does.

    No time limit of ours can tell a slow commit from a dead wire; the kernel's can, once what was sent has arrived.
    """
    sock = transport.get_extra_info("socket")
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _WIRE_OPTIONS.items():
        option = getattr(socket, name, None)  # not every system has them
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


@asynccontextmanager
async def open_driver() -> AsyncIterator[Driver]:
    """A driver for the time of the block, shielded from cancellation until the block has been left.

    Raises:
        StoreLost: its loop ended by itself; the block was cancelled.
    """
    async with open_aio() as loop:
        yield Driver(loop)


class Session:
    """One connection. Not for use by two tasks at once."""

    def __init__(self, driver: Driver, connection: Any) -> None:
        self._loop = driver.loop
        self._connection = connection
        self.server_pid: int = connection.get_server_pid()
        self._loop.lines.add(self)

    @property
    def closed(self) -> bool:
        """Whether it is known to be of no more use."""
        return self._loop.dead is not None or bool(self._connection.is_closed())

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
        if self._loop.dead is None:
            self._connection.terminate()

    async def aclose(self) -> None:
        """Take leave of the server, for a short time at most."""
        if self.closed:
            return
        with trio.CancelScope(shield=True), trio.move_on_after(_CLOSE_S):
            try:
                await self._loop.call(self._connection.close(), self.terminate)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, MemoryError, Cut):
                self.terminate()

    async def _run(self, verb: Callable[..., Coroutine[Any, Any, Any]], *values: object, timeout_s: float) -> Any:
        await trio.lowlevel.checkpoint_if_cancelled()  # or the call would cost the connection for nothing
        if self._loop.dead is not None:
            raise StoreLost(self._loop.dead)
        if self.closed:
            raise StoreUnavailable("the connection to the database is lost")
        try:
            with trio.fail_after(timeout_s):
                return await self._loop.call(verb(*values), self.terminate)
        except trio.TooSlowError:
            raise OutcomeUnknown("the database did not answer in time") from None
        except Exception as exc:
            error = _mapped(exc)
            if isinstance(error, OutcomeUnknown):
                self.terminate()
            raise error from exc


def _mapped(exc: Exception) -> Exception:
    """What an error of asyncpg means. Errors that are not asyncpg's are ours: the outcome is unknown all the same."""
    if isinstance(exc, StoreLost):
        return exc
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

    While the database does not answer at all (a call ran into its time limit), one call at a time tries it and the others are
    refused at once: nobody queues behind a frozen database, and the first answer opens the pool again.

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
        self._silent = False
        self._trying = False

    async def fetch(self, statement: str, *values: object) -> list[Values]:
        """Run a read and return its rows. A connection that broke is replaced once.

        Raises:
            StoreUnavailable: the database cannot be reached, or is too slow.
            EngineError: the values cannot be handled.
        """
        try:
            return await self.write(statement, *values)
        except OutcomeUnknown as exc:
            raise StoreUnavailable(str(exc)) from exc

    async def write(self, statement: str, *values: object) -> list[Values]:
        """Run a statement that changes something and may safely run twice; else as `fetch`.

        Raises:
            StoreUnavailable: it did not happen, and will not.
            OutcomeUnknown: it was sent, and the answer is missing.
            EngineError: the values cannot be handled.
        """
        if not self._silent:
            return await self._call(statement, values)
        if self._trying:
            raise StoreUnavailable(_NO_ANSWER)
        self._trying = True
        try:
            return await self._call(statement, values)
        finally:
            self._trying = False

    async def _call(self, statement: str, values: Sequence[object]) -> list[Values]:
        deadline = trio.current_time() + self._timeout_s
        try:
            with trio.fail_at(deadline):
                await self._slots.acquire()
            try:
                rows = await self._attempt(statement, values, deadline)
            finally:
                self._slots.release()
        except trio.TooSlowError:
            self._silent = True
            raise StoreUnavailable(_NO_ANSWER) from None
        except OutcomeUnknown:
            self._silent = trio.current_time() >= deadline
            raise
        except RowsRefused as refused:
            self._silent = False
            raise refused.error from refused
        self._silent = False
        return rows

    async def _attempt(self, statement: str, values: Sequence[object], deadline: float) -> list[Values]:
        """Try over one connection after the other. Once a try was sent and not answered, no later refusal speaks for it."""
        lost: OutcomeUnknown | None = None
        try:
            while (session := self._take()) is not None:
                try:
                    return await self._use(session, statement, values, deadline)
                except OutcomeUnknown as exc:
                    if trio.current_time() >= deadline:
                        raise
                    lost = exc
                except StoreUnavailable:
                    if not session.closed:
                        raise
            with trio.fail_at(deadline):
                session = await self._connect()
            return await self._use(session, statement, values, deadline)
        except (StoreUnavailable, RowsRefused, trio.TooSlowError):
            if lost is None:
                raise
            raise lost from None

    def _take(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if not session.closed:
                return session
        return None

    async def _use(self, session: Session, statement: str, values: Sequence[object], deadline: float) -> list[Values]:
        try:
            return await session.fetch(statement, *values, timeout_s=max(0.0, deadline - trio.current_time()))
        finally:
            if not session.closed:
                self._idle.append(session)

    def take_idle(self) -> list[Session]:
        """Hand over the connections that nobody uses, to be closed."""
        idle, self._idle = self._idle, []
        return idle
