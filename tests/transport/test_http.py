"""The HTTP machine on a connection without a socket; h11's client judges what it writes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.transport.http_message import SAFETY, Request, Response, encode
from hubbub.transport.http_route import Respond

from .http_world import GET, MAX_BODY, Recorder, World, cut, only, responses


@pytest.mark.parametrize(
    ("line", "keeps"),
    [
        (b"HTTP/1.1\r\nHost: x\r\n", True),
        (b"HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", False),
        (b"HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n", False),
        (b"HTTP/1.0\r\n", False),
        (b"HTTP/1.0\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_keep_alive(line: bytes, keeps: bool) -> None:
    """The connection stays open when the client wants it, and the answer says so."""
    world = World().send(b"GET /a " + line + b"\r\n" + GET)
    first = world.conn.take()
    assert (b"connection: keep-alive" in first) == keeps
    assert world.conn.is_closed == (not keeps)
    assert len(world.requests) == (2 if keeps else 1)


def test_head_request_has_no_body() -> None:
    """HEAD is answered with the length and without the body, also when it fails."""
    world = World().send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + GET + b"HEAD /broken HTTP/1.1\r\nHost: x\r\n\r\n")
    head, get, broken = responses(world.conn.take(), ["HEAD", "GET", "HEAD"])
    assert (head.headers[b"content-length"], head.body) == (b"3", b"")
    assert (get.body, broken.status) == (b"/a:", 500)


def test_expect_continue() -> None:
    """A client that waits is told to go on; one that does not wait is not."""
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    world = World().send(head)
    assert world.conn.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert only(world.send(b"ab")).body == b"/a:ab"
    whole = world.send(head + b"ab").conn.take()
    assert whole.startswith(b"HTTP/1.1 200 OK")
    assert only(world.send(head.replace(b"h: 2", b"h: 2000"))).status == 413


def test_pipelined_requests_are_served_in_order_over_turns() -> None:
    """Many requests in one piece are served in order, a bounded number per turn, and reading waits meanwhile."""
    world = World(steps_per_turn=4)
    wire = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(10))
    world.machine.received(wire)
    assert len(world.requests) == 4
    assert world.conn.is_paused
    assert world.conn.turns() == 2
    assert [each.head.path for each in world.requests] == [f"/{number}" for number in range(10)]
    assert not world.conn.is_paused
    assert len(responses(world.conn.take(), ["GET"] * 10)) == 10


def test_pipelined_behind_a_late_answer() -> None:
    """Requests behind one whose answer is owed wait, with reading paused, and nothing overtakes."""
    world = World().send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    assert not world.conn.is_paused
    world.send(GET)
    assert world.conn.is_paused
    assert world.conn.take() == b""
    world.owed[0](Response(202))
    world.conn.turns()
    assert [each.status for each in responses(world.conn.take(), ["GET", "GET"])] == [202, 200]
    assert not world.conn.is_paused


def test_no_answers_piled_up_for_a_peer_that_does_not_read() -> None:
    """While an answer is unsent no further request is served; it goes on when the socket takes bytes again."""
    world = World()
    world.conn.is_blocked = True
    world.send(GET + GET)
    assert world.requests == []
    assert world.conn.is_paused
    world.conn.is_blocked = False
    world.machine.writable()
    assert len(world.requests) == 2
    assert not world.conn.is_paused


def test_answered_exactly_once() -> None:
    """A second answer to the same request is a bug of the caller and changes nothing."""
    world = World().send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    world.owed[0](Response(200))
    written = world.conn.take()
    with pytest.raises(RuntimeError):
        world.owed[0](Response(200))
    world.send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(RuntimeError):
        world.owed[0](Response(200))
    assert written
    assert world.conn.take() == b""


def test_answer_after_the_connection_has_gone() -> None:
    """The hook tells the endpoint once; its late answer is ignored."""
    world = World().send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    world.machine.closed()
    assert world.closed_hooks == 1
    world.owed[0](Response(200))
    assert world.conn.take() == b""


def test_hook_is_forgotten_with_the_answer() -> None:
    """A connection that closes after the answer is nobody's concern."""
    world = World().send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    world.owed[0](Response(200))
    world.machine.closed()
    assert world.closed_hooks == 0


@pytest.mark.parametrize("path", [b"/broken", b"/badroute"])
def test_our_bug_is_answered_without_details(path: bytes) -> None:
    """An exception from handler or router is reported to us; the peer sees a bare 500, then the connection closes."""
    world = World().send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path + GET)
    seen = only(world)
    assert (seen.status, seen.headers[b"content-type"]) == (500, b"application/problem+json")
    assert json.loads(seen.body)["status"] == 500
    assert b"secret" not in seen.body
    assert len(world.errors) == 1
    assert world.conn.is_closed


def test_response_header_that_breaks_its_line() -> None:
    """A header with a line end is refused before anything is written."""
    with pytest.raises(ValueError, match="line end"):
        encode(Response(200, (("a", "b\r\nc: d"),)), keep_alive=True)


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_body(status: int) -> None:
    """204 and 304 have no body and announce none."""
    (seen,) = responses(encode(Response(status, (), b"no"), keep_alive=True), ["GET"])
    safety = {name.encode(): value.encode() for name, value in SAFETY}
    assert (seen.status, seen.body, seen.headers) == (status, b"", {**safety, b"connection": b"keep-alive"})


# Deadlines and ends


def test_deadlines() -> None:
    """Each wait has its own deadline: head, idle, head again, body, answer."""
    world = World()
    seen = [world.conn.deadline_s]
    for chunk in (GET, GET[:9], GET[9:], b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", b"x"):
        world.send(chunk)
        seen.append(world.conn.deadline_s)
    assert seen == [10.0, 75.0, 10.0, 75.0, 30.0, 60.0]


def test_dribbling_does_not_move_the_deadline() -> None:
    """The head deadline counts from the first byte of the head."""
    world = World().send(GET[:5])
    world.conn.deadline_s = None
    assert world.send(GET[5:9]).conn.deadline_s is None


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"", None),
        (b"\r\n", None),
        (GET[:9], 408),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab", 408),
        (b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n", 503),
    ],
)
def test_timeout(wire: bytes, status: int | None) -> None:
    """An idle connection is closed silently, an unfinished request with 408, a lost answer with 503; then it is over."""
    world = World()
    if wire:
        world.send(wire)
    world.machine.timeout()
    assert world.conn.is_closed
    if status is None:
        assert world.conn.take() == b""
    else:
        assert only(world).status == status
    assert len(world.errors) == (1 if status == 503 else 0)
    for respond in world.owed:
        respond(Response(200))
    assert world.conn.take() == b""


def test_idle_timeout_while_the_answer_is_still_going_out() -> None:
    """A slow reader of a long answer is not idle."""
    world = World().send(GET)
    world.conn.is_blocked = True
    world.conn.deadline_s = None
    world.machine.timeout()
    assert not world.conn.is_closed
    assert world.conn.deadline_s == 75.0


def test_refused_input_is_read_and_thrown_away_for_a_while() -> None:
    """After a refusal the peer may finish sending, up to a bound and a deadline, so that it can read the answer."""
    world = World(max_discard_bytes=1_000).send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")
    assert only(world).status == 413
    assert (world.conn.is_closed, world.conn.deadline_s) == (False, 2.0)
    world.send(b"a" * 1_000)
    assert not world.conn.is_closed
    world.send(b"a")
    assert world.conn.is_closed
    other = World().send(b"\x16")
    other.conn.machine.timeout()
    assert other.conn.is_closed


def test_eof() -> None:
    """A peer that half-closes still gets its answers, those behind a late one included; then we close."""
    idle, partial, late = World(), World().send(GET[:9]), World()
    for world in (idle, partial):
        world.machine.eof()
        assert world.conn.is_closed
        assert world.conn.take() == b""
    late.send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n", GET)
    late.machine.eof()
    assert not late.conn.is_closed
    late.owed[0](Response(202))
    late.conn.turns()
    assert [each.status for each in responses(late.conn.take(), ["GET", "GET"])] == [202, 200]
    assert late.conn.is_closed


def test_drain() -> None:
    """Draining closes an idle connection at once and a busy one with its answer."""
    idle, busy = World().send(GET), World().send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    idle.machine.drain()
    busy.machine.drain()
    assert (idle.conn.is_closed, busy.conn.is_closed) == (True, False)
    busy.owed[0](Response(200))
    assert only(busy).headers[b"connection"] == b"close"
    assert busy.conn.is_closed


def test_stalled_peer_is_cut() -> None:
    """A peer that takes no bytes is given up."""
    world = World().send(GET)
    world.machine.stalled()
    assert world.conn.is_aborted


# Other owners


@given(st.binary(max_size=60), st.lists(st.integers(0, 200), max_size=6), st.booleans())
def test_cold_route_takes_every_byte_along(tail: bytes, cuts: list[int], first_hot: bool) -> None:
    """What leaves begins with the head of the cold request and holds all that was read behind it."""
    head = b"POST /cold HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n"
    world, unread = World(), b""
    for piece in cut((GET if first_hot else b"") + head + tail, cuts):
        if world.left is None:
            world.send(piece)
        else:
            unread += piece
    assert world.left is not None
    assert world.left + unread == head + tail
    assert world.conn.deadline_s is None
    assert len(world.requests) == first_hot


def test_cold_route_waits_for_earlier_answers() -> None:
    """The socket does not leave with unsent bytes; what is read meanwhile leaves with it."""
    world = World()
    answer = world.answer

    def answer_and_block(request: Request, respond: Respond) -> None:
        answer(request, respond)
        world.conn.is_blocked = True

    world.answer = answer_and_block  # type: ignore[method-assign]
    cold = b"GET /cold HTTP/1.1\r\nHost: x\r\n\r\n"
    world.send(GET, cold)
    assert world.left is None
    assert world.conn.is_paused
    world.conn.is_blocked = False
    world.machine.writable()
    assert world.left == cold


@pytest.mark.parametrize("path", [b"/ws", b"/events"])
def test_swap(path: bytes) -> None:
    """Another machine takes the connection over, with the bytes behind the head, and this one is out of it."""
    wire = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" % path
    world = World().send(GET, wire[:30], wire[30:] + b"\x81\x80", b"more")
    machine = world.conn.machine
    assert isinstance(machine, Recorder)
    assert (machine.head.upgrade, machine.data) == (True, b"\x81\x80more")
    assert world.conn.deadline_s is None
    assert len(responses(world.conn.take(), ["GET"])) == 1


@pytest.mark.parametrize(
    ("length", "body"), [(b"Content-Length: 2", b"hi"), (b"Transfer-Encoding: chunked", b"2\r\nhi\r\n0\r\n\r\n")]
)
@pytest.mark.parametrize("pieces", [1, 3])
def test_swap_behind_a_body(length: bytes, body: bytes, pieces: int) -> None:
    """The machine that takes over is given the whole request first, then the bytes behind it."""
    wire = b"POST /posted HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n%bmore" % (length, body)
    cut = len(wire) - 6
    world = World().send(GET, *([wire] if pieces == 1 else [wire[:9], wire[9:cut], wire[cut:]]))
    machine = world.conn.machine
    assert isinstance(machine, Recorder)
    assert (world.requests[-1].body, machine.data) == (b"hi", b"more")
    assert world.conn.deadline_s is None
    assert len(responses(world.conn.take(), ["GET"])) == 1


def test_swap_behind_a_body_that_is_too_long() -> None:
    """It is refused before it is read, and no machine is made."""
    world = World().send(b"POST /posted HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1))
    assert world.requests == []
    assert [each.status for each in responses(world.conn.take(), ["POST"])] == [413]


def test_h2c_upgrade_is_ignored() -> None:
    """An offer to speak HTTP/2 is answered in HTTP/1.1."""
    world = World().send(
        b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n" + GET
    )
    assert [each.status for each in responses(world.conn.take(), ["GET", "GET"])] == [200, 200]
