"""Tests of hubbub/stream_reader.py: the rules of the standard, and that pieces do not matter."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.stream_reader import StreamEvent, StreamReader, StreamTooLong

WORDS = ["data", "event", "id", "retry", ": c", ":", " ", "x", "12", "\x00", "\n", "\r", "\r\n", "é", "\ufeff"]
FIELDS = ["data: x", "data:y", "data", "event: e", "id: 1", "id", ": c", "retry: 1", "", ""]
LINES = st.tuples(st.sampled_from(FIELDS), st.sampled_from(["\n", "\r", "\r\n"])).map("".join)
PIECES = st.one_of(
    st.lists(LINES, max_size=30).map(lambda lines: "".join(lines).encode()),
    st.lists(st.sampled_from([b"\xff", *(word.encode() for word in WORDS)]), max_size=60).map(b"".join),
)


def read(*chunks: bytes) -> list[StreamEvent]:
    reader = StreamReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


def by_the_book(data: bytes) -> list[StreamEvent]:
    """The algorithm of the standard, word by word, on the whole stream at once."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    events, last_id, kind, buffer = [], "", "", ""
    for line in text.split("\n")[:-1]:
        if line == "":
            if buffer:
                events.append(StreamEvent(kind or "message", buffer.removesuffix("\n"), last_id))
            kind, buffer = "", ""
            continue
        name, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if colon and name == "":
            continue
        if name == "data":
            buffer += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            last_id = value
    return events


@given(PIECES, st.lists(st.integers(0, 200), max_size=20))
def test_any_stream_in_any_pieces_reads_as_the_standard_says(data, cuts):
    """The events are those of the standard's algorithm, wherever the stream is cut."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    expected = by_the_book(data)
    assert read(data) == expected
    assert read(*(data[start:end] for start, end in pairwise(places))) == expected
    assert read(*(data[at : at + 1] for at in range(len(data)))) == expected


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\ndata\ndata: b\n\n", [("message", "a\n\nb", "")]),
        (b"\xef\xbb\xbfdata:a\r\rdata:b\r\n\r\n", [("message", "a", ""), ("message", "b", "")]),
        (b": note\n\nid: 7\nevent: x\ndata:  two\n\ndata: y\n\n", [("x", " two", "7"), ("message", "y", "7")]),
        (b"id: 7\nid: 8\0\ndata: x\n\nid\ndata: y\n\n", [("message", "x", "7"), ("message", "y", "")]),
        (b"data:\n\n", [("message", "", "")]),
        (b"event: x\nid: 3\n\ndata: y\n\n", [("message", "y", "3")]),
        (b"data: cut off\n", []),
    ],
)
def test_examples(stream, events):
    """Line ends, BOM, comments, ids, several data lines and cut events are read as the standard says."""
    assert read(stream) == [StreamEvent(*event) for event in events]


@pytest.mark.parametrize(
    ("value", "retry_s"), [(b"2500", 2.5), (b"0", 0.0), (b"-1", None), (b"x", None), (b"9" * 40, None)]
)
def test_retry_is_taken_when_it_is_a_number(value, retry_s):
    """`retry:` is milliseconds in digits, or nothing."""
    reader = StreamReader()
    assert list(reader.feed(b"retry: " + value + b"\n")) == []
    assert reader.retry_s == retry_s


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("endless", [b"data: " + b"x" * 200, b"data: x\n" * 40])
def test_a_line_or_an_event_without_end_is_an_error(endless, size):
    """The events before it are given, then it is refused, however it is cut."""
    reader = StreamReader(max_line_bytes=100, max_event_bytes=50)
    stream, events = b"data: first\n\n" + endless, []
    pieces = (stream[at : at + size] for at in range(0, len(stream), size))
    with pytest.raises(StreamTooLong):
        events.extend(event for piece in pieces for event in reader.feed(piece))
    assert [event.data for event in events] == ["first"]
    assert list(StreamReader(max_line_bytes=100, max_event_bytes=50).feed(b"data: " + b"x" * 40 + b"\n\n"))
