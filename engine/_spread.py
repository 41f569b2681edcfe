"""Spread: hands the signals of one room to its subscribers, a bounded number of them at a step.

A pass takes what waits (`core.signals`), encodes it once per wire format, and gives all of it in one write to each of those who
stand at the head and can take it at that moment; the others never miss it. Whoever joins during a pass is not part of it.
Nothing here waits: the actor asks for a step, and lets others run before it asks for the next. So a room of thousands neither
keeps the process nor its own durable events for longer than a step.

A format that cannot encode a signal goes without. The bug of one outlet ends its own subscription.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

import attrs

from ._answers import log_failure
from .core.config import ConversationSettings
from .core.messages import Event
from .core.signals import Signals
from .core.subscriber import Stage, Subscriber
from .core.tail import Entry, Format


@attrs.define(eq=False)
class _Share:
    """One wire format's part of a pass: what is said, and who has not heard it."""

    events: Sequence[Event]
    data: bytes
    left: Iterator[Subscriber]


class Spread:
    """The signals of one room, waiting and under way.

    Args:
        settings: bounds.
        groups: the room's subscribers, by wire format.
    """

    __slots__ = ("_groups", "_settings", "_shares", "_signals")

    def __init__(self, settings: ConversationSettings, groups: Mapping[str, Mapping[Subscriber, None]]) -> None:
        self._settings = settings
        self._groups = groups
        self._signals = Signals(settings)
        self._shares: list[_Share] = []  # one for each wire format at most; a deque would take 700 bytes in every room

    @property
    def busy(self) -> bool:
        """Whether there is something to be said."""
        return bool(self._shares) or bool(self._signals)

    def add(self, event: Event, now: float) -> None:
        """Have an ephemeral event spread; see `Signals.add`."""
        self._signals.add(event, now)

    def clear(self) -> None:
        """Let go of what waits and of what is under way."""
        self._signals.clear()
        self._shares.clear()

    def step(self, head: int, drop: Callable[[Subscriber, Exception], None]) -> None:
        """Serve the next `pass_items` subscribers of the pass under way, or begin the next pass.

        Args:
            head: offset of the newest durable event that was published.
            drop: lets go of a subscriber whose outlet raised. Not kept: it is the room's, which would hold itself.
        """
        shares, items = self._shares, self._settings.pass_items
        if not shares:
            self._begin()
        while shares and items:
            share = shares[0]
            for subscriber in islice(share.left, items):
                items -= 1
                if subscriber.cursor != head or subscriber.stage is not Stage.LIVE:
                    continue
                try:
                    subscriber.signal(share.events, share.data)
                except Exception as error:  # noqa: BLE001  a broken outlet ends its own subscription, not the conversation
                    drop(subscriber, error)
            if items:
                del shares[0]

    def _begin(self) -> None:
        entries = self._signals.take(self._settings.write_bytes)
        for group in self._groups.values():
            wire_format = next(iter(group)).format
            encoded = [(entry.event, data) for entry in entries if (data := _encode(entry, wire_format)) is not None]
            if encoded:
                events, wires = zip(*encoded, strict=True)
                self._shares.append(_Share(events, b"".join(wires), iter(list(group))))


def _encode(entry: Entry, wire_format: Format) -> bytes | None:
    try:
        return entry.wire(wire_format)
    except Exception as error:  # noqa: BLE001  a bug of one format must not crash the conversation
        log_failure("an event cannot be encoded", error, conversation=entry.event.conversation, format=wire_format.name)
        return None
