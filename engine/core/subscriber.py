"""Subscriber: one session in one conversation, a cursor on its tail (design: G6). Not a queue: it owns no events.

A push hands over bytes without waiting and says whether they were taken. Refused bytes stay in the tail and the cursor stays
where it is, so replaying, catching up and live delivery are this one step, and no gap and no duplicate follow from one integer.

    JOINING ──► LIVE ◄──► PAGING      any of them ──► GONE
    LIVE     the cursor is inside the tail; a refused push waits for writability, then `advance` goes on
    PAGING   the cursor is older than the tail; pages come from the store until it meets the tail in one turn
"""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import ClassVar, Protocol

import attrs

from .ids import ConversationId
from .messages import Event, Record
from .principals import Principal
from .recovery import Decision
from .tail import Entry, Format, Page, Tail


class Stage(Enum):
    """Where a subscriber is in its life."""

    JOINING = auto()
    LIVE = auto()
    PAGING = auto()
    GONE = auto()


class Progress(Enum):
    """What `Subscriber.advance` came to."""

    AT_HEAD = auto()
    BLOCKED = auto()
    FELL_OUT = auto()


class Outlet(Protocol):
    """Where a subscriber's bytes go, as the room sees it: a connection of the table, or an embedder's iterator."""

    def push(self, data: bytes) -> bool:
        """Take all of `data` without waiting, or nothing. False: nothing was taken (busy, closing or gone)."""
        ...

    def fell_behind(self, subscriber: "Subscriber") -> None:
        """A push was refused; call the subscriber's `resume` when there is room again."""
        ...

    def cut_off(self, subscriber: "Subscriber", code: str) -> None:
        """The engine ends the subscription with an error code of the wire table; the reader may resume."""
        ...


class PullOutlet(Outlet, Protocol):
    """The outlet of a reader inside the program."""

    def take(self, event: Event) -> None:
        """Take an ephemeral event now, or let it go."""
        ...


class Host(Protocol):
    """The conversation that a subscriber is attached to, as its transport sees it."""

    id: ConversationId

    def resume(self, subscriber: "Subscriber") -> None:
        """Go on with a subscriber whose outlet has room again. Idempotent, never waits."""
        ...

    def detach(self, subscriber: "Subscriber") -> None:
        """Remove it. Idempotent, never waits, never refused."""
        ...


class Subscriber:
    """One reader of one conversation.

    Attributes:
        host: set when it is attached, or begins to read pages; None before.
        cursor: offset of the last event that was handed over.
        push: the outlet's, bound, because it is called for every delivery.
        client: unique id of the session's connection, shown in presence.
    """

    pulls: ClassVar[bool] = False

    __slots__ = ("client", "cursor", "format", "host", "outlet", "principal", "push", "stage")

    def __init__(self, outlet: Outlet, wire_format: Format, principal: Principal, client: str) -> None:
        self.outlet = outlet
        self.push: Callable[[bytes], bool] = outlet.push
        self.format = wire_format
        self.principal = principal
        self.client = client
        self.cursor = 0
        self.stage = Stage.JOINING
        self.host: Host | None = None

    def leave(self) -> None:
        """End the subscription from the reader's side, in any stage. Idempotent."""
        if self.host is not None:
            self.host.detach(self)
        self.stage = Stage.GONE

    def resume(self) -> None:
        """The outlet has room again."""
        if self.host is not None:
            self.host.resume(self)

    def signal(self, events: Sequence[Event], data: bytes) -> None:
        """Hand over ephemeral events, encoded and joined in `data`; refused, they are let go (design: conflation)."""
        self.push(data)

    def advance(self, tail: Tail, write_bytes: int) -> Progress:
        """Hand over everything after the cursor, joined into writes of about `write_bytes`, until refused or at the head."""
        while self.cursor < tail.head:
            if not tail.covers(self.cursor):
                self.stage = Stage.PAGING
                return Progress.FELL_OUT
            upto = tail.reach(self.cursor, write_bytes)
            if not self.push(tail.join(self.format, self.cursor, upto)):
                return Progress.BLOCKED
            self.cursor = upto
        return Progress.AT_HEAD


class PullFormat:
    """No bytes at all: the subscriber reads the tail itself."""

    name = "pull"

    def encode(self, event: Event, body: bytes) -> bytes:
        """Nothing."""
        return b""


PULL = PullFormat()


class PullSubscriber(Subscriber):
    """A reader inside the program that takes events from the tail at its own pace, and pages from the store itself.

    To the room it is a subscriber whose outlet always refuses: a push only tells it that there is something to read.
    """

    pulls = True

    __slots__ = ("_take",)

    def __init__(self, outlet: PullOutlet, principal: Principal, client: str) -> None:
        super().__init__(outlet, PULL, principal, client)
        self._take = outlet.take

    def signal(self, events: Sequence[Event], data: bytes) -> None:
        """Hand over the events themselves."""
        for event in events:
            self._take(event)

    def advance(self, tail: Tail, write_bytes: int) -> Progress:
        """Wake the reader when there is something new."""
        return Progress.BLOCKED if self.cursor < tail.head else Progress.AT_HEAD


@attrs.frozen
class Joined:
    """The answer to a subscribe.

    Attributes:
        record: the conversation; its offset is the head at this moment.
        decision: how the cursor is served (`recovery`).
        page: the beginning of what was missed, when the caller wanted it in the answer; the rest is pushed after it.
        offset: where the subscriber stands after `page`.
    """

    record: Record
    decision: Decision
    page: Page
    offset: int

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Those of the page."""
        return self.page.entries
