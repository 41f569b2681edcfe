"""The nouns of the domain: who speaks, what was said, what happened, where it stands.

All are frozen values. Times are milliseconds since the Unix epoch (UTC); the wire shows them as RFC 3339 (`codec.rfc3339`).
"""

import attrs
import msgspec

from .authors import Author, as_author
from .blocks import Blockers
from .cursor import Cursor
from .ids import ConversationId
from .kinds import ConversationKind, Visibility
from .members import Member, MemberTable, member_table


@attrs.frozen
class Draft:
    """What an author wants to say.

    Attributes:
        text: UTF-8 text without NUL, at most the configured bytes.
        author: who says it; a text stands for id and name at once.
        idempotency_key: the same key by the same author in the same conversation gives the same ack, for ever.
        reply_to: id of a message of the same conversation, not checked against the log.
        meta: a JSON object for the application, at most the configured bytes when encoded.
    """

    text: str
    author: Author = attrs.field(converter=as_author, kw_only=True)
    idempotency_key: str | None = attrs.field(default=None, kw_only=True)
    reply_to: str | None = attrs.field(default=None, kw_only=True)
    meta: dict[str, object] | None = attrs.field(default=None, kw_only=True)


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message as REST shows it. `meta_json` is the encoded object, or None."""

    id: str
    conversation: ConversationId
    offset: int
    author: Author
    text: str
    created_at_ms: int
    reply_to: str | None = None
    meta_json: bytes | None = None
    revision: int = 1

    @property
    def content_bytes(self) -> int:
        """Text and meta, UTF-8 bytes: what pages are bounded by."""
        text = self.text
        return (len(text) if text.isascii() else len(text.encode())) + len(self.meta_json or b"")


@attrs.frozen
class Record:
    """What is known of a conversation besides its log.

    Attributes:
        owner: id of who made it; who owns it now, `members` say.
        offset: the head when the record was read.
        slow_s: seconds between two posts of one author (moderators may always); 0 for no slow mode.
        members: by user id; empty in a list of conversations, which says nothing about them.
        request_id: of one that is to be made: by which request, to be kept beside it. A record that was read has none.
        blockers: of a live direct conversation, those of the two who block the other. Stores keep them elsewhere (`block_store`).
    """

    id: ConversationId
    title: str
    visibility: Visibility
    owner: str
    epoch: str
    offset: int
    created_at_ms: int
    archived: bool = False
    kind: ConversationKind = ConversationKind.ROOM
    slow_s: int = 0
    members: MemberTable = attrs.field(factory=MemberTable, converter=member_table, repr=False)
    request_id: str | None = attrs.field(default=None, eq=False, repr=False)
    blockers: Blockers = attrs.field(default=frozenset(), repr=False)


@attrs.frozen
class ConversationChange:
    """What an update changed; None is untouched."""

    title: str | None = None
    visibility: Visibility | None = None
    archived: bool | None = None
    slow_s: int | None = None


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happened in a conversation.

    Attributes:
        offset: place in the log, from 1; None for an ephemeral event, which is not stored and not replayed.
        message: of a message event.
        change: of a conversation event.
        member: of a membership event: the row as it became.
        data_json: encoded JSON object of an application's own ephemeral event.
    """

    type: str
    conversation: ConversationId
    offset: int | None
    at_ms: int
    actor: Author
    message: Message | None = None
    change: ConversationChange | None = None
    member: Member | None = None
    data_json: bytes | None = None


class Ack(msgspec.Struct, frozen=True, gc=False):
    """The promise that a post is committed (design: G1). `repeated` says that an earlier post with the same key was found."""

    message: Message
    cursor: Cursor
    repeated: bool = False


@attrs.define(eq=False)
class Encoded:
    """A place for the JSON of a value, made when it is first asked for (`codec`)."""

    json: bytes | None = None


@attrs.frozen
class MessagePage:
    """One page of history, oldest first.

    Attributes:
        next: offset to ask ``after`` for newer ones, or None at the head.
        previous: offset to ask ``before`` for older ones, or None at the beginning.
    """

    messages: tuple[Message, ...]
    next: int | None
    previous: int | None
    encoded: Encoded = attrs.field(factory=Encoded, init=False, eq=False, repr=False)
