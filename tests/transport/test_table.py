"""Tests of transport/table.py: many real sockets, turns, accepting, the end."""

import contextlib
import gc
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import trio

from hubbub.transport.table import Table, TableSettings

from ..logs import capture_logs
from .machines import Echo, Swallow
from .quiet import all_quiet


@contextlib.asynccontextmanager
async def serving(make_machine=Echo, **bounds):
    """A running table with one listener, and the address of that."""
    table = Table(TableSettings(**bounds))
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    address = listener.getsockname()
    table.listen(listener, make_machine)
    async with trio.open_nursery() as nursery:
        await nursery.start(table.run)
        yield table, address
        nursery.cancel_scope.cancel()


def open_descriptors():
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


async def receive_all(stream):
    return b"".join([piece async for piece in stream])


async def test_an_accepted_connection_is_served_at_once_and_without_delay():
    """Bytes come back, the peer's address is known, Nagle's delay is off, and the end is told once."""
    async with serving() as (table, address):
        client = await trio.open_tcp_stream(*address)
        await client.send_all(b"hello")
        assert await client.receive_some() == b"hello"
        [conn] = table.connections()
        machine = conn.machine
        assert conn.peer == client.socket.getsockname()
        with socket.fromfd(conn.fd, socket.AF_INET, socket.SOCK_STREAM) as same:
            assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await client.aclose()
        await all_quiet()
        assert machine.told == ["eof", "closed"]
        assert table.statistics().connections == 0


async def test_a_flood_starves_neither_a_neighbour_nor_another_task():
    """While one peer's megabytes are read, a turn each goes to its neighbours and to the rest of the program."""
    machines = []

    def make(conn):
        machines.append((Swallow if not machines else Echo)(conn))
        return machines[-1]

    async with serving(make, recv_bytes=100) as (table, address):
        flood, neighbour = await trio.open_tcp_stream(*address), await trio.open_tcp_stream(*address)
        await all_quiet()
        flood.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        [conn] = [conn for conn in table.connections() if conn.machine is machines[0]]
        conn.pause()
        sent = await flood.socket.send(b"f" * 60_000)
        await neighbour.send_all(b"ping")
        conn.resume()
        assert await neighbour.receive_some() == b"ping"
        assert machines[0].received_bytes <= 2000
        laps = 0
        while machines[0].received_bytes < sent:
            await trio.lowlevel.checkpoint()
            laps += 1
        assert laps >= 400
        await flood.aclose()
        await neighbour.aclose()


async def test_ready_sockets_beyond_a_turns_bound_wait_for_the_next():
    """A turn takes no more than its bound, and everyone is served in the end."""
    async with serving(ready_per_turn=5) as (table, address):
        clients = [await trio.open_tcp_stream(*address) for _ in range(20)]
        await all_quiet()
        before = table.statistics().turns
        for client in clients:
            await client.socket.send(b"x")
        for client in clients:
            assert await client.receive_some() == b"x"
        assert table.statistics().turns - before >= 4
        for client in clients:
            await client.aclose()


class Costly(Swallow):
    """Takes a millisecond of a clock that is set by hand, and notes how often the rest of the program had run by then."""

    def __init__(self, conn, spent_s, laps, again=False):
        super().__init__(conn)
        self.spent_s, self.laps, self.asks_again, self.at_laps = spent_s, laps, again, []

    def received(self, data):
        self.spent_s[0] += 0.001
        self.at_laps.append(self.laps[0])
        if self.asks_again:
            self.conn.again()

    def again(self):
        self.spent_s[0] += 0.001
        self.conn.again()


@pytest.mark.parametrize("greedy", [0, 30])
async def test_a_turn_ends_in_time_and_goes_on_with_who_was_left(greedy):
    """However many are ready, the rest of the program runs every few milliseconds, and nobody is forgotten or served twice."""
    spent_s, laps, machines, clients = [0.0], [0], [], []
    table = Table(TableSettings(turn_s=0.005), clock=lambda: trio.current_time() + spent_s[0])
    with contextlib.ExitStack() as stack:
        for number in range(40 + greedy):
            ours, theirs = socket.socketpair()
            clients.append(stack.enter_context(theirs))
            machines.append(table.adopt(ours, lambda conn, n=number: Costly(conn, spent_s, laps, n < greedy)).machine)
            theirs.send(b"x")
        async with trio.open_nursery() as nursery:
            await nursery.start(table.run)
            with trio.fail_after(10):
                while not all(machine.at_laps for machine in machines):
                    laps[0] += 1
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    served = [lap for machine in machines for lap in machine.at_laps]
    assert len(served) == 40 + greedy
    assert max(served.count(lap) for lap in served) <= 12, "a lap may see the end of one turn and the begin of the next"
    assert laps[0] >= 5


@pytest.mark.parametrize("method", ["received", "again", "writable", "timeout", "stalled", "eof", "closed", "__init__"])
async def test_a_machines_exception_ends_its_connection_only(patient_clock, method):
    """Wherever a machine fails, its connection closes, a neighbour goes on, and the log holds none of its bytes."""
    machines = []

    def explode(*_):
        raise ValueError("secret")

    def make(conn):
        if method == "__init__" and not machines:
            machines.append(None)
            explode()
        machines.append(Echo(conn))
        if len(machines) == 1:
            setattr(machines[0], method, explode)
        return machines[-1]

    with capture_logs() as logs:
        async with serving(make, stall_s=1) as (table, address):
            bad = await trio.open_tcp_stream(*address)
            await all_quiet()
            good = await trio.open_tcp_stream(*address)
            await all_quiet()
            if method != "__init__":
                conn = machines[0].conn
                conn.again()
                conn.set_deadline(2)
                await bad.send_all(b"secret")
                if method in ("writable", "stalled"):
                    while not conn.blocked:
                        conn.push(b"x" * 100_000)
                    if method == "stalled":
                        await trio.sleep(5)
                with contextlib.suppress(trio.BrokenResourceError):
                    while method == "writable" and await bad.receive_some():
                        pass
                if method in ("eof", "closed"):
                    await bad.send_eof()
                await trio.sleep(5)
            assert table.statistics().connections == 1
            await good.send_all(b"still here")
            assert await good.receive_some() == b"still here"
            assert table.statistics().failures == 1
            await bad.aclose()
            await good.aclose()
    [entry] = logs
    assert entry["event"] == "table.machine_failed"
    assert entry["error"] == "ValueError"
    assert "secret" not in repr({key: value for key, value in entry.items() if key != "traceback"})
    assert "explode" in entry["traceback"]


async def test_thousands_of_connections_leave_nothing_behind():
    """Connects and closes of every kind leak neither a descriptor nor a place in the table."""
    async with serving(drain_s=0.1, tick_s=0.05) as (table, address):
        before = open_descriptors()
        for number in range(3000):
            with socket.create_connection(address) as client:
                if number % 3 == 1:
                    client.send(b"x")
                elif number % 3 == 2:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            if number % 100 == 0:
                await all_quiet()
        for _ in range(500):
            await trio.sleep(0.01)
            if table.statistics().closed == 3000:
                break
        assert table.statistics().accepted == table.statistics().closed == 3000
        assert table.statistics().connections == 0
        assert open_descriptors() == before


async def test_a_connection_over_the_limit_is_refused_readably():
    """The refusal arrives whole, although the request is never read; the place freed is given to the next."""
    async with serving(max_connections=2) as (table, address):
        first, second = [await trio.open_tcp_stream(*address) for _ in range(2)]
        await all_quiet()
        third = await trio.open_tcp_stream(*address)
        await third.send_all(b"GET / HTTP/1.1\r\n\r\n" * 1000)
        refusal = await receive_all(third)
        assert refusal == TableSettings().refusal
        assert refusal.startswith(b"HTTP/1.1 503 ")
        assert len(table.connections()) == 2
        assert table.statistics().refusals == 1
        await third.aclose()
        await first.aclose()
        await all_quiet()
        assert table.statistics().refusals == 0
        fourth = await trio.open_tcp_stream(*address)
        await fourth.send_all(b"in")
        assert await fourth.receive_some() == b"in"
        assert table.statistics().refused == 1
        await second.aclose()
        await fourth.aclose()


async def test_refusals_are_bounded_too():
    """Beyond the refusals under way a connection is closed with no ceremony."""
    async with serving(max_connections=1, max_refusals=3) as (table, address):
        clients = [socket.create_connection(address) for _ in range(20)]
        await all_quiet()
        assert table.statistics().connections == 4
        assert table.statistics().refused == 19
        for client in clients:
            client.close()


async def test_stop_accepting_closes_the_listeners_and_keeps_the_connections():
    """A draining server takes nobody new and still serves who is there."""
    async with serving() as (table, address):
        client = await trio.open_tcp_stream(*address)
        await client.send_all(b"a")
        assert await client.receive_some() == b"a"
        table.stop_accepting()
        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream(*address)
        await client.send_all(b"b")
        assert await client.receive_some() == b"b"
        await client.aclose()


async def test_cancelling_run_closes_every_socket_and_tells_every_machine():
    """After the end there is no descriptor, no task and no machine that waits; the table takes nothing more."""
    before = open_descriptors()
    ended = []

    async def wait_for_ever():
        try:
            await trio.sleep_forever()
        finally:
            ended.append("task")

    async with serving() as (table, address):
        clients = [socket.create_connection(address) for _ in range(50)]
        await all_quiet()
        machines = [conn.machine for conn in table.connections()]
        conns = table.connections()
        table.start_soon(wait_for_ever)
        await all_quiet()
        assert table.statistics().tasks == 1
        while not conns[0].blocked:
            conns[0].push(b"x" * 100_000)
    assert [machine.told for machine in machines] == [["closed"]] * 50
    assert ended == ["task"]
    assert not conns[1].push(b"x")
    conns[1].abort()
    with socket.socket() as late, pytest.raises(RuntimeError):
        table.adopt(late, Echo)
    with pytest.raises(RuntimeError):
        table.start_soon(trio.sleep, 0)
    with pytest.raises(RuntimeError):
        await table.run()
    for client in clients:
        client.close()
    assert open_descriptors() == before


async def test_a_tasks_exception_stays_its_own():
    """A failed task of start_soon is logged and ends no connection."""

    async def fail(word):
        raise KeyError(word)

    with capture_logs() as logs:
        async with serving() as (table, address):
            client = await trio.open_tcp_stream(*address)
            table.start_soon(fail, "secret")
            await client.send_all(b"x")
            assert await client.receive_some() == b"x"
            assert table.statistics().tasks == 0
            await client.aclose()
    assert [entry["event"] for entry in logs] == ["table.task_failed"]
    assert logs[0]["error"] == "KeyError"


EMFILE_SCRIPT = textwrap.dedent("""
    import logging, resource, socket, sys, time
    import trio
    from hubbub.transport.connection import Nobody
    from hubbub.transport.table import Table, TableSettings

    async def main():
        table = Table(TableSettings(tick_s=0.05, accept_pause_s=0.2))
        listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        address = listener.getsockname()
        table.listen(listener, lambda conn: Nobody())
        async with trio.open_nursery() as nursery:
            await nursery.start(table.run)
            clients = [socket.socket() for _ in range(10)]
            used = max(client.fileno() for client in clients) + 1
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + 4, used + 4))
            for client in clients:
                client.connect(address)
            cpu_s = time.process_time()
            await trio.sleep(1)
            statistics = table.statistics()
            print(statistics.accepted, statistics.turns < 40, time.process_time() - cpu_s < 0.5)
            for client in clients[:6]:
                client.close()
            with trio.fail_after(5):
                while table.statistics().accepted < 10:
                    await trio.sleep(0.02)
            print(table.statistics().failures)
            nursery.cancel_scope.cancel()

    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    trio.run(main)
""")


def test_running_out_of_descriptors_neither_spins_nor_ends_the_table():
    """With no descriptor left the listener rests, one line is logged, and accepting goes on when there is room."""
    done = subprocess.run([sys.executable, "-c", EMFILE_SCRIPT], capture_output=True, text=True, timeout=30)
    said = done.stdout.splitlines()
    assert [line for line in said if "accept_failed" not in line] == ["4 True True", "0"], done.stderr
    assert len(said) == 3
    assert "EMFILE" in done.stdout


def test_refused_settings_are_named():
    """A bound of nothing is a mistake, said at once."""
    with pytest.raises(ValueError, match="max_connections"):
        TableSettings(max_connections=0)
