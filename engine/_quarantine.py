"""Quarantine: which conversations crashed too often, since when and why, as values for operators.

It lives in memory and as long as the process: a new process tries every conversation afresh. Within a process nothing ends it
but `Engine.release`; a quarantined conversation is never passivated, so it keeps its place among the live ones. When all places
are taken, by quarantined conversations or others, the next conversation is refused as `Overloaded`.

Left out: what a quarantined conversation still serves (`_keeper.py`), when a conversation has crashed too often (`actors`).
"""

from collections.abc import Callable
from itertools import islice
from typing import Protocol

import attrs

from ..actors import summary_of
from .core.ids import ConversationId
from .log import get_logger

_log = get_logger("hubbub.engine._quarantine")

_LISTED = 1000


@attrs.frozen
class QuarantinedConversation:
    """A conversation that crashed too often.

    Attributes:
        conversation: its id.
        reason: type, text and place of the last crash, one line of at most 300 characters, without what the text quotes.
        since_ms: when it was quarantined, milliseconds since the epoch.
        crashes: of its actors, since it came into memory.
        readable: whether it is served read-only. False: not even that was possible, every command is refused.
    """

    conversation: ConversationId
    reason: str
    since_ms: int
    crashes: int
    readable: bool


class _Slot(Protocol):
    """What is asked of the conversation's place in the registry."""

    @property
    def key(self) -> ConversationId:
        """The conversation."""
        ...

    @property
    def crashes(self) -> int:
        """Of its actors."""
        ...

    @property
    def served(self) -> bool:
        """Whether a keeper serves it."""
        ...


class Quarantines:
    """The quarantined conversations of one engine, oldest first; as many as the registry holds.

    Args:
        wall: wall-clock milliseconds.
    """

    def __init__(self, wall: Callable[[], int]) -> None:
        self._wall = wall
        self._known: dict[ConversationId, QuarantinedConversation] = {}

    def note(self, slot: _Slot, reason: Exception) -> None:
        """A conversation was quarantined, or its keeper gave up, too."""
        earlier = self._known.get(slot.key)
        known = self._known[slot.key] = QuarantinedConversation(
            conversation=slot.key,
            reason=summary_of(reason.__cause__ or reason),
            since_ms=self._wall() if earlier is None else earlier.since_ms,
            crashes=slot.crashes,
            readable=slot.served,
        )
        _log.error(
            "conversation quarantined",
            conversation=known.conversation,
            reason=known.reason,
            crashes=known.crashes,
            readable=known.readable,
        )

    def end(self, conversation: ConversationId) -> None:
        """A conversation was released."""
        known = self._known.pop(conversation, None)
        if known is not None:
            _log.warning(
                "conversation released",
                conversation=conversation,
                reason=known.reason,
                crashes=known.crashes,
                after_s=(self._wall() - known.since_ms) / 1000,
            )

    def listed(self) -> tuple[QuarantinedConversation, ...]:
        """The first 1,000."""
        return tuple(islice(self._known.values(), _LISTED))
