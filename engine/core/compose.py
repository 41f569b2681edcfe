"""Composing: from what a client or an embedder asks, checked against every bound, to the command that a conversation takes.

Left out: who asks and what a session may (`session`), whether it is allowed there (`permissions`).
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec

from . import codec
from .authors import Author
from .batch import Row
from .commands import Signal, Submit, digest_of
from .config import ConversationSettings
from .errors import EngineError, InvalidCommand, PayloadTooLarge, Unprocessable
from .ids import ConversationId, conversation_id, idempotency_key, message_id
from .kinds import ConversationKind, EventType, Visibility
from .members import Member, MemberAction, MemberChange, Role
from .messages import Ack, ConversationChange, Draft, Record
from .permissions import Verb
from .principals import Principal

AUTHOR_BYTES: Final = 1024
SLOW_S: Final = 86_400
"""Slowest slow mode, seconds."""
LATEST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, past which RFC 3339 has no words."""
DIRECT_PREFIX: Final = "direct:"

_MEMBER_VERBS: Final = {
    MemberAction.PUT: Verb.INVITE,
    MemberAction.JOIN: Verb.JOIN,
    MemberAction.REMOVE: Verb.MODERATE,
    MemberAction.MUTE: Verb.MODERATE,
    MemberAction.BAN: Verb.MODERATE,
    MemberAction.UNBAN: Verb.MODERATE,
}
"""What a principal must be allowed, to do this to somebody else."""

_TYPE = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*", re.ASCII)
_TYPE_CHARS = 100
_OWN_TYPES = frozenset({*(kind.value.partition(".")[0] for kind in EventType), "stream"})
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # an escaped NUL, not the text backslash-u0000


class Stamp(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a machine may not draw itself: a fresh id, the wall clock, the deadline on the engine's clock; and who asked for it.

    Attributes:
        request_id: the name of the request, as logs have it.
    """

    id: str
    at_ms: int
    deadline: float
    request_id: str | None = None


def compose_post(
    settings: ConversationSettings,
    principal: Principal,
    name: str,
    draft: Draft,
    stamp: Stamp,
    reply: Callable[[Ack | Record | EngineError], None],
) -> tuple[ConversationId, Submit]:
    """Check a draft against the limits and make it a submission.

    Raises:
        InvalidCommand, Unprocessable, PayloadTooLarge.
    """
    conversation = conversation_id(name)
    if codec.storable_text(draft.text, settings.text_bytes, "text") > settings.text_bytes:
        raise PayloadTooLarge(f"'text' is over {settings.text_bytes} bytes")
    if not draft.text:
        raise Unprocessable("'text' is empty")
    check_author(draft.author)
    meta_json = None if draft.meta is None else encode_meta(draft.meta, settings.meta_bytes)
    reply_to = None if draft.reply_to is None else message_id(draft.reply_to)
    row = Row(
        conversation=conversation,
        type=EventType.MESSAGE_CREATED,
        id=stamp.id,
        actor=draft.author,
        at_ms=stamp.at_ms,
        text=draft.text,
        reply_to=reply_to,
        meta_json=meta_json,
        key=None if draft.idempotency_key is None else idempotency_key(draft.idempotency_key),
        request_id=stamp.request_id,
    )
    if row.key is not None:
        row.digest = digest_of(row.text, row.reply_to, row.meta_json)
    return conversation, Submit(reply, principal, Verb.POST, row, stamp.deadline)


def compose_signal(
    settings: ConversationSettings,
    principal: Principal,
    name: str,
    event_type: str,
    data: dict[str, Any] | None,
    at_ms: int,
    reply: Callable[[EngineError | None], None],
) -> tuple[ConversationId, Signal]:
    """Check an application's own ephemeral event and make it a command.

    Raises:
        InvalidCommand: the type is malformed, or one of ours. Unprocessable, PayloadTooLarge: the data.
    """
    if len(event_type) > _TYPE_CHARS or _TYPE.fullmatch(event_type) is None:
        raise InvalidCommand(f"an event type is lower-case words joined by dots, at most {_TYPE_CHARS} characters")
    if event_type.partition(".")[0] in _OWN_TYPES:
        raise InvalidCommand("this event type is the engine's own")
    check_author(principal.author)
    data_json = None if data is None else encode_meta(data, settings.meta_bytes, "data")
    return conversation_id(name), Signal(reply, principal, event_type, at_ms, data_json)


@lru_cache(maxsize=1024)  # the same few write most of the posts
def check_author(author: Author) -> None:
    """Check an author that an embedder made: one that cannot be encoded would crash the conversation at every load.

    Raises:
        Unprocessable: id or name is empty, over `AUTHOR_BYTES`, or not storable.
    """
    for name, text in (("author id", author.id), ("author name", author.name)):
        if not text or codec.storable_text(text, AUTHOR_BYTES, name) > AUTHOR_BYTES:
            raise Unprocessable(f"an {name} has 1 to {AUTHOR_BYTES} bytes")


def compose_change(
    principal: Principal,
    name: str,
    change: ConversationChange,
    stamp: Stamp,
    reply: Callable[[Ack | Record | EngineError], None],
    versions: frozenset[str] | None = None,
) -> tuple[ConversationId, Submit]:
    """Make a change of the conversation a submission.

    Args:
        versions: in one of which the conversation must be; None for any.

    Raises:
        InvalidCommand: the change is empty.
        Unprocessable: the actor cannot be stored.
    """
    conversation = conversation_id(name)
    check_author(principal.author)
    if change == ConversationChange():
        raise InvalidCommand("nothing to change: give 'title', 'visibility', 'archived' or 'slow_s'")
    kind = EventType.CONVERSATION_ARCHIVED if change.archived else EventType.CONVERSATION_UPDATED
    row = Row(
        conversation=conversation,
        type=kind,
        id=stamp.id,
        actor=principal.author,
        at_ms=stamp.at_ms,
        change=change,
        request_id=stamp.request_id,
    )
    return conversation, Submit(reply, principal, Verb.MANAGE, row, stamp.deadline, versions)


def compose_member(
    principal: Principal,
    name: str,
    wish: MemberChange,
    stamp: Stamp,
    reply: Callable[[Ack | Record | EngineError], None],
) -> tuple[ConversationId, Submit]:
    """Make a wish to change a membership a submission.

    Raises:
        InvalidCommand: not a conversation id.
        Unprocessable: the user or the actor cannot be stored, or the time cannot be shown.
    """
    conversation = conversation_id(name)
    check_author(principal.author)
    check_author(wish.user)
    if not 0 <= wish.until_ms <= LATEST_MS:
        raise Unprocessable("a mute ends by the year 9999")
    verb = _MEMBER_VERBS[wish.action]
    if wish.action is MemberAction.REMOVE and wish.user.id == principal.id:
        verb = Verb.LEAVE
    row = Row(
        conversation=conversation,
        type=EventType.MEMBER_CHANGED,
        id=stamp.id,
        actor=principal.author,
        at_ms=stamp.at_ms,
        wish=wish,
        request_id=stamp.request_id,
    )
    return conversation, Submit(reply, principal, verb, row, stamp.deadline)


def compose_record(
    body: Mapping[str, Any],
    owner: Principal,
    settings: ConversationSettings,
    *,
    fresh_id: str,
    epoch: str,
    at_ms: int,
    other: Author | None = None,
    request_id: str | None = None,
) -> Record:
    """Compose a new conversation from ``{"id"?, "title"?, "visibility"?, "kind"?}``; private unless said otherwise.

    Args:
        other: with whom, for a direct conversation: it has these two members, is private, and its id follows from theirs.
        request_id: by which it is made; checked.

    Raises:
        InvalidCommand, Unprocessable.
    """
    check_author(owner.author)
    kind, title = kind_of(codec.get_text(body, "kind")), codec.get_text(body, "title")
    visibility = visibility_of(codec.get_text(body, "visibility")) or Visibility.PRIVATE
    name = codec.get_text(body, "id")
    if name is not None and name.startswith(DIRECT_PREFIX):
        raise InvalidCommand(f"ids that begin with {DIRECT_PREFIX!r} are given to direct conversations")
    members = [Member(owner.author, Role.OWNER, at_ms)]
    if (kind is ConversationKind.DIRECT) != (other is not None):
        raise InvalidCommand("a direct conversation, and no other, is 'with' somebody")
    if other is not None:
        check_author(other)
        if other.id == owner.id or name is not None or visibility is Visibility.PUBLIC:
            raise InvalidCommand("a direct conversation is private, with somebody else, and its id is given to it")
        name = direct_id(owner.id, other.id)
        members = [Member(who, Role.MEMBER, at_ms) for who in (owner.author, other)]
    conversation = conversation_id(fresh_id if name is None else name)
    return Record(
        id=conversation,
        title=conversation if title is None else check_title(title, settings),
        visibility=visibility,
        owner=owner.id,
        epoch=epoch,
        offset=0,
        created_at_ms=at_ms,
        kind=kind,
        members={member.user.id: member for member in members},
        request_id=request_id,
    )


def direct_id(one: str, other: str) -> ConversationId:
    """The id of the direct conversation of two users, the same whoever asks; made by nobody else, because its prefix is kept."""
    both = codec.encode_json(sorted((one, other)))
    return ConversationId(DIRECT_PREFIX + blake2b(both, digest_size=16).hexdigest())


def check_title(title: str, settings: ConversationSettings) -> str:
    """Check a title.

    Raises:
        Unprocessable: empty, too long, or not storable.
    """
    codec.storable_text(title, 4 * settings.title_chars, "title")
    if not 1 <= len(title) <= settings.title_chars:
        raise Unprocessable(f"a title has 1 to {settings.title_chars} characters")
    return title


def kind_of(text: str | None) -> ConversationKind:
    """Read what a conversation is for; a room unless said otherwise.

    Raises:
        InvalidCommand: no such kind.
    """
    try:
        return ConversationKind.ROOM if text is None else ConversationKind(text)
    except ValueError:
        raise InvalidCommand("'kind' must be 'room', 'direct' or 'announcement'") from None


def visibility_of(text: str | None) -> Visibility | None:
    """Read a visibility.

    Raises:
        InvalidCommand: it is neither public nor private.
    """
    if text is None:
        return None
    try:
        return Visibility(text)
    except ValueError:
        raise InvalidCommand("'visibility' must be 'public' or 'private'") from None


def encode_meta(meta: dict[str, Any], limit_bytes: int, name: str = "meta") -> bytes:
    """Encode an application's object.

    Raises:
        PayloadTooLarge: over the limit.
        Unprocessable: it holds what JSON or the store cannot carry.
    """
    try:
        data = codec.encode_json(meta)
    except (TypeError, ValueError, RecursionError):
        raise Unprocessable(f"{name!r} holds what JSON cannot carry") from None
    if len(data) > limit_bytes:
        raise PayloadTooLarge(f"{name!r} is over {limit_bytes} bytes")
    if _NUL.search(data):
        raise Unprocessable(f"{name!r} may not hold the character NUL")
    return data
