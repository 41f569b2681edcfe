"""Signals: the ephemeral events of one conversation that wait to be spread (design: conflation). Owned by one conversation.

A signal says how somebody stands now, so a newer one of the same type and author replaces an older one that still waits, and
takes its place at the end: what is taken is always a part of what was added, in that order. That somebody types is said once,
and then not again for `typing_again_s`.

Invariant: at most `signal_items` wait, the oldest giving way; signals are promised to nobody.
"""

from collections import OrderedDict

from .config import ConversationSettings
from .kinds import EventType
from .messages import Event
from .tail import Entry


class Signals:
    """What waits, oldest first.

    Args:
        settings: bounds.
    """

    __slots__ = ("_settings", "_typed", "_waiting")

    def __init__(self, settings: ConversationSettings) -> None:
        self._settings = settings
        self._waiting: OrderedDict[tuple[str, str], Event] = OrderedDict()
        self._typed: OrderedDict[str, float] = OrderedDict()  # when an author's typing was last let through

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, event: Event, now: float) -> None:
        """Add one; it may replace another, or be passed over.

        Args:
            event: ephemeral.
            now: the engine's clock, seconds.
        """
        if event.type == EventType.TYPING and not self._may_type(event.actor.id, now):
            return
        key = (event.type, event.actor.id)
        self._waiting.pop(key, None)
        self._waiting[key] = event
        if len(self._waiting) > self._settings.signal_items:
            self._waiting.popitem(last=False)

    def _may_type(self, author: str, now: float) -> bool:
        typed, again_s = self._typed, self._settings.typing_again_s
        while typed and next(iter(typed.values())) + again_s <= now:
            typed.popitem(last=False)
        if author in typed:
            return False
        typed[author] = now
        if len(typed) > self._settings.typing_items:
            typed.popitem(last=False)
        return True

    def take(self, max_bytes: int) -> list[Entry]:
        """Remove the oldest, as many as `max_bytes` of JSON hold, and at least one when one waits."""
        taken: list[Entry] = []
        while self._waiting:
            key, event = next(iter(self._waiting.items()))
            entry = Entry(event)
            max_bytes -= len(entry.body)
            if taken and max_bytes < 0:
                break
            taken.append(entry)
            del self._waiting[key]
        return taken

    def clear(self) -> None:
        """Let go of all that waits."""
        self._waiting.clear()
