"""People by their accounts: whom others may make members, and what an invite may call somebody."""

from __future__ import annotations

from ...engine import Author, Principal
from ...engine.identity.ports import AccountStore


class AccountPeople:
    """`transport.people.People` over a store of accounts; guests are found, too.

    Args:
        store: keeps them.
    """

    def __init__(self, store: AccountStore) -> None:
        self._store = store

    async def find(self, user_id: str) -> Author | None:
        """The user with this id, as others see it; None for nobody, and for one who may not act any more."""
        user = await self._store.find_user(user_id)
        return user.author if user is not None and user.active else None

    async def names(self, principal: Principal) -> frozenset[str]:
        """The id, and the user name of an account. No address: none is ever proven."""
        user = await self._store.find_user(principal.id)
        names = {principal.id.casefold()}
        if user is not None and user.username is not None:
            names.add(user.username)
        return frozenset(names)
