"""The port to the rates that admins have set: a few rows, read at the start and written by an admin's call."""

from __future__ import annotations

from typing import Protocol

import attrs


@attrs.frozen(kw_only=True)
class LimitRecord:
    """One rate that an admin has set, as it is stored; what it means and its bounds are the transport's (`LimitSettings`).

    Attributes:
        name: of the profile.
        rate, period_s, burst, on: as of `hubbub.transport.limits.Profile`.
    """

    name: str
    rate: int
    period_s: int
    burst: int
    on: bool


class LimitStore(Protocol):
    """Keeps them.

    Every method raises StoreUnavailable where the store cannot be reached, a writing one also OutcomeUnknown where the answer is
    missing. Writing may be repeated.
    """

    async def profiles(self) -> list[LimitRecord]:
        """All of them, by name."""
        ...

    async def set_profile(self, record: LimitRecord) -> None:
        """Keep one, in the place of an earlier one of that name; durable when this returns."""
        ...

    async def unset_profile(self, name: str) -> bool:
        """Forget one. Returns whether there was one."""
        ...
