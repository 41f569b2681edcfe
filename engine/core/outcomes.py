"""What a row became once it was stored: its message, its event, the conversation after it, and the answer to a repeat. Sans-I/O.

Stores, the machine of a live conversation and the answers for a dead one make the same of a row by these.
"""

import attrs

from .batch import Repeat, Row
from .cursor import Cursor
from .errors import Unprocessable
from .kinds import EventType
from .members import after
from .messages import Ack, ConversationChange, Event, Message, Record

OTHER_BODY = "the idempotency key was used for another body"


def answer_to_repeat(row: Row, first: Repeat, epoch: str) -> Ack | Unprocessable:
    """What a post comes to whose key was used before."""
    if first.digest != row.digest:
        return Unprocessable(OTHER_BODY)
    return Ack(message_of(row, first.offset, first), Cursor(epoch, first.offset), repeated=True)


def message_of(row: Row, offset: int, first: Repeat | None = None) -> Message:
    """The message that a row became, or that an equal earlier row became, which was the `first` with its key."""
    told = first or row
    return Message(
        id=told.id,
        conversation=row.conversation,
        offset=offset,
        author=told.actor,
        text=row.text,
        created_at_ms=told.at_ms,
        reply_to=row.reply_to,
        meta_json=row.meta_json,
    )


def event_of(row: Row, offset: int) -> Event:
    """The event that a row became."""
    message = message_of(row, offset) if row.type == EventType.MESSAGE_CREATED else None
    return Event(
        row.type, row.conversation, offset, row.at_ms, row.actor, message=message, change=row.change, member=row.member
    )


def record_after(record: Record, row: Row) -> Record:
    """A record after a row that changed it."""
    if row.member is not None:
        return attrs.evolve(record, members=after(record.members, row.member))
    return record if row.change is None else _changed(record, row.change)


def _changed(record: Record, change: ConversationChange) -> Record:
    return attrs.evolve(
        record,
        title=record.title if change.title is None else change.title,
        visibility=record.visibility if change.visibility is None else change.visibility,
        archived=record.archived if change.archived is None else change.archived,
        slow_s=record.slow_s if change.slow_s is None else change.slow_s,
    )
