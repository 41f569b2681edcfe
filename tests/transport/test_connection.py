"""Tests of transport/connection.py: one real socket in a real table.

A test that fills a socket or waits until a full one drains runs in real time, with short bounds: the system's own timers (a
closed window is probed after 0.2 s) know nothing of a mock clock, which would jump past every bound while the system waits.
"""

import contextlib
import socket
import struct

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from hubbub.transport.table import Table, TableConnection, TableSettings

from .quiet import all_quiet

PATIENCE_S = 30.0
"""How long a test in real time waits for what must come; never waited for in full unless it fails."""


class Recorder:
    """Writes down what the table tells it; `on` gives it something to do besides."""

    def __init__(self, conn: TableConnection) -> None:
        self.conn, self.data, self.told, self.on = conn, bytearray(), [], {}

    def received(self, data: bytes) -> None:
        self.data += data
        self._tell("received")

    def _tell(self, what: str) -> None:
        self.told.append(what)
        self.on.get(what, lambda: None)()

    def again(self) -> None:
        self._tell("again")

    def writable(self) -> None:
        self._tell("writable")

    def timeout(self) -> None:
        self._tell("timeout")

    def stalled(self) -> None:
        self._tell("stalled")

    def eof(self) -> None:
        self._tell("eof")

    def closed(self) -> None:
        self._tell("closed")


class PeeredTable(Table):
    """A table that knows the other ends of its connections, so that a failed test leaves none open."""

    peers: contextlib.ExitStack


@contextlib.asynccontextmanager
async def running(**bounds):
    """A table that runs until the block ends."""
    table = PeeredTable(TableSettings(**bounds))
    with contextlib.ExitStack() as table.peers:
        async with trio.open_nursery() as nursery:
            await nursery.start(table.run)
            yield table
            nursery.cancel_scope.cancel()


def connected(table, buffer_bytes=None):
    """A connection of the table over loopback, its machine, and the peer's socket (non-blocking)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if buffer_bytes:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        peer = table.peers.enter_context(socket.socket())
        if buffer_bytes:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        peer.connect(listener.getsockname())
        ours, _ = listener.accept()
    peer.setblocking(False)
    conn = table.adopt(ours, Recorder)
    return conn, conn.machine, peer


def taken(peer, limit=1 << 30):
    """What the peer can read now, and whether the end came with it."""
    data = bytearray()
    with contextlib.suppress(BlockingIOError):
        while len(data) < limit:
            piece = peer.recv(min(65536, limit - len(data)))
            if not piece:
                return bytes(data), True
            data += piece
    return bytes(data), False


def fill(conn, piece=b"x" * 5000):
    """Push until refused; returns what was taken."""
    sent = bytearray()
    while conn.push(piece):
        sent += piece
    return bytes(sent)


def reset(peer):
    """Close the peer's socket in the way of a crash: with a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


async def until_end(peer):
    """Read the peer's side to the end, letting the table run in between."""
    data = bytearray()
    while True:
        piece, ended = taken(peer)
        data += piece
        if ended:
            return bytes(data)
        await trio.sleep(0.01)


async def until_told(machine, what):
    """Wait until the machine was told something; when that was."""
    with trio.fail_after(PATIENCE_S):
        while what not in machine.told:  # noqa: ASYNC110  the table tells the machine, which has no event
            await trio.sleep(0.005)
    return trio.current_time()


STEPS = st.lists(
    st.tuples(st.sampled_from(["push", "write", "read", "turn"]), st.integers(1, 30_000)), min_size=1, max_size=40
)


@given(STEPS)
@settings(deadline=None, max_examples=60)
def test_bytes_keep_their_order_whatever_the_sizes_and_reads(steps):
    """The peer reads exactly what push took and write was given, in order, through buffers far too small."""

    async def scenario():
        async with running(max_unsent_bytes=10_000_000) as table:
            conn, machine, peer = connected(table, 4096)
            expected, got = bytearray(), bytearray()
            for number, (verb, size) in enumerate(steps):
                data = bytes([number % 256]) * size
                if verb == "push":
                    accepted = conn.push(data)
                    assert accepted or conn.blocked
                    expected += data if accepted else b""
                elif verb == "write":
                    conn.write(data)
                    expected += data
                elif verb == "read":
                    got += taken(peer, size)[0]
                else:
                    await wait_all_tasks_blocked()
            conn.close()
            with trio.fail_after(60):
                got += await until_end(peer)
            assert got == expected
            peer.close()
            await all_quiet()
            assert machine.told[-1] == "closed"
            assert machine.told.count("closed") == 1

    trio.run(scenario)


async def test_a_refused_push_goes_on_from_writable():
    """A push that finds the socket full keeps nothing, and writable comes once, when the peer has read."""
    async with running() as table:
        conn, machine, peer = connected(table, 4096)
        sent = fill(conn)
        assert conn.blocked
        assert not conn.push(b"y")
        await all_quiet()
        assert machine.told == []
        machine.on["writable"] = lambda: conn.push(b"end")
        got = bytearray()
        with trio.fail_after(PATIENCE_S):
            while not got.endswith(b"end"):
                got += taken(peer)[0]
                await trio.sleep(0.01)
        assert got == sent + b"end"
        assert machine.told == ["writable"]
        assert not conn.blocked
        assert table.statistics().blocked == 0


async def test_the_system_keeps_little_for_a_reader_that_has_stopped():
    """A push is refused when the system holds its bound and what the peer's own buffer takes, not megabytes later."""
    async with running(system_unsent_bytes=100_000) as table:
        conn, _, peer = connected(table)
        sent = fill(conn)
        assert conn.blocked
        buffer_bytes = peer.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert 100_000 <= len(sent) <= 200_000 + 2 * buffer_bytes


async def test_replies_queue_behind_the_rest_and_are_bounded():
    """A peer that asks without reading is cut off once more than the bound waits."""
    async with running(max_unsent_bytes=20_000) as table:
        conn, machine, _ = connected(table, 4096)
        fill(conn)
        replies = 0
        while "closed" not in machine.told:
            conn.write(b"r" * 1000)
            replies += 1
            assert replies <= 22
            await wait_all_tasks_blocked()
        assert replies >= 15
        assert table.statistics().overflowed == 1
        assert table.statistics().connections == 0


async def test_one_long_reply_is_no_offence():
    """A reply over the bound is sent whole to a peer that reads; the next one behind it cuts a peer that does not."""
    async with running(max_unsent_bytes=20_000) as table:
        conn, machine, peer = connected(table, 4096)
        conn.write(b"r" * 1_000_000)
        got = 0
        with trio.fail_after(PATIENCE_S):
            while got < 1_000_000:
                got += len(taken(peer)[0])
                await trio.sleep(0.001)
        assert not conn.blocked
        conn.write(b"r" * 1_000_000)
        conn.write(b"r")
        await all_quiet()
        assert machine.told[-1] == "closed"


async def test_a_reader_that_takes_nothing_is_reported_once():
    """The machine hears of a stalled reader after the stall time, once, and may still queue a last word."""
    async with running(stall_s=0.5, linger_s=PATIENCE_S, tick_s=0.02) as table:
        conn, machine, peer = connected(table, 4096)

        def cut_off():
            conn.write(b"slow")
            conn.close()

        machine.on["stalled"] = cut_off
        began = trio.current_time()
        sent = fill(conn)
        assert await until_told(machine, "stalled") - began >= 0.5
        await trio.sleep(0.7)  # a second verdict would come now
        assert machine.told == ["stalled"]
        with trio.fail_after(PATIENCE_S):
            assert await until_end(peer) == sent + b"slow"
        peer.close()
        await until_told(machine, "closed")
        assert machine.told == ["stalled", "closed"]
        assert table.statistics().stalled == 1


async def test_what_the_peer_has_taken_can_be_told():
    """Over TCP the bytes acknowledged are counted; on a unix socket nobody knows."""
    async with running() as table:
        conn, _, peer = connected(table)
        before = conn.acked_bytes()
        conn.push(b"x" * 1000)
        assert taken(peer)[0] == b"x" * 1000
        assert conn.acked_bytes() == before + 1000
        ours, theirs = socket.socketpair()
        table.peers.enter_context(theirs)
        local = table.adopt(ours, Recorder)
        assert local.acked_bytes() is None
        assert local.peer is None


async def test_close_delivers_everything_to_a_slow_reader_that_still_sends():
    """Unread input does not turn a close into a reset that destroys the bytes on their way."""
    async with running(linger_s=PATIENCE_S, drain_s=PATIENCE_S) as table:
        conn, machine, peer = connected(table, 4096)
        peer.send(b"more than anyone reads" * 100)
        sent = fill(conn)
        conn.write(b"bye")
        conn.close()
        assert not conn.push(b"too late")
        conn.write(b"too late")
        got = bytearray()
        with trio.fail_after(PATIENCE_S):
            while not got.endswith(b"bye"):
                with contextlib.suppress(BlockingIOError):
                    peer.send(b"still talking")
                got += taken(peer, 2000)[0]
                await trio.sleep(0.005)
        peer.send(b"after the last byte")
        await all_quiet()
        assert got == sent + b"bye"
        with trio.fail_after(PATIENCE_S):
            assert await until_end(peer) == b""
        assert machine.told == []
        peer.close()
        await until_told(machine, "closed")
        assert machine.told == ["closed"]


@pytest.mark.parametrize("unsent", [True, False])
async def test_closing_ends_in_time_whatever_the_peer_does(unsent):
    """A peer that never reads costs the linger time, one that never closes the shorter drain time."""
    async with running(linger_s=1.0, drain_s=0.2, tick_s=0.02) as table:
        conn, machine, _ = connected(table, 4096)
        if unsent:
            fill(conn)
            conn.write(b"more than the system may still find room for" * 10_000)
        began = trio.current_time()
        conn.close()
        took_s = await until_told(machine, "closed") - began
        assert machine.told == ["closed"]
        assert took_s >= (1.0 if unsent else 0.2)


async def test_a_peer_that_never_closes_costs_less_than_one_that_never_reads(patient_clock):
    """With nothing unsent the drain time ends it, long before the linger time."""
    async with running(linger_s=20, drain_s=2) as table:
        conn, machine, _ = connected(table)
        conn.close()
        await trio.sleep(1.9)
        assert machine.told == []
        await trio.sleep(0.6)
        assert machine.told == ["closed"]


async def test_closing_throws_away_no_more_than_its_bound(patient_clock):
    """A peer that floods a closing connection is cut off by bytes, long before the time."""
    async with running(linger_s=1000, drain_s=1000, drain_bytes=100_000) as table:
        conn, machine, peer = connected(table)
        conn.close()
        for _ in range(200):
            with contextlib.suppress(OSError):
                peer.send(b"f" * 10_000)
            await wait_all_tasks_blocked()
        await all_quiet()
        assert machine.told == ["closed"]


async def test_a_paused_connection_reads_nothing_until_resumed(patient_clock):
    """Pausing leaves the bytes with the kernel; the end of input waits its turn behind them."""
    async with running() as table:
        conn, machine, peer = connected(table)
        conn.pause()
        peer.send(b"later")
        peer.shutdown(socket.SHUT_WR)
        await trio.sleep(5)
        assert machine.told == []
        conn.resume()
        await all_quiet()
        assert machine.data == b"later"
        assert machine.told == ["received", "eof"]


async def test_a_hang_up_while_paused_is_seen_and_does_not_spin(patient_clock):
    """A reset closes a paused connection; half a close leaves it alone; neither makes turn after turn."""
    async with running() as table:
        half, half_machine, half_peer = connected(table)
        gone, gone_machine, gone_peer = connected(table)
        half.pause()
        gone.pause()
        await all_quiet()
        before = table.statistics().turns
        half_peer.shutdown(socket.SHUT_WR)
        reset(gone_peer)
        await trio.sleep(5)
        assert gone_machine.told == ["closed"]
        assert half_machine.told == []
        assert table.statistics().turns - before <= 3


async def test_the_peers_end_is_told_once_and_can_be_answered(patient_clock):
    """After eof the machine may still write; the table does not spin on a socket at its end."""
    async with running() as table:
        conn, machine, peer = connected(table)
        await all_quiet()
        before = table.statistics().turns
        peer.shutdown(socket.SHUT_WR)
        await trio.sleep(5)
        assert machine.told == ["eof"]
        assert table.statistics().turns - before <= 3
        conn.write(b"answer")
        conn.close()
        await all_quiet()
        assert taken(peer) == (b"answer", True)
        assert machine.told == ["eof", "closed"]


async def test_a_released_socket_is_the_callers():
    """A socket leaves with nothing unsent, is watched no more, and its machine is not told."""
    async with running(tick_s=0.02) as table:
        conn, machine, peer = connected(table, 4096)
        fill(conn)
        conn.write(b"unsent")
        with pytest.raises(RuntimeError):
            conn.release()
        with trio.fail_after(PATIENCE_S):
            while conn.blocked:
                taken(peer)
                await trio.sleep(0.01)
        conn.set_deadline(0.05)
        sock = conn.release()
        assert table.statistics().connections == 0
        peer.send(b"hello")
        await trio.sleep(0.3)  # its deadline would come now
        assert sock.recv(100) == b"hello"
        assert machine.told == ["writable"]
        assert not conn.push(b"x")
        conn.abort()
        conn.close()
        with pytest.raises(RuntimeError):
            conn.release()
        again = table.adopt(sock, Recorder)
        peer.send(b"back")
        await all_quiet()
        assert again.machine.data == b"back"


async def test_what_another_task_asks_for_wakes_a_sleeping_table(patient_clock):
    """abort, again and close from outside a turn are served with nothing ready on any socket."""
    async with running(tick_s=1000) as table:
        conn, machine, peer = connected(table)
        await all_quiet()
        conn.again()
        conn.again()
        await all_quiet()
        assert machine.told == ["again"]
        conn.abort()
        conn.abort()
        await all_quiet()
        assert machine.told == ["again", "closed"]
        assert taken(peer) == (b"", True)


async def test_a_push_to_a_dead_peer_gets_it_reaped(patient_clock):
    """The error of a send from a room's pass closes the connection soon, and raises nothing there."""
    async with running(tick_s=1000) as table:
        conn, machine, peer = connected(table)
        await all_quiet()
        reset(peer)
        assert [conn.push(b"a"), conn.push(b"b")][-1] is False
        assert not conn.blocked
        await all_quiet()
        assert machine.told == ["closed"]
        assert table.statistics().connections == 0


async def test_again_comes_in_the_next_turn_after_others_have_run(patient_clock):
    """A machine that always has more to do shares the loop with other tasks."""
    async with running() as table:
        conn, machine, _ = connected(table)
        machine.on["again"] = conn.again
        conn.again()
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        assert 10 <= machine.told.count("again") <= 60
        conn.abort()


async def test_a_deadline_replaces_the_one_before_and_may_be_cleared(patient_clock):
    """Deadlines come at most two ticks late, never early, and only the last one set."""
    async with running(tick_s=0.25) as table:
        conn, machine, _ = connected(table)
        times = []
        machine.on["timeout"] = lambda: times.append(trio.current_time())
        began = trio.current_time()
        conn.set_deadline(2)
        await trio.sleep(1)
        conn.set_deadline(3)
        await trio.sleep(10)
        assert len(times) == 1
        assert began + 4 <= times[0] <= began + 4.5
        conn.set_deadline(1)
        conn.set_deadline(None)
        await trio.sleep(10)
        assert len(times) == 1


async def test_a_machine_may_be_swapped():
    """From the assignment on the new machine is told, also of the end."""
    async with running() as table:
        conn, first, peer = connected(table)
        conn.machine = second = Recorder(conn)
        peer.send(b"to the second")
        await all_quiet()
        conn.abort()
        await all_quiet()
        assert first.told == []
        assert second.told == ["received", "closed"]
