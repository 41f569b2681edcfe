"""The store as the engine sees it: a backend's reads and a writer's commits, joined.

Left out: what keeps the rows (`memory.py`, `postgres.py`).
"""

from typing import Final

import trio

from ..actors import ChildSpec
from ..engine.audit import AuditStore
from ..engine.block_store import BlockStore
from ..engine.core.batch import Batch, Repeat
from ..engine.core.config import WriterSettings
from ..engine.core.ids import ConversationId
from ..engine.core.messages import Event, Message, Record
from ..engine.identity.ports import AccountStore
from ..engine.invite_store import InviteStore
from ..engine.limit_store import LimitStore
from ..engine.ports import StoreHealth
from .ports import Backend
from .writer import Writer, WriterStatistics

DRAIN_S: Final = 10.0
"""How long the storage actor may take to commit what was accepted when it is stopped."""


class WriterStore:
    """`engine.ports.Store` over a backend. Its methods are described there; all belong to the one trio thread.

    Args:
        backend: where rows are kept.
        settings: bounds and pace of the writer.
        drain_s: how long stopping the actor may take, seconds.

    Attributes:
        reads: questions about conversations and their logs so far; what the tails answer does not come here.
    """

    def __init__(self, backend: Backend, settings: WriterSettings, *, drain_s: float = DRAIN_S) -> None:
        self.reads = 0
        self._backend = backend
        self._writer = Writer(backend, settings, drain_s=drain_s)

    @property
    def accounts(self) -> AccountStore:
        """Users and their tokens."""
        return self._backend.accounts

    @property
    def invites(self) -> InviteStore:
        """Invites into conversations."""
        return self._backend.invites

    @property
    def audit(self) -> AuditStore:
        """The audit log."""
        return self._backend.audit

    @property
    def limits(self) -> LimitStore:
        """The rates that admins have set."""
        return self._backend.limits

    @property
    def blocks(self) -> BlockStore:
        """Who blocks whom."""
        return self._backend.blocks

    def actor(self) -> ChildSpec[None]:
        """The storage actor."""
        return self._writer.spec()

    def submit(self, batch: Batch) -> None:
        """Hand in a batch without waiting."""
        self._writer.submit(batch)

    def health(self) -> StoreHealth:
        """Whether commits can succeed now."""
        return self._writer.health()

    def statistics(self) -> WriterStatistics:
        """What the storage actor has done and what waits."""
        return self._writer.statistics()

    @property
    def fenced(self) -> trio.Event:
        """Set when another server has taken the database over. Nothing can be written any more: stop the server."""
        return self._writer.fenced

    def drain(self, within_s: float) -> None:
        """The server stops: the actor, when it is stopped, takes no longer than until then."""
        self._writer.drain_by = min(self._writer.drain_by, trio.current_time() + within_s)

    @property
    def drain_by(self) -> float:
        """When everything must be over, on trio's clock; infinite until `drain` was called."""
        return self._writer.drain_by

    def hurry(self) -> None:
        """The database may be back: try now."""
        self._writer.hurry()

    def close(self) -> None:
        """Refuse what is left and everything to come. For when the actor has stopped for good."""
        self._writer.close()

    async def load(self, conversation: ConversationId) -> Record | None:
        """The conversation and its head, or None."""
        self.reads += 1
        return await self._backend.load(conversation)

    async def events(self, conversation: ConversationId, *, after: int, limit: int, max_bytes: int) -> list[Event]:
        """Durable events after an offset."""
        self.reads += 1
        return await self._backend.events(conversation, after=after, limit=limit, max_bytes=max_bytes)

    async def latest(
        self, conversation: ConversationId, *, limit: int, max_bytes: int, before: int | None = None
    ) -> list[Event]:
        """The newest events, or those before an offset, oldest first."""
        self.reads += 1
        return await self._backend.latest(conversation, limit=limit, max_bytes=max_bytes, before=before)

    async def messages(
        self, conversation: ConversationId, *, after: int | None, before: int | None, limit: int, max_bytes: int
    ) -> list[Message]:
        """One page of messages."""
        self.reads += 1
        return await self._backend.messages(conversation, after=after, before=before, limit=limit, max_bytes=max_bytes)

    async def find_key(self, conversation: ConversationId, author_id: str, key: str) -> Repeat | None:
        """What an idempotency key was used for, or None."""
        self.reads += 1
        return await self._backend.find_key(conversation, author_id, key)

    async def message_offset(self, conversation: ConversationId, message_id: str) -> int | None:
        """The offset of a message."""
        self.reads += 1
        return await self._backend.message_offset(conversation, message_id)

    async def create(self, record: Record) -> None:
        """Make a conversation."""
        await self._backend.create(record)

    async def hide(self, conversation: ConversationId, user_id: str, *, upto: int) -> None:
        """Leave a conversation out of somebody's list until its head is past an offset."""
        await self._backend.hide(conversation, user_id, upto=upto)

    async def list_conversations(self, principal_id: str | None, *, after: str | None, limit: int) -> list[Record]:
        """Conversations that a principal may list."""
        self.reads += 1
        return await self._backend.list_conversations(principal_id, after=after, limit=limit)
