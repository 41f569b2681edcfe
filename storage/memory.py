"""Memory: a store that keeps everything in this process and promises nothing durable.

It is for embedding where losing everything at exit is fine, and the reference that the contract suite compares Postgres with.
It grows without bound: nothing is ever pruned. Request ids are not kept: nobody could look them up here.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

import attrs
import trio

from ..engine.core.batch import Committed, Rejected, Repeat, Result, Row
from ..engine.core.config import WriterSettings
from ..engine.core.errors import Conflict, NotFound
from ..engine.core.ids import ConversationId
from ..engine.core.kinds import Visibility
from ..engine.core.messages import Event, Message, Record
from ..engine.core.outcomes import event_of, record_after
from .accounts.memory import MemoryAccounts
from .audit import MemoryAudit
from .blocks import MemoryBlocks
from .invites import MemoryInvites
from .limits import MemoryLimits
from .store import DRAIN_S, WriterStore


@attrs.define(eq=False)
class _Log:
    """One conversation: `events[i]` has offset i + 1."""

    record: Record
    events: list[Event] = attrs.field(factory=list)
    message_offsets: list[int] = attrs.field(factory=list)
    offsets: dict[str, int] = attrs.field(factory=dict)  # by row id
    keys: dict[tuple[str, str], Repeat] = attrs.field(factory=dict)

    def message(self, offset: int) -> Message:
        message = self.events[offset - 1].message
        assert message is not None
        return message


class MemoryBackend:
    """A `Backend` in memory. Its commits happen in one step and never fail."""

    problem: str | None = None

    def __init__(self) -> None:
        self._logs: dict[str, _Log] = {}
        self._hidden: dict[tuple[str, str], int] = {}  # by user and conversation: up to which offset
        self.accounts = MemoryAccounts()
        self.invites = MemoryInvites()
        self.audit = MemoryAudit()
        self.limits = MemoryLimits()
        self.blocks = MemoryBlocks()

    async def revive(self) -> None:
        """Nothing to mend."""
        await trio.lowlevel.checkpoint()

    async def probe(self, *, write: bool) -> None:
        """Memory always answers."""
        await trio.lowlevel.checkpoint()

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        """Store rows; see `Backend.commit`."""
        await trio.lowlevel.checkpoint()
        return self.apply(rows, again=again)

    def apply(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        """What a commit does, at once."""
        return [self._apply(row, again=again) for row in rows]

    def _apply(self, row: Row, *, again: bool) -> Result:
        log = self._logs.get(row.conversation)
        if log is None:
            return Rejected(NotFound("no such conversation"))
        if again and row.id in log.offsets:
            return Committed(log.offsets[row.id])
        if row.key is not None:
            known = log.keys.get((row.actor.id, row.key))
            if known is not None:
                return known
        offset = len(log.events) + 1
        event = event_of(row, offset)
        log.events.append(event)
        log.offsets[row.id] = offset
        if event.message is not None:
            log.message_offsets.append(offset)
        if row.key is not None:
            log.keys[row.actor.id, row.key] = Repeat(offset, row.id, row.at_ms, row.digest, row.actor)
        log.record = record_after(log.record, row)
        return Committed(offset)

    async def load(self, conversation: ConversationId) -> Record | None:
        """See `engine.ports.Store`."""
        await trio.lowlevel.checkpoint()
        log = self._logs.get(conversation)
        return None if log is None else _described(log)

    async def events(self, conversation: ConversationId, *, after: int, limit: int, max_bytes: int) -> list[Event]:
        """See `engine.ports.Store`."""
        await trio.lowlevel.checkpoint()
        log = self._logs.get(conversation)
        return [] if log is None else _within(log.events[after : after + limit], max_bytes)

    async def latest(
        self, conversation: ConversationId, *, limit: int, max_bytes: int, before: int | None = None
    ) -> list[Event]:
        """See `engine.ports.Store`."""
        await trio.lowlevel.checkpoint()
        log = self._logs.get(conversation)
        if log is None:
            return []
        end = len(log.events) if before is None else max(0, min(before - 1, len(log.events)))
        return _within(reversed(log.events[max(0, end - limit) : end]), max_bytes)[::-1]

    async def messages(
        self, conversation: ConversationId, *, after: int | None, before: int | None, limit: int, max_bytes: int
    ) -> list[Message]:
        """See `engine.ports.Store`."""
        await trio.lowlevel.checkpoint()
        log = self._logs.get(conversation)
        if log is None:
            return []
        start = 0 if after is None else bisect_right(log.message_offsets, after)
        stop = len(log.message_offsets) if before is None else bisect_left(log.message_offsets, before)
        offsets = log.message_offsets[start:stop]
        if after is None:
            return _reaching((log.message(offset) for offset in reversed(offsets[-limit:])), max_bytes)[::-1]
        return _reaching((log.message(offset) for offset in offsets[:limit]), max_bytes)

    async def find_key(self, conversation: ConversationId, author_id: str, key: str) -> Repeat | None:
        """See `engine.ports.Store`."""
        await trio.lowlevel.checkpoint()
        log = self._logs.get(conversation)
        return None if log is None else log.keys.get((author_id, key))

    async def message_offset(self, conversation: ConversationId, message_id: str) -> int | None:
        """See `engine.ports.Store`."""
        await trio.lowlevel.checkpoint()
        log = self._logs.get(conversation)
        offset = None if log is None else log.offsets.get(message_id)
        if log is None or offset is None or log.events[offset - 1].message is None:
            return None
        return offset

    async def create(self, record: Record) -> None:
        """See `engine.ports.Store`."""
        await trio.lowlevel.checkpoint()
        if record.id in self._logs:
            raise Conflict("the conversation exists already")
        self._logs[record.id] = _Log(attrs.evolve(record, request_id=None))

    async def hide(self, conversation: ConversationId, user_id: str, *, upto: int) -> None:
        """See `engine.ports.Store`."""
        await trio.lowlevel.checkpoint()
        self._hidden[user_id, conversation] = upto

    async def list_conversations(self, principal_id: str | None, *, after: str | None, limit: int) -> list[Record]:
        """See `engine.ports.Store`."""
        await trio.lowlevel.checkpoint()
        ids = sorted(
            log.record.id
            for log in self._logs.values()
            if (after is None or log.record.id > after) and self._lists(principal_id, log)
        )
        return [attrs.evolve(_described(self._logs[name]), members={}) for name in ids[:limit]]

    def _lists(self, principal_id: str | None, log: _Log) -> bool:
        if principal_id is None:
            return True
        member = log.record.members.get(principal_id)
        opens = log.record.visibility is Visibility.PUBLIC or (member is not None and member.belongs)
        return opens and self._hidden.get((principal_id, log.record.id), -1) < len(log.events)


class MemoryStore(WriterStore):
    """A store in this process's memory. **Nothing is durable**: an ack means only that it is kept until the process ends.

    Args:
        settings: bounds and pace of its writer.
        drain_s: how long stopping its actor may take, seconds.
    """

    def __init__(self, settings: WriterSettings | None = None, *, drain_s: float = DRAIN_S) -> None:
        super().__init__(MemoryBackend(), settings or WriterSettings(), drain_s=drain_s)


def _described(log: _Log) -> Record:
    return attrs.evolve(log.record, offset=len(log.events))


def _within(events: Iterable[Event], max_bytes: int) -> list[Event]:
    """The leading events whose texts stay within `max_bytes` together, at least one."""
    taken: list[Event] = []
    size = 0
    for event in events:
        if event.message is not None:
            size += len(event.message.text.encode()) + len(event.message.meta_json or b"")
        if taken and size > max_bytes:
            break
        taken.append(event)
    return taken


def _reaching(messages: Iterable[Message], max_bytes: int) -> list[Message]:
    """The leading messages up to the one that brings their texts and metas to `max_bytes`."""
    taken: list[Message] = []
    for message in messages:
        taken.append(message)
        max_bytes -= message.content_bytes
        if max_bytes <= 0:
            break
    return taken
