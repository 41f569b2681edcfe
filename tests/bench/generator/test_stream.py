"""The byte-comparing accounting: any cutting of the bytes, any reader first, pings anywhere, and faults counted exactly."""

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench import wire
from hubbub.bench.dialects import Closed, Joined, Pinged, Publication
from hubbub.bench.dialects.hubbub import HubbubSocket
from hubbub.bench.generator.stream import Follower, Note, Stream
from hubbub.bench.invariants import Account, Ledger

FIRST = 3
PING = b"\x81\x02{}"
SOCKET_PING = b"\x89\x01p"


def document(offset: int) -> bytes:
    pub = {"offset": offset, "data": {"message": {"text": f"post {offset} " + "x" * (offset % 5 * 40)}}}
    return json.dumps({"push": {"channel": "r", "pub": pub}}).encode()


def frame(body: bytes) -> bytes:
    size = len(body)
    return (bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")) + body


def push(*offsets: int) -> bytes:
    return frame(b"\n".join(document(offset) for offset in offsets))


@attrs.define
class Reader:
    """A follower, the chunks it has yet to read, and what it heard."""

    follower: Follower
    chunks: list[bytes]
    heard: list[object] = attrs.field(factory=list)

    def read(self) -> None:
        self.heard += self.follower.received(self.chunks.pop(0))


def note(publication: Publication) -> int:
    return publication.offset * 1000


def stream_of(first: int, note: Note = note, **settings: int) -> Stream:
    return Stream(first, HubbubSocket(), note, **settings)


def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]


def read_all(draw: st.DrawFn, readers: list[Reader]) -> None:
    while waiting := [reader for reader in readers if reader.chunks]:
        waiting[draw(st.integers(0, len(waiting) - 1))].read()


@given(st.data())
def test_honest_readers_are_followed_however_their_bytes_are_cut(data: st.DataObject) -> None:
    """Any chunking, any interleaving of readers and pings at any boundary: all received, nothing amiss, pings heard."""
    last = FIRST + data.draw(st.integers(0, 8))
    stream = stream_of(FIRST)
    readers, pings = [], []
    for sampled in (True, False, True):
        parts, expected = [], 0
        for offset in range(FIRST, last + 1):
            for ping in data.draw(st.lists(st.sampled_from([PING, SOCKET_PING]), max_size=2)):
                parts.append(ping)
                expected += 1
            parts.append(push(offset))
        pings.append(expected)
        readers.append(Reader(Follower(stream, FIRST, sampled=sampled), cut(data.draw, b"".join(parts))))
    read_all(data.draw, readers)
    count = last - FIRST + 1
    for reader, expected in zip(readers, pings, strict=True):
        assert reader.follower.delivered() == count
        assert reader.follower.settled().finish(last) == Account(count, 0, 0, 0)
        assert len(reader.heard) == expected
        if reader.follower.sampled:
            assert reader.follower.fresh() == [offset * 1000 for offset in range(FIRST, last + 1)]


@given(st.data())
def test_faults_are_counted_as_by_parsing_everything(data: st.DataObject) -> None:
    """Frames dropped, repeated, swapped or joined differently give each reader the account of its own offsets."""
    last = FIRST + 9
    stream = stream_of(FIRST)
    readers, ledgers = [], []
    for faulty in (False, True, True):
        offsets = list(range(FIRST, last + 1))
        if faulty:
            offsets = data.draw(
                st.lists(st.sampled_from(range(FIRST - 1, last + 1)), max_size=15) | st.permutations(offsets)
            )
        ledger, parts, at = Ledger(FIRST), [], 0
        while at < len(offsets):
            size = data.draw(st.integers(1, 3)) if faulty else 1
            parts.append(push(*offsets[at : at + size]))
            at += size
        for offset in offsets:
            ledger.take(offset)
        ledgers.append(ledger)
        readers.append(Reader(Follower(stream, FIRST), cut(data.draw, b"".join(parts)) if parts else []))
    read_all(data.draw, readers)
    for reader, ledger in zip(readers, ledgers, strict=True):
        assert reader.follower.delivered() == ledger.received
        assert reader.follower.settled().finish(last) == ledger.finish(last)


def test_after_a_fault_the_reader_follows_the_stream_again() -> None:
    """One lost event makes one reader parse, and only until it meets the stream."""
    noted: list[int] = []
    stream = stream_of(1, lambda pub: noted.append(pub.offset) or 0)
    good, bad = Follower(stream, 1), Follower(stream, 1)
    for offset in range(1, 6):
        good.received(push(offset))
    for offset in (1, 2, 4, 5):
        bad.received(push(offset))
    assert noted == [1, 2, 3, 4, 5, 4]
    assert bad.settled().finish(5) == Account(4, 1, 0, 0)


def test_a_late_joiner_starts_within_the_stream() -> None:
    """A reader that subscribed later is held to the offsets after its own."""
    stream = stream_of(1)
    early, late = Follower(stream, 1), Follower(stream, 3)
    early.received(push(1) + push(2) + push(3) + push(4))
    late.received(push(3) + push(4))
    assert late.settled().finish(4) == Account(2, 0, 0, 0)


def test_replies_and_ephemeral_pushes_are_passed_over() -> None:
    """What carries no offset changes no account."""
    follower = Follower(stream_of(1), 1)
    typing = frame(b'{"push":{"channel":"r","pub":{"data":{"type":"typing"}}}}')
    follower.received(push(1) + frame(b'{"id":9,"publish":{}}') + typing + push(2))
    assert follower.settled().finish(2) == Account(2, 0, 0, 0)


def test_a_close_frame_is_heard_with_its_code() -> None:
    """The reason for a cut reaches the report."""
    heard = Follower(stream_of(1), 1).received(push(1) + b"\x88\x06\x0b\xc0slow")
    assert list(heard) == [Closed("3008 slow")]


def test_pings_say_how_to_answer() -> None:
    """A protocol ping is answered by a text frame, a WebSocket ping by a pong with its body."""
    mask = b"mask"
    heard = Follower(stream_of(1), 1, mask=mask).received(PING + SOCKET_PING)
    assert list(heard) == [Pinged(wire.frame(b"{}", mask)), Pinged(wire.frame(b"p", mask, wire.PONG))]


def test_a_reader_behind_the_window_is_counted_by_parsing() -> None:
    """Bytes that have left the window are no longer compared, and nothing is lost by that."""
    stream = stream_of(1, window_bytes=2_000)
    fast, slow = Follower(stream, 1), Follower(stream, 1)
    frames = [push(offset) for offset in range(1, 101)]
    for raw in frames:
        fast.received(raw)
    slow.received(b"".join(frames))
    assert slow.settled().finish(100) == Account(100, 0, 0, 0)


def test_a_reader_that_stopped_inside_a_frame_behind_the_window_is_given_up() -> None:
    """What cannot be judged is an error, not a guess."""
    stream = stream_of(1, window_bytes=2_000)
    fast, slow = Follower(stream, 1), Follower(stream, 1)
    frames = [push(offset) for offset in range(1, 101)]
    fast.received(frames[0])
    slow.received(frames[0][:10])
    for raw in frames[1:]:
        fast.received(raw)
    with pytest.raises(wire.WireError, match="window"):
        slow.received(frames[0][10:])


def test_garbage_is_a_wire_error() -> None:
    """Bytes that are no frames end the reader instead of being counted."""
    with pytest.raises(wire.WireError):
        Follower(stream_of(1), 1).received(b"HTTP/1.1 500 oops\r\n")


def missed(*offsets: int) -> list[Publication]:
    return [Publication(offset, f"post {offset}") for offset in offsets]


def test_readers_that_resume_with_the_same_answer_are_looked_at_once() -> None:
    """What came in answers counts for each reader, is noted once, and the frames behind it are compared again."""
    noted: list[int] = []
    stream = stream_of(1, lambda pub: noted.append(pub.offset) or 0)
    followers = [Follower(stream, 1) for _ in range(3)]
    for follower in followers:
        follower.received(push(1) + push(2)[:5])
        assert follower.interrupted() == 1
    answer = missed(2, 3, 4)
    for follower in followers:
        follower.joined(Joined(offset=4, missed=answer), b"mask")
        follower.received(push(5))
    assert noted == [1, 2, 3, 4, 5]
    assert [follower.settled().finish(5) for follower in followers] == [Account(5, 0, 0, 0)] * 3


def test_faults_in_an_answer_are_counted() -> None:
    """An answer with a hole, a repeated and an early event gives the account that parsing every event gives."""
    stream = stream_of(1)
    follower = Follower(stream, 1)
    follower.received(push(1))
    follower.interrupted()
    follower.joined(Joined(offset=6, missed=missed(2, 4, 4, 3, 6)), b"mask")
    follower.received(push(7))
    assert follower.settled().finish(7) == Account(6, 1, 1, 1)


def test_a_reader_before_the_gap_is_not_taken_across_it() -> None:
    """When others skip ahead by an answer, a reader that stands before it still owes every event."""
    stream = stream_of(1)
    ahead, behind = Follower(stream, 1), Follower(stream, 1)
    for follower in (ahead, behind):
        follower.received(push(1))
    ahead.interrupted()
    ahead.joined(Joined(offset=3, missed=missed(2, 3)), b"mask")
    ahead.received(push(4))
    behind.received(push(4))
    assert behind.settled().finish(4) == Account(2, 2, 0, 0)
    behind.received(push(2) + push(3))
    assert behind.settled().finish(4) == Account(4, 0, 0, 2)


LIVES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 900), st.integers(0, 4)), max_size=4)


@given(st.lists(LIVES, min_size=2, max_size=3))
def test_resuming_anywhere_changes_no_account(readers: list[list[tuple[int, int, int]]]) -> None:
    """Readers cut anywhere, that resume by answers of any length, are held to every offset all the same."""
    last = FIRST + 15
    stream = stream_of(FIRST)
    for lives in readers:
        follower, expect = Follower(stream, FIRST), FIRST
        for sent, cut_at, page in lives:
            raw = b"".join(push(offset) for offset in range(expect, min(last, expect + sent) + 1))
            if raw[:cut_at]:
                follower.received(raw[:cut_at])
            expect = follower.interrupted() + 1
            answer = missed(*range(expect, min(last, expect + page - 1) + 1))
            follower.joined(Joined(offset=expect + len(answer) - 1, missed=answer), b"mask")
            expect += len(answer)
        for offset in range(expect, last + 1):
            follower.received(push(offset))
        assert follower.settled().finish(last) == Account(last - FIRST + 1, 0, 0, 0)
