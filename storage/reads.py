"""Reads of the Postgres store, and its small writes outside the log. Each is one statement over a pool.

Every statement may safely run twice, so a broken connection costs a retry and not an error.
"""

from ..engine.core.batch import Repeat
from ..engine.core.errors import Conflict, OutcomeUnknown, StoreFenced, StoreUnavailable, Unprocessable
from ..engine.core.ids import ConversationId
from ..engine.core.kinds import ConversationKind, Visibility
from ..engine.core.members import Members
from ..engine.core.messages import Event, Message, Record
from . import sql
from .accounts.postgres import PostgresAccounts
from .audit import PostgresAudit
from .blocks import PostgresBlocks
from .body import decode_actor, decode_event, decode_members, encode_members
from .driver import Pool, Values
from .invites import PostgresInvites
from .limits import PostgresLimits

_END = 2**63 - 1


class PostgresReads:
    """What a `Backend` answers besides commits; see `engine.ports.Store` for each method.

    Args:
        pool: where statements run.

    Attributes:
        accounts: users and their tokens, over the same pool.
        invites: into conversations, over the same pool.
        audit: the audit log, over the same pool.
        limits: the rates that admins have set, over the same pool.
        blocks: who blocks whom, over the same pool.
    """

    term: int | None = None
    """The fencing number of this server; None until it has started."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.accounts = PostgresAccounts(pool)
        self.invites = PostgresInvites(pool)
        self.audit = PostgresAudit(pool)
        self.limits = PostgresLimits(pool)
        self.blocks = PostgresBlocks(pool)

    async def load(self, conversation: ConversationId) -> Record | None:
        """The conversation and its head, or None."""
        rows = await self._pool.fetch(sql.LOAD, conversation)
        return _loaded(rows[0]) if rows else None

    async def events(self, conversation: ConversationId, *, after: int, limit: int, max_bytes: int) -> list[Event]:
        """Durable events after an offset."""
        return _events(conversation, await self._pool.fetch(sql.EVENTS, conversation, after, limit, max_bytes))

    async def latest(
        self, conversation: ConversationId, *, limit: int, max_bytes: int, before: int | None = None
    ) -> list[Event]:
        """The newest events, or those before an offset, oldest first."""
        end = _END if before is None else before
        return _events(conversation, await self._pool.fetch(sql.LATEST, conversation, end, limit, max_bytes))

    async def messages(
        self, conversation: ConversationId, *, after: int | None, before: int | None, limit: int, max_bytes: int
    ) -> list[Message]:
        """One page of messages."""
        end = _END if before is None else before
        if after is None:
            rows = await self._pool.fetch(sql.MESSAGES_BEFORE, conversation, end, limit, max_bytes)
        else:
            rows = await self._pool.fetch(sql.MESSAGES_AFTER, conversation, after, end, limit, max_bytes)
        return [_message(conversation, row) for row in rows]

    async def find_key(self, conversation: ConversationId, author_id: str, key: str) -> Repeat | None:
        """What an idempotency key was used for, or None."""
        rows = await self._pool.fetch(sql.FIND_KEY, conversation, author_id, key)
        if not rows:
            return None
        offset, row_id, at_ms, digest, actor = rows[0]
        return Repeat(offset, row_id, at_ms, digest, decode_actor(actor))

    async def message_offset(self, conversation: ConversationId, message_id: str) -> int | None:
        """The offset of a message, or None."""
        try:
            rows = await self._pool.fetch(sql.MESSAGE_OFFSET, conversation, message_id)
        except Unprocessable:
            return None  # no UUID, so no message
        return rows[0][0] if rows else None

    async def create(self, record: Record) -> None:
        """Make a conversation. A second try after a lost answer finds its own epoch and is content."""
        if record.offset != 0:
            raise ValueError("a new conversation starts at offset 0")
        made = await self._pool.write(
            sql.CREATE,
            *(self.term, record.id, record.title, record.visibility.value, record.owner, record.epoch),
            *(record.created_at_ms, record.kind.value, record.slow_s),
            encode_members(record.members),
            record.request_id,
        )
        if made:
            return
        try:
            there = await self.load(record.id)
        except StoreUnavailable as exc:
            raise OutcomeUnknown("sent, but not confirmed: ask for the conversation") from exc
        if there is None:
            raise StoreFenced("another server has taken the database over")
        if there.epoch != record.epoch:
            raise Conflict("the conversation exists already")

    async def hide(self, conversation: ConversationId, user_id: str, *, upto: int) -> None:
        """Leave a conversation out of somebody's list until its head is past an offset."""
        await self._pool.write(sql.HIDE, conversation, user_id, upto)

    async def list_conversations(self, principal_id: str | None, *, after: str | None, limit: int) -> list[Record]:
        """Conversations that a principal may list."""
        return [_record(row) for row in await self._pool.fetch(sql.LIST, principal_id, after or "", limit)]


def _record(row: Values, members: Members | None = None) -> Record:
    name, title, visibility, owner, epoch, head, created_at_ms, archived, kind, slow_s = row
    return Record(
        id=name,
        title=title,
        visibility=Visibility(visibility),
        owner=owner,
        epoch=epoch,
        offset=head,
        created_at_ms=created_at_ms,
        archived=archived,
        kind=ConversationKind(kind),
        slow_s=slow_s,
        members=members or {},
    )


def _loaded(row: Values) -> Record:
    *columns, members = row
    return _record(columns, decode_members(members) if members else None)


def _events(conversation: ConversationId, rows: list[Values]) -> list[Event]:
    return [
        decode_event(event_type, conversation, offset, row_id, decode_actor(actor), at_ms, body)
        for event_type, offset, row_id, actor, at_ms, body in rows
    ]


def _message(conversation: ConversationId, row: Values) -> Message:
    offset, row_id, author, text, at_ms, reply_to, meta, revision = row
    return Message(
        id=row_id,
        conversation=conversation,
        offset=offset,
        author=decode_actor(author),
        text=text,
        created_at_ms=at_ms,
        reply_to=reply_to,
        meta_json=None if meta is None else meta.encode(),
        revision=revision,
    )
