"""The layer between table and machine, on a fake connection: what it promises above, and what it asks of below."""

from __future__ import annotations

import json
import ssl

import pytest

from hubbub.transport.certificates import load
from hubbub.transport.ports import Connection, Machine
from hubbub.transport.tls_connection import PLAIN_HTTP, TlsConnection, TlsMachine, machine_of
from hubbub.transport.tls_session import TlsSession
from hubbub.transport.tls_settings import TlsSettings

from ..certificates import make_certificate
from .fakes import FakeConnection, NoMachine
from .test_tls_session import Peer


class Recorder(NoMachine):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.data = b""

    def received(self, data: bytes) -> None:
        self.data += data

    def writable(self) -> None:
        self.told.append("writable")

    def stalled(self) -> None:
        self.told.append("stalled")

    def timeout(self) -> None:
        self.told.append("timeout")

    def eof(self) -> None:
        self.told.append("eof")

    def closed(self) -> None:
        self.told.append("closed")

    def again(self) -> None:
        self.told.append("again")


class Full(FakeConnection):
    """Keeps writes while it is blocked, as the table's connection does."""

    def push(self, data: bytes) -> bool:
        self.pushed = getattr(self, "pushed", 0) + 1
        return super().push(data)


class Line:
    """A layer on a fake connection, and a client."""

    def __init__(self, context: ssl.SSLContext, client: ssl.SSLContext) -> None:
        self.below = Full()
        self.machine = TlsMachine(self.below, TlsSession(context))
        self.below.machine = self.machine
        self.peer = Peer(client)
        self.recorder = Recorder()
        self.welcomed = 0
        self.machine.greet(7, self.welcome)

    def welcome(self, conn: TlsConnection) -> None:
        self.welcomed += 1
        conn.machine = self.recorder

    @property
    def above(self) -> TlsConnection:
        return self.machine.above

    def shake(self) -> None:
        while not (self.peer.step() and self.welcomed):
            if hello := self.peer.outgoing.read():
                self.machine.received(hello)
            self.peer.incoming.write(self.below.take())

    def heard(self) -> bytes:
        """What the client has got since."""
        return self.peer.read(self.below.take())


def as_ports(line: Line) -> tuple[Connection, Machine]:
    """Checked by the type checker: the layer is both."""
    return line.above, line.machine


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    made = make_certificate(tmp_path_factory.mktemp("tls"))
    return load(TlsSettings(cert=made.cert, key=made.key)), made.client()


@pytest.fixture
def line(contexts):
    return Line(*contexts)


@pytest.fixture
def open_line(line):
    line.shake()
    return line


def test_the_machine_comes_with_the_end_of_the_handshake(line):
    """Not before; the handshake's deadline goes with it, and words in the same piece reach it."""
    assert line.below.deadline_s == 7
    line.peer.step()
    line.machine.received(line.peer.outgoing.read())
    assert line.welcomed == 0
    line.peer.incoming.write(line.below.take())
    assert line.peer.step()
    line.machine.received(line.peer.outgoing.read() + line.peer.write(b"hello"))
    assert (line.welcomed, line.recorder.data) == (1, b"hello")
    assert line.below.deadline_s is None
    assert machine_of(line.below) is line.recorder


def test_bytes_go_both_ways_in_order(open_line):
    """Pushes and writes as they were called, input as it was sent; the rest of the connection is the one below."""
    assert open_line.above.push(b"a" * 50_000)
    open_line.above.write(b"b")
    assert open_line.heard() == b"a" * 50_000 + b"b"
    open_line.machine.received(open_line.peer.write(b"c" * 50_000))
    assert open_line.recorder.data == b"c" * 50_000
    open_line.above.again()
    assert open_line.below.turns() == 1
    for call in (open_line.machine.writable, open_line.machine.stalled, open_line.machine.timeout):
        call()
    assert open_line.recorder.told == ["again", "writable", "stalled", "timeout"]
    assert open_line.above.peer == open_line.below.peer


def test_a_push_that_is_not_taken_is_kept_once(open_line):
    """Sealed bytes cannot be taken back: they wait, and the next push is refused without being sealed."""
    open_line.below.room_for = 0
    assert open_line.above.push(b"first")
    assert open_line.above.blocked
    assert not open_line.above.push(b"second")
    assert open_line.below.pushed == 1
    open_line.below.room_for, open_line.below.is_blocked = None, False
    assert open_line.above.push(b"third")
    assert open_line.heard() == b"firstthird"


def test_a_push_to_the_dead_is_refused(open_line):
    """Nobody must think that a lost connection takes pushes for ever."""
    open_line.below.is_aborted = True
    assert not open_line.above.push(b"x")
    open_line.above.abort()
    assert not open_line.above.push(b"x")


def test_closing_says_the_end_behind_the_last_byte(open_line):
    """The client can tell it from a cut; nothing more is taken."""
    open_line.above.write(b"last")
    open_line.above.close()
    open_line.above.close()
    open_line.above.write(b"more")
    assert not open_line.above.push(b"more")
    assert open_line.below.is_closed
    assert open_line.heard() == b"last"
    with pytest.raises(ssl.SSLZeroReturnError):
        open_line.peer.tls.unwrap() or open_line.peer.tls.read(1)
    open_line.machine.received(b"garbage")
    assert "eof" not in open_line.recorder.told


@pytest.mark.parametrize("end", ["stalled", "timeout"])
def test_closing_while_blocked_waits_for_the_reader(contexts, end):
    """The end follows when the rest has gone; a reader that takes nothing, or too long, is cut off."""
    for patient in (True, False):
        line = Line(*contexts)
        line.shake()
        line.below.is_blocked = True
        line.above.write(b"rest")
        line.above.close()
        assert (line.below.is_closed, line.below.is_paused, line.below.deadline_s) == (False, True, 20.0)
        if patient:
            line.below.is_blocked = False
            line.machine.writable()
            assert line.below.is_closed
            assert line.heard() == b"rest"
        else:
            getattr(line.machine, end)()
            assert line.below.is_aborted
        assert line.recorder.told == []


def test_the_clients_end_is_told_once(open_line):
    """By close_notify, then by the socket; it can still be answered."""
    words = open_line.peer.write(b"bye")
    with pytest.raises(ssl.SSLWantReadError):
        open_line.peer.tls.unwrap()
    open_line.machine.received(words + open_line.peer.outgoing.read())
    open_line.machine.eof()
    assert (open_line.recorder.data, open_line.recorder.told) == (b"bye", ["eof"])
    open_line.above.write(b"answer")
    assert open_line.heard() == b"answer"


def test_an_end_without_a_word_is_told_too(open_line):
    """Many programs close their sockets and say nothing."""
    open_line.machine.eof()
    open_line.machine.closed()
    assert open_line.recorder.told == ["eof", "closed"]
    assert open_line.above.machine is not open_line.recorder


@pytest.mark.parametrize("how", ["timeout", "stalled", "eof"])
def test_a_handshake_that_goes_nowhere_is_cut(line, how):
    """In time, for want of reading, and when the peer leaves; nobody above is told."""
    line.machine.received(b"\x16\x03")
    getattr(line.machine, how)()
    assert line.below.is_aborted
    line.machine.closed()
    assert line.recorder.told == []


def test_plain_http_is_told_to_come_by_https(line):
    """A problem document in plain words, and the end."""
    line.machine.received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    assert bytes(line.below.written) == PLAIN_HTTP
    assert PLAIN_HTTP.startswith(b"HTTP/1.1 400 ")
    assert json.loads(PLAIN_HTTP.partition(b"\r\n\r\n")[2])["code"] == "invalid_request"
    assert line.below.is_closed


@pytest.mark.parametrize("garbage", [b"\x00\x01\x02", b"\xff" * 70_000, b"\x80\x2e\x01\x00\x02"])
def test_garbage_gets_no_answer(line, garbage):
    """What is neither TLS nor words is closed."""
    line.machine.received(garbage)
    assert (bytes(line.below.written), line.below.is_closed) == (b"", True)


def test_a_bad_hello_gets_an_alert(line):
    """And a gentle end, so that the peer reads it."""
    line.machine.received(b"\x16\x03\x01\x00\x05hello")
    assert line.below.written[:1] == b"\x15"
    assert line.below.is_closed


def test_a_broken_record_cuts_the_connection(open_line):
    """An alert, and nothing goes on above; of the bad record nothing is passed on."""
    sealed = bytearray(open_line.peer.write(b"hello"))
    sealed[-1] ^= 1
    open_line.machine.received(bytes(sealed))
    assert open_line.recorder.data == b""
    assert open_line.below.is_aborted
    assert not open_line.above.push(b"x")
    assert open_line.below.written
