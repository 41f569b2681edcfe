"""The auditor: a row for every control call, whatever the store does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hubbub.engine import Overloaded, StoreUnavailable
from hubbub.engine.audit import NOBODY, AuditRow
from hubbub.engine.core.ids import uuid7
from hubbub.storage.audit import MemoryAudit
from hubbub.transport.auditor import OTHERS_ROWS, QUEUE_ROWS, Auditor, AuditSettings

from ..logs import capture_logs

NOW_MS = 1_700_000_000_000


@attrs.define(eq=False)
class World:
    """An auditor on a store that may be away, known to be or not."""

    auditor: Auditor
    store: ShyAudit
    answered: list[int] = attrs.field(factory=list)
    made: int = 0

    def note(self, actor: str = "ada", *, promised: bool = False, runs_server: bool = True) -> int:
        """Note a row; its number is in `answered` when its call is."""
        self.made += 1
        number = self.made
        row = AuditRow(
            id=uuid7(NOW_MS, number), at_ms=NOW_MS, actor=actor, action="PUT /x", target=str(number), status=204
        )
        self.auditor.note(row, lambda: self.answered.append(number), promised=promised, runs_server=runs_server)
        return number

    async def kept(self) -> list[int]:
        """The numbers of the rows in the store."""
        return sorted(int(row.target) for row in await self.store.page(before=None, limit=10_000))


class ShyAudit(MemoryAudit):
    """A store that may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.noticed = False
        self.add_s = 0.0
        self.pruned: list[tuple[int, int]] = []

    async def add(self, rows: Sequence[AuditRow]) -> None:
        await trio.sleep(self.add_s)
        if self.away:
            raise StoreUnavailable
        await super().add(rows)

    async def prune(self, *, before_ms: int, keep_unrecognised: int) -> int:
        if self.away:
            raise StoreUnavailable
        self.pruned.append((before_ms, keep_unrecognised))
        return await super().prune(before_ms=before_ms, keep_unrecognised=keep_unrecognised)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """An auditor at work."""
    store = ShyAudit()
    auditor = Auditor(store, lambda: not store.noticed, lambda: NOW_MS, lambda: AuditSettings(keep_days=1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(auditor.run)
        await wait_all_tasks_blocked()
        yield World(auditor, store)
        nursery.cancel_scope.cancel()


async def test_a_call_is_answered_when_its_row_is_written(autojump_clock: MockClock) -> None:
    """Not before: whoever sees the answer finds the row."""
    async with world() as there:
        there.store.add_s = 0.5
        first = there.note()
        await trio.sleep(0.4)
        assert there.answered == []
        second = there.note()
        await trio.sleep(0.2)
        assert (there.answered, await there.kept()) == ([first], [first])
        await trio.sleep(0.5)
        assert (there.answered, await there.kept()) == ([first, second], [first, second])


async def test_a_store_that_is_known_to_be_away_keeps_nobody_waiting(autojump_clock: MockClock) -> None:
    """The call is answered at once; its row is written when the store is back."""
    async with world() as there:
        there.store.away = there.store.noticed = True
        number = there.note()
        assert there.answered == [number]
        await trio.sleep(5)
        assert await there.kept() == []
        there.store.away = there.store.noticed = False
        await trio.sleep(2)
        assert await there.kept() == [number]
        assert there.auditor.statistics().failures > 0


async def test_a_store_that_turns_out_to_be_away_answers_for_all_who_wait(autojump_clock: MockClock) -> None:
    """The first failure releases every call; no row is lost, and none is written twice."""
    async with world() as there:
        there.store.add_s, there.store.away = 0.1, True
        numbers = [there.note() for _ in range(300)]
        await trio.sleep(0.2)
        assert there.answered == numbers
        there.store.away = False
        await there.auditor.flush(60)
        assert await there.kept() == numbers
        assert there.answered == numbers


async def test_a_call_without_room_for_its_row_is_refused(autojump_clock: MockClock) -> None:
    """While the store is away the rows that wait are bounded; promises count, and are kept."""
    async with world() as there:
        there.store.away = there.store.noticed = True
        for _ in range(QUEUE_ROWS - 1):
            there.note()
        there.auditor.promise(runs_server=True)
        with pytest.raises(Overloaded, match="audit log"):
            there.auditor.promise(runs_server=True)
        there.note(promised=True)
        assert there.auditor.statistics().waiting == QUEUE_ROWS
        with pytest.raises(Overloaded):
            there.auditor.promise(runs_server=True)
        there.store.away = there.store.noticed = False
        await there.auditor.flush(60)
        assert len(await there.kept()) == QUEUE_ROWS
        there.auditor.promise(runs_server=True)


async def test_those_who_run_the_server_have_room_of_their_own(autojump_clock: MockClock) -> None:
    """However many others change something, or try to, while the store is away; it is theirs again when the rows are written."""
    async with world() as there:
        there.store.away = there.store.noticed = True
        for number in range(OTHERS_ROWS):
            if number % 2:
                there.auditor.promise(runs_server=False)
            there.note(promised=bool(number % 2), runs_server=False)
        with pytest.raises(Overloaded):
            there.auditor.promise(runs_server=False)
        there.note(runs_server=False)
        assert (there.auditor.statistics().waiting, there.auditor.statistics().missed) == (OTHERS_ROWS, 1)
        for _ in range(QUEUE_ROWS - OTHERS_ROWS):
            there.auditor.promise(runs_server=True)
        with pytest.raises(Overloaded):
            there.auditor.promise(runs_server=True)
        there.store.away = there.store.noticed = False
        await there.auditor.flush(60)
        there.auditor.promise(runs_server=False)


async def test_nobody_cannot_crowd_out_control_calls(autojump_clock: MockClock) -> None:
    """However many unrecognised callers are refused, half of the room stays for the others."""
    async with world() as there:
        there.store.away = there.store.noticed = True
        for _ in range(2 * QUEUE_ROWS):
            there.note(NOBODY)
        found = there.auditor.statistics()
        assert (found.waiting, found.missed) == (QUEUE_ROWS // 2, 2 * QUEUE_ROWS - QUEUE_ROWS // 2)
        assert len(there.answered) == 2 * QUEUE_ROWS
        there.auditor.promise(runs_server=True)
        there.note(promised=True)
        there.store.away = there.store.noticed = False
        await there.auditor.flush(60)
        for _ in range(QUEUE_ROWS // 2):
            there.note(NOBODY)
        assert there.auditor.statistics().missed == found.missed


async def test_rows_are_pruned_at_the_start_and_every_hour(autojump_clock: MockClock) -> None:
    """By the settings of now; a store that is away then is asked again the next time."""
    async with world() as there:
        there.store.away = True
        await trio.sleep(3602)
        there.store.away = False
        await trio.sleep(3602)
        assert there.store.pruned == [(NOW_MS - 86_400_000, 10_000)] * 2


async def test_a_row_that_cannot_be_written_any_more_is_in_the_log(autojump_clock: MockClock) -> None:
    """The end of the server answers who waits, and tells what the store never took."""
    with capture_logs() as logs:
        async with world() as there:
            there.store.add_s = 60
            number = there.note()
            await trio.sleep(1)
        assert there.answered == [number]
    [told] = [log for log in logs if log["event"] == "audit rows are only in this log"]
    assert told["rows"][0]["target"] == str(number)
    assert [log["action"] for log in logs if log["event"] == "audit"] == ["PUT /x"]
