"""What a store of invites promises. The implementations live in `hubbub.storage.invites`; one contract suite holds them to it.

Every method is one step: it happened as a whole when it returns, not at all when it raises `StoreUnavailable`, and perhaps when
it raises `OutcomeUnknown`; then it may be called again with the same arguments, and comes to the same.
"""

from __future__ import annotations

from typing import Protocol

from .core.ids import ConversationId
from .core.invites import Invite


class InviteStore(Protocol):
    """Invites of all conversations, by the digest of their token."""

    async def add(self, invite: Invite, *, most: int) -> bool:
        """Keep an invite; False, and nothing kept, when its conversation has as many open ones as it may (``most``) already.

        Of those that are added at the same moment one or two may get past the bound.
        """
        ...

    async def find(self, digest: bytes) -> Invite | None:
        """The invite whose token has this digest, used and over ones too."""
        ...

    async def list_of(self, conversation: ConversationId, *, after: str | None, limit: int) -> list[Invite]:
        """Invites of a conversation by id, ids greater than ``after``; used and over ones too, until they are pruned."""
        ...

    async def claim(self, digest: bytes, user_id: str, *, now_ms: int) -> bool:
        """Claim an open invite for a user; of many at once one gets it.

        Returns:
            Whether it is claimed for this user: now, or earlier when it did not join yet and may still complete that.
        """
        ...

    async def give_back(self, digest: bytes, user_id: str) -> None:
        """End the claim of a user who certainly did not join by it: the invite is open again."""
        ...

    async def settle(self, digest: bytes, user_id: str) -> None:
        """Note that the user who claimed it has joined: it is used up."""
        ...

    async def revoke(self, conversation: ConversationId, invite_id: str, *, now_ms: int) -> Invite | None:
        """Revoke an invite that nobody joined by; returns it as it is then, or None where there is no such invite."""
        ...

    async def prune(self, before_ms: int) -> int:
        """Forget invites that ended before a time, milliseconds since the epoch. Returns how many; there may be more."""
        ...
