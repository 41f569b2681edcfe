"""The port between the writer and a place that keeps rows: Postgres, memory, or one that fails on purpose (`hubbub.testing`).

The writer (`writer.py`) owns order, pace, retries and settling; a backend does one transaction at a time and reads. A backend
is used by one writer. `engine/ports.py` says what both together promise.
"""

from collections.abc import Sequence
from typing import Protocol

from ..engine.audit import AuditStore
from ..engine.block_store import BlockStore
from ..engine.core.batch import Repeat, Result, Row
from ..engine.core.errors import EngineBroken, EngineError, StoreError, StoreUnavailable
from ..engine.core.ids import ConversationId
from ..engine.core.messages import Event, Message, Record
from ..engine.identity.ports import AccountStore
from ..engine.invite_store import InviteStore
from ..engine.limit_store import LimitStore


class RowsRefused(Exception):
    """The statement failed because of what is in the rows; nothing of this commit is stored.

    Attributes:
        error: what the poster of a row is told that fails alone.
        detail: for the log: the cause without any content.
    """

    def __init__(self, detail: str, error: EngineError | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.error = error or EngineBroken("the store cannot keep this")


class StoreInUse(StoreError):
    """Another running server holds the database; `str()` names it."""


class StoreLost(StoreUnavailable):
    """What the store needs has broken inside this process: nothing happened, and nothing ever will. Only a new process helps."""


class SchemaRefused(StoreError):
    """The database's schema is newer than this program, or cannot be brought up to date; `str()` says why."""


class Reads(Protocol):
    """What can be asked of a backend besides commits; each method is as in `engine.ports.Store`."""

    @property
    def accounts(self) -> AccountStore:
        """Users and their tokens."""
        ...

    @property
    def invites(self) -> InviteStore:
        """Invites into conversations."""
        ...

    @property
    def audit(self) -> AuditStore:
        """The audit log."""
        ...

    @property
    def limits(self) -> LimitStore:
        """The rates that admins have set."""
        ...

    @property
    def blocks(self) -> BlockStore:
        """Who blocks whom."""
        ...

    async def load(self, conversation: ConversationId) -> Record | None:
        """The conversation and its head, or None."""
        ...

    async def events(self, conversation: ConversationId, *, after: int, limit: int, max_bytes: int) -> list[Event]:
        """Durable events after an offset."""
        ...

    async def latest(
        self, conversation: ConversationId, *, limit: int, max_bytes: int, before: int | None = None
    ) -> list[Event]:
        """The newest events, or those before an offset, oldest first."""
        ...

    async def messages(
        self, conversation: ConversationId, *, after: int | None, before: int | None, limit: int, max_bytes: int
    ) -> list[Message]:
        """One page of messages."""
        ...

    async def find_key(self, conversation: ConversationId, author_id: str, key: str) -> Repeat | None:
        """What an idempotency key was used for."""
        ...

    async def message_offset(self, conversation: ConversationId, message_id: str) -> int | None:
        """The offset of a message."""
        ...

    async def create(self, record: Record) -> None:
        """Make a conversation."""
        ...

    async def hide(self, conversation: ConversationId, user_id: str, *, upto: int) -> None:
        """Leave a conversation out of somebody's list until its head is past an offset."""
        ...

    async def list_conversations(self, principal_id: str | None, *, after: str | None, limit: int) -> list[Record]:
        """Conversations that a principal may list."""
        ...


class Backend(Reads, Protocol):
    """Commits for the writer, and the reads."""

    @property
    def problem(self) -> str | None:
        """Why a commit cannot succeed now, as far as is known without asking; None when it can."""
        ...

    async def revive(self) -> None:
        """Make commits possible again after `problem` was set: connect, and prove that no older commit of ours can still
        happen. Sends no rows, so it may be cancelled at any point.

        Raises:
            StoreUnavailable: not now; try again later.
            StoreLost: never again in this process. Every method may raise it.
            StoreFenced: never again, another server has taken over.
        """
        ...

    async def probe(self, *, write: bool) -> None:
        """Ask, over the way that commits take, whether they could succeed now. Sends no rows, so it may be cancelled.

        Args:
            write: write something that changes nothing, because the last commit failed.

        Raises:
            StoreUnavailable, OutcomeUnknown: not now.
            StoreFenced: never again, another server has taken over.
        """
        ...

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        """Store rows in one transaction, in order, and return one result each once they are durable.

        A row whose key is known is a `Repeat`; a row of an unknown conversation is `Rejected` (NotFound) alone.

        Args:
            rows: of one or more conversations; those of one conversation take consecutive offsets in this order.
            again: some of these rows were sent before with unknown outcome, and no others of their conversations since: rows
                found present count as `Committed` with the offset they have.

        Raises:
            StoreUnavailable: nothing was stored.
            OutcomeUnknown: it was sent and the answer is missing; it may be stored, now or later, until `revive` returned.
            RowsRefused: nothing was stored, and the rows are why.
            StoreFenced: nothing was stored, and nothing will be.

        When it is cancelled, or raises anything else, the outcome is unknown.
        """
        ...
