"""What a store of blocks promises. The implementations live in `hubbub.storage.blocks`; one contract suite holds them to it.

Every method is one step: it happened as a whole when it returns, not at all when it raises `StoreUnavailable`, and perhaps when
it raises `OutcomeUnknown`; then it may be called again with the same arguments, and comes to the same.
"""

from __future__ import annotations

from typing import Protocol

from .core.blocks import Block, Blockers


class BlockStore(Protocol):
    """Who blocks whom."""

    async def add(self, block: Block, *, most: int) -> Block | None:
        """Keep a block; the one that stands then, which may be an earlier one of the same two.

        Returns:
            None, and nothing kept, when its blocker has so many (``most``) already. Of those that one person adds at the same
            moment one or two may get past the bound.
        """
        ...

    async def remove(self, blocker: str, user_id: str) -> None:
        """Forget a block, if there is one."""
        ...

    async def between(self, one: str, other: str) -> Blockers:
        """Who of two people blocks the other; empty for one and the same."""
        ...

    async def list_of(self, blocker: str, *, after: str | None, limit: int) -> list[Block]:
        """The blocks of one person by the id of who is blocked, in code point order, ids greater than ``after``."""
        ...
