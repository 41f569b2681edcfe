"""Event streams as the generator reads them: any cut of the bytes, resumes, resets and refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.dialects import Closed, Join, Joined, Publication
from hubbub.bench.dialects.events import EventStreams
from hubbub.bench.wire import WireError

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
OPENING = b'retry: 2000\n\nevent: stream.open\ndata: {"epoch":"e","offset":7}\n\n'
RESET = b'event: stream.reset\ndata: {"reason":"trimmed","epoch":"e","offset":7}\n\n'
EVENT = b'id: 8\nevent: message.created\ndata: {"message":{"text":"hi"}}\n\n'


def join(after: int | None = None) -> Join:
    return Join(host="h:1", token="t", room="r", after=after, epoch="e")


def opened(data: list[bytes], after: int | None = None) -> Joined:
    handshake = EventStreams().handshake(join(after))
    for number, chunk in enumerate(data):
        step = handshake.feed(chunk)
        if step.joined is not None:
            assert number == len(data) - 1
            return step.joined
    raise AssertionError("never joined")


def test_the_request_asks_for_what_is_wanted() -> None:
    """Room, token and position are in the request, and no position where none is wanted."""
    assert EventStreams().handshake(join(5)).start() == (
        b"GET /api/v1/conversations/r/events HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer t\r\n"
        b"Accept: text/event-stream\r\nLast-Event-ID: 5\r\n\r\n"
    )
    assert b"Last-Event-ID" not in EventStreams().handshake(join()).start()


@given(st.integers(1, len(HEAD + OPENING) - 1))
def test_an_opening_is_understood_however_it_is_cut(at: int) -> None:
    """Live from the head of the room; what follows the opening is kept."""
    data = HEAD + OPENING
    assert opened([data[:at], data[at:] + EVENT]) == Joined(offset=7, epoch="e", rest=EVENT)


def test_a_resume_goes_on_where_it_stood() -> None:
    """The offset asked for counts, unless the server says that it cannot be served."""
    assert opened([HEAD + OPENING], after=5) == Joined(offset=5, epoch="e")
    assert opened([HEAD + OPENING + RESET], after=5) == Joined(offset=7, epoch="e", rest=RESET, resumed=False)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 no\r\n\r\n", b"x" * 20_000])
def test_a_refusal_is_an_error(answer: bytes) -> None:
    """Another status, or a head without an end."""
    with pytest.raises(WireError):
        EventStreams().handshake(join()).feed(answer)


def test_blocks_are_read() -> None:
    """Events with an id count; comments, openings and ephemeral events say nothing; the end has its code."""
    dialect = EventStreams()
    ending = b'event: stream.end\ndata: {"code":"slow"}\n\n'
    typing = b'event: typing\ndata: {"type":"typing"}\n\n'
    frames, rest_at = dialect.split(b":\n\n" + OPENING + typing + EVENT + ending + b"id: 9")
    words = [word for frame in frames for word in dialect.words(frame, b"")]
    assert words == [Publication(8, "hi"), Closed("slow")]
    assert rest_at == len(b":\n\n" + OPENING + typing + EVENT + ending)


@pytest.mark.parametrize("block", [b"id: x\ndata: {}\n\n", b"id: 1\ndata: [\n\n", b"event: stream.end\n\n"])
def test_a_block_that_makes_no_sense_is_an_error(block: bytes) -> None:
    """An id that is no number, data that is no JSON, an end without data."""
    frames, _ = EventStreams().split(block)
    with pytest.raises(WireError):
        EventStreams().words(frames[0], b"")


def test_a_block_that_does_not_end_is_an_error() -> None:
    """A block has a bound."""
    with pytest.raises(WireError, match="does not end"):
        EventStreams().split(b"x" * (1 << 21))


def test_an_event_stream_cannot_post() -> None:
    """Nor can it be opened without a room."""
    with pytest.raises(WireError):
        EventStreams().publish(1, "r", "text", "key", b"")
    with pytest.raises(WireError):
        EventStreams().handshake(Join(host="h", token="t", room=None))
