"""Recovery: where a cursor is served from. A pure decision, the same for every transport.

no cursor given          live from the head
another epoch            reset: epoch_changed
beyond the head          reset: ahead
before the oldest kept   reset: trimmed (only a retention rule makes this happen)
inside the tail          replay from memory
else                     replay in pages from the store, until the cursor meets the tail
"""

import attrs

from .cursor import Cursor
from .errors import RecoveryReason


@attrs.frozen
class Live:
    """Start at the head."""

    offset: int


@attrs.frozen
class FromTail:
    """Everything after `offset` is in memory."""

    offset: int


@attrs.frozen
class FromPages:
    """Read pages after `offset` from the store first."""

    offset: int


@attrs.frozen
class Reset:
    """The cursor cannot be served; say so with the reason, then go on live from `offset`, the head."""

    reason: RecoveryReason
    offset: int


Decision = Live | FromTail | FromPages | Reset


@attrs.frozen
class Since:
    """Where a subscriber wants to resume: an offset, and the epoch when it knows one."""

    offset: int
    epoch: str | None = None

    @classmethod
    def of(cls, cursor: Cursor) -> "Since":
        """From a full cursor."""
        return cls(cursor.offset, cursor.epoch)


def decide(since: Since | None, *, epoch: str, oldest: int, floor: int, head: int) -> Decision:
    """Decide how to serve a subscriber.

    Args:
        since: where it left off, or None for live.
        epoch: name of the log.
        oldest: the oldest cursor that the store can serve (0 until retention prunes).
        floor: the oldest cursor that the tail can serve; oldest <= floor <= head.
        head: offset of the newest event.
    """
    if since is None:
        return Live(head)
    if since.epoch is not None and since.epoch != epoch:
        return Reset(RecoveryReason.EPOCH_CHANGED, head)
    if since.offset > head:
        return Reset(RecoveryReason.AHEAD, head)
    if since.offset >= floor:
        return FromTail(since.offset)
    if since.offset < oldest:
        return Reset(RecoveryReason.TRIMMED, head)
    return FromPages(since.offset)
