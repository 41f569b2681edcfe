"""The stored body of an event: JSON whose parts come back byte for byte, so that a replay shows what was sent live.

A message's body is ``{"text", "reply_to"?, "meta"?}``, with meta's own bytes spliced in; a change's body is the change. Id,
actor and time have columns of their own.
"""

from functools import lru_cache

import msgspec

from ..engine.core.authors import Author, AuthorKind
from ..engine.core.batch import Row
from ..engine.core.codec import author_json, change_json, encode_json
from ..engine.core.ids import ConversationId
from ..engine.core.kinds import MEMBER_EVENTS, EventType, Visibility
from ..engine.core.members import Member, Members, Role
from ..engine.core.messages import ConversationChange, Event, Message


class _MessageBody(msgspec.Struct):
    text: str
    reply_to: str | None = None
    meta: msgspec.Raw = msgspec.Raw()  # empty: no meta


class _ChangeBody(msgspec.Struct):
    title: str | None = None
    visibility: Visibility | None = None
    archived: bool | None = None
    slow_s: int | None = None


class _MemberBody(msgspec.Struct):
    user: "_Actor"
    role: Role
    joined_at_ms: int
    muted_until_ms: int = 0
    banned: bool = False


class _Actor(msgspec.Struct):
    id: str
    name: str
    kind: AuthorKind


_decode_message = msgspec.json.Decoder(_MessageBody).decode
_decode_change = msgspec.json.Decoder(_ChangeBody).decode
_decode_member = msgspec.json.Decoder(_MemberBody).decode
_decode_members = msgspec.json.Decoder(list[_MemberBody]).decode
_decode_actor = msgspec.json.Decoder(_Actor).decode


def encode_body(row: Row) -> str:
    """The body of a row.

    Raises:
        UnicodeEncodeError: a text holds a lone surrogate.
    """
    if row.member is not None:
        return encode_member(row.member)
    if row.type != EventType.MESSAGE_CREATED:
        return change_json(row.change or ConversationChange()).decode()
    reply = b',"reply_to":%b' % encode_json(row.reply_to) if row.reply_to else b""
    meta = b',"meta":%b' % row.meta_json if row.meta_json else b""
    return (b'{"text":%b%b%b}' % (encode_json(row.text), reply, meta)).decode()


def encode_member(member: Member) -> str:
    """A row of the members, as the body of an event and as the statements read it."""
    user = _Actor(member.user.id, member.user.name, member.user.kind)
    row = _MemberBody(user, member.role, member.joined_at_ms, member.muted_until_ms, member.banned)
    return encode_json(row).decode()


def encode_members(members: Members) -> str:
    """Members as a JSON array of their rows, each as `encode_member` makes it."""
    return f"[{','.join(encode_member(member) for member in members.values())}]"


def decode_members(data: str) -> Members:
    """The members of a conversation from a JSON array of their rows."""
    return {row.user.id: _member(row) for row in _decode_members(data)}


def _member(row: _MemberBody) -> Member:
    user = Author(row.user.id, row.user.name, row.user.kind)
    return Member(user, row.role, row.joined_at_ms, row.muted_until_ms, row.banned)


@lru_cache(maxsize=4096)
def encode_actor(author: Author) -> str:
    """An author as the column holds it."""
    return author_json(author).decode()


@lru_cache(maxsize=4096)
def decode_actor(data: str) -> Author:
    """The author in a column."""
    actor = _decode_actor(data)
    return Author(actor.id, actor.name, actor.kind)


def decode_event(
    event_type: str, conversation: ConversationId, offset: int, row_id: str, actor: Author, at_ms: int, body: str
) -> Event:
    """The event that a row became, from its columns."""
    message = change = member = None
    if event_type == EventType.MESSAGE_CREATED:
        kept = _decode_message(body)
        message = Message(
            id=row_id,
            conversation=conversation,
            offset=offset,
            author=actor,
            text=kept.text,
            created_at_ms=at_ms,
            reply_to=kept.reply_to,
            meta_json=bytes(kept.meta) or None,
        )
    elif event_type in MEMBER_EVENTS:
        member = _member(_decode_member(body))
    else:
        fields = _decode_change(body)
        change = ConversationChange(fields.title, fields.visibility, fields.archived, fields.slow_s)
    return Event(event_type, conversation, offset, at_ms, actor, message=message, change=change, member=member)
