"""What a store of accounts promises. The implementations live in `hubbub.storage.accounts`; one contract suite holds them to it.

Every method is one step: it happened as a whole when it returns, not at all when it raises `StoreUnavailable`, and perhaps when
it raises `OutcomeUnknown`; then it may be called again with the same arguments, and comes to the same. Reads see every change
that returned before.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from .external import IdentityStore
from .records import Holder, Invitation, TokenKind, TokenRecord, User, UserChange


class AccountStore(Protocol):
    """Users, their tokens, and invitations to sign up."""

    @property
    def identities(self) -> IdentityStore:
        """Identities of OpenID Connect providers that open accounts; they go when their account is deleted."""
        ...

    async def has_admin(self) -> bool:
        """Whether there is an administrator who may act."""
        ...

    async def add_user(self, user: User, invitation: bytes | None = None, *, now_ms: int) -> None:
        """Make an account.

        Args:
            invitation: digest of the invitation that is used up by this, in the same step.

        Raises:
            Conflict: the user name is taken; the invitation is not used up.
            NotFound: the invitation is unknown, used, withdrawn or over.
        """
        ...

    async def add_first_admin(self, user: User) -> None:
        """Make the first administrator.

        Raises:
            Conflict: there is one already, or the user name is taken.
        """
        ...

    async def add_guest(self, user: User, token: TokenRecord) -> None:
        """Make a guest with its one session."""
        ...

    async def upgrade_guest(self, user: User, invitation: bytes | None = None, *, now_ms: int) -> None:
        """Make a guest an account: its row becomes `user`, which has the same id. Its tokens stay.

        Args:
            invitation: as in `add_user`.

        Raises:
            Conflict: the user name is taken, or the user is no guest (any more); no invitation is used up.
            NotFound: the invitation is unknown, used, withdrawn or over.
        """
        ...

    async def find_user(self, user_id: str) -> User | None:
        """The user with this id, disabled and deleted ones too."""
        ...

    async def find_username(self, username: str) -> User | None:
        """The account with this folded user name."""
        ...

    async def names(self, user_ids: Collection[str]) -> dict[str, str]:
        """What people call users, in one look: an account its user name, a guest its name and `GUEST_MARK`, which no user name
        holds. Unknown and deleted ones are left out.

        Args:
            user_ids: any texts without NUL; as many as a page has rows, not all there are.
        """
        ...

    async def list_users(self, *, after: str | None, limit: int, guests: bool, matching: str | None) -> list[User]:
        """Users by id in code point order, ids greater than `after`; deleted ones are left out.

        Args:
            guests: guests too.
            matching: only those whose user name or name holds this text, whatever its case.
        """
        ...

    async def change_user(self, user_id: str, change: UserChange, *, now_ms: int) -> User:
        """Change a user and return it as it is then.

        Raises:
            NotFound: there is none, or it is deleted.
            Conflict: nobody would be left who administers the server.
        """
        ...

    async def delete_user(self, user_id: str, *, now_ms: int) -> None:
        """Forget who somebody was: name, user name, password and every token go, the id stays. Repeating it changes nothing.

        Raises:
            NotFound: there is no such user.
            Conflict: nobody would be left who administers the server.
        """
        ...

    async def add_token(self, token: TokenRecord) -> None:
        """Keep a token.

        Raises:
            NotFound: its user is not there, disabled or deleted.
        """
        ...

    async def find_token(self, digest: bytes) -> Holder | None:
        """The token with this digest, or whose former digest it is, with its user: whether it is good is for others to say."""
        ...

    async def list_tokens(self, user_id: str, kind: TokenKind) -> list[TokenRecord]:
        """A user's tokens of a kind, the newest first, also those that are over."""
        ...

    async def end_tokens(
        self, user_id: str, *, kind: TokenKind | None = None, only: str | None = None, keep: str | None = None
    ) -> list[str]:
        """End tokens of a user, and return the ids of those that were ended.

        Args:
            kind: only of this kind.
            only: only the one with this id.
            keep: not the one with this id.
        """
        ...

    async def evict_tokens(self, user_id: str, kind: TokenKind, *, keep: int, newest: str) -> list[str]:
        """End the oldest of a user's tokens of a kind, so that at most `keep` are left; returns the ids of those that were ended.

        Args:
            newest: the id of the one that counts as the newest, whatever the clocks said.
        """
        ...

    async def rotate_token(
        self,
        user_id: str,
        token_id: str,
        digest: bytes,
        *,
        former: bytes | None,
        now_ms: int,
        former_until_ms: int,
        expires_at_ms: int | None,
    ) -> TokenRecord | None:
        """Give a token another digest; the one before becomes its former one. Returns it as it is then; None where it is gone.

        Args:
            former: only if this is its digest now: of two that rotate at once, one finds None.
            former_until_ms: until when the former digest is good.
            expires_at_ms: when it ends from now on; None never.
        """
        ...

    async def touch_tokens(self, token_ids: Collection[str], *, now_ms: int) -> set[str]:
        """Write down that tokens are in use; returns those that still exist."""
        ...

    async def prune_tokens(self, before_ms: int) -> int:
        """Forget tokens that ended before a time, and guests that have none left. Returns how many tokens; there may be more."""
        ...

    async def add_invitation(self, invitation: Invitation) -> None:
        """Keep an invitation."""
        ...

    async def find_invitation(self, digest: bytes) -> Invitation | None:
        """The invitation whose secret has this digest, used and over ones too."""
        ...

    async def list_invitations(self, *, limit: int) -> list[Invitation]:
        """Invitations, the newest first."""
        ...

    async def end_invitation(self, invitation_id: str) -> bool:
        """Withdraw an invitation that was not used; whether there was one."""
        ...
