"""The tail against a plain list: the same events, the same answers, within its bounds, and the newest always kept."""

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hubbub.engine.core.codec import event_json
from hubbub.engine.core.messages import Event
from hubbub.engine.core.tail import Entry, Tail

from .strategies import message_event


@attrs.define
class Wrap:
    """A wire format that can be told apart from others, and counts how often it had to encode."""

    name: str
    encoded: list[int | None] = attrs.field(factory=list)

    def encode(self, event: Event, body: bytes) -> bytes:
        """Wrap the body in the format's name."""
        self.encoded.append(event.offset)
        return self.name.encode() + b"<" + body + b">"


def cost(event: Event) -> int:
    """What the tail charges for an event."""
    return Entry(event).size_bytes


def kept(events: list[Event], max_items: int, max_bytes: int) -> list[Event]:
    """Brute force: the longest end of the list within the bounds, the newest in any case."""
    for drop in range(len(events)):
        rest = events[drop:]
        if len(rest) <= 1 or (len(rest) <= max_items and sum(map(cost, rest)) <= max_bytes):
            return rest
    return []


class TailMachine(RuleBasedStateMachine):
    """Appends, trims and reads a tail and a list side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.max_items, self.max_bytes = 9, 14_000
        self.start, self.fresh = 5, 0
        self.tail = Tail(self.start, max_items=self.max_items, max_bytes=self.max_bytes)
        self.log: list[Event] = []
        self.window: list[Event] = []
        self.formats = [Wrap("sse"), Wrap("ws")]

    @property
    def head(self) -> int:
        return self.start + len(self.log)

    @property
    def floor(self) -> int:
        return self.head - len(self.window)

    @rule(size=st.sampled_from([0, 1, 100, 1000, 5000, 9000]))
    def append(self, size: int) -> None:
        """The next event arrives; over a bound, the window shrinks to seven eighths of it."""
        event = message_event(self.head + 1, "x" * size)
        self.tail.append(event)
        self.log.append(event)
        self.window.append(event)
        if len(self.window) > self.max_items or sum(map(cost, self.window)) > self.max_bytes:
            self.window = kept(self.window, self.max_items - self.max_items // 8, self.max_bytes - self.max_bytes // 8)

    @rule(gap=st.integers(-10, 10).filter(bool))
    def refuse_a_gap(self, gap: int) -> None:
        """An event that does not continue the log is refused and changes nothing."""
        with pytest.raises(ValueError, match="after head"):
            self.tail.append(
                message_event(max(1, self.head + 1 + gap)) if gap > -self.head else message_event(self.head)
            )

    @rule(max_items=st.integers(0, 10), max_bytes=st.integers(0, 20_000))
    def trim(self, max_items: int, max_bytes: int) -> None:
        """An explicit trim keeps the longest end that fits, and tells what it freed."""
        before = sum(map(cost, self.window))
        self.window = kept(self.window, max_items, max_bytes)
        assert self.tail.trim(max_items, max_bytes) == before - sum(map(cost, self.window))

    @rule(data=st.data())
    def join(self, data: st.DataObject) -> None:
        """Any covered range, in any format, is the concatenation of its encoded events."""
        after = data.draw(st.integers(self.floor, self.head))
        upto = data.draw(st.integers(after, self.head))
        wire = data.draw(st.sampled_from(self.formats))
        events = [event for event in self.window if after < (event.offset or 0) <= upto]
        expected = b"".join(Wrap(wire.name).encode(event, event_json(event)) for event in events)
        assert self.tail.join(wire, after, upto) == expected
        assert [entry.event for entry in self.tail.entries(after, upto)] == events

    @rule(data=st.data())
    def page(self, data: st.DataObject) -> None:
        """A page has the entries of its range whatever has happened since the last one, and equal pages are one."""
        after = data.draw(st.integers(self.floor, self.head))
        upto = data.draw(st.integers(after, self.head))
        page = self.tail.page(after, upto)
        assert list(page.entries) == self.tail.entries(after, upto)
        bodies = b"".join(entry.body for entry in page.entries)
        assert page.wire("bodies", lambda entries: b"".join(entry.body for entry in entries)) == bodies
        assert self.tail.page(after, upto) is page

    @rule(data=st.data(), limit=st.integers(0, 12))
    def events(self, data: st.DataObject, limit: int) -> None:
        """A page is a slice of the list."""
        after = data.draw(st.integers(self.floor, self.head))
        assert self.tail.events(after, limit) == self.window[after - self.floor :][:limit]

    @rule(data=st.data(), max_bytes=st.sampled_from([0, 1, 500, 1000, 3000, 10_000, 10**9]) | st.integers(0, 20_000))
    def reach(self, data: st.DataObject, max_bytes: int) -> None:
        """A write goes as far as its bytes allow, at least one event, never past the head."""
        after = data.draw(st.integers(self.floor, self.head))
        bodies = [len(event_json(event)) for event in self.window[after - self.floor :]]
        fitting = [count for count in range(len(bodies) + 1) if sum(bodies[:count]) <= max_bytes]
        assert self.tail.reach(after, max_bytes) == after + max(max(fitting), min(1, len(bodies)))

    @rule(data=st.data())
    def refuse_what_is_not_covered(self, data: st.DataObject) -> None:
        """Outside the window there is no answer, rather than a wrong one."""
        after = data.draw(st.integers(-3, self.floor - 1) | st.integers(self.head + 1, self.head + 3))
        assert not self.tail.covers(after)
        for ask in (
            lambda: self.tail.entries(after),
            lambda: self.tail.events(after, 10),
            lambda: self.tail.reach(after, 1000),
            lambda: self.tail.join(Wrap("other"), after, self.head),
        ):
            with pytest.raises(ValueError, match="outside the tail"):
                ask()

    @precondition(lambda self: self.window)
    @rule()
    def encode_once(self) -> None:
        """However often a range is joined, an event is encoded once per format."""
        self.fresh += 1
        wire = Wrap(f"fresh {self.fresh}")
        for _ in range(2):
            for after in range(self.floor, self.head):
                self.tail.join(wire, after, self.head)
        assert sorted(wire.encoded) == [event.offset for event in self.window]

    @invariant()
    def same_window(self) -> None:
        """The window is the end of the log, as long as the model's, within the bounds."""
        tail = self.tail
        assert (tail.floor, tail.head, len(tail)) == (self.floor, self.head, len(self.window))
        assert [entry.event for entry in tail.entries(tail.floor)] == self.window == self.log[self.floor - self.start :]
        assert tail.size_bytes == sum(map(cost, self.window))
        assert len(tail) <= self.max_items
        assert tail.size_bytes <= self.max_bytes or len(tail) == 1
        assert not self.log or len(tail) >= 1
        assert [offset for offset in range(self.head + 3) if tail.covers(offset)] == list(
            range(self.floor, self.head + 1)
        )


TestTailMachine = TailMachine.TestCase


@given(st.integers(0, 2**62), st.integers(1, 4), st.integers(1, 6))
def test_the_newest_always_stays(head: int, max_items: int, count: int) -> None:
    """Even when one event is larger than the bound, the newest is there and nothing else is."""
    tail = Tail(head, max_items=max_items, max_bytes=1)
    for offset in range(head + 1, head + 1 + count):
        tail.append(message_event(offset, "x" * 100))
        assert tail.floor == offset - 1
        assert tail.covers(offset)
    assert [event.offset for event in tail.events(tail.floor, 10)] == [head + count]


def test_an_empty_tail_stands_at_its_head() -> None:
    """Before anything is appended only the head itself is covered, and it is the end."""
    tail = Tail(7, max_items=4, max_bytes=1000)
    assert (tail.floor, tail.head, len(tail), tail.size_bytes) == (7, 7, 0, 0)
    assert tail.covers(7)
    assert not tail.covers(6)
    assert tail.reach(7, 100) == 7
    assert tail.join(Wrap("sse"), 7, 7) == b""
    assert tail.trim(0, 0) == 0


def test_two_formats_share_a_pass_without_joining_again() -> None:
    """Subscribers of two formats in turn at the same cursor each get the very bytes that were joined first."""
    tail = Tail(0, max_items=100, max_bytes=10**6)
    for offset in range(1, 51):
        tail.append(message_event(offset))
    sse, ws = Wrap("sse"), Wrap("ws")
    first = tail.join(sse, 0, 50), tail.join(ws, 0, 50)
    for _ in range(3):
        assert tail.join(sse, 0, 50) is first[0]
        assert tail.join(ws, 0, 50) is first[1]


def test_who_asks_for_the_same_page_shares_what_was_made_of_it() -> None:
    """It is made once for each form; one page is remembered, and none once the window has changed."""
    tail = Tail(0, max_items=100, max_bytes=10**6)
    for offset in range(1, 11):
        tail.append(message_event(offset))
    made: list[str] = []

    def make(name: str, after: int) -> bytes:
        def encode(entries: tuple[Entry, ...]) -> bytes:
            made.append(name)
            return b",".join(entry.body for entry in entries)

        return tail.page(after, tail.head).wire(name, encode)

    assert make("ws", 3) is make("ws", 3)
    assert make("sse", 3) is make("sse", 3)
    assert made == ["ws", "sse"]
    make("ws", 4)
    make("ws", 3)
    assert made == ["ws", "sse", "ws", "ws"]
    kept = tail.page(3, 8)
    tail.append(message_event(11))
    assert tail.page(3, 8) is not kept
    kept = tail.page(8, 10)
    tail.trim(5, 10**6)
    assert tail.page(8, 10) is not kept


def test_an_ephemeral_event_is_no_part_of_the_log() -> None:
    """An event without an offset is refused."""
    tail = Tail(0, max_items=4, max_bytes=1000)
    with pytest.raises(ValueError, match="after head"):
        tail.append(msgspec.structs.replace(message_event(1), offset=None))
    assert tail.head == 0
