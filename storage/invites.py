"""Invites, in memory and on Postgres: the implementations of `engine.invite_store.InviteStore`.

On Postgres each change is one statement over the pool of reads, and each may safely run twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from ..engine.core.ids import ConversationId
from ..engine.core.invites import CLAIM_S, Invite
from ..engine.core.members import Role
from .body import decode_actor, encode_actor
from .driver import Pool, Values

PRUNED: Final = 10_000
"""Most invites that one call of `prune` forgets."""


class MemoryInvites:
    """Invites in this process's memory; each method happens in one step.

    Args:
        before: awaited before each step; a store that fails on purpose raises here.
    """

    def __init__(self, before: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint) -> None:
        self._before = before
        self._invites: dict[bytes, Invite] = {}

    async def add(self, invite: Invite, *, most: int) -> bool:
        """See `InviteStore`, as for every method here."""
        await self._before()
        if invite.digest in self._invites:
            return True  # the same step again
        kept = [one for one in self._invites.values() if one.conversation == invite.conversation]
        if sum(one.state(invite.created_at_ms) == "open" for one in kept) >= most:
            return False
        self._invites[invite.digest] = invite
        return True

    async def find(self, digest: bytes) -> Invite | None:
        """The invite with this digest."""
        await self._before()
        return self._invites.get(digest)

    async def list_of(self, conversation: ConversationId, *, after: str | None, limit: int) -> list[Invite]:
        """Invites of a conversation."""
        await self._before()
        kept = [
            one
            for one in self._invites.values()
            if one.conversation == conversation and (after is None or one.id > after)
        ]
        return sorted(kept, key=lambda one: one.id)[:limit]

    async def claim(self, digest: bytes, user_id: str, *, now_ms: int) -> bool:
        """Claim an open invite."""
        await self._before()
        known = self._invites.get(digest)
        if known is None or known.revoked_at_ms or known.joined:
            return False
        if known.accepted_by is not None:
            return known.accepted_by == user_id and now_ms < known.accepted_at_ms + 1000 * CLAIM_S
        if now_ms >= known.expires_at_ms:
            return False
        self._invites[digest] = attrs.evolve(known, accepted_by=user_id, accepted_at_ms=now_ms)
        return True

    async def give_back(self, digest: bytes, user_id: str) -> None:
        """End a claim."""
        await self._before()
        known = self._invites.get(digest)
        if known is not None and known.accepted_by == user_id and not known.joined:
            self._invites[digest] = attrs.evolve(known, accepted_by=None, accepted_at_ms=0)

    async def settle(self, digest: bytes, user_id: str) -> None:
        """Note that a claim has led to a membership."""
        await self._before()
        known = self._invites.get(digest)
        if known is not None and known.accepted_by == user_id:
            self._invites[digest] = attrs.evolve(known, joined=True)

    async def revoke(self, conversation: ConversationId, invite_id: str, *, now_ms: int) -> Invite | None:
        """Revoke an invite."""
        await self._before()
        known = next(
            (one for one in self._invites.values() if one.id == invite_id and one.conversation == conversation), None
        )
        if known is None or known.joined or known.revoked_at_ms:
            return known
        self._invites[known.digest] = attrs.evolve(known, revoked_at_ms=now_ms)
        return self._invites[known.digest]

    async def prune(self, before_ms: int) -> int:
        """Forget invites that ended before a time."""
        await self._before()
        over = [digest for digest, known in self._invites.items() if known.expires_at_ms < before_ms][:PRUNED]
        for digest in over:
            del self._invites[digest]
        return len(over)


_SELECT: Final = """
select digest, id::text, conversation, role, made_by, made_as, (extract(epoch from created_at) * 1000)::bigint,
    (extract(epoch from expires_at) * 1000)::bigint, bound_to, accepted_by,
    coalesce((extract(epoch from accepted_at) * 1000)::bigint, 0), joined,
    coalesce((extract(epoch from revoked_at) * 1000)::bigint, 0)
"""
_FIND: Final = f"{_SELECT} from invites where digest = $1"
_LIST: Final = f"""
{_SELECT} from invites where conversation = $1 and ($2::uuid is null or id > $2::uuid) order by id limit $3
"""
_ADD: Final = """
with kept as (
    insert into invites (digest, id, conversation, role, made_by, made_as, created_at, expires_at, bound_to)
    select $1, $2, $3, $4, $5, $6, to_timestamp($7::bigint / 1000.0), to_timestamp($8::bigint / 1000.0), $9
    where (
        select count(*) from invites
        where conversation = $3 and accepted_by is null and revoked_at is null
            and expires_at > to_timestamp($7::bigint / 1000.0)
    ) < $10::bigint
    on conflict (digest) do nothing
    returning 1
)
select from kept union all select from invites where digest = $1 limit 1
"""
_CLAIM: Final = """
update invites set accepted_by = $2, accepted_at = coalesce(accepted_at, to_timestamp($3::bigint / 1000.0))
where digest = $1 and not joined and revoked_at is null and (
    (accepted_by is null and expires_at > to_timestamp($3::bigint / 1000.0))
    or (accepted_by = $2 and accepted_at > to_timestamp(($3::bigint - $4::bigint) / 1000.0))
)
returning 1
"""
_GIVE_BACK: Final = """
update invites set accepted_by = null, accepted_at = null where digest = $1 and accepted_by = $2 and not joined
"""
_SETTLE: Final = "update invites set joined = true where digest = $1 and accepted_by = $2"
_REVOKE: Final = """
update invites set revoked_at = to_timestamp($3::bigint / 1000.0)
where conversation = $1 and id = $2::uuid and not joined and revoked_at is null
"""
_FIND_ID: Final = f"{_SELECT} from invites where conversation = $1 and id = $2::uuid"
_PRUNE: Final = """
delete from invites where digest = any(array(
    select digest from invites where expires_at < to_timestamp($1::bigint / 1000.0) limit $2
)) returning 1
"""


class PostgresInvites:
    """Invites on Postgres.

    Args:
        pool: where statements run.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, invite: Invite, *, most: int) -> bool:
        """See `InviteStore`, as for every method here."""
        rows = await self._pool.write(
            _ADD,
            *(invite.digest, invite.id, invite.conversation, invite.role.value, encode_actor(invite.made_by)),
            None if invite.made_as is None else invite.made_as.value,
            *(invite.created_at_ms, invite.expires_at_ms, invite.bound_to, most),
        )
        return bool(rows)

    async def find(self, digest: bytes) -> Invite | None:
        """The invite with this digest."""
        rows = await self._pool.fetch(_FIND, digest)
        return _invite(rows[0]) if rows else None

    async def list_of(self, conversation: ConversationId, *, after: str | None, limit: int) -> list[Invite]:
        """Invites of a conversation."""
        return [_invite(row) for row in await self._pool.fetch(_LIST, conversation, after, limit)]

    async def claim(self, digest: bytes, user_id: str, *, now_ms: int) -> bool:
        """Claim an open invite: of many at once, the row's lock lets one through, and the others see it taken."""
        return bool(await self._pool.write(_CLAIM, digest, user_id, now_ms, 1000 * CLAIM_S))

    async def give_back(self, digest: bytes, user_id: str) -> None:
        """End a claim."""
        await self._pool.write(_GIVE_BACK, digest, user_id)

    async def settle(self, digest: bytes, user_id: str) -> None:
        """Note that a claim has led to a membership."""
        await self._pool.write(_SETTLE, digest, user_id)

    async def revoke(self, conversation: ConversationId, invite_id: str, *, now_ms: int) -> Invite | None:
        """Revoke an invite."""
        await self._pool.write(_REVOKE, conversation, invite_id, now_ms)
        rows = await self._pool.fetch(_FIND_ID, conversation, invite_id)
        return _invite(rows[0]) if rows else None

    async def prune(self, before_ms: int) -> int:
        """Forget some of the invites that ended before a time."""
        return len(await self._pool.write(_PRUNE, before_ms, PRUNED))


def _invite(row: Values) -> Invite:
    (
        digest, invite_id, conversation, role, made_by, made_as, created_at_ms, expires_at_ms, bound_to,
        accepted_by, accepted_at_ms, joined, revoked_at_ms,
    ) = row  # fmt: skip
    return Invite(
        id=invite_id,
        digest=digest,
        conversation=ConversationId(conversation),
        role=Role(role),
        made_by=decode_actor(made_by),
        made_as=None if made_as is None else Role(made_as),
        created_at_ms=created_at_ms,
        expires_at_ms=expires_at_ms,
        bound_to=bound_to,
        accepted_by=accepted_by,
        accepted_at_ms=accepted_at_ms,
        joined=joined,
        revoked_at_ms=revoked_at_ms,
    )
