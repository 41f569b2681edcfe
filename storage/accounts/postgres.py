"""Accounts in Postgres: one statement a method, over the pool of the store's reads.

What takes away an administrator waits for one lock of ours: two who demote one another at the same moment would each still see
the other in their statements' snapshots. One lock is enough, because one server holds the database (`storage.postgres`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import trio

from ...engine.core.errors import Conflict, EngineError, NotFound
from ...engine.core.principals import Scope, ServerRole
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
from ..driver import Pool, Values
from ..ports import RowsRefused
from . import sql
from .identities import PostgresIdentities
from .refusals import ADMINISTERED, NO_ADMIN, NO_GUEST, NO_INVITATION, NO_USER, TAKEN
from .rows import DUPLICATE, user_of

PRUNED_TOKENS: Final = 10_000


class PostgresAccounts:
    """`engine.identity.ports.AccountStore` in Postgres.

    Args:
        pool: where statements run.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._administering = trio.Lock()
        self._identities = PostgresIdentities(pool)

    @property
    def identities(self) -> PostgresIdentities:
        """Identities that open accounts."""
        return self._identities

    # -- users ----------------------------------------------------------------------------------------------------------

    async def has_admin(self) -> bool:
        """See `AccountStore`, as for every method here."""
        return bool((await self._pool.fetch(sql.HAS_ADMIN))[0][0])

    async def add_user(self, user: User, invitation: bytes | None = None, *, now_ms: int) -> None:
        """Make an account."""
        if invitation is None:
            await self._write_named(sql.ADD_USER, *_user_values(user))
            return
        rows = await self._write_named(sql.ADD_INVITED_USER, *_user_values(user), invitation, now_ms)
        if not rows[0][0]:
            raise NotFound(NO_INVITATION)

    async def add_first_admin(self, user: User) -> None:
        """Make the first administrator."""
        async with self._administering:
            rows = await self._write_named(sql.ADD_FIRST_ADMIN, *_user_values(user))
        if not rows[0][0]:
            raise Conflict(ADMINISTERED)

    async def add_guest(self, user: User, token: TokenRecord) -> None:
        """Make a guest with its one session."""
        await self._pool.write(sql.ADD_GUEST, *_user_values(user), *_token_values(token))

    async def upgrade_guest(self, user: User, invitation: bytes | None = None, *, now_ms: int) -> None:
        """Make a guest an account."""
        values = (user.id, user.username, user.name, user.role.value, user.password_hash)
        if invitation is None:
            rows = await self._write_named(sql.UPGRADE, *values)
        else:
            rows = await self._write_named(sql.UPGRADE_INVITED, *values, invitation, now_ms)
        invited, upgraded = rows[0] if rows else (1, 0)
        if not invited:
            raise NotFound(NO_INVITATION)
        if not upgraded:
            raise Conflict(NO_GUEST)

    async def find_user(self, user_id: str) -> User | None:
        """The user with this id."""
        rows = await self._pool.fetch(sql.FIND_USER, user_id)
        return user_of(rows[0]) if rows else None

    async def find_username(self, username: str) -> User | None:
        """The account with this user name."""
        rows = await self._pool.fetch(sql.FIND_USERNAME, username)
        return user_of(rows[0]) if rows else None

    async def names(self, user_ids: Collection[str]) -> dict[str, str]:
        """What people call users."""
        rows = await self._pool.fetch(sql.NAMES, list(user_ids)) if user_ids else []
        return {user_id: called(username, name) for user_id, username, name in rows}

    async def list_users(self, *, after: str | None, limit: int, guests: bool, matching: str | None) -> list[User]:
        """Users by id."""
        return [user_of(row) for row in await self._pool.fetch(sql.LIST_USERS, after or "", limit, guests, matching)]

    async def change_user(self, user_id: str, change: UserChange, *, now_ms: int) -> User:
        """Change a user."""
        role = None if change.role is None else change.role.value
        async with self._administering:
            rows = await self._pool.write(
                sql.CHANGE_USER, user_id, change.name, role, change.password_hash, change.disabled, now_ms
            )
        if not rows:
            raise await self._refused(user_id)
        return user_of(rows[0])

    async def delete_user(self, user_id: str, *, now_ms: int) -> None:
        """Forget who somebody was."""
        async with self._administering:
            rows = await self._pool.write(sql.DELETE_USER, user_id, DELETED_NAME, now_ms)
        if not rows[0][0]:
            raise await self._refused(user_id)

    async def _refused(self, user_id: str) -> NotFound | Conflict:
        user = await self.find_user(user_id)
        return NotFound(NO_USER) if user is None or user.deleted_at_ms is not None else Conflict(NO_ADMIN)

    async def _write_named(self, statement: str, *values: object) -> list[Values]:
        """A statement that gives a user name, the only thing in it that can be there already."""
        try:
            return await self._pool.write(statement, *values)
        except EngineError as error:
            cause = error.__cause__
            if isinstance(cause, RowsRefused) and cause.detail == DUPLICATE:
                raise Conflict(TAKEN) from error
            raise

    # -- tokens ---------------------------------------------------------------------------------------------------------

    async def add_token(self, token: TokenRecord) -> None:
        """Keep a token."""
        if not await self._pool.write(sql.ADD_TOKEN, *_token_values(token)):
            raise NotFound(NO_USER)

    async def find_token(self, digest: bytes) -> Holder | None:
        """The token with this digest."""
        rows = await self._pool.fetch(sql.FIND_TOKEN, digest)
        return Holder(_token(rows[0][sql.USER_COLUMNS :]), user_of(rows[0][: sql.USER_COLUMNS])) if rows else None

    async def list_tokens(self, user_id: str, kind: TokenKind) -> list[TokenRecord]:
        """A user's tokens of a kind, the newest first."""
        return [_token(row) for row in await self._pool.fetch(sql.LIST_TOKENS, user_id, kind.value)]

    async def end_tokens(
        self, user_id: str, *, kind: TokenKind | None = None, only: str | None = None, keep: str | None = None
    ) -> list[str]:
        """End tokens of a user."""
        named = None if kind is None else kind.value
        return [row[0] for row in await self._pool.write(sql.END_TOKENS, user_id, named, only, keep)]

    async def evict_tokens(self, user_id: str, kind: TokenKind, *, keep: int, newest: str) -> list[str]:
        """End the oldest of a user's tokens."""
        return [row[0] for row in await self._pool.write(sql.EVICT_TOKENS, user_id, kind.value, keep, newest)]

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
        times = (now_ms, former_until_ms, expires_at_ms)
        rows = await self._pool.write(sql.ROTATE_TOKEN, user_id, token_id, digest, former, *times)
        return _token(rows[0]) if rows else None

    async def touch_tokens(self, token_ids: Collection[str], *, now_ms: int) -> set[str]:
        """Write down that tokens are in use."""
        return {row[0] for row in await self._pool.fetch(sql.TOUCH_TOKENS, list(token_ids), now_ms)}

    async def prune_tokens(self, before_ms: int) -> int:
        """Forget tokens that ended before a time, and guests that have none left."""
        pruned = len(await self._pool.fetch(sql.PRUNE_TOKENS, before_ms, PRUNED_TOKENS))
        await self._pool.fetch(sql.PRUNE_GUESTS, before_ms, PRUNED_TOKENS)
        return pruned

    # -- invitations ----------------------------------------------------------------------------------------------------

    async def add_invitation(self, invitation: Invitation) -> None:
        """Keep an invitation."""
        await self._pool.write(
            sql.ADD_INVITATION,
            *(invitation.id, invitation.digest, invitation.role.value, invitation.label, invitation.created_by),
            *(invitation.created_at_ms, invitation.expires_at_ms),
        )

    async def find_invitation(self, digest: bytes) -> Invitation | None:
        """The invitation with this digest."""
        rows = await self._pool.fetch(sql.FIND_INVITATION, digest)
        return _invitation(rows[0]) if rows else None

    async def list_invitations(self, *, limit: int) -> list[Invitation]:
        """Invitations, the newest first."""
        return [_invitation(row) for row in await self._pool.fetch(sql.LIST_INVITATIONS, limit)]

    async def end_invitation(self, invitation_id: str) -> bool:
        """Withdraw an invitation that was not used."""
        return bool(await self._pool.write(sql.END_INVITATION, invitation_id))


def _user_values(user: User) -> tuple[object, ...]:
    return (user.id, user.username, user.name, user.role.value, user.password_hash, user.created_at_ms)


def _token_values(token: TokenRecord) -> tuple[object, ...]:
    scopes = sorted(scope.value for scope in token.scopes)
    times = (token.created_at_ms, token.last_used_at_ms, token.expires_at_ms)
    return (token.id, token.user, token.kind.value, token.digest, token.label, scopes, *times)


def _token(row: Values) -> TokenRecord:
    token_id, user, kind, digest, former, label, scopes, former_until_ms, created_at_ms, last_used_at_ms, ends = row
    return TokenRecord(
        digest=digest,
        id=token_id,
        user=user,
        kind=TokenKind(kind),
        label=label,
        scopes=frozenset(Scope(scope) for scope in scopes),
        created_at_ms=created_at_ms,
        last_used_at_ms=last_used_at_ms,
        expires_at_ms=ends,
        former_digest=former,
        former_until_ms=former_until_ms,
    )


def _invitation(row: Values) -> Invitation:
    invitation_id, digest, role, label, created_by, created_at_ms, expires_at_ms, used_by = row
    return Invitation(
        id=invitation_id,
        digest=digest,
        role=ServerRole(role),
        label=label,
        created_by=created_by,
        created_at_ms=created_at_ms,
        expires_at_ms=expires_at_ms,
        used_by=used_by,
    )
