"""How long a token is good: absolute and idle expiry, rotation, and what a second use of a rotated-out token means.

A token ends at `expires_at_ms` whatever happens. A session ends besides when it was not used for the idle time. Rotation
gives the same session another token; the former one stays good for a short overlap, because requests are in flight and
answers get lost. A session's former token that comes back after the overlap was copied by somebody: which of the two that
hold it is the thief cannot be known, so the session ends (RFC 9700, 4.14.2). A key's former token is just unknown then: keys
are copied to many machines on purpose.
"""

from __future__ import annotations

from enum import Enum

import attrs

from .records import Holder, TokenKind


class Verdict(Enum):
    """What a token that was found is worth now."""

    GOOD = "good"
    UNKNOWN = "unknown"  # as if it were not there: its user may not act, or it was rotated out
    EXPIRED = "expired"
    REPLAYED = "replayed"  # end the session


@attrs.frozen(kw_only=True)
class Lifetimes:
    """How long sessions are good, milliseconds.

    Attributes:
        idle_ms: a session that was not used for so long is over; None for never.
        touch_ms: how often a use is written down, at most.
    """

    idle_ms: int | None
    touch_ms: int


def judge(holder: Holder, digest: bytes, lifetimes: Lifetimes, now_ms: int) -> Verdict:
    """What the token with this digest is worth.

    Args:
        digest: of the token that was shown: the record's own, or its former one.
    """
    token = holder.token
    if not holder.user.active:
        return Verdict.UNKNOWN
    if over_at_ms(holder, lifetimes) <= now_ms:
        return Verdict.EXPIRED
    if digest == token.digest:
        return Verdict.GOOD
    if digest != token.former_digest:
        return Verdict.UNKNOWN
    if now_ms < token.former_until_ms:
        return Verdict.GOOD
    return Verdict.REPLAYED if token.kind is TokenKind.SESSION else Verdict.UNKNOWN


def over_at_ms(holder: Holder, lifetimes: Lifetimes) -> float:
    """When a token ends unless it is used; infinite for a key without expiry."""
    token = holder.token
    ends: list[float] = [] if token.expires_at_ms is None else [token.expires_at_ms]
    if token.kind is TokenKind.SESSION and lifetimes.idle_ms is not None:
        ends.append(token.last_used_at_ms + lifetimes.idle_ms)
    return min(ends, default=float("inf"))


def due_for_touch(holder: Holder, lifetimes: Lifetimes, now_ms: int) -> bool:
    """Whether this use is to be written down: the first one of a key, and later ones now and then."""
    if not holder.token.used:
        return True
    return now_ms - holder.token.last_used_at_ms >= lifetimes.touch_ms
