"""People: what calls on members ask about users that are not in front of them. A port; accounts implement it.

An embedding program whose users are its own implements it, too: then they can be made members, and invited, by their ids.
"""

from __future__ import annotations

from typing import Protocol

from ..engine import Author, Principal


class People(Protocol):
    """Who there is. Both methods may wait for a store and raise StoreUnavailable."""

    async def find(self, user_id: str) -> Author | None:
        """The user with this id, as others see it; None for nobody, and for one who may not act any more."""
        ...

    async def names(self, principal: Principal) -> frozenset[str]:
        """What an invite may call this principal: its user name and the e-mail addresses that are certainly its own, in lower
        case. What anybody may give oneself, as a display name, is not among them."""
        ...


class Strangers:
    """Nobody is known but by being there: no accounts are kept, and an invite is bound to an id."""

    async def find(self, user_id: str) -> Author | None:
        """Nobody."""
        return None

    async def names(self, principal: Principal) -> frozenset[str]:
        """The id alone."""
        return frozenset({principal.id.casefold()})
