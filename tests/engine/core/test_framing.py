"""Event streams, read back by a naive parser written after the standard's own algorithm."""

import json
import re

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.codec import event_json
from hubbub.engine.core.errors import InvalidCommand, RecoveryReason
from hubbub.engine.core.framing import HEARTBEAT, EventStreamFormat, end, opening, reset, since_of
from hubbub.engine.core.kinds import EventType
from hubbub.engine.core.messages import Event
from hubbub.engine.core.recovery import Since

from .strategies import any_texts, events, offsets


@attrs.define
class Reader:
    """An EventSource: what it dispatched, and where it would resume."""

    last_event_id: str = ""
    retry_ms: int | None = None
    dispatched: list[tuple[str, str, str]] = attrs.field(factory=list)

    def feed(self, stream: bytes) -> "Reader":
        """Parse a whole stream: blocks end with an empty line; an unfinished one is dropped, as the standard says."""
        kind, data = "", []
        last_event_id = self.last_event_id
        for line in re.split(r"\r\n|\n|\r", stream.decode())[:-1]:
            if line == "":
                self.last_event_id = last_event_id
                if data:
                    self.dispatched.append((kind or "message", "\n".join(data), last_event_id))
                kind, data = "", []
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match field:
                case "event":
                    kind = value
                case "data":
                    data.append(value)
                case "id":
                    last_event_id = value
                case "retry":
                    self.retry_ms = int(value)
        return self


wire_events = events().map(lambda event: msgspec.structs.replace(event, type=EventType.MESSAGE_CREATED))


@given(st.lists(wire_events, max_size=5))
def test_blocks_are_read_back(given_events: list[Event]) -> None:
    """Joined blocks give the same events in the same order, and the last durable offset is where a reader resumes."""
    wire = EventStreamFormat()
    stream = b"".join(wire.encode(event, event_json(event)) for event in given_events)
    reader = Reader().feed(HEARTBEAT + stream + HEARTBEAT)
    assert [(kind, data) for kind, data, _ in reader.dispatched] == [
        (event.type.value, event_json(event).decode()) for event in given_events
    ]
    durable = [str(event.offset) for event in given_events if event.offset is not None]
    assert reader.last_event_id == (durable[-1] if durable else "")


@given(offsets, st.booleans(), st.integers(0, 60_000))
def test_opening_tells_where_the_stream_stands(at: int, live: bool, retry_ms: int) -> None:
    """A live start gives the reader a position; a resumed one leaves it its own."""
    reader = Reader(last_event_id="5").feed(opening("epoch", at, live=live, retry_ms=retry_ms))
    ((kind, data, _),) = reader.dispatched
    assert (kind, json.loads(data), reader.retry_ms) == ("stream.open", {"epoch": "epoch", "offset": at}, retry_ms)
    assert reader.last_event_id == (str(at) if live else "5")


@pytest.mark.parametrize("reason", RecoveryReason)
def test_reset_moves_the_reader_to_the_head(reason: RecoveryReason) -> None:
    """The reason is said, and the position is the one it goes on from."""
    reader = Reader(last_event_id="999").feed(reset(reason, "epoch", 7))
    ((kind, data, _),) = reader.dispatched
    assert kind == "stream.reset"
    assert json.loads(data) == {"reason": reason.value, "epoch": "epoch", "offset": 7}
    assert reader.last_event_id == "7"


def test_end_keeps_the_position() -> None:
    """A stream that the server ends can be resumed from where it was."""
    reader = Reader(last_event_id="5").feed(end("slow"))
    assert reader.dispatched == [("stream.end", '{"code":"slow"}', "5")]


def test_heartbeats_are_nothing_to_a_reader() -> None:
    """A comment dispatches nothing and moves nothing."""
    assert Reader(last_event_id="5").feed(HEARTBEAT * 3) == Reader(last_event_id="5")


@given(
    st.none() | offsets.map(str) | any_texts, st.none() | offsets.map(str) | any_texts, st.sampled_from([None, "", "e"])
)
def test_since_of_prefers_the_header_and_refuses_garbage(
    header: str | None, query: str | None, epoch: str | None
) -> None:
    """An empty value is none; the header beats the query; anything but a number is a typed error."""
    text = header or query
    if not text:
        assert since_of(header, query, epoch) is None
    elif text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**63:
        assert since_of(header, query, epoch) == Since(int(text), epoch or None)
    else:
        with pytest.raises(InvalidCommand):
            since_of(header, query, epoch)
