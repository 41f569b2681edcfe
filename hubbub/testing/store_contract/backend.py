"""What a `Backend` promises to the writer above it: whole commits, and second tries of commits whose outcome nobody knows.

`StoreContract` over a `WriterStore` never meets an unknown outcome, so a backend of one's own needs both suites.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import pytest
import trio

from ...engine import Member, Role, StoreUnavailable
from ...engine.core.batch import Committed, Rejected, Repeat, Row
from ...engine.core.kinds import EventType
from ...engine.core.messages import ConversationChange
from ...storage.ports import Backend, RowsRefused
from ..rows import AT_MS, BOB, OTHER, ROOM, membership, message, record, update
from .opening import PLENTY


@pytest.mark.trio
class BackendContract:
    """Subclass it, define `open_backend`, and pytest runs it.

    Attributes:
        poison: a row for the conversation "room" that this backend refuses for its content; None when it takes everything.
    """

    poison: ClassVar[Row | None] = None

    def open_backend(self) -> AbstractAsyncContextManager[Backend]:
        """Open an empty backend, ready to commit; for the subclass to define."""
        raise NotImplementedError("a contract suite needs open_backend")

    @pytest.fixture
    async def backend(self, request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
        """The backend under test, with the conversations "room" and "other"."""
        suite: BackendContract = request.instance  # as in `opening`
        async with suite.open_backend() as backend:
            await backend.create(record(ROOM))
            await backend.create(record(OTHER))
            yield backend

    async def test_it_opens_without_a_problem(self, backend: Backend) -> None:
        """Commits are possible at once."""
        assert backend.problem is None
        assert await backend.commit([message()], again=False) == [Committed(1)]

    async def test_a_probe_changes_nothing(self, backend: Backend) -> None:
        """Commits are possible, and it says so by returning, whichever way it asks."""
        await backend.commit([message()], again=False)
        for write in (False, True):
            await backend.probe(write=write)
        assert backend.problem is None
        assert await backend.commit([message()], again=False) == [Committed(2)]

    async def test_a_second_try_finds_what_is_stored(self, backend: Backend) -> None:
        """Rows that are there count as committed, with or without a key; the others are stored now."""
        known = message(key="known", digest=b"1")
        await backend.commit([known], again=False)
        rows = [
            message(),
            message(key="k"),
            message(OTHER),
            update(change=ConversationChange(title="t")),
            message(key="known"),
            message(key="k"),
        ]
        repeats = [
            Repeat(1, known.id, known.at_ms, b"1", known.actor),
            Repeat(3, rows[1].id, rows[1].at_ms, b"", rows[1].actor),
        ]
        expected = [Committed(2), Committed(3), Committed(1), Committed(4), *repeats]
        assert await backend.commit(rows, again=True) == expected
        assert await backend.commit(rows, again=True) == expected
        more = [message(), message("nowhere")]
        results = await backend.commit([*rows, *more], again=True)
        assert results[:-1] == [*expected, Committed(5)]
        assert isinstance(results[-1], Rejected)
        assert await self._ids(backend) == [row.id for row in (known, rows[0], rows[1], more[0])]

    async def test_a_second_try_changes_no_membership_twice(self, backend: Backend) -> None:
        """A ban that is there already is one event and one row, whatever comes with the second try."""
        banned = Member(BOB, Role.MEMBER, 0, banned=True)
        rows = [message(), membership(kind=EventType.MEMBER_LEFT, member=banned)]
        assert await backend.commit(rows, again=False) == [Committed(1), Committed(2)]
        other = membership(OTHER, member=Member(BOB, Role.MODERATOR, AT_MS))
        assert await backend.commit([*rows, other], again=True) == [Committed(1), Committed(2), Committed(1)]
        found = [await backend.load(name) for name in (ROOM, OTHER)]
        assert [record and record.members.get(BOB.id) for record in found] == [banned, other.member]
        events = await backend.events(ROOM, after=0, limit=10, max_bytes=1 << 20)
        assert [event.member for event in events] == [None, banned]

    async def test_a_refused_commit_stores_nothing(self, backend: Backend) -> None:
        """Rows before and behind the poison, and those of other conversations, are left out with it."""
        if self.poison is None:
            pytest.skip("this backend refuses no row")
        before, behind, other = message(key="a"), message(key="b"), message(OTHER)
        with pytest.raises(RowsRefused):
            await backend.commit([before, self.poison, behind, other], again=False)
        assert await self._ids(backend) == []
        assert await backend.commit([before, behind, other], again=False) == [Committed(1), Committed(2), Committed(1)]

    async def test_a_commit_that_was_cancelled_is_settled_by_a_second_try(self, backend: Backend) -> None:
        """Wherever it was cancelled, its rows are stored once, in order, before anything newer."""
        sent: list[Row] = []
        for number in range(24):
            rows = [message(key=f"{number}"), message()]
            sent += rows
            with trio.move_on_after(0.0002 * number):
                await backend.commit(rows, again=False)
            await self._revived(backend)
            assert await backend.commit(rows, again=True) == [Committed(len(sent) - 1), Committed(len(sent))]
        assert await self._ids(backend) == [row.id for row in sent]

    async def _revived(self, backend: Backend) -> None:
        with trio.fail_after(20):
            while backend.problem is not None:
                try:
                    await backend.revive()
                except StoreUnavailable:
                    await trio.sleep(0.01)

    async def _ids(self, backend: Backend) -> list[str]:
        """The ids of the stored messages of "room", and of nothing else: a change has no id to be seen by."""
        page = await backend.messages(ROOM, after=None, before=None, limit=1000, max_bytes=PLENTY)
        events = await backend.events(ROOM, after=0, limit=1000, max_bytes=PLENTY)
        assert [event.offset for event in events] == list(range(1, len(events) + 1))
        return [one.id for one in page]
