"""Accounts in this process's memory: for embedding without durability, and the reference of the contract suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import attrs
import trio

from ...engine.core.errors import Conflict, NotFound
from ...engine.core.principals import ServerRole
from ...engine.identity.records import (
    DELETED_NAME,
    Holder,
    Invitation,
    TokenKind,
    TokenRecord,
    User,
    UserChange,
    called,
)
from .identities import MemoryIdentities
from .refusals import ADMINISTERED, NO_ADMIN, NO_GUEST, NO_INVITATION, NO_USER, TAKEN


class MemoryAccounts:
    """`engine.identity.ports.AccountStore` in memory; each method happens in one step.

    Args:
        before: awaited before each step; a store that fails on purpose raises here.
    """

    def __init__(self, before: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint) -> None:
        self._before = before
        self._users: dict[str, User] = {}
        self._tokens: dict[str, TokenRecord] = {}  # by id
        self._invitations: dict[str, Invitation] = {}
        self._identities = MemoryIdentities(self._users, before)

    @property
    def identities(self) -> MemoryIdentities:
        """Identities that open accounts."""
        return self._identities

    # -- users ----------------------------------------------------------------------------------------------------------

    async def has_admin(self) -> bool:
        """See `AccountStore`, as for every method here."""
        await self._before()
        return self._admins() > 0

    def _admins(self, without: str | None = None) -> int:
        return sum(user.active and user.role is ServerRole.ADMIN for user in self._users.values() if user.id != without)

    async def add_user(self, user: User, invitation: bytes | None = None, *, now_ms: int) -> None:
        """Make an account."""
        await self._before()
        if user.id in self._users:
            return  # the same step again
        self._check_name(user)
        self._use_up(invitation, user.id, now_ms)
        self._users[user.id] = user

    async def add_first_admin(self, user: User) -> None:
        """Make the first administrator."""
        await self._before()
        if user.id in self._users:
            return
        if self._admins():
            raise Conflict(ADMINISTERED)
        self._check_name(user)
        self._users[user.id] = user

    async def add_guest(self, user: User, token: TokenRecord) -> None:
        """Make a guest with its one session."""
        await self._before()
        self._users.setdefault(user.id, user)
        self._tokens.setdefault(token.id, token)

    async def upgrade_guest(self, user: User, invitation: bytes | None = None, *, now_ms: int) -> None:
        """Make a guest an account."""
        await self._before()
        known = self._users.get(user.id)
        if known is not None and known.username == user.username and known.password_hash == user.password_hash:
            return  # the same step again
        if known is None or known.role is not ServerRole.GUEST or not known.active:
            raise Conflict(NO_GUEST)
        self._check_name(user)
        self._use_up(invitation, user.id, now_ms)
        self._users[user.id] = attrs.evolve(user, created_at_ms=known.created_at_ms)

    def _check_name(self, user: User) -> None:
        if any(other.username == user.username for other in self._users.values()):
            raise Conflict(TAKEN)

    def _use_up(self, digest: bytes | None, user_id: str, now_ms: int) -> None:
        if digest is None:
            return
        for invitation in self._invitations.values():
            if invitation.digest == digest and invitation.used_by is None and now_ms < invitation.expires_at_ms:
                self._invitations[invitation.id] = attrs.evolve(invitation, used_by=user_id)
                return
        raise NotFound(NO_INVITATION)

    async def find_user(self, user_id: str) -> User | None:
        """The user with this id."""
        await self._before()
        return self._users.get(user_id)

    async def find_username(self, username: str) -> User | None:
        """The account with this user name."""
        await self._before()
        return next((user for user in self._users.values() if user.username == username), None)

    async def names(self, user_ids: Collection[str]) -> dict[str, str]:
        """What people call users."""
        await self._before()
        found = [self._users[user_id] for user_id in user_ids if user_id in self._users]
        return {user.id: called(user.username, user.name) for user in found if user.deleted_at_ms is None}

    async def list_users(self, *, after: str | None, limit: int, guests: bool, matching: str | None) -> list[User]:
        """Users by id."""
        await self._before()
        wanted = (matching or "").lower()
        found = sorted(
            (
                user
                for user in self._users.values()
                if user.deleted_at_ms is None
                and (guests or user.role is not ServerRole.GUEST)
                and (after is None or user.id > after)
                and (wanted in user.name.lower() or wanted in (user.username or ""))
            ),
            key=lambda user: user.id,
        )
        return found[:limit]

    async def change_user(self, user_id: str, change: UserChange, *, now_ms: int) -> User:
        """Change a user."""
        await self._before()
        user = self._present(user_id)
        if (change.disabled or change.role not in (None, ServerRole.ADMIN)) and not self._admins(without=user_id):
            self._check_admin_stays(user)
        disabled_at_ms = user.disabled_at_ms
        if change.disabled is not None:
            disabled_at_ms = None if not change.disabled else disabled_at_ms or now_ms
        changed = attrs.evolve(
            user,
            name=user.name if change.name is None else change.name,
            role=user.role if change.role is None else change.role,
            password_hash=user.password_hash if change.password_hash is None else change.password_hash,
            disabled_at_ms=disabled_at_ms,
        )
        self._users[user_id] = changed
        return changed

    async def delete_user(self, user_id: str, *, now_ms: int) -> None:
        """Forget who somebody was."""
        await self._before()
        user = self._users.get(user_id)
        if user is None:
            raise NotFound(NO_USER)
        if user.deleted_at_ms is not None:
            return
        if not self._admins(without=user_id):
            self._check_admin_stays(user)
        self._users[user_id] = attrs.evolve(
            user, username=None, name=DELETED_NAME, role=ServerRole.GUEST, password_hash=None, deleted_at_ms=now_ms
        )
        self._drop(lambda token: token.user == user_id)
        self._identities.forget(user_id)

    def _present(self, user_id: str) -> User:
        user = self._users.get(user_id)
        if user is None or user.deleted_at_ms is not None:
            raise NotFound(NO_USER)
        return user

    def _check_admin_stays(self, user: User) -> None:
        if user.active and user.role is ServerRole.ADMIN:
            raise Conflict(NO_ADMIN)

    # -- tokens ---------------------------------------------------------------------------------------------------------

    async def add_token(self, token: TokenRecord) -> None:
        """Keep a token."""
        await self._before()
        user = self._users.get(token.user)
        if user is None or not user.active:
            raise NotFound(NO_USER)
        self._tokens.setdefault(token.id, token)

    async def find_token(self, digest: bytes) -> Holder | None:
        """The token with this digest."""
        await self._before()
        for token in self._tokens.values():
            if digest in (token.digest, token.former_digest):
                return Holder(token, self._users[token.user])
        return None

    async def list_tokens(self, user_id: str, kind: TokenKind) -> list[TokenRecord]:
        """A user's tokens of a kind, the newest first."""
        await self._before()
        return self._newest_first(user_id, kind)

    def _newest_first(self, user_id: str, kind: TokenKind) -> list[TokenRecord]:
        tokens = [token for token in self._tokens.values() if token.user == user_id and token.kind is kind]
        return sorted(tokens, key=lambda token: (token.created_at_ms, token.id), reverse=True)

    async def end_tokens(
        self, user_id: str, *, kind: TokenKind | None = None, only: str | None = None, keep: str | None = None
    ) -> list[str]:
        """End tokens of a user."""
        await self._before()
        return self._drop(
            lambda token: (
                token.user == user_id
                and kind in (None, token.kind)
                and only in (None, token.id)
                and (keep is None or keep != token.id)
            )
        )

    def _drop(self, over: Callable[[TokenRecord], bool]) -> list[str]:
        dropped = [token.id for token in self._tokens.values() if over(token)]
        for token_id in dropped:
            del self._tokens[token_id]
        return dropped

    async def evict_tokens(self, user_id: str, kind: TokenKind, *, keep: int, newest: str) -> list[str]:
        """End the oldest of a user's tokens."""
        await self._before()
        tokens = sorted(self._newest_first(user_id, kind), key=lambda token: token.id != newest)
        dropped = [token.id for token in tokens[keep:]]
        for token_id in dropped:
            del self._tokens[token_id]
        return dropped

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
        """Give a token another digest."""
        await self._before()
        token = self._tokens.get(token_id)
        if token is None or token.user != user_id or (former is not None and token.digest not in (former, digest)):
            return None
        if token.digest != digest:
            token = attrs.evolve(
                token,
                digest=digest,
                former_digest=token.digest,
                former_until_ms=former_until_ms,
                last_used_at_ms=now_ms if token.kind is TokenKind.SESSION else token.last_used_at_ms,
                expires_at_ms=expires_at_ms,
            )
            self._tokens[token_id] = token
        return token

    async def touch_tokens(self, token_ids: Collection[str], *, now_ms: int) -> set[str]:
        """Write down that tokens are in use."""
        await self._before()
        found = {token_id for token_id in token_ids if token_id in self._tokens}
        for token_id in found:
            token = self._tokens[token_id]
            self._tokens[token_id] = attrs.evolve(token, last_used_at_ms=max(now_ms, token.last_used_at_ms))
        return found

    async def prune_tokens(self, before_ms: int) -> int:
        """Forget tokens that ended before a time, and guests that have none left."""
        await self._before()
        dropped = self._drop(lambda token: token.expires_at_ms is not None and token.expires_at_ms < before_ms)
        held = {token.user for token in self._tokens.values()}
        for user in list(self._users.values()):
            if user.role is ServerRole.GUEST and user.deleted_at_ms is None and user.id not in held:
                del self._users[user.id]
        return len(dropped)

    # -- invitations ----------------------------------------------------------------------------------------------------

    async def add_invitation(self, invitation: Invitation) -> None:
        """Keep an invitation."""
        await self._before()
        self._invitations.setdefault(invitation.id, invitation)

    async def find_invitation(self, digest: bytes) -> Invitation | None:
        """The invitation with this digest."""
        await self._before()
        return next((one for one in self._invitations.values() if one.digest == digest), None)

    async def list_invitations(self, *, limit: int) -> list[Invitation]:
        """Invitations, the newest first."""
        await self._before()
        return sorted(self._invitations.values(), key=lambda one: (one.created_at_ms, one.id), reverse=True)[:limit]

    async def end_invitation(self, invitation_id: str) -> bool:
        """Withdraw an invitation that was not used."""
        await self._before()
        known = self._invitations.get(invitation_id)
        if known is None or known.used_by is not None:
            return False
        del self._invitations[invitation_id]
        return True
