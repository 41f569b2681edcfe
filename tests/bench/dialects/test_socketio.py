"""The dialect `socketio` against packets as the protocol pages show them, cut anywhere."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.dialects import Answer, Closed, Join, Pinged, Publication
from hubbub.bench.dialects.socketio import SocketIo
from hubbub.bench.dialects.sockets import ENVELOPE
from hubbub.bench.wire import WireError

from .serving import MASK, Serving, feed_cut

CUTS = st.lists(st.integers(1, 90), max_size=12)
OPEN = '0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'


def opening(room: str | None = "r"):
    handshake = SocketIo().handshake(Join(host="h", token="", room=room, mask=MASK))
    return handshake, Serving(handshake)


def words(data: bytes):
    frames, rest_at = SocketIo().split(data)
    assert rest_at == len(data)
    return [word for frame in frames for word in SocketIo().words(frame, MASK)]


def event(offset: int, text: str) -> str:
    return "42" + json.dumps(["event", offset, ENVELOPE + text])


@given(CUTS, CUTS, CUTS)
def test_a_reader_joins_wherever_its_bytes_are_cut(first: list[int], second: list[int], third: list[int]) -> None:
    """Open, connect and join follow each other; pings of both layers are answered; the rest is handed on."""
    handshake, server = opening()
    assert server.path == "/socket.io/?EIO=4&transport=websocket"
    assert server.read(feed_cut(handshake, server.accepted + server.text(OPEN), first).send) == ["40"]
    pings = server.text("2") + server.ping(b"p")
    said = server.read(feed_cut(handshake, pings + server.text('40{"sid":"t"}'), second).send)
    assert said == ["3", "pong p", '420["join","r"]']
    behind = server.text(event(8, "x"))
    step = feed_cut(handshake, server.text("6") + server.text("430[7]") + behind, third)
    assert step.joined is not None
    assert (step.joined.offset, step.joined.missed, step.joined.rest) == (7, [], behind)


def test_events_before_the_answer_count_once() -> None:
    """Those that the answer's offset covers are dropped, later ones are missed events."""
    handshake, server = opening()
    handshake.feed(server.accepted + server.text(OPEN) + server.text('40{"sid":"t"}'))
    early = server.text(event(4, "a")) + server.text(event(5, "b")) + server.text(event(6, "c"))
    step = handshake.feed(early + server.text("430[4]"))
    assert step.joined is not None
    assert step.joined.offset == 6
    assert step.joined.missed == [Publication(5, "b"), Publication(6, "c")]


def test_a_poster_is_live_when_connected() -> None:
    """Without a room no join is sent."""
    handshake, server = opening(None)
    step = handshake.feed(server.accepted + server.text(OPEN) + server.text('40{"sid":"t"}'))
    assert server.read(step.send) == ["40"]
    assert step.joined is not None
    assert step.joined.offset == 0


@given(st.integers(0, 2**31), st.text(max_size=200), st.binary(min_size=4, max_size=4))
def test_a_post_comes_back_as_an_event(command_id: int, text: str, mask: bytes) -> None:
    """The text survives the way up and down, and the answer carries the command's id."""
    _, server = opening()
    (posted,) = server.read(SocketIo().publish(command_id, "r", text, "k", mask))
    wanted, _, payload = posted[2:].partition("[")
    name, room, body = json.loads("[" + payload)
    assert (posted[:2], name, room) == ("42", "post", "r")
    back = server.text("42" + json.dumps(["event", 9, body])) + server.text(f"43{wanted}[]")
    assert words(back) == [Publication(9, text), Answer(command_id)]


def test_signs_of_life_and_of_the_end() -> None:
    """Pings of both layers are answered, closing packets and frames end the connection, a no-op says nothing."""
    _, server = opening()
    pinged = words(server.text("2") + server.ping(b"p"))
    assert all(isinstance(word, Pinged) for word in pinged)
    assert server.read(b"".join(word.reply for word in pinged)) == ["3", "pong p"]
    assert words(server.text("6")) == []
    closed = [word for data in (server.text("1"), server.text("41"), b"\x88\x02\x03\xe8") for word in words(data)]
    assert [type(word) for word in closed] == [Closed] * 3


@pytest.mark.parametrize("text", ["", "5", "42[]", '42["other",1,"x"]', '42["event","1","x"]', "43[]", "4"])
def test_what_no_peer_says_is_an_error(text: str) -> None:
    """Packets outside the protocol end the connection."""
    _, server = opening()
    with pytest.raises(WireError):
        words(server.text(text))


@pytest.mark.parametrize("text", ['44{"message":"no"}', "1", "430[]", '430["x"]', "437[1]", "43[1]", "x"])
def test_a_refused_connection_is_an_error(text: str) -> None:
    """A refusal, an end and an answer to something else do not join."""
    handshake, server = opening()
    handshake.feed(server.accepted + server.text(OPEN) + server.text('40{"sid":"t"}'))
    with pytest.raises(WireError):
        handshake.feed(server.text(text))
