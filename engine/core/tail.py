"""Tail: a bounded window of one conversation's last durable events, the thing that subscribers are cursors on.

Invariants: the offsets in the window are consecutive; the last one is the head; trimming only ever takes from the old end.
A wire format encodes an event when the first subscriber of that format needs it; the bytes are kept with the event, and the
last join of each format is kept too, because nearly all subscribers stand at the same place. So is the last page, because those
who come back together mostly missed the same.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import Protocol

from .codec import event_json
from .messages import Event

_OVERHEAD_BYTES = 1100  # an entry's objects besides the encoded bytes, with two wrappings, measured on CPython 3.11


class Format(Protocol):
    """A wire format: wraps the one JSON of a durable event into bytes that may be joined with its neighbours."""

    @property
    def name(self) -> str:
        """Unique among the formats of a process: what was encoded is kept under it."""
        ...

    def encode(self, event: Event, body: bytes) -> bytes:
        """Wrap `body`, the event's JSON."""
        ...


class Entry:
    """One event with its JSON and the wrappings made so far."""

    __slots__ = ("body", "event", "wires")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.body = event_json(event)
        self.wires: dict[str, bytes] = {}

    def wire(self, wire_format: Format) -> bytes:
        """The event in `wire_format`, encoded once."""
        data = self.wires.get(wire_format.name)
        if data is None:
            data = self.wires[wire_format.name] = wire_format.encode(self.event, self.body)
        return data

    @property
    def size_bytes(self) -> int:
        """What the entry is charged with: the JSON, its two wrappings (event streams and WebSocket) and the objects around.

        They are charged before they are made, so that the bound holds whoever comes to read.
        """
        return 3 * len(self.body) + _OVERHEAD_BYTES


class Page:
    """Consecutive entries for the answer to a join, with what transports made of them: who gets the same page shares it.

    Args:
        entries: oldest first.
    """

    __slots__ = ("_wires", "entries")

    def __init__(self, entries: tuple[Entry, ...] = ()) -> None:
        self.entries = entries
        self._wires: dict[str, bytes] = {}

    def wire(self, name: str, make: Callable[[tuple[Entry, ...]], bytes]) -> bytes:
        """What `make` makes of the entries, once for each `name` of a form."""
        data = self._wires.get(name)
        if data is None:
            data = self._wires[name] = make(self.entries)
        return data


class Tail:
    """The window (`first` .. `head`). Empty when `first` is `head` + 1.

    Args:
        head: offset of the last durable event of the log, which the window ends at.
        max_items: events kept.
        max_bytes: bytes kept, as charged by `Entry.size_bytes`; the newest event always stays.
    """

    __slots__ = ("_dead", "_ends", "_entries", "_joined", "_page", "max_bytes", "max_items", "size_bytes")

    def __init__(self, head: int, *, max_items: int, max_bytes: int) -> None:
        self._entries: list[Entry] = []
        self._dead = head  # offset of the event before index 0 of the list
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.size_bytes = 0
        # Body bytes of the log up to each event, one item longer than the entries: what `reach` asks is then a search.
        self._ends = [0]
        self._joined: dict[str, tuple[int, int, bytes]] = {}
        self._page: tuple[int, int, Page] | None = None

    @property
    def head(self) -> int:
        """Offset of the newest durable event; 0 in an empty log."""
        return self._dead + len(self._entries)

    @property
    def floor(self) -> int:
        """The oldest cursor that the window can serve: the offset just before its first event."""
        return self._dead

    def __len__(self) -> int:
        return len(self._entries)

    def since(self, at_ms: int) -> int:
        """How many of the kept events are from this time on, milliseconds. About as many: a clock may be set back."""
        if not self._entries or self._entries[-1].event.at_ms < at_ms:  # so it is in a quiet room
            return 0
        return len(self._entries) - bisect_left(self._entries, at_ms, key=lambda entry: entry.event.at_ms)

    def append(self, event: Event) -> None:
        """Add the next event; trims the old end to the bounds.

        Raises:
            ValueError: its offset is not head + 1 (a bug in the caller).
        """
        if event.offset != self.head + 1:
            raise ValueError(f"offset {event.offset} after head {self.head}")
        entry = Entry(event)
        self._page = None
        self._entries.append(entry)
        self._ends.append(self._ends[-1] + len(entry.body))
        self.size_bytes += entry.size_bytes
        if len(self._entries) > self.max_items or self.size_bytes > self.max_bytes:
            # An eighth at a time, so that moving the list is rare; the bounds are ceilings, not targets.
            self.trim(self.max_items - self.max_items // 8, self.max_bytes - self.max_bytes // 8)

    def trim(self, max_items: int, max_bytes: int) -> int:
        """Drop old events until at most so many and so large are kept (the newest stays). Returns the bytes freed."""
        entries, drop, size = self._entries, 0, self.size_bytes
        while drop < len(entries) - 1 and (len(entries) - drop > max_items or size > max_bytes):
            size -= entries[drop].size_bytes
            drop += 1
        freed = self.size_bytes - size
        del entries[:drop], self._ends[:drop]
        self._dead += drop
        self.size_bytes = size
        self._joined.clear()
        self._page = None
        return freed

    def covers(self, offset: int) -> bool:
        """Whether all events after `offset` are in the window (true at the head, too)."""
        return self._dead <= offset <= self.head

    def _start(self, after: int) -> int:
        if not self.covers(after):
            raise ValueError(f"{after} is outside the tail, {self.floor} to {self.head}")
        return after - self._dead

    def entries(self, after: int, upto: int | None = None) -> list[Entry]:
        """The entries with offsets in (after, upto], oldest first; up to the head when `upto` is None.

        Raises:
            ValueError: `after` is not covered (a bug in the caller; so in `events`, `reach` and `join`).
        """
        start = self._start(after)
        return self._entries[start:] if upto is None else self._entries[start : max(start, upto - self._dead)]

    def page(self, after: int, upto: int) -> Page:
        """The entries in (after, upto]; the last page is remembered until the window changes or `forget_page`.

        Raises:
            ValueError: as `entries`.
        """
        known = self._page
        if known is None or known[:2] != (after, upto):
            known = self._page = (after, upto, Page(tuple(self.entries(after, upto))))
        return known[2]

    def forget_page(self) -> None:
        """Let go of the remembered page. It is not in `size_bytes`, so it must not stay for as long as a room is quiet."""
        self._page = None

    def entries_back(self, upto: int) -> Iterator[Entry]:
        """The entries with offsets up to `upto`, newest first, down to the old end. `upto` must be covered."""
        for index in range(upto - self._dead - 1, -1, -1):
            yield self._entries[index]

    def events(self, after: int, limit: int) -> list[Event]:
        """At most `limit` events after `after`."""
        start = self._start(after)
        return [entry.event for entry in self._entries[start : start + limit]]

    def reach(self, after: int, max_bytes: int) -> int:
        """The last offset that one write of about `max_bytes` reaches from `after`: at least one event when there is one."""
        start, ends = self._start(after), self._ends
        limit = ends[start] + max_bytes
        if ends[-1] <= limit:
            return self.head
        return max(self._dead + bisect_right(ends, limit, start) - 1, after + 1)

    def join(self, wire_format: Format, after: int, upto: int) -> bytes:
        """The events in (after, upto], encoded and joined; the last answer of each format is remembered."""
        known = self._joined.get(wire_format.name)
        if known is not None and known[0] == after and known[1] == upto:
            return known[2]
        data = b"".join([entry.wire(wire_format) for entry in self.entries(after, upto)])
        self._joined[wire_format.name] = (after, upto, data)
        return data
