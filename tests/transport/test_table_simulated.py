"""Tests of transport/table.py on fake sockets, a fake poller and a fake clock: what a simulation does with it."""

import contextlib
import errno
import socket
import sys

import trio
from trio.testing import wait_all_tasks_blocked

from hubbub.transport.poller import READABLE
from hubbub.transport.table import Table, TableSettings

from ..logs import capture_logs
from .machines import Echo, Swallow


class FakeWorld:
    """Sockets and a poller without the system: what a simulation gives the table."""

    def __init__(self):
        self.now_s, self.next_fd, self.sockets, self.watched = 0.0, 5, {}, {}
        self.stirred = trio.Event()
        self.events = None

    def socket(self, **state):
        fd = min(set(range(5, 100)) - set(self.sockets))
        self.sockets[fd] = FakeSocket(self, fd, **state)
        return self.sockets[fd]

    def register(self, fd, events):
        self.watched[fd] = events

    def modify(self, fd, events):
        self.watched[fd] = events

    def unregister(self, fd):
        del self.watched[fd]

    def poll(self, max_events):
        ready = self.events or [
            (fd, READABLE) for fd, what in self.watched.items() if what & READABLE and self.sockets[fd].inbox
        ]
        self.events = None
        return ready[:max_events]

    async def wait(self):
        await self.stirred.wait()
        self.stirred = trio.Event()

    def wake(self):
        self.stirred.set()

    def close(self):
        self.watched.clear()


class FakeSocket:
    """A socket whose input is a list of bytes, errors and (for a listener) sockets."""

    family = socket.AF_UNIX

    def __init__(self, world, fd, inbox=()):
        self.world, self.fd, self.inbox, self.sent = world, fd, list(inbox), b""
        self.room_bytes, self.acked_bytes = 1 << 30, None

    def fileno(self):
        return self.fd

    def settimeout(self, seconds):
        assert seconds == 0

    def getpeername(self):
        return ""

    def _next(self):
        if not self.inbox:
            raise BlockingIOError
        item = self.inbox.pop(0)
        if isinstance(item, OSError):
            raise item
        return item

    def recv(self, limit):
        return self._next()

    def accept(self):
        return (self._next()(), "")

    def send(self, data):
        if data and not self.room_bytes:
            raise BlockingIOError
        taken = data[: self.room_bytes]
        self.sent += taken
        self.room_bytes -= len(taken)
        return len(taken)

    def shutdown(self, how):
        assert how == socket.SHUT_WR

    def getsockopt(self, level, name, size):
        if self.acked_bytes is None:
            raise OSError(errno.EOPNOTSUPP, "no TCP here")
        return bytes(size - 8) + self.acked_bytes.to_bytes(8, sys.byteorder)

    def close(self):
        del self.world.sockets[self.fd]


@contextlib.asynccontextmanager
async def simulated(**bounds):
    world = FakeWorld()
    table = Table(TableSettings(**bounds), poller=world, clock=lambda: world.now_s)
    async with trio.open_nursery() as nursery:
        await nursery.start(table.run)
        yield world, table
        nursery.cancel_scope.cancel()


async def test_the_table_runs_on_fakes_without_the_system(autojump_clock):
    """Accept, echo, deadline and close need nothing but the injected poller, sockets and clock."""
    async with simulated() as (world, table):
        listener = world.socket()
        table.listen(listener, Echo)
        arrived = []
        listener.inbox += [lambda: arrived.append(world.socket(inbox=[b"one", b"two"])) or arrived[0]]
        world.wake()
        await wait_all_tasks_blocked()
        assert arrived[0].sent == b"onetwo"
        [conn] = table.connections()
        machine = conn.machine
        conn.set_deadline(100)
        await trio.sleep(1000)
        assert machine.told == []
        world.now_s = 100.0
        await trio.sleep(1)
        assert machine.told == ["timeout"]
        arrived[0].inbox += [b"", b""]
        world.wake()
        await wait_all_tasks_blocked()
        assert machine.told == ["timeout", "eof", "closed"]
        assert list(world.sockets.values()) == [listener]


async def test_an_event_of_a_closed_descriptor_never_meets_its_successor():
    """A connection killed in a turn keeps its descriptor to the end of it, and who is accepted then gets no old event."""
    async with simulated() as (world, table):
        listener, killer, victim = world.socket(), world.socket(inbox=[b"kill"]), world.socket(inbox=[b"lost"])
        table.listen(listener, Echo)
        killing, dying = table.adopt(killer, Swallow), table.adopt(victim, Swallow)
        dying_machine = dying.machine
        killing.machine.received = lambda data: dying.abort()
        successor = []
        listener.inbox += [
            OSError(errno.ECONNABORTED, "gone before it was taken"),
            lambda: successor.append(world.socket()) or successor[0],
        ]
        world.events = [(listener.fd, READABLE), (killer.fd, READABLE), (victim.fd, READABLE), (77, READABLE)]
        world.wake()
        await wait_all_tasks_blocked()
        assert successor[0].fd == victim.fd
        assert dying_machine.told == ["closed"]
        assert dying_machine.received_bytes == 0
        [new] = [conn for conn in table.connections() if conn.fd == victim.fd]
        assert new.machine.told == []
        assert table.statistics().accepted == 1


async def test_a_slow_reader_is_not_a_stalled_one(autojump_clock):
    """Whose system takes a byte now and then goes on, although its socket is not writable for long; others are told of."""
    async with simulated(stall_s=20) as (world, table):
        slow, dead, unknown = [table.adopt(world.socket(), Echo) for _ in range(3)]
        world.sockets[slow.fd].acked_bytes = world.sockets[dead.fd].acked_bytes = 1000
        for conn in (slow, dead, unknown):
            world.sockets[conn.fd].room_bytes = 1
            assert conn.push(b"xyz")
        told = []
        for _ in range(10):
            for _ in range(10):
                world.now_s += 1
                await trio.sleep(1)
            world.sockets[slow.fd].acked_bytes += 1
            told.append([list(conn.machine.told) for conn in (slow, dead, unknown)])
        assert told[0] == [[], [], []]
        assert told[-1] == [[], ["stalled"], ["stalled"]]
        for _ in range(25):
            world.now_s += 2
            await trio.sleep(2)
        assert slow.machine.told == ["stalled"]
        assert table.statistics().stalled == 3


async def test_many_deadlines_at_once_leave_room_for_others(autojump_clock):
    """Timers due in one tick are served in slices, with other tasks in between."""
    async with simulated(ready_per_turn=10) as (world, table):
        order = []
        begun = trio.Event()

        def expired():
            order.append("timer")
            begun.set()

        for _ in range(60):
            conn = table.adopt(world.socket(), Echo)
            conn.machine.timeout = expired
            conn.set_deadline(1)

        async def other():
            await begun.wait()
            while order.count("timer") < 60:
                order.append("other")
                await trio.lowlevel.checkpoint()

        table.start_soon(other)
        world.now_s = 1.0
        await trio.sleep(2)
        assert order.count("timer") == 60
        assert order.count("other") >= 3


async def test_a_listener_that_fails_for_good_does_not_spin(autojump_clock):
    """An unknown error of accept is treated as a shortage: the listener rests, and is tried again."""
    async with simulated(accept_pause_s=0.5) as (world, table):
        listener = world.socket(inbox=[OSError(errno.EBADF, "broken")] * 3)
        table.listen(listener, Echo)
        with capture_logs() as logs:
            world.wake()
            await wait_all_tasks_blocked()
            assert len(listener.inbox) == 2
            assert world.watched[listener.fd] == 0
            for _ in range(2):
                world.now_s += 1
                await trio.sleep(1)
                world.wake()
                await wait_all_tasks_blocked()
            assert listener.inbox == []
        assert len(logs) == 1
