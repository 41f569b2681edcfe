"""Blocks, in memory and on Postgres: the implementations of `engine.block_store.BlockStore`.

On Postgres each change is one statement over the pool of reads, and each may safely run twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from ..engine.core.authors import Author
from ..engine.core.blocks import Block, Blockers
from .driver import Pool, Values


class MemoryBlocks:
    """Blocks in this process's memory; each method happens in one step.

    Args:
        before: awaited before each step; a store that fails on purpose raises here.
    """

    def __init__(self, before: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint) -> None:
        self._before = before
        self._blocks: dict[str, dict[str, Block]] = {}  # by blocker and blocked

    async def add(self, block: Block, *, most: int) -> Block | None:
        """See `BlockStore`, as for every method here."""
        await self._before()
        kept = self._blocks.get(block.blocker, {})
        if block.user.id not in kept and len(kept) >= most:
            return None
        return self._blocks.setdefault(block.blocker, kept).setdefault(block.user.id, block)

    async def remove(self, blocker: str, user_id: str) -> None:
        """Forget a block."""
        await self._before()
        kept = self._blocks.get(blocker, {})
        kept.pop(user_id, None)
        if not kept:
            self._blocks.pop(blocker, None)

    async def between(self, one: str, other: str) -> Blockers:
        """Who of two people blocks the other."""
        await self._before()
        pairs = ((one, other), (other, one))
        return frozenset(blocker for blocker, user_id in pairs if user_id in self._blocks.get(blocker, {}))

    async def list_of(self, blocker: str, *, after: str | None, limit: int) -> list[Block]:
        """The blocks of one person."""
        await self._before()
        kept = self._blocks.get(blocker, {})
        return [kept[user_id] for user_id in sorted(kept) if after is None or user_id > after][:limit]


_SELECT: Final = "select blocker, user_id, name, kind, (extract(epoch from created_at) * 1000)::bigint"
_ADD: Final = """
with kept as (
    insert into blocks (blocker, user_id, name, kind, created_at)
    select $1, $2, $3, $4, to_timestamp($5::bigint / 1000.0)
    where (select count(*) from blocks where blocker = $1) < $6::bigint
    on conflict (blocker, user_id) do nothing
    returning *
), found as (
    select * from kept union all select * from blocks where blocker = $1 and user_id = $2 limit 1
)
select blocker, user_id, name, kind, (extract(epoch from created_at) * 1000)::bigint from found
"""
_REMOVE: Final = "delete from blocks where blocker = $1 and user_id = $2"
_BETWEEN: Final = """
select blocker from blocks where (blocker, user_id) in (($1::text, $2::text), ($2::text, $1::text))
"""
_LIST: Final = f"{_SELECT} from blocks where blocker = $1 and user_id > $2 order by user_id limit $3"


class PostgresBlocks:
    """Blocks on Postgres.

    Args:
        pool: where statements run.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, block: Block, *, most: int) -> Block | None:
        """See `BlockStore`, as for every method here."""
        user = block.user
        rows = await self._pool.write(_ADD, block.blocker, user.id, user.name, user.kind, block.created_at_ms, most)
        return _block(rows[0]) if rows else None

    async def remove(self, blocker: str, user_id: str) -> None:
        """Forget a block."""
        await self._pool.write(_REMOVE, blocker, user_id)

    async def between(self, one: str, other: str) -> Blockers:
        """Who of two people blocks the other."""
        return frozenset(blocker for (blocker,) in await self._pool.fetch(_BETWEEN, one, other))

    async def list_of(self, blocker: str, *, after: str | None, limit: int) -> list[Block]:
        """The blocks of one person."""
        return [_block(row) for row in await self._pool.fetch(_LIST, blocker, after or "", limit)]


def _block(row: Values) -> Block:
    blocker, user_id, name, kind, created_at_ms = row
    return Block(blocker, Author(user_id, name, kind), created_at_ms)
