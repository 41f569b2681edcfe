"""A subscriber on a tail, against a list of what was appended: never a gap, never a duplicate, never backwards."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hubbub.engine.core.authors import Author
from hubbub.engine.core.messages import Event
from hubbub.engine.core.principals import Principal
from hubbub.engine.core.recovery import FromTail, Reset, Since, decide
from hubbub.engine.core.subscriber import Progress, Stage, Subscriber
from hubbub.engine.core.tail import Tail

from .strategies import message_event


class Offsets:
    """A wire format that shows nothing but the offset."""

    name = "offsets"

    def encode(self, event: Event, body: bytes) -> bytes:
        """The offset and a comma."""
        return b"%d," % (event.offset or 0)


class Outlet:
    """Takes what it is told to take, and keeps all of it."""

    def __init__(self) -> None:
        self.room = 0
        self.taken: list[int] = []
        self.writes = 0

    def push(self, data: bytes) -> bool:
        """All or nothing."""
        if self.room == 0:
            return False
        self.room -= 1
        self.writes += 1
        self.taken += [int(part) for part in data.split(b",") if part]
        return True

    def fell_behind(self, subscriber: Subscriber) -> None:
        """Not used by the machine under test."""

    def cut_off(self, subscriber: Subscriber, code: str) -> None:
        """Not used by the machine under test."""


class SubscriberMachine(RuleBasedStateMachine):
    """The log grows, the window shrinks, the outlet blocks and frees, the client leaves and resumes with its offset."""

    @initialize(start=st.integers(0, 3))
    def begin(self, start: int) -> None:
        """A log with a few old events that only the store has."""
        self.start = start
        self.tail = Tail(start, max_items=6, max_bytes=10**6)
        self.outlet = Outlet()
        self.attach(start)

    def attach(self, cursor: int) -> None:
        self.first = cursor
        self.subscriber = Subscriber(self.outlet, Offsets(), Principal(Author("ada", "Ada")), "c")
        self.subscriber.cursor = cursor
        self.subscriber.stage = Stage.LIVE
        self.outlet.taken = []

    @rule(size=st.sampled_from([0, 500, 2000]))
    def commit(self, size: int) -> None:
        """An event is committed."""
        self.tail.append(message_event(self.tail.head + 1, "x" * size))

    @rule(max_items=st.integers(0, 4))
    def shrink(self, max_items: int) -> None:
        """A quiet tail is trimmed by the engine."""
        self.tail.trim(max_items, 10**6)

    @rule(room=st.integers(0, 4), write_bytes=st.sampled_from([1, 800, 3000, 10**6]))
    def advance(self, room: int, write_bytes: int) -> None:
        """The same step serves replay, catching up and live; it tells truly where it stopped."""
        self.outlet.room = room
        before, writes = self.subscriber.cursor, self.outlet.writes
        progress = self.subscriber.advance(self.tail, write_bytes)
        assert self.subscriber.cursor >= before
        match progress:
            case Progress.AT_HEAD:
                assert self.subscriber.cursor == self.tail.head
            case Progress.BLOCKED:
                assert self.outlet.room == 0
                assert self.subscriber.cursor < self.tail.head
            case Progress.FELL_OUT:
                assert self.subscriber.cursor < self.tail.floor
                assert self.subscriber.stage is Stage.PAGING
                assert self.subscriber.cursor == before
                self.page()
        if before < self.subscriber.cursor and write_bytes == 10**6 and progress is not Progress.FELL_OUT:
            assert self.outlet.writes == writes + 1  # what is due at the same time leaves in one write

    def page(self) -> None:
        """Pages from the store bring the reader up to the window."""
        missed = range(self.subscriber.cursor + 1, self.tail.floor + 1)
        self.outlet.taken += missed
        self.subscriber.cursor = self.tail.floor
        self.subscriber.stage = Stage.LIVE

    @rule(lost=st.integers(0, 3))
    def resume(self, lost: int) -> None:
        """The client comes back with the last offset it saw, perhaps an older one than was handed over."""
        seen = max(self.first, self.subscriber.cursor - lost)
        decision = decide(Since(seen), epoch="e", oldest=0, floor=self.tail.floor, head=self.tail.head)
        assert not isinstance(decision, Reset)
        assert decision.offset == seen
        assert isinstance(decision, FromTail) == self.tail.covers(seen)
        self.attach(seen)

    @invariant()
    def no_gap_no_duplicate(self) -> None:
        """What was taken since the (re)start is exactly the run of offsets up to the cursor."""
        if hasattr(self, "subscriber"):
            assert self.outlet.taken == list(range(self.first + 1, self.subscriber.cursor + 1))
            assert self.subscriber.cursor <= self.tail.head


TestSubscriberMachine = SubscriberMachine.TestCase
