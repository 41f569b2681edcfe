"""The audit log in Postgres and in memory; see `engine.audit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from ..engine.audit import NOBODY, AuditRow
from ..engine.core.ids import uuid7
from .driver import Pool

PRUNED_ROWS: Final = 10_000
"""Most rows that one statement forgets."""
_LAST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"

_COLUMNS: Final = (
    "id::text, (extract(epoch from at) * 1000)::bigint, actor, action, target, status, code, address, request_id"
)

_ADD: Final = """
insert into audit (id, at, actor, action, target, status, code, address, request_id)
select id, 'epoch'::timestamptz + at_ms * interval '1 millisecond', actor, action, target, status, code, address, request_id
from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::int[], $7::text[], $8::text[], $9::text[])
    as given (id, at_ms, actor, action, target, status, code, address, request_id)
on conflict (id) do nothing
"""

_PAGE: Final = f"select {_COLUMNS} from audit where id < $1::uuid order by id desc limit $2"  # noqa: S608  our own names
_PAGE_OF: Final = f"select {_COLUMNS} from audit where actor = $3 and id < $1::uuid order by id desc limit $2"  # noqa: S608  as above

_PRUNE: Final = """
with old as (
    (select id from audit where id < $1::uuid order by id limit $3)
    union
    (select id from audit where actor = '' order by id desc offset $2 limit $3)
)
delete from audit where id in (select id from old) returning 1
"""


def _first_of(at_ms: int) -> str:
    """The smallest id of a moment. An id holds 48 bits of it: a moment before 1970 would stand for one in the far future."""
    return uuid7(max(at_ms, 0), 0)


class PostgresAudit:
    """An `AuditStore` over a pool of connections; each method is one statement that may safely run twice."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, rows: Sequence[AuditRow]) -> None:
        """Keep rows."""
        columns = [
            [row.id for row in rows],
            [row.at_ms for row in rows],
            [row.actor for row in rows],
            [row.action for row in rows],
            [row.target for row in rows],
            [row.status for row in rows],
            [row.code for row in rows],
            [row.address for row in rows],
            [row.request_id for row in rows],
        ]
        await self._pool.write(_ADD, *columns)

    async def page(self, *, before: str | None, limit: int, actor: str | None = None) -> list[AuditRow]:
        """Rows, the newest first."""
        bounds = (before or _LAST, limit)
        found = await (
            self._pool.fetch(_PAGE, *bounds) if actor is None else self._pool.fetch(_PAGE_OF, *bounds, actor)
        )
        return [
            AuditRow(
                id=row[0],
                at_ms=row[1],
                actor=row[2],
                action=row[3],
                target=row[4],
                status=row[5],
                code=row[6],
                address=row[7],
                request_id=row[8],
            )
            for row in found
        ]

    async def prune(self, *, before_ms: int, keep_unrecognised: int) -> int:
        """Forget old rows."""
        return len(await self._pool.write(_PRUNE, _first_of(before_ms), keep_unrecognised, PRUNED_ROWS))


class MemoryAudit:
    """An `AuditStore` in this process."""

    def __init__(self) -> None:
        self._rows: dict[str, AuditRow] = {}

    async def add(self, rows: Sequence[AuditRow]) -> None:
        """Keep rows."""
        await trio.lowlevel.checkpoint()
        for row in rows:
            self._rows.setdefault(row.id, row)

    async def page(self, *, before: str | None, limit: int, actor: str | None = None) -> list[AuditRow]:
        """Rows, the newest first."""
        await trio.lowlevel.checkpoint()
        found = [row for row in self._newest() if row.id < (before or _LAST) and actor in (None, row.actor)]
        return found[:limit]

    async def prune(self, *, before_ms: int, keep_unrecognised: int) -> int:
        """Forget old rows."""
        await trio.lowlevel.checkpoint()
        end = _first_of(before_ms)
        old = {row.id for row in self._rows.values() if row.id < end}
        old |= {row.id for row in [row for row in self._newest() if row.actor == NOBODY][keep_unrecognised:]}
        for row_id in old:
            del self._rows[row_id]
        return len(old)

    def _newest(self) -> list[AuditRow]:
        return sorted(self._rows.values(), key=lambda row: row.id, reverse=True)
