"""Bytes that the harness reads and writes, and the comparison of tables."""

import contextlib
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.faults import protocol
from hubbub.bench.faults.tables import compare
from hubbub.bench.wire import WireError

EVENTS = [{"type": "message.created", "offset": n, "message": {"id": f"m{n}", "text": f"t{n}"}} for n in (1, 2, 3)]
STREAM = b"retry: 2000\nevent: stream.open\ndata: {}\n\n: heartbeat\n\n" + b"".join(
    b"id: %d\nevent: message.created\ndata: %b\n\n" % (event["offset"], json.dumps(event).encode()) for event in EVENTS
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_blocks_do_not_depend_on_how_bytes_arrive(cuts) -> None:
    """However a stream is cut into pieces, the same blocks come out, comments left out."""
    edges = [0, *sorted(cuts), len(STREAM)]
    blocks = protocol.Blocks()
    found = [block for a, b in itertools.pairwise(edges) for block in blocks.feed(STREAM[a:b])]
    assert [(block.id, block.event) for block in found] == [
        ("", "stream.open"),
        *[(str(n), "message.created") for n in (1, 2, 3)],
    ]
    assert [protocol.decode(block.data, protocol.Event).post for block in found[1:]] == ["t1", "t2", "t3"]


def test_a_block_without_an_end_is_refused() -> None:
    """What is kept is bounded."""
    with pytest.raises(WireError):
        protocol.Blocks().feed(b"x" * (protocol.MAX_BLOCK_BYTES + 1))


def test_documents_carry_acks_events_and_recovery() -> None:
    """The reply of a post names its place; a recovery brings its events; a push brings one."""
    lines = [
        {"id": 2, "subscribe": {"was_recovering": True, "recovered": True, "publications": [{"data": EVENTS[0]}]}},
        {"id": 3, "rpc": {"data": {"id": "m9", "offset": 9, "text": "t"}}},
        {"push": {"channel": "c", "pub": {"data": EVENTS[1], "offset": 2}}},
        {"push": {"channel": "c", "pub": {"data": {"type": "typing", "data": {}}}}},
    ]
    subscribed, posted, pushed, typing = protocol.documents(b"\n".join(json.dumps(line).encode() for line in lines))
    assert subscribed.subscribe.publications[0].data.post == "t1"
    assert (posted.rpc.data.id, posted.rpc.data.offset) == ("m9", 9)
    assert (pushed.push.pub.data.offset, pushed.push.pub.data.post) == (2, "t2")
    assert typing.push.pub.data.offset is None


@given(st.binary(max_size=50))
def test_anything_else_is_a_wire_error(body) -> None:
    """Bytes that are no documents raise one error, whatever they are."""
    with contextlib.suppress(WireError):
        protocol.documents(body)


ROWS = [(1, "a", "one"), (2, "b", "two")]


def test_tables_that_agree_have_no_problems() -> None:
    """The same posts in events, messages and keys, up to the head."""
    stored = compare(ROWS, ROWS, ROWS, head=2)
    assert (stored.problems, stored.head, stored.log) == ((), 2, tuple(ROWS))


@pytest.mark.parametrize(
    ("messages", "keys", "head"),
    [
        (ROWS[:1], ROWS, 2),
        (ROWS, ROWS[:1], 2),
        (ROWS, ROWS, 3),
        (ROWS, ROWS, None),
        (ROWS, [ROWS[0], (2, "b", "x")], 2),
    ],
)
def test_tables_that_disagree_are_told(messages, keys, head) -> None:
    """A missing row, a wrong head or another key is one problem."""
    stored = compare(ROWS, messages, keys, head=head)
    assert len(stored.problems) == 1
    assert stored.digest != compare(ROWS[:1], ROWS[:1], ROWS[:1], head=1).digest
