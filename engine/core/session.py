"""Session: one client's protocol state, the same for every transport. It turns decoded fields into commands, or refuses.

A WebSocket connection holds one for its life; a REST request and an event stream make one each. Transports translate framing
and nothing else: what may be asked, within which limits, is decided here; what this principal may do in that conversation is
decided by the conversation (`permissions`).
"""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from . import codec
from .commands import Describe, History, Join, Presence, Replay, Replayed, Roster, Signal, Submit
from .compose import SLOW_S, Stamp, check_title, compose_change, compose_member, compose_post, visibility_of
from .config import ConversationSettings
from .errors import (
    AlreadySubscribed,
    EngineError,
    InvalidCommand,
    LimitExceeded,
    Unauthenticated,
    Unprocessable,
)
from .ids import ConversationId, conversation_id, message_id
from .kinds import EventType
from .members import MemberChange
from .messages import Ack, ConversationChange, Draft, MessagePage, Record
from .principals import Principal
from .recovery import Since
from .subscriber import Joined, Subscriber


@attrs.frozen(kw_only=True)
class SessionSettings:
    """Bounds of one session."""

    subscriptions: int = 1_000
    history_items: int = 500
    history_default_items: int = 50
    presence_items: int = 1_000
    conversation: ConversationSettings = attrs.field(factory=ConversationSettings)


def page_limit(asked: int | None, default: int, most: int) -> int:
    """How many rows a page has.

    Raises:
        InvalidCommand: none, or more than the most.
    """
    limit = default if asked is None else asked
    if not 1 <= limit <= most:
        raise InvalidCommand(f"'limit' must be from 1 to {most}")
    return limit


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
        *,
        versions: frozenset[str] | None = None,
    ) -> tuple[ConversationId, Submit]:
        """Compose a change from ``{"title"?, "visibility"?, "archived"?, "slow_s"?}``.

        Args:
            versions: in one of which the conversation must be (`version_of`); None for any.

        Raises:
            Unauthenticated, InvalidCommand, Unprocessable.
        """
        principal = self.require()
        archived = codec.get_bool(body, "archived")
        title = codec.get_text(body, "title")
        slow_s = codec.get_int(body, "slow_s")
        if slow_s is not None and slow_s > SLOW_S:
            raise Unprocessable(f"'slow_s' is at most {SLOW_S} seconds")
        change = ConversationChange(
            slow_s=slow_s,
            title=None if title is None else check_title(title, self.settings.conversation),
            visibility=visibility_of(codec.get_text(body, "visibility")),
            archived=archived,
        )
        return compose_change(principal, name, change, stamp, reply, versions)

    def change_member(
        self, name: str, wish: MemberChange, stamp: Stamp, reply: Callable[[Ack | Record | EngineError], None]
    ) -> tuple[ConversationId, Submit]:
        """Compose a change of a membership; the answer is the record with its members.

        Raises:
            Unauthenticated, InvalidCommand, Unprocessable.
        """
        return compose_member(self.require(), name, wish, stamp, reply)

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
        limit = page_limit(limit, self.settings.history_default_items, self.settings.history_items)
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
