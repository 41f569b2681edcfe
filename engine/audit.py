"""The audit log: who changed what of the server, and who tried to. The row, and what a store promises of it.

Rows are added and pruned, never changed. They hold names, never what was sent: no password, no token, no body.
Left out: which calls are recorded (`transport.audit`), the tables (`storage.audit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import attrs

MAX_TARGET_CHARS: Final = 256
NOBODY: Final = ""
"""The actor of a row whose caller was not recognised."""


def _shortened(text: str) -> str:
    """A text of bounded length that every store and log can keep."""
    return "".join(each if each.isprintable() else "?" for each in text[:MAX_TARGET_CHARS])


@attrs.frozen(kw_only=True)
class AuditRow:
    """One call, or one change that came another way.

    Attributes:
        id: a UUIDv7 of the moment, so rows are in order by id.
        at_ms: when it was answered, milliseconds since the epoch.
        actor: the principal's id; `NOBODY` where there was none. Shortened, without control characters, as an embedder's may be.
        action: method and route of a call, or a name of our own, as ``DELETE /api/v1/admin/quarantined/{id}``.
        target: what it was about, as the path named it; shortened, without control characters.
        status: of the answer.
        code: of a refusal, else "".
        address: the client's; "" where it is not known.
        request_id: the request's name in logs.
    """

    id: str
    at_ms: int
    actor: str = attrs.field(converter=_shortened)
    action: str
    target: str = attrs.field(converter=_shortened)
    status: int
    code: str = ""
    address: str = ""
    request_id: str = ""


class AuditStore(Protocol):
    """Keeps audit rows."""

    async def add(self, rows: Sequence[AuditRow]) -> None:
        """Keep rows, all or none. One that is there already is left as it is, so that adding may be repeated.

        Raises:
            StoreUnavailable: none is kept.
            OutcomeUnknown: perhaps; add them again.
        """
        ...

    async def page(self, *, before: str | None, limit: int, actor: str | None = None) -> list[AuditRow]:
        """Rows, the newest first.

        Args:
            before: only rows with ids below this one.
            limit: most rows.
            actor: only rows of this one.
        """
        ...

    async def prune(self, *, before_ms: int, keep_unrecognised: int) -> int:
        """Forget rows made before a time, and those of `NOBODY` but so many of the newest.

        Returns:
            How many rows were forgotten; there may be more.
        """
        ...
