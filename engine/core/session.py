"""Session: one client's protocol state, the same for every transport. It turns decoded fields into commands, or refuses.

A WebSocket connection holds one for its life; a REST request and an event stream make one each. Transports translate framing
and nothing else: what may be asked, within which limits, is decided here; what this principal may do in that conversation is
decided by the conversation (`permissions`).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from . import codec
from .batch import Row
from .commands import Describe, History, Join, Presence, Replay, Replayed, Roster, Signal, Submit, digest_of
from .config import ConversationSettings
from .errors import (
    AlreadySubscribed,
    EngineError,
    InvalidCommand,
    LimitExceeded,
    PayloadTooLarge,
    Unauthenticated,
    Unprocessable,
)
from .ids import ConversationId, conversation_id, idempotency_key, message_id
from .messages import Ack, Author, ConversationChange, Draft, EventType, MessagePage, Principal, Record, Visibility
from .permissions import Verb
from .recovery import Since
from .subscriber import Joined, Subscriber

AUTHOR_BYTES: Final = 1024

_TYPE = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*", re.ASCII)
_TYPE_CHARS = 100
_OWN_TYPES = frozenset({*(kind.value.partition(".")[0] for kind in EventType), "stream"})
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # an escaped NUL, not the text backslash-u0000


@attrs.frozen(kw_only=True)
class Stamp:
    """What a machine may not draw itself: a fresh id, the wall clock and the deadline on the engine's clock."""

    id: str
    at_ms: int
    deadline: float


@attrs.frozen(kw_only=True)
class SessionSettings:
    """Bounds of one session."""

    subscriptions: int = 1_000
    history_items: int = 500
    history_default_items: int = 50
    presence_items: int = 1_000
    conversation: ConversationSettings = attrs.field(factory=ConversationSettings)


class Session:
    """The state of one client: who it is and what it follows.

    Attributes:
        principal: None until the client has authenticated; until then every command is refused.
        following: the conversations it follows or is joining; the value is the transport's own.
    """

    __slots__ = ("following", "principal", "settings")

    def __init__(self, settings: SessionSettings, principal: Principal | None = None) -> None:
        self.settings = settings
        self.principal = principal
        self.following: dict[ConversationId, Subscriber] = {}

    def require(self) -> Principal:
        """Who this is.

        Raises:
            Unauthenticated: nobody yet.
        """
        if self.principal is None:
            raise Unauthenticated("authenticate first")
        return self.principal

    def follow(
        self,
        name: str,
        since: Since | None,
        make: Callable[[Principal], Subscriber],
        page_bytes: int,
        reply: Callable[[Joined | EngineError], None],
    ) -> tuple[ConversationId, Join]:
        """Begin to follow a conversation; `unfollow` when the join is refused.

        Args:
            name: conversation id from outside.
            since: where the client left off.
            make: makes the subscriber for the principal.
            page_bytes, reply: see `Join`.

        Raises:
            Unauthenticated, InvalidCommand, AlreadySubscribed, LimitExceeded.
        """
        principal = self.require()
        conversation = conversation_id(name)
        if conversation in self.following:
            raise AlreadySubscribed("this connection follows the conversation already")
        if len(self.following) >= self.settings.subscriptions:
            raise LimitExceeded(f"at most {self.settings.subscriptions} subscriptions per connection")
        subscriber = make(principal)
        self.following[conversation] = subscriber
        return conversation, Join(reply, principal, subscriber, since, page_bytes)

    def unfollow(self, name: str, only: Subscriber | None = None) -> Subscriber | None:
        """Stop following; returns the subscriber to be detached, or None when there was none.

        Args:
            only: do nothing unless it is this one (a join may be refused after its client has subscribed anew).
        """
        conversation = ConversationId(name)
        if only is not None and self.following.get(conversation) is not only:
            return None
        return self.following.pop(conversation, None)

    def post(
        self,
        name: str,
        body: Mapping[str, Any],
        stamp: Stamp,
        reply: Callable[[Ack | Record | EngineError], None],
        *,
        key: str | None = None,
    ) -> tuple[ConversationId, Submit]:
        """Compose a post from a decoded body ``{"text", "reply_to"?, "meta"?, "idempotency_key"?}``.

        Args:
            key: an idempotency key that came beside the body (a header); it must not differ from one inside.

        Raises:
            Unauthenticated, InvalidCommand, Unprocessable, PayloadTooLarge.
        """
        principal = self.require()
        inside = codec.get_text(body, "idempotency_key")
        if key is not None and inside is not None and inside != key:
            raise InvalidCommand("two different idempotency keys")
        meta = body.get("meta")
        if meta is not None and not isinstance(meta, dict):
            raise InvalidCommand("'meta' must be an object")
        draft = Draft(
            text=codec.require_text(body, "text"),
            author=principal.author,
            idempotency_key=key if key is not None else inside,
            reply_to=codec.get_text(body, "reply_to"),
            meta=meta,
        )
        return compose_post(self.settings.conversation, principal, name, draft, stamp, reply)

    def update(
        self,
        name: str,
        body: Mapping[str, Any],
        stamp: Stamp,
        reply: Callable[[Ack | Record | EngineError], None],
    ) -> tuple[ConversationId, Submit]:
        """Compose a change from ``{"title"?, "visibility"?, "archived"?}``.

        Raises:
            Unauthenticated, InvalidCommand, Unprocessable.
        """
        principal = self.require()
        archived = codec.get_bool(body, "archived")
        title = codec.get_text(body, "title")
        change = ConversationChange(
            title=None if title is None else check_title(title, self.settings.conversation),
            visibility=visibility_of(codec.get_text(body, "visibility")),
            archived=archived,
        )
        return compose_change(principal, name, change, stamp, reply)

    def history(
        self,
        name: str,
        *,
        after: int | None,
        before: int | None,
        around: str | None,
        limit: int | None,
        reply: Callable[[MessagePage | EngineError], None],
    ) -> tuple[ConversationId, History]:
        """Compose a request for a page of messages.

        Raises:
            Unauthenticated, InvalidCommand: more than one of the bounds, or a limit outside 1 .. `history_items`.
        """
        principal = self.require()
        conversation = conversation_id(name)
        if sum(bound is not None for bound in (after, before, around)) > 1:
            raise InvalidCommand("give one of 'after', 'before' and 'around'")
        if limit is None:
            limit = self.settings.history_default_items
        if not 1 <= limit <= self.settings.history_items:
            raise InvalidCommand(f"'limit' must be from 1 to {self.settings.history_items}")
        if around is not None:
            message_id(around)
        return conversation, History(reply, principal, after, before, around, limit)

    def replay(
        self,
        name: str,
        since: Since | None,
        *,
        limit: int,
        reverse: bool,
        reply: Callable[[Replayed | EngineError], None],
    ) -> tuple[ConversationId, Replay]:
        """Compose a request for a page of the log; a limit below 0 or over `history_items` means `history_items`.

        Raises:
            Unauthenticated, InvalidCommand.
        """
        most = self.settings.history_items
        limit = most if limit < 0 or limit > most else limit
        return conversation_id(name), Replay(reply, self.require(), since, limit, reverse)

    def describe(self, name: str, reply: Callable[[Record | EngineError], None]) -> tuple[ConversationId, Describe]:
        """Compose a request for the record."""
        return conversation_id(name), Describe(reply, self.require())

    def presence(self, name: str, reply: Callable[[Roster | EngineError], None]) -> tuple[ConversationId, Presence]:
        """Compose a request for who follows; the list is bounded, the counts are exact."""
        return conversation_id(name), Presence(reply, self.require(), self.settings.presence_items)

    def presence_counts(
        self, name: str, reply: Callable[[Roster | EngineError], None]
    ) -> tuple[ConversationId, Presence]:
        """Compose a request for how many follow: the same price whoever is there, because nobody is listed."""
        return conversation_id(name), Presence(reply, self.require(), 0)

    def typing(
        self, name: str, at_ms: int, reply: Callable[[EngineError | None], None]
    ) -> tuple[ConversationId, Signal]:
        """Compose a typing event; it carries how long it stands, so that nobody has to be told when it ends."""
        data = codec.encode_json({"expires_in_ms": int(self.settings.conversation.typing_s * 1000)})
        return conversation_id(name), Signal(reply, self.require(), EventType.TYPING, at_ms, data)


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
) -> tuple[ConversationId, Submit]:
    """Make a change of the conversation a submission.

    Raises:
        InvalidCommand: the change is empty.
        Unprocessable: the actor cannot be stored.
    """
    conversation = conversation_id(name)
    check_author(principal.author)
    if change == ConversationChange():
        raise InvalidCommand("nothing to change: give 'title', 'visibility' or 'archived'")
    kind = EventType.CONVERSATION_ARCHIVED if change.archived else EventType.CONVERSATION_UPDATED
    row = Row(
        conversation=conversation, type=kind, id=stamp.id, actor=principal.author, at_ms=stamp.at_ms, change=change
    )
    return conversation, Submit(reply, principal, Verb.MANAGE, row, stamp.deadline)


def compose_record(
    body: Mapping[str, Any], owner: Principal, settings: ConversationSettings, *, fresh_id: str, epoch: str, at_ms: int
) -> Record:
    """Compose a new conversation from ``{"id"?, "title"?, "visibility"?}``; private unless said otherwise.

    Raises:
        InvalidCommand, Unprocessable.
    """
    check_author(owner.author)
    name = codec.get_text(body, "id")
    conversation = conversation_id(fresh_id if name is None else name)
    title = codec.get_text(body, "title")
    return Record(
        id=conversation,
        title=conversation if title is None else check_title(title, settings),
        visibility=visibility_of(codec.get_text(body, "visibility")) or Visibility.PRIVATE,
        owner=owner.id,
        epoch=epoch,
        offset=0,
        created_at_ms=at_ms,
    )


def check_title(title: str, settings: ConversationSettings) -> str:
    """Check a title.

    Raises:
        Unprocessable: empty, too long, or not storable.
    """
    codec.storable_text(title, 4 * settings.title_chars, "title")
    if not 1 <= len(title) <= settings.title_chars:
        raise Unprocessable(f"a title has 1 to {settings.title_chars} characters")
    return title


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
