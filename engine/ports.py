"""What the engine needs from outside: a durable store. Data types only; the implementations live in `hubbub.storage`.

Promises a store makes (the contract suite holds every implementation to them):

* `submit` keeps a batch or refuses it at once; a kept batch is settled exactly once, in one transaction with all its rows'
  effects, or row by row rejected. Offsets of a conversation are consecutive from 1, in the order of submission.
* A `Committed` or `Repeat` result is durable when it is given. A `Rejected(StoreUnavailable)` row is not stored and never
  will be.
* Reads see every commit that was settled before they were called.
"""

from __future__ import annotations

from typing import Any, Protocol

import attrs

from ..actors import ChildSpec
from .audit import AuditStore
from .block_store import BlockStore
from .core.batch import Batch, Repeat
from .core.ids import ConversationId
from .core.messages import Event, Message, Record
from .identity.ports import AccountStore
from .invite_store import InviteStore
from .limit_store import LimitStore


@attrs.frozen
class StoreHealth:
    """Whether the store can commit now, and what is missing when it cannot.

    Attributes:
        problems: sentences for an operator.
        away_s: for how long, seconds; None when it can, or when that is not known.
    """

    ready: bool
    problems: tuple[str, ...] = ()
    away_s: float | None = None


class Store(Protocol):
    """A durable store with its storage actor. All methods belong to the one trio thread."""

    @property
    def invites(self) -> InviteStore:
        """Invites into conversations."""
        ...

    @property
    def accounts(self) -> AccountStore:
        """Users and their tokens."""
        ...

    @property
    def audit(self) -> AuditStore:
        """Who changed what of the server."""
        ...

    @property
    def limits(self) -> LimitStore:
        """The rates that admins have set."""
        ...

    @property
    def blocks(self) -> BlockStore:
        """Who blocks whom."""
        ...

    def actor(self) -> ChildSpec[Any]:
        """The storage actor, to be supervised by the engine; it outlives the conversations and drains when stopped."""
        ...

    def submit(self, batch: Batch) -> None:
        """Hand in a batch without waiting. `batch.settle` is called later, never from inside this call.

        Raises:
            Overloaded: too many rows wait; nothing was kept.
            EngineClosed: the storage actor has stopped.
        """
        ...

    def drain(self, within_s: float) -> None:
        """The server stops: the actor, which is stopped last, must be done within this time from now."""
        ...

    def health(self) -> StoreHealth:
        """Whether commits can succeed at this moment, from what is known without asking the database."""
        ...

    async def load(self, conversation: ConversationId) -> Record | None:
        """The conversation and its head, or None.

        Raises (this and every other read):
            StoreUnavailable: the store cannot be reached.
        """
        ...

    async def events(self, conversation: ConversationId, *, after: int, limit: int, max_bytes: int) -> list[Event]:
        """Durable events with offsets in (after, after + limit], oldest first, consecutive; fewer when they pass
        `max_bytes` of text (at least one when there is one)."""
        ...

    async def latest(
        self, conversation: ConversationId, *, limit: int, max_bytes: int, before: int | None = None
    ) -> list[Event]:
        """The newest events, oldest first, consecutive up to the head, or up to the last one before an offset; bounded like
        `events`, which drops older ones."""
        ...

    async def messages(
        self, conversation: ConversationId, *, after: int | None, before: int | None, limit: int, max_bytes: int
    ) -> list[Message]:
        """Messages with offsets in (after, before), oldest first: the `limit` oldest of them when `after` is given, else
        the `limit` newest. It stops with the message that brings texts and metas (`Message.content_bytes`) to `max_bytes`;
        so less than both bounds means that there are no more."""
        ...

    async def find_key(self, conversation: ConversationId, author_id: str, key: str) -> Repeat | None:
        """The message that an idempotency key of this author was used for, or None."""
        ...

    async def message_offset(self, conversation: ConversationId, message_id: str) -> int | None:
        """The offset of a message of this conversation, or None."""
        ...

    async def create(self, record: Record) -> None:
        """Make a conversation (its offset must be 0).

        Raises:
            Conflict: the id is taken.
            OutcomeUnknown: it was sent, and the answer is missing.
        """
        ...

    async def hide(self, conversation: ConversationId, user_id: str, *, upto: int) -> None:
        """Leave a conversation out of one principal's list while its head is no further than this offset; the last call counts.

        Raises:
            OutcomeUnknown: it was sent, and the answer is missing; it may be called again.
        """
        ...

    async def list_conversations(self, principal_id: str | None, *, after: str | None, limit: int) -> list[Record]:
        """Conversations that a principal may list (public ones and its own, without those that it hides; every one when None),
        ordered by id in code point order, ids greater than `after`."""
        ...
