"""A store that fails on demand: away, slow, answers lost before and after a commit, a row refused, a bug in the backend.

It keeps its rows in memory and runs under the real writer, so that what a program sees of it is what it will see of Postgres on
a bad day. Under trio's `MockClock` nothing of it waits in real time.

Invariants: a fault changes what is answered and when, never what a commit that succeeded has stored. A backend that was told
of a broken connection refuses commits until `revive` (an assertion tells of a writer that tries).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto

import trio

from ..engine import OutcomeUnknown, StoreFenced, StoreUnavailable, Unprocessable, WriterSettings
from ..engine.core.batch import Batch, Repeat, Result, Row
from ..engine.core.ids import ConversationId
from ..engine.core.messages import Event, Message, Record
from ..engine.limit_store import LimitRecord
from ..storage.accounts.memory import MemoryAccounts
from ..storage.blocks import MemoryBlocks
from ..storage.invites import MemoryInvites
from ..storage.limits import MemoryLimits
from ..storage.memory import MemoryBackend
from ..storage.ports import RowsRefused
from ..storage.store import WriterStore

POISON = "poison"
"""A message with exactly this text is refused for its content; a commit that holds one stores nothing."""


class Fault(Enum):
    """What happens to one commit."""

    NONE = auto()
    """It succeeds."""
    AWAY = auto()
    """The store cannot be reached: nothing was sent, nothing is stored."""
    LOST = auto()
    """The answer is missing, and nothing was stored."""
    STORED = auto()
    """The answer is missing, and everything was stored."""
    LATE = auto()
    """The answer is missing, and everything is stored while the connection is mended."""
    CRASH = auto()
    """A bug of the backend, before anything was stored."""
    CRASH_STORED = auto()
    """A bug of the backend, after everything was stored."""
    FENCED = auto()
    """Another server has taken the store over: nothing is stored, and nothing will be."""
    HANG = auto()
    """Everything is stored, and no answer comes until the commit is cancelled."""


_REACHES_THE_STORE = frozenset({Fault.NONE, Fault.STORED, Fault.LATE, Fault.CRASH_STORED})


class FaultyBackend(MemoryBackend):
    """A `Backend` in memory whose commits follow a script, one fault each, and succeed when the script is over.

    Args:
        script: faults of the first commits.

    Attributes:
        script: what is left of it; append to it at any time.
        commit_s: how long a commit takes, seconds.
        away: the connection cannot be mended while it is set.
        commits: the texts of every commit that was tried, and whether it was a second try (`again`).
    """

    def __init__(self, script: Sequence[Fault] = ()) -> None:
        super().__init__()
        self.script = list(script)
        self.commit_s = 0.001
        self.away = False
        self.commits: list[tuple[list[str], bool]] = []
        self._problem: str | None = None
        self._late: list[Row] = []
        self._held: trio.Event | None = None

    @property
    def problem(self) -> str | None:  # type: ignore[override]  # a property here, a constant there
        """What the last fault left behind."""
        return self._problem

    def lose_connection(self) -> None:
        """The connection breaks while nobody uses it."""
        self._problem = "cut"

    def hold(self) -> trio.Event:
        """Let the commit that is tried next wait until the returned event is set."""
        self._held = trio.Event()
        return self._held

    async def revive(self) -> None:
        """Mend the connection, and let what was under way happen first.

        Raises:
            StoreUnavailable: `away` is set.
        """
        await trio.sleep(0.001)
        if self.away:
            raise StoreUnavailable("still away")
        self.apply(self._late, again=True)
        self._late = []
        self._problem = None

    async def probe(self, *, write: bool) -> None:
        """Tell whether the store is away.

        Raises:
            StoreUnavailable: `away` is set.
        """
        await trio.sleep(0.001)
        if self.away:
            raise StoreUnavailable("away")

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        """Commit, or fail as the script says."""
        if self._held is not None:
            await self._held.wait()
            self._held = None
        assert self._problem is None, "a commit over a broken connection"
        assert not any(row.withdrawn for row in rows), "a withdrawn row was sent"
        self.commits.append(([row.text for row in rows], again))
        await trio.sleep(self.commit_s)
        fault = self.script.pop(0) if self.script else Fault.NONE
        if fault in _REACHES_THE_STORE and any(row.text == POISON for row in rows):
            raise RowsRefused("22021", Unprocessable("poison"))
        return await self._follow(fault, rows, again=again)

    async def _follow(self, fault: Fault, rows: Sequence[Row], *, again: bool) -> list[Result]:
        match fault:
            case Fault.NONE:
                return self.apply(rows, again=again)
            case Fault.AWAY:
                self._problem = "away"
                raise StoreUnavailable("away")
            case Fault.FENCED:
                raise StoreFenced("fenced")
            case Fault.CRASH:
                raise RuntimeError("crash")
            case Fault.CRASH_STORED:
                self.apply(rows, again=again)
                raise RuntimeError("crash")
            case Fault.HANG:
                self.apply(rows, again=again)
                await trio.sleep_forever()
            case Fault.STORED:
                self.apply(rows, again=again)
            case Fault.LATE:
                self._late.extend(rows)
            case Fault.LOST:
                pass
        self._problem = "broken"
        raise OutcomeUnknown("broken")

    def log(self, conversation: str) -> list[Event]:
        """What is stored of a conversation, read past every fault."""
        log = self._logs.get(conversation)
        return [] if log is None else log.events


class _FaultyLimits(MemoryLimits):
    """Rates that cannot be reached while the store is away."""

    def __init__(self, reach: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._reach = reach

    async def profiles(self) -> list[LimitRecord]:
        """All of them."""
        await self._reach()
        return await super().profiles()

    async def set_profile(self, record: LimitRecord) -> None:
        """Keep one."""
        await self._reach()
        await super().set_profile(record)

    async def unset_profile(self, name: str) -> bool:
        """Forget one."""
        await self._reach()
        return await super().unset_profile(name)


class FaultyStore(WriterStore):
    """A `Store` over a `FaultyBackend`, whose reads and `submit` fail on demand as well.

    Args:
        script: faults of the first commits.
        settings: bounds and pace of its writer.
        drain_s: how long stopping its actor may take, seconds.

    Attributes:
        backend: for faults of commits.
        away: every read, and every small write besides commits (accounts are such), raises StoreUnavailable. Commits go on;
            `go_away` stops both.
        read_s: how long each of them takes, seconds.
        load_errors, event_errors, submit_errors: raised by the next `load`, `events` and `submit`, first to last.
        loads: how often `load` was called.
    """

    def __init__(
        self, script: Sequence[Fault] = (), *, settings: WriterSettings | None = None, drain_s: float = 5.0
    ) -> None:
        self.backend = FaultyBackend(script)
        self.backend.invites = MemoryInvites(self._read)
        self.backend.accounts = MemoryAccounts(self._read)
        self.backend.limits = _FaultyLimits(self._read)
        self.backend.blocks = MemoryBlocks(self._read)
        super().__init__(self.backend, settings or WriterSettings(), drain_s=drain_s)
        self.away = False
        self.read_s = 0.0
        self.load_errors: list[Exception] = []
        self.event_errors: list[Exception] = []
        self.submit_errors: list[Exception] = []
        self.loads = 0

    def go_away(self) -> None:
        """From now on nothing of the store can be reached: reads fail, commits wait, `health` says so."""
        self.away = self.backend.away = True
        self.backend.lose_connection()

    def come_back(self) -> None:
        """It can be reached again. Reads work at once, commits when the writer has tried again."""
        self.away = self.backend.away = False

    def texts(self, conversation: str = "room") -> list[str]:
        """The texts of the stored messages, in order, read past every fault."""
        return [event.message.text for event in self.backend.log(conversation) if event.message is not None]

    def submit(self, batch: Batch) -> None:
        """Hand in a batch, or raise the next of `submit_errors`."""
        if self.submit_errors:
            raise self.submit_errors.pop(0)
        super().submit(batch)

    async def load(self, conversation: ConversationId) -> Record | None:
        """The conversation and its head, or the next of `load_errors`."""
        self.loads += 1
        await self._read()
        if self.load_errors:
            raise self.load_errors.pop(0)
        return await super().load(conversation)

    async def events(self, conversation: ConversationId, *, after: int, limit: int, max_bytes: int) -> list[Event]:
        """Durable events after an offset, or the next of `event_errors`."""
        await self._read()
        if self.event_errors:
            raise self.event_errors.pop(0)
        return await super().events(conversation, after=after, limit=limit, max_bytes=max_bytes)

    async def latest(
        self, conversation: ConversationId, *, limit: int, max_bytes: int, before: int | None = None
    ) -> list[Event]:
        """The newest events, or those before an offset, oldest first."""
        await self._read()
        return await super().latest(conversation, limit=limit, max_bytes=max_bytes, before=before)

    async def messages(
        self, conversation: ConversationId, *, after: int | None, before: int | None, limit: int, max_bytes: int
    ) -> list[Message]:
        """One page of messages."""
        await self._read()
        return await super().messages(conversation, after=after, before=before, limit=limit, max_bytes=max_bytes)

    async def message_offset(self, conversation: ConversationId, message_id: str) -> int | None:
        """The offset of a message."""
        await self._read()
        return await super().message_offset(conversation, message_id)

    async def find_key(self, conversation: ConversationId, author_id: str, key: str) -> Repeat | None:
        """What an idempotency key was used for."""
        await self._read()
        return await super().find_key(conversation, author_id, key)

    async def create(self, record: Record) -> None:
        """Make a conversation; while the store is away nothing is made."""
        await self._read()
        await super().create(record)

    async def hide(self, conversation: ConversationId, user_id: str, *, upto: int) -> None:
        """Leave a conversation out of somebody's list; while the store is away nothing is hidden."""
        await self._read()
        await super().hide(conversation, user_id, upto=upto)

    async def list_conversations(self, principal_id: str | None, *, after: str | None, limit: int) -> list[Record]:
        """Conversations that a principal may list."""
        await self._read()
        return await super().list_conversations(principal_id, after=after, limit=limit)

    async def _read(self) -> None:
        await trio.sleep(self.read_s)
        if self.away:
            raise StoreUnavailable
