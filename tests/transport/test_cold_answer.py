"""An answer as a connection, without HTTP/2: the promises that machines rely on, on a clock that costs nothing."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
import trio

from hubbub.transport.cold_answer import AnswerConnection, AnswerSettings
from hubbub.transport.ports import Connection

from .fakes import NoMachine

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nConnection: close\r\nX-Odd: a: b\r\nupgrade: x\r\n\r\n"


class Machine(NoMachine):
    """Notes what it is told, and does what a test says."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.told: list[tuple[str, float]] = []
        self.does: dict[str, Callable[[], None]] = {}

    def note(self, what: str) -> None:
        self.told.append((what, trio.current_time()))
        self.does.get(what, lambda: None)()

    def again(self) -> None:
        self.note("again")

    def writable(self) -> None:
        self.note("writable")

    def stalled(self) -> None:
        self.note("stalled")

    def timeout(self) -> None:
        self.note("timeout")

    def eof(self) -> None:
        self.note("eof")

    def closed(self) -> None:
        self.note("closed")

    def count(self, what: str) -> int:
        return sum(name == what for name, _ in self.told)


@attrs.define
class Reader:
    """The other end of an answer."""

    head: tuple[int, list[tuple[bytes, bytes]]] | None = None
    body: bytes = b""
    pieces: int = 0
    ended: bool = False
    takes: trio.Event = attrs.Factory(trio.Event)
    leaves: trio.Event = attrs.Factory(trio.Event)

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.head = (status, headers)

    async def send(self, data: bytes, last: bool) -> None:
        await self.takes.wait()
        assert not self.ended
        self.body += data
        self.pieces += 1
        self.ended = last


@attrs.define
class Served:
    conn: AnswerConnection
    reader: Reader
    made: list[Machine]
    ended: list[bool]

    @property
    def machine(self) -> Machine:
        return self.made[0]


@pytest.fixture
async def served(autojump_clock, nursery):
    """A machine that has been made, with a reader that takes everything."""
    reader, made, ended = Reader(), [], []
    reader.takes.set()
    conn = AnswerConnection(("127.0.0.1", 5), AnswerSettings(max_unsent_bytes=1_000, stall_s=9, linger_s=4))

    def make(conn: Connection) -> Machine:
        made.append(Machine(conn))
        return made[0]

    async def run() -> None:
        ended.append(await conn.serve(make, reader.start, reader.send, reader.leaves.wait))

    nursery.start_soon(run)
    await trio.sleep(0.1)
    return Served(conn, reader, made, ended)


async def test_a_head_and_a_body(autojump_clock, served):
    """The head of HTTP/1.1 becomes status and headers, those about the connection left out; what follows is the body."""
    served.conn.write(HEAD + b"one ")
    served.conn.write(b"two")
    await trio.sleep(1)
    assert served.reader.head == (200, [(b"content-type", b"text/plain"), (b"X-Odd", b"a: b")])
    assert served.reader.body == b"one two"
    served.conn.write(b" three")
    served.conn.close()
    await trio.sleep(1)
    assert (served.reader.body, served.reader.ended, served.ended) == (b"one two three", True, [True])
    assert served.machine.count("closed") == 1
    assert served.conn.peer == ("127.0.0.1", 5)


async def test_a_push_is_taken_or_refused(autojump_clock, served):
    """One at a time; the machine hears when the next may come."""
    served.conn.write(HEAD)
    await trio.sleep(1)
    served.reader.takes = trio.Event()
    before = served.machine.count("writable")
    assert served.conn.push(b"first")
    assert served.conn.blocked
    assert not served.conn.push(b"second")
    await trio.sleep(1)
    assert served.machine.count("writable") == before
    served.machine.does["writable"] = lambda: served.conn.push(b"third") if served.reader.body == b"first" else None
    served.reader.takes.set()
    await trio.sleep(1)
    assert served.reader.body == b"firstthird"
    assert not served.conn.blocked


async def test_what_waits_is_bounded(autojump_clock, served):
    """Control replies pile up to the bound; then the answer is cut."""
    served.conn.write(HEAD)
    await trio.sleep(1)
    served.reader.takes = trio.Event()
    for _ in range(20):
        served.conn.write(b"x" * 100)
    await trio.sleep(1)
    assert served.ended == [False]
    assert not served.conn.push(b"x")


async def test_a_reader_that_stops_is_told_from_a_slow_one(autojump_clock, served):
    """Every piece that is taken counts; without one for the stall time the machine hears of it, once."""
    served.conn.write(HEAD)
    await trio.sleep(1)
    began = trio.current_time()

    async def slow(data: bytes, last: bool) -> None:
        await trio.sleep(8)
        served.reader.body += data

    served.reader.takes = trio.Event()
    served.conn.push(b"x" * 100_000)
    await trio.sleep(8)
    assert served.machine.count("stalled") == 0
    await trio.sleep(100)
    assert [when - began for name, when in served.machine.told if name == "stalled"] == pytest.approx([9], abs=0.2)


async def test_closing_does_not_take_for_ever(autojump_clock, served):
    """A reader that takes nothing is given the linger time."""
    served.conn.write(HEAD)
    await trio.sleep(1)
    served.reader.takes = trio.Event()
    served.conn.write(b"last words")
    served.conn.close()
    assert not served.conn.push(b"x")
    await trio.sleep(3)
    assert served.ended == []
    await trio.sleep(2)
    assert served.ended == [False]
    assert [name for name, _ in served.machine.told if name in {"stalled", "timeout"}] == []


async def test_deadlines_and_turns(autojump_clock, served):
    """As the table keeps them: the last one asked for counts, and `again` comes once for however many askings."""
    began = trio.current_time()
    served.conn.set_deadline(5)
    served.conn.set_deadline(2)
    served.conn.again()
    served.conn.again()
    await trio.sleep(1)
    assert served.machine.count("again") == 1
    await trio.sleep(10)
    assert [when - began for name, when in served.machine.told if name == "timeout"] == pytest.approx([2], abs=0.2)
    served.conn.set_deadline(3)
    served.conn.set_deadline(None)
    await trio.sleep(10)
    assert served.machine.count("timeout") == 1
    with pytest.raises(RuntimeError):
        served.conn.release()


async def test_a_reader_that_leaves(autojump_clock, served):
    """The machine hears of it and then of the end, whatever was about to be sent."""
    served.conn.write(HEAD)
    await trio.sleep(1)
    served.reader.takes = trio.Event()
    served.conn.push(b"x")
    served.reader.leaves.set()
    await trio.sleep(0.1)
    assert [name for name, _ in served.machine.told[-2:]] == ["eof", "closed"]
    assert served.ended == [False]


async def test_an_answer_that_never_was(autojump_clock, served):
    """A machine that closes without a word has given no answer: that is ours to say."""
    served.conn.close()
    await trio.sleep(1)
    assert served.reader.head == (500, [])
    assert served.ended == [True]


async def test_a_machine_that_fails_is_told_of_its_end(autojump_clock):
    """Its exception goes to the lane."""
    made: list[Machine] = []
    reader = Reader()
    reader.takes.set()

    def fail() -> None:
        raise ZeroDivisionError

    def make(conn: Connection) -> Machine:
        made.append(Machine(conn))
        made[0].does["timeout"] = fail
        conn.set_deadline(1)
        return made[0]

    conn = AnswerConnection(None, AnswerSettings())
    with pytest.raises(ExceptionGroup):
        await conn.serve(make, reader.start, reader.send, reader.leaves.wait)
    assert made[0].count("closed") == 1
