"""Identities of OpenID Connect, in memory and in Postgres: `engine.identity.external.IdentityStore`."""
# ruff: noqa: S608  statements are put together from constants; what comes from outside is a parameter

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from ...engine.core.errors import Conflict, EngineError, NotFound
from ...engine.core.principals import ServerRole
from ...engine.identity.external import ExternalIdentity
from ...engine.identity.records import User
from ..driver import Pool, Values
from ..ports import RowsRefused
from .refusals import IDENTITY_TAKEN, LAST_WAY_IN, NAME_OR_IDENTITY_TAKEN, NO_GUEST, NO_USER
from .rows import DUPLICATE, user_of
from .sql import at, ms, user_columns


class MemoryIdentities:
    """In memory.

    Args:
        users: the users, by id, of the store that this is part of.
        before: awaited before each step.
    """

    def __init__(self, users: dict[str, User], before: Callable[[], Awaitable[None]]) -> None:
        self._users = users
        self._before = before
        self._identities: dict[str, ExternalIdentity] = {}

    async def find(self, issuer: str, subject: str) -> User | None:
        """See `IdentityStore`, as for every method here."""
        await self._before()
        known = self._known(issuer, subject)
        return None if known is None else self._users[known.user]

    def _known(self, issuer: str, subject: str) -> ExternalIdentity | None:
        pair = (issuer, subject)
        return next((one for one in self._identities.values() if (one.issuer, one.subject) == pair), None)

    async def add_with_user(self, user: User, identity: ExternalIdentity) -> None:
        """Make an account that an identity opens."""
        await self._before()
        if identity.id in self._identities:
            return  # the same step again
        self._check(user, identity)
        self._users[user.id] = user
        self._identities[identity.id] = identity

    async def add_to_guest(self, user: User, identity: ExternalIdentity) -> None:
        """Make a guest an account that an identity opens."""
        await self._before()
        if identity.id in self._identities:
            return
        known = self._users.get(user.id)
        if known is None or known.role is not ServerRole.GUEST or not known.active:
            raise Conflict(NO_GUEST)
        self._check(user, identity)
        self._users[user.id] = attrs.evolve(user, created_at_ms=known.created_at_ms)
        self._identities[identity.id] = identity

    def _check(self, user: User, identity: ExternalIdentity) -> None:
        has_name = any(other.username == user.username for other in self._users.values())
        if has_name or self._known(identity.issuer, identity.subject) is not None:
            raise Conflict(NAME_OR_IDENTITY_TAKEN)

    async def add(self, identity: ExternalIdentity) -> None:
        """Have an identity open an account that is there."""
        await self._before()
        known = self._known(identity.issuer, identity.subject)
        if known is not None and known.user != identity.user:
            raise Conflict(IDENTITY_TAKEN)
        user = self._users.get(identity.user)
        if user is None or not user.active or user.role is ServerRole.GUEST:
            raise NotFound(NO_USER)
        if known is None:
            self._identities[identity.id] = identity

    async def of(self, user_id: str) -> list[ExternalIdentity]:
        """What opens an account."""
        await self._before()
        return self._of(user_id)

    def _of(self, user_id: str) -> list[ExternalIdentity]:
        found = (one for one in self._identities.values() if one.user == user_id)
        return sorted(found, key=lambda one: (one.created_at_ms, one.id))

    async def end(self, user_id: str, identity_id: str) -> bool:
        """Have an identity open an account no more."""
        await self._before()
        opened_by = self._of(user_id)
        if all(one.id != identity_id for one in opened_by):
            return False
        if len(opened_by) == 1 and self._users[user_id].password_hash is None:
            raise Conflict(LAST_WAY_IN)
        del self._identities[identity_id]
        return True

    def forget(self, user_id: str) -> None:
        """Drop what opens an account, within a step of the store that this is part of."""
        for one in self._of(user_id):
            del self._identities[one.id]


_COLUMNS: Final = f"id, issuer, subject, user_id, {ms('created_at')}"


def _insert(first: int, user: str, source: str = "") -> str:
    """Insert the identity whose id, issuer, subject and time begin at a parameter."""
    values = f"${first}::text, ${first + 1}::text, ${first + 2}::text, {user}, {at(first + 3)}"
    return f"insert into identities (id, issuer, subject, user_id, created_at) select {values} {source}"


_FIND: Final = f"""
select {user_columns("u")} from identities i join users u on u.id = i.user_id where i.issuer = $1 and i.subject = $2
"""

_ADD_WITH_USER: Final = f"""
with made as (
    insert into users (id, username, name, role, created_at) values ($1::text, $2, $3, $4, {at(5)}) on conflict (id) do nothing
)
{_insert(6, "$1::text")} on conflict (id) do nothing
"""

_ADD_TO_GUEST: Final = f"""
with made as (
    update users set username = $2, name = $3, role = $4
    where id = $1 and disabled_at is null and deleted_at is null
        and (role = 'guest' or exists (select 1 from identities where id = $5 and user_id = $1))
    returning id
), linked as ({_insert(5, "id", "from made")} on conflict (id) do nothing)
select count(*) from made
"""

_ADD: Final = f"""
{_insert(1, "$5::text", "where exists (select 1 from users where id = $5 and disabled_at is null and role <> 'guest')")}
on conflict (issuer, subject) do nothing returning 1
"""

_LIST: Final = f"select {_COLUMNS} from identities where user_id = $1 order by created_at, id"

_END: Final = """
delete from identities where user_id = $1 and id = $2 and (
    exists (select 1 from users where id = $1 and password is not null)
    or exists (select 1 from identities where user_id = $1 and id <> $2)
) returning 1
"""


class PostgresIdentities:
    """In Postgres, one statement a step.

    Args:
        pool: where statements run.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._ending = trio.Lock()  # two who end one another's last way in would each still see the other's

    async def find(self, issuer: str, subject: str) -> User | None:
        """See `IdentityStore`, as for every method here."""
        rows = await self._pool.fetch(_FIND, issuer, subject)
        return user_of(rows[0]) if rows else None

    async def add_with_user(self, user: User, identity: ExternalIdentity) -> None:
        """Make an account that an identity opens."""
        named = (user.id, user.username, user.name, user.role.value, user.created_at_ms)
        await self._write(_ADD_WITH_USER, *named, *_values(identity))

    async def add_to_guest(self, user: User, identity: ExternalIdentity) -> None:
        """Make a guest an account that an identity opens."""
        named = (user.id, user.username, user.name, user.role.value)
        rows = await self._write(_ADD_TO_GUEST, *named, *_values(identity))
        if not rows[0][0]:
            raise Conflict(NO_GUEST)

    async def _write(self, statement: str, *values: object) -> list[Values]:
        """A statement in which a user name or an identity may be there already, and nothing else."""
        try:
            return await self._pool.write(statement, *values)
        except EngineError as error:
            cause = error.__cause__
            if isinstance(cause, RowsRefused) and cause.detail == DUPLICATE:
                raise Conflict(NAME_OR_IDENTITY_TAKEN) from error
            raise

    async def add(self, identity: ExternalIdentity) -> None:
        """Have an identity open an account that is there."""
        if await self._pool.write(_ADD, *_values(identity), identity.user):
            return
        known = await self.find(identity.issuer, identity.subject)
        if known is None or (known.id == identity.user and not known.active):
            raise NotFound(NO_USER)
        if known.id != identity.user:
            raise Conflict(IDENTITY_TAKEN)

    async def of(self, user_id: str) -> list[ExternalIdentity]:
        """What opens an account."""
        return [_identity(row) for row in await self._pool.fetch(_LIST, user_id)]

    async def end(self, user_id: str, identity_id: str) -> bool:
        """Have an identity open an account no more."""
        async with self._ending:
            if await self._pool.write(_END, user_id, identity_id):
                return True
        if any(one.id == identity_id for one in await self.of(user_id)):
            raise Conflict(LAST_WAY_IN)
        return False


def _values(identity: ExternalIdentity) -> tuple[object, ...]:
    return (identity.id, identity.issuer, identity.subject, identity.created_at_ms)


def _identity(row: Values) -> ExternalIdentity:
    identity_id, issuer, subject, user, created_at_ms = row
    return ExternalIdentity(id=identity_id, issuer=issuer, subject=subject, user=user, created_at_ms=created_at_ms)
