"""The client's frames and handshake, held against wsproto and the WebSocket standard's own example."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from hubbub.bench import wire

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nsec-WebSocket-accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


@given(st.text(max_size=300) | st.integers(65_530, 65_540).map(lambda n: "y" * n), st.binary(min_size=4, max_size=4))
def test_a_client_frame_reads_back(text: str, mask: bytes) -> None:
    """wsproto's server understands every frame, of all three length forms."""
    server = Connection(ConnectionType.SERVER)
    server.receive_data(wire.frame(text.encode(), mask))
    assert "".join(event.data for event in server.events() if isinstance(event, TextMessage)) == text


@given(st.lists(st.text(max_size=200) | st.just("z" * 70_000), max_size=4), st.data())
def test_whole_frames_are_split_and_the_unfinished_one_left(texts: list[str], data: st.DataObject) -> None:
    """Any prefix of the bytes gives the frames that are whole in it and says where the rest begins."""
    server = Connection(ConnectionType.SERVER)
    raws = [server.send(TextMessage(data=text)) for text in texts]
    whole = b"".join(raws)
    size = data.draw(st.integers(0, len(whole)))
    frames, rest_at = wire.split(whole[:size])
    assert [f.body.decode() for f in frames] == texts[: len(frames)]
    assert rest_at == sum(map(len, raws[: len(frames)]))
    assert len(frames) == len(texts) or size < sum(map(len, raws[: len(frames) + 1]))


@pytest.mark.parametrize("data", [b"\x01\x02{}", b"\x82\x02{}", b"\x81\x82mask{}", b"HT"])
def test_frames_that_no_server_of_ours_sends_are_refused(data: bytes) -> None:
    """Fragments, binary, masked frames and plain text end in an error."""
    with pytest.raises(wire.WireError):
        wire.split(data)


def test_the_upgrade_is_checked_with_the_key() -> None:
    """The standard's example pair is accepted, at any cut, and what follows is handed back."""
    assert wire.upgraded(ACCEPTED + b"rest", KEY) == b"rest"
    assert all(wire.upgraded(ACCEPTED[:n], KEY) is None for n in range(len(ACCEPTED)))


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 Busy\r\n\r\n", ACCEPTED.replace(b"s3p", b"xxx"), b"x" * 20_000])
def test_anything_else_is_no_upgrade(answer: bytes) -> None:
    """A refusal, a wrong accept value and an endless head are errors."""
    with pytest.raises(wire.WireError):
        wire.upgraded(answer, KEY)


def test_documents_are_one_a_line() -> None:
    """Replies and pushes in one frame are told apart, unknown fields are passed over."""
    reply, push, ping = wire.documents(
        b'{"id":2,"subscribe":{"offset":7,"epoch":"e"}}\n{"push":{"pub":{"data":{"message":{"text":"hi"}},"offset":8}}}\n{}\n'
    )
    assert reply.subscribe == wire.Subscribed(7, "e")
    assert push.push == wire.Push(wire.Publication(wire.Event(wire.Message("hi")), 8))
    assert ping == wire.Document()


def test_a_broken_document_is_a_wire_error() -> None:
    """Invalid JSON from the server ends the connection, not the generator."""
    with pytest.raises(wire.WireError):
        wire.documents(b'{"id":')
