"""Blocks: one person wants nothing more from another. The rule of what that keeps from happening. Sans-I/O.

A block keeps both from beginning something with the other: from making a direct conversation, from bringing the other into a
room, from speaking in the direct conversation that they have. Both, because who blocks and goes on speaking cannot be answered.
What was said stays readable, and where many speak a block means nothing. The other one is not told of it: what is refused is
refused in words that do not say why.

Left out: bans and mutes, which a conversation has (`members`).
"""

from typing import Final

import attrs

from .authors import Author
from .errors import Forbidden

MAX_BLOCKS: Final = 1_000
"""People whom one person blocks."""

Blockers = frozenset[str]
"""Of two people, the ids of those who block the other."""


@attrs.frozen
class Block:
    """One row.

    Attributes:
        blocker: id of who blocks.
        user: who is blocked; the name as it was then.
        created_at_ms: since when, milliseconds since the epoch.
    """

    blocker: str
    user: Author
    created_at_ms: int


def check_contact(by_id: str, blockers: Blockers, refusal: str) -> None:
    """Let pass what somebody does with another person, unless one of the two blocks the other.

    Args:
        by_id: who does it.
        refusal: what is said to somebody who is blocked; it should not say why.

    Raises:
        Forbidden: one does.
    """
    if by_id in blockers:
        raise Forbidden("you have blocked this person: end the block first")
    if blockers:
        raise Forbidden(refusal)
