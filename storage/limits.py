"""Where the rates are kept that admins have set: in Postgres, and in memory. `engine.limit_store` describes the methods."""

from typing import Final

import trio

from ..engine.limit_store import LimitRecord
from .driver import Pool

_SELECT: Final = "select name, rate, period_s, burst, is_on from limit_profiles order by name"

_UPSERT: Final = """
insert into limit_profiles (name, rate, period_s, burst, is_on) values ($1, $2, $3, $4, $5)
on conflict (name) do update set
    rate = excluded.rate, period_s = excluded.period_s, burst = excluded.burst, is_on = excluded.is_on, changed_at = now()
"""

_DELETE: Final = "delete from limit_profiles where name = $1 returning 1"


class PostgresLimits:
    """A `LimitStore` on a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def profiles(self) -> list[LimitRecord]:
        """All of them."""
        return [
            LimitRecord(name=name, rate=rate, period_s=period_s, burst=burst, on=on)
            for name, rate, period_s, burst, on in await self._pool.fetch(_SELECT)
        ]

    async def set_profile(self, record: LimitRecord) -> None:
        """Keep one."""
        await self._pool.write(_UPSERT, record.name, record.rate, record.period_s, record.burst, record.on)

    async def unset_profile(self, name: str) -> bool:
        """Forget one."""
        return bool(await self._pool.write(_DELETE, name))


class MemoryLimits:
    """A `LimitStore` in this process."""

    def __init__(self) -> None:
        self._records: dict[str, LimitRecord] = {}

    async def profiles(self) -> list[LimitRecord]:
        """All of them."""
        await trio.lowlevel.checkpoint()
        return [self._records[name] for name in sorted(self._records)]

    async def set_profile(self, record: LimitRecord) -> None:
        """Keep one."""
        await trio.lowlevel.checkpoint()
        self._records[record.name] = record

    async def unset_profile(self, name: str) -> bool:
        """Forget one."""
        await trio.lowlevel.checkpoint()
        return self._records.pop(name, None) is not None
