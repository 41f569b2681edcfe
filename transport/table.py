"""The connection table: all sockets of the hot lane, served by one trio task.

A turn takes a bounded number of ready sockets from the poller, reads each once, feeds synchronous machines, then buries
who has died and accepts who has come. It ends after `turn_s`, whoever is left being first in the next: a flood on many
sockets must not keep the rooms and the store, which run between turns, waiting for all of them. Only when nothing is ready
does the table wait, because waking a task for a descriptor costs trio ten times what letting others run does.

Invariants:
- Sockets are closed and accepted at the end of a turn only, and what the poller reports is looked up at once, so an event
  never meets a reused descriptor.
- A machine's exception ends its connection, is logged without any of its bytes, and goes no further.
- Bounded: connections, refusals under way, ready sockets, accepts and time a turn, bytes read, bytes unsent.
- After `run` has ended, however it ended, every socket is closed, every machine was told, the poller is closed.

It uses its sockets, its poller and its clock and nothing else of the system, so that a simulation runs this very code.
Left out: listeners (`acceptor.py`), what a socket does with readiness (`connection.py`), deadlines (`wheel.py`), every
protocol (the machines).
"""

import contextlib
import socket
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVarTuple

import trio

from ..engine.log import get_logger
from .acceptor import Acceptor, MakeMachine, peer_of, tune
from .connection import TableConnection
from .ledger import Blockage, Ledger, TableSettings, TableStatistics
from .poller import EpollPoller, Poller
from .ports import Gate

__all__ = ["Table", "TableConnection", "TableSettings", "TableStatistics"]

log = get_logger("hubbub.transport.table")

Args = TypeVarTuple("Args")


class Table:
    """All connections of one server.

    Listeners and sockets may be added before and while it runs. Everything but `run` is synchronous and belongs to the
    trio thread.
    """

    def __init__(
        self,
        settings: TableSettings,
        poller: Poller | None = None,
        clock: Callable[[], float] = trio.current_time,
        gate: Gate | None = None,
    ) -> None:
        """Make a table; it owns `poller` from now on.

        Args:
            settings: its bounds.
            poller: an epoll of its own by default.
            clock: seconds, never running backwards.
            gate: says which sockets may stay, besides the bound of all of them.
        """
        self._settings = settings
        self._poller = EpollPoller() if poller is None else poller
        self._ledger = Ledger(settings, self._poller, clock, gate)
        self._acceptor = Acceptor(self._ledger, self._equip)
        self._ready: deque[tuple[TableConnection, int]] = deque()  # reported by the poller, not served yet
        self._nursery: trio.Nursery | None = None
        self._ended = False
        self._turns = self._tasks = 0

    def listen(self, sock: socket.socket, make_machine: MakeMachine) -> None:
        """Accept connections of `sock`, a listening socket that the table owns from now on.

        Args:
            sock: the listener; made non-blocking.
            make_machine: called once for each connection, at the end of a turn.
        """
        self._require_not_ended()
        self._acceptor.listen(sock, make_machine)

    def adopt(self, sock: socket.socket, make_machine: MakeMachine) -> TableConnection:
        """Take over a connected socket. It counts as a connection but is never refused.

        Raises:
            RuntimeError: the table has ended; the socket is still the caller's.
            OSError: the socket is no longer usable; it is still the caller's.
        """
        self._require_not_ended()
        sock.settimeout(0)
        tune(sock, self._settings)
        peer = None
        with contextlib.suppress(OSError):  # the peer may have gone already: reading will tell
            peer = peer_of(sock.getpeername())
        conn = TableConnection(sock, peer, self._ledger)
        if self._ledger.gate is not None:
            _, counted = self._ledger.gate.take_socket(None if peer is None else peer[0], always=True)
            if counted is not None:
                self._ledger.counted[conn] = counted
        self._equip(conn, make_machine)
        return conn

    def stop_accepting(self) -> None:
        """Close the listeners; connections stay."""
        self._acceptor.stop()

    def start_soon(self, async_fn: Callable[[*Args], Awaitable[object]], *args: *Args) -> None:
        """Run `async_fn` in the table's nursery; it is cancelled with the table.

        An exception from it is logged and ends nothing else. How many there are is the caller's to bound.

        Raises:
            RuntimeError: the table does not run.
        """
        if self._nursery is None:
            raise RuntimeError("the table does not run")
        self._tasks += 1
        self._nursery.start_soon(self._contain, async_fn, args)

    def connections(self) -> tuple[TableConnection, ...]:
        """The connections of now, refused ones left out."""
        return tuple(conn for conn in self._ledger.connections.values() if conn not in self._acceptor.turned_away)

    def statistics(self) -> TableStatistics:
        """Return how full the table is and what it has done."""
        ledger, acceptor = self._ledger, self._acceptor
        return TableStatistics(
            connections=len(ledger.connections),
            max_connections=self._settings.max_connections,
            refusals=len(acceptor.turned_away),
            blocked=len(ledger.blocked),
            tasks=self._tasks,
            accepted=acceptor.accepted,
            refused=acceptor.refused,
            closed=ledger.closed,
            released=ledger.released,
            stalled=ledger.stalled,
            overflowed=ledger.overflowed,
            failures=ledger.failures,
            turns=self._turns,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Serve until cancelled; runs once.

        Cancelling it closes every socket, unsent bytes dropped, and tells every machine before it returns.
        """
        self._require_not_ended()
        if self._nursery is not None:
            raise RuntimeError("the table runs already")
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    nursery.start_soon(self._tick_always)
                    task_status.started()
                    await self._take_turns()
                finally:
                    self._close_all()
        finally:
            self._nursery = None

    # -- turns

    async def _take_turns(self) -> NoReturn:
        ledger, poller = self._ledger, self._poller
        while True:
            if not self._ready:
                self._look()
            if self._ready or self._acceptor.wanted or ledger.again or ledger.dying:
                await trio.lowlevel.checkpoint()
            else:
                ledger.asleep = True
                try:
                    await poller.wait()
                finally:
                    ledger.asleep = False
                self._look()
            self._turn()

    def _look(self) -> None:
        """Ask the poller who is ready."""
        connections = self._ledger.connections
        for fd, events in self._poller.poll(self._settings.ready_per_turn):
            conn = connections.get(fd)
            if conn is not None:
                self._ready.append((conn, events))
            else:
                self._acceptor.knock(fd)

    def _turn(self) -> None:
        self._turns += 1
        ledger, ready, clock = self._ledger, self._ready, self._ledger.clock
        again, turn_s = ledger.again, self._settings.turn_s
        began_s = clock()
        for _ in range(min(len(again), self._settings.ready_per_turn)):
            conn = again.popleft()
            self._guard(conn, conn.go_on)
            if clock() - began_s > turn_s / 2:  # the other half is for those who have not been heard yet
                break
        while ready:
            conn, events = ready.popleft()
            try:
                conn.ready(events)
            except Exception as exc:  # noqa: BLE001  a machine's bug must stay one connection's
                self._fail(conn, exc)
            if clock() - began_s > turn_s:
                break
        self._settle()
        if self._acceptor.wanted:
            self._acceptor.accept_all(clock() + turn_s)
            self._settle()

    def _guard(self, conn: TableConnection, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as exc:  # noqa: BLE001  as above
            self._fail(conn, exc)

    def _fail(self, conn: TableConnection, exc: Exception) -> None:
        self._report("table.machine_failed", exc, fd=conn.fd, peer=conn.peer)
        conn.abort()

    def _report(self, event: str, exc: Exception, **context: object) -> None:
        """Log a bug by its type and the places it passed: its message could quote what was received."""
        self._ledger.failures += 1
        places = "".join(traceback.format_tb(exc.__traceback__))
        log.error(event, error=type(exc).__name__, traceback=places, **context)

    def _settle(self) -> None:
        """Bury who has died; who dies of being told, too."""
        ledger = self._ledger
        while ledger.dying:
            dying, ledger.dying = ledger.dying, []
            for conn in dying:
                self._acceptor.turned_away.discard(conn)
                machine = conn.bury()
                self._guard(conn, machine.closed)

    def _equip(self, conn: TableConnection, make_machine: MakeMachine) -> None:
        try:
            conn.machine = make_machine(conn)
        except Exception as exc:  # noqa: BLE001  as above
            self._fail(conn, exc)

    # -- ticks

    async def _tick_always(self) -> NoReturn:
        while True:
            await trio.sleep(self._settings.tick_s)
            await self._expire_due()
            await self._judge_blocked()
            self._acceptor.reopen()

    async def _expire_due(self) -> None:
        ledger, limit = self._ledger, self._settings.ready_per_turn
        more = True
        while more:
            due, more = ledger.wheel.take(ledger.clock(), limit)
            for conn in due:
                self._guard(conn, conn.expire)
            self._settle()
            if more:
                await trio.lowlevel.checkpoint()

    async def _judge_blocked(self) -> None:
        """Find who has taken nothing for the stall time, and tell their machines, a bounded number in a row."""
        ledger, limit = self._ledger, self._settings.ready_per_turn
        now_s = ledger.clock()
        stalled = [conn for conn, blockage in ledger.blocked.items() if self._is_stalled(conn, blockage, now_s)]
        for start in range(0, len(stalled), limit):
            for conn in stalled[start : start + limit]:
                blockage = ledger.blocked.get(conn)
                if blockage is None or blockage.reported:
                    continue  # it moved while others ran
                blockage.reported = True
                ledger.stalled += 1
                self._guard(conn, conn.machine.stalled)
            self._settle()
            if start + limit < len(stalled):
                await trio.lowlevel.checkpoint()

    def _is_stalled(self, conn: TableConnection, blockage: Blockage, now_s: float) -> bool:
        if blockage.reported:
            return False
        if blockage.acked_bytes is None:
            blockage.acked_bytes = conn.acked_bytes()
        if now_s - blockage.since_s < self._settings.stall_s:
            return False
        acked_bytes = conn.acked_bytes()
        if acked_bytes == blockage.acked_bytes:
            return True
        blockage.since_s, blockage.acked_bytes = now_s, acked_bytes
        return False

    # -- tasks and the end

    async def _contain(self, async_fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        try:
            await async_fn(*args)
        except Exception as exc:  # noqa: BLE001  a task's bug must not end every connection
            self._report("table.task_failed", exc)
        finally:
            self._tasks -= 1

    def _close_all(self) -> None:
        self._ended = True
        self.stop_accepting()
        for conn in tuple(self._ledger.connections.values()):
            conn.abort()
        self._settle()
        self._poller.close()

    def _require_not_ended(self) -> None:
        if self._ended:
            raise RuntimeError("the table has ended")
