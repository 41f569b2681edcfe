"""The dialect `plain` against frames made and read by wsproto, cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.dialects import Answer, Closed, Join, Pinged, Publication
from hubbub.bench.dialects.plain import Plain
from hubbub.bench.dialects.sockets import ENVELOPE
from hubbub.bench.wire import WireError

from .serving import MASK, Serving, feed_cut

CUTS = st.lists(st.integers(1, 60), max_size=12)


def opening(room: str | None = "r"):
    handshake = Plain().handshake(Join(host="h", token="", room=room, mask=MASK))
    return handshake, Serving(handshake)


def words(data: bytes):
    frames, rest_at = Plain().split(data)
    assert rest_at == len(data)
    return [word for frame in frames for word in Plain().words(frame, MASK)]


@given(CUTS, CUTS, st.integers(0, 2**40))
def test_a_reader_joins_wherever_its_bytes_are_cut(first: list[int], second: list[int], offset: int) -> None:
    """The join goes out after the upgrade, pings are answered, and what follows the answer is handed on."""
    handshake, server = opening()
    assert server.read(feed_cut(handshake, server.accepted, first).send) == ["join r"]
    behind = server.text("event 1 x")
    step = feed_cut(handshake, server.ping(b"here?") + server.text(f"joined {offset}") + behind, second)
    assert server.read(step.send) == ["pong here?"]
    assert step.joined is not None
    assert (step.joined.offset, step.joined.rest) == (offset, behind)


@given(CUTS)
def test_a_poster_is_live_with_the_upgrade(sizes: list[int]) -> None:
    """Without a room nothing is said, and nothing waited for."""
    handshake, server = opening(None)
    step = feed_cut(handshake, server.accepted + server.text("ok 1"), sizes)
    assert step.joined is not None
    assert (step.send, step.joined.offset, step.joined.rest) == (b"", 0, server.text("ok 1"))


@given(st.integers(0, 2**31), st.text(max_size=200), st.binary(min_size=4, max_size=4))
def test_a_post_comes_back_as_an_event(command_id: int, text: str, mask: bytes) -> None:
    """The server that hands the body on sends the text that was posted, spaces and line ends included."""
    _, server = opening()
    (posted,) = server.read(Plain().publish(command_id, "r", text, "k", mask))
    assert posted == f"post {command_id} r {ENVELOPE}{text}"
    body = posted.split(" ", 3)[3]
    assert words(server.text(f"event 7 {body}") + server.text(f"ok {command_id}")) == [
        Publication(7, text),
        Answer(command_id),
    ]


def test_control_frames_are_understood() -> None:
    """A ping is answered with its body, a close ends the connection, a pong says nothing."""
    _, server = opening()
    (pinged,) = words(server.ping(b"x"))
    assert isinstance(pinged, Pinged)
    assert server.read(pinged.reply) == ["pong x"]
    assert words(b"\x88\x04\x03\xf1by") == [Closed("1009 by")]
    assert words(b"\x8a\x00") == []


@pytest.mark.parametrize("text", ["hello", "event x y", "ok", "joined 1", ""])
def test_what_no_peer_says_is_an_error(text: str) -> None:
    """Messages outside the protocol end the connection."""
    _, server = opening()
    with pytest.raises(WireError):
        words(server.text(text))


@pytest.mark.parametrize("text", ["joined", "joined x", "ok 1", "event 1 x"])
def test_another_answer_to_the_join_is_an_error(text: str) -> None:
    """A join is answered by its offset or not at all."""
    handshake, server = opening()
    handshake.feed(server.accepted)
    with pytest.raises(WireError):
        handshake.feed(server.text(text))


def test_a_close_while_joining_is_an_error() -> None:
    """The connection is not taken for live."""
    handshake, server = opening()
    handshake.feed(server.accepted)
    with pytest.raises(WireError, match="closed while joining"):
        handshake.feed(b"\x88\x02\x03\xe8")


def test_a_handshake_that_does_not_end_is_given_up() -> None:
    """What is kept of an unfinished answer is bounded."""
    handshake, server = opening()
    handshake.feed(server.accepted)
    with pytest.raises(WireError, match="does not end"):
        handshake.feed(b"\x81\x7f" + (1 << 30).to_bytes(8, "big") + bytes(1 << 20))
