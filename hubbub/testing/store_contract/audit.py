"""What the audit log of a store promises."""

from __future__ import annotations

from ...engine import Store
from ...engine.audit import MAX_TARGET_CHARS, NOBODY, AuditRow
from ...engine.core.ids import uuid7
from .opening import OpensStore

_START_MS = 1_700_000_000_000


def _row(number: int, actor: str = "ada", **more: str) -> AuditRow:
    at_ms = _START_MS + number * 1000
    return AuditRow(id=uuid7(at_ms, number), at_ms=at_ms, actor=actor, action="DELETE /x/{id}", status=204, **more)


class AuditPromises(OpensStore):
    """Tests of the audit log."""

    async def test_audit_rows_are_kept_as_they_are(self, store: Store) -> None:
        """Every field, once, however often it is added."""
        row = AuditRow(
            id=uuid7(_START_MS, 1),
            at_ms=_START_MS + 7,
            actor="ada",
            action="PUT /api/v1/admin/users/{id}",
            target="bob \u00e9\u4e2d",
            status=409,
            code="conflict",
            address="2001:db8::1",
            request_id="r-1",
        )
        await store.audit.add([row, _row(2, target="t")])
        await store.audit.add([row])
        assert await store.audit.page(before=None, limit=10) == [_row(2, target="t"), row]

    async def test_audit_targets_are_harmless(self, store: Store) -> None:
        """What a path may hold can be kept: it is shortened, without control characters."""
        row = _row(1, target="a\x00b\n\u2028" + "x" * 1000)
        await store.audit.add([row])
        [kept] = await store.audit.page(before=None, limit=1)
        assert kept == row
        assert kept.target.startswith("a?b??x")
        assert len(kept.target) == MAX_TARGET_CHARS

    async def test_audit_pages_go_back_without_a_gap(self, store: Store) -> None:
        """Rows that come between two pages change nothing in them; one actor's rows are found alone."""
        rows = [_row(number, "ada" if number % 3 else "bob", target="t") for number in range(1, 12)]
        await store.audit.add(rows[:10])
        seen: list[AuditRow] = []
        before = None
        while page := await store.audit.page(before=before, limit=3):
            seen += page
            before = page[-1].id
            await store.audit.add(rows[10:])
        assert seen == rows[9::-1]
        of_bob = await store.audit.page(before=rows[8].id, limit=10, actor="bob")
        assert of_bob == [row for row in rows[7::-1] if row.actor == "bob"]

    async def test_an_audit_row_can_be_kept_whatever_its_names_hold(self, store: Store) -> None:
        """One that no store takes would be tried for ever, and all others behind it."""
        row = _row(1, "a\0b\ud800" + "x" * 1_000, target="\0\ud800")
        await store.audit.add([row])
        [kept] = await store.audit.page(before=None, limit=2)
        assert (kept.actor[:4], len(kept.actor), kept.target) == ("a?b?", 256, "??")

    async def test_no_audit_row_is_older_than_time(self, store: Store) -> None:
        """Whoever keeps rows for a hundred years prunes what was before 1970: nothing."""
        rows = [_row(number, target="t") for number in range(1, 4)]
        await store.audit.add(rows)
        assert await store.audit.prune(before_ms=-1_300_000_000_000, keep_unrecognised=0) == 0
        assert await store.audit.page(before=None, limit=20) == rows[::-1]

    async def test_audit_rows_are_pruned_by_age_and_by_number(self, store: Store) -> None:
        """Old ones go; those of nobody are kept up to a number; asked often enough, all that should go have gone."""
        known = [_row(number, target="t") for number in range(1, 6)]
        nobody = [_row(number, NOBODY, target="t") for number in range(6, 12)]
        await store.audit.add([*known, *nobody])
        gone = 0
        while count := await store.audit.prune(before_ms=known[2].at_ms, keep_unrecognised=2):
            gone += count
        assert gone == 2 + 4
        assert await store.audit.page(before=None, limit=20) == [*nobody[:3:-1], *known[:1:-1]]
