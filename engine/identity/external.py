"""Identities that others vouch for: who somebody is at an OpenID Connect provider, and which account that opens.

Invariants: an identity is the pair of issuer and subject (OpenID Connect Core, 2: nothing else is stable or unique; an e-mail
address is neither), and opens one account at most. Nothing else that the provider says is kept.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from .records import User


@attrs.frozen(kw_only=True)
class ExternalIdentity:
    """An identity that opens an account.

    Attributes:
        id: its public name, for lists and for unlinking it.
        issuer, subject: who it is, at most 255 characters each.
        user: the account that it opens.
    """

    id: str
    issuer: str
    subject: str
    user: str
    created_at_ms: int


class IdentityStore(Protocol):
    """Identities that open accounts. Each method is one step, as in `ports.AccountStore`."""

    async def find(self, issuer: str, subject: str) -> User | None:
        """The account that an identity opens, a disabled one too."""
        ...

    async def add_with_user(self, user: User, identity: ExternalIdentity) -> None:
        """Make an account that an identity opens.

        Raises:
            Conflict: the user name is taken, or the identity opens an account; nothing was made.
        """
        ...

    async def add_to_guest(self, user: User, identity: ExternalIdentity) -> None:
        """Make a guest an account that an identity opens, as `AccountStore.upgrade_guest`.

        Raises:
            Conflict: as `add_with_user`, or the user is no guest (any more).
        """
        ...

    async def add(self, identity: ExternalIdentity) -> None:
        """Have an identity open an account that is there. One that opens it already is left as it is.

        Raises:
            Conflict: it opens another account.
            NotFound: there is no such account that may act.
        """
        ...

    async def of(self, user_id: str) -> list[ExternalIdentity]:
        """What opens an account, the oldest first."""
        ...

    async def end(self, user_id: str, identity_id: str) -> bool:
        """Have an identity open an account no more; whether it did.

        Raises:
            Conflict: nothing else would open the account, no password either.
        """
        ...
