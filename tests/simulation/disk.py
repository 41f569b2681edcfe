"""The disk and the database of a simulation: what is durable outlives every process; the way to it fails as Postgres does.

`Disk` is the truth. `SimBackend` is one process's connection to it, a `hubbub.storage` backend under the real writer. It takes
time, and it fails before a commit, after it with the answer lost, or late: a commit whose answer was lost may still happen
until the connection has been mended, as a statement on a broken connection may. A dead process's backend does nothing more.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import attrs
import trio

from hubbub.engine.core.batch import Result, Row
from hubbub.engine.core.errors import OutcomeUnknown, StoreFenced, StoreUnavailable, Unprocessable
from hubbub.engine.core.messages import Event
from hubbub.storage.memory import MemoryBackend
from hubbub.storage.ports import RowsRefused

POISON = "poison"


@attrs.define
class Sky:
    """What is wrong with the way to the disk; changed by faults, read at every call.

    Attributes:
        away: nothing gets through: every call fails, before it was sent.
        reads_away: only reads fail.
        full: commits fail, reads do not.
        commit_s: how long a commit takes at most.
        next_commits: what happens to the next commits, first to last: "away", "lost", "stored", "late", "deadlock", "hang".
    """

    away: bool = False
    reads_away: bool = False
    full: bool = False
    commit_s: float = 0.01
    read_s: float = 0.004
    next_commits: list[str] = attrs.field(factory=list)


class Disk(MemoryBackend):
    """What is durable, and the term of the server that may write."""

    def __init__(self) -> None:
        super().__init__()
        self.term = 0
        self.sky = Sky()

    def text_at(self, conversation: str, offset: int) -> str | None:
        """The name of the post at an offset."""
        log = self._logs.get(conversation)
        if log is None or not 0 < offset <= len(log.events):
            return None
        return name_of(log.events[offset - 1])

    def find(self, conversation: str, text: str) -> tuple[int, str] | None:
        """Offset and id of a post."""
        for event in reversed(self._logs[conversation].events):
            if event.message is not None and name_of(event) == text and event.offset is not None:
                return event.offset, event.message.id
        return None

    def head(self, conversation: str) -> int:
        """The last offset."""
        return len(self._logs[conversation].events)

    def log(self, conversation: str) -> Iterable[tuple[int, str, str]]:
        """The log as the audit wants it."""
        for event in self._logs[conversation].events:
            assert event.offset is not None
            yield event.offset, "" if event.message is None else event.message.id, name_of(event)

    def events_of(self, conversation: str) -> list[Event]:
        """The log itself; for reading only."""
        return self._logs[conversation].events

    def next_term(self) -> int:
        """A server starts: all earlier ones are fenced."""
        self.term += 1
        return self.term


def name_of(event: Event) -> str:
    """The name of a post is the first word of its text; other events are named after their type and place."""
    return f"{event.type}@{event.offset}" if event.message is None else event.message.text.split(" ", 1)[0]


class SimBackend:
    """One process's way to the disk."""

    def __init__(self, disk: Disk, rng: random.Random) -> None:
        self._disk = disk
        self._random = rng
        self._term = disk.next_term()
        self._problem: str | None = None
        self._late: list[tuple[Sequence[Row], bool]] = []
        self._committing = False
        self._sent: tuple[Sequence[Row], bool] | None = None  # on its way, and not durable yet
        self.dead = False

    @property
    def problem(self) -> str | None:
        """Why no commit can succeed now."""
        return self._problem

    def lose_connection(self) -> None:
        """It breaks while nobody uses it."""
        self._problem = "the connection is lost"

    def die(self) -> None:
        """The process is gone. What it had sent may still happen, a moment later."""
        self.dead = True
        if self._sent is not None:
            self._late.append(self._sent)
        if self._random.random() < 0.5:
            self._land_late()
        self._late = []

    async def revive(self) -> None:
        """Connect again; what was under way happens first, if it ever does."""
        await trio.sleep(0.002 + self._random.random() * 0.02)
        self._require_way()
        self._require_term()
        if self._random.random() < 0.5:
            self._land_late()
        self._late = []
        self._problem = None

    async def probe(self, *, write: bool) -> None:
        """See `Backend.probe`: a full disk shows when something is written."""
        await trio.sleep(0.001 + self._random.random() * self._disk.sky.commit_s)
        if self._problem is None and self._disk.sky.away:
            self._break("away")
        self._require_way()
        if write and self._disk.sky.full:
            raise StoreUnavailable("the disk is full")
        self._require_term()

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        """See `Backend.commit`."""
        assert self._problem is None or self.dead, "a commit over a broken connection"
        assert not any(row.withdrawn for row in rows), "a withdrawn row was sent"
        assert not self._committing, "two commits at once"
        self._committing, self._sent = True, (rows, again)
        try:
            return await self._commit(rows, again=again)
        finally:
            self._committing, self._sent = False, None

    async def _commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        sky = self._disk.sky
        fault = sky.next_commits.pop(0) if sky.next_commits else ""
        before_s = self._random.random() * sky.commit_s
        try:
            await trio.sleep(before_s)
            self._before(fault)
            return await self._land(rows, again=again, fault=fault)
        except trio.Cancelled:
            # Cancelled after it was sent: the connection is gone, and the statement may yet happen.
            self._break("cancelled")
            if self._sent is not None:
                self._late.append((rows, again))
            raise

    def _before(self, fault: str) -> None:
        sky = self._disk.sky
        if sky.away or fault == "away":
            self._break("away")
            raise StoreUnavailable("the database is away")
        if sky.full:
            raise StoreUnavailable("the disk is full")
        if fault == "deadlock":
            raise StoreUnavailable("deadlock detected")
        self._require_alive()
        self._require_term()

    async def _land(self, rows: Sequence[Row], *, again: bool, fault: str) -> list[Result]:
        if fault in ("lost", "late"):
            self._break("broken")
            if fault == "late":
                self._late.append((rows, again))
            raise OutcomeUnknown("the connection broke")
        if any(row.text.startswith(POISON) for row in rows):
            raise RowsRefused("22021", Unprocessable("the store cannot keep this content"))
        if fault == "hang":
            await trio.sleep(5 + 20 * self._random.random())
            self._require_alive()
            self._require_term()
        results = self._disk.apply(rows, again=again)
        self._sent = None
        if fault == "stored":
            self._break("broken")
            raise OutcomeUnknown("the connection broke")
        await trio.sleep(self._random.random() * self._disk.sky.commit_s)  # durable, and the answer on its way
        self._require_alive()
        return results

    def _land_late(self) -> None:
        if self._term != self._disk.term:
            return
        for rows, again in self._late:
            if not any(row.text.startswith(POISON) for row in rows):
                self._disk.apply(rows, again=again)

    def _break(self, why: str) -> None:
        self._problem = f"the connection is lost: {why}"

    def _require_way(self) -> None:
        self._require_alive()
        if self._disk.sky.away:
            raise StoreUnavailable("the database is away")

    def _require_alive(self) -> None:
        if self.dead:
            raise StoreUnavailable("this process is dead")

    def _require_term(self) -> None:
        if self._term != self._disk.term:
            raise StoreFenced("another server has taken over")

    # -- reads ----------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """Every read of the port: the disk's own, over a way that takes time and fails."""
        return self._over_the_way(getattr(self._disk, name))

    @property
    def accounts(self) -> Any:
        """Users and their tokens, over the same way."""
        return _Part(self, self._disk.accounts)

    @property
    def blocks(self) -> Any:
        """Who blocks whom, over the same way."""
        return _Part(self, self._disk.blocks)

    def _over_the_way(self, read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def read_over_the_way(*args: Any, **named: Any) -> Any:
            sky = self._disk.sky
            await trio.sleep(self._random.random() * sky.read_s)
            if sky.reads_away:
                raise StoreUnavailable("the database is away")
            self._require_way()
            found = await read(*args, **named)
            await trio.sleep(self._random.random() * sky.read_s)  # the answer was true when it was read
            return found

        return read_over_the_way


class _Part:
    """A store beside the logs on the disk, as one process reaches it."""

    def __init__(self, backend: SimBackend, kept: object) -> None:
        self._backend = backend
        self._kept = kept

    def __getattr__(self, name: str) -> Any:
        return self._backend._over_the_way(getattr(self._kept, name))
