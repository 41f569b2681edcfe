"""Handles: what embedders hold. A conversation to post to and read from, and a subscription to iterate over."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import attrs
import trio

from ._membership import Membership
from ._waiting import Waiting
from .core.commands import Command, Describe, Join, Presence, Roster
from .core.compose import check_title, compose_change, compose_post, compose_signal
from .core.cursor import Cursor
from .core.errors import Conflict, EngineError, RecoveryFailed, StoreUnavailable, error_of
from .core.ids import ConversationId, check_request_id
from .core.kinds import ConversationKind, Visibility
from .core.messages import Ack, ConversationChange, Draft, Event, MessagePage, Record
from .core.permissions import Verb
from .core.principals import SYSTEM, Principal
from .core.recovery import Reset, Since
from .core.session import Session
from .core.subscriber import Joined, PullSubscriber, Subscriber
from .core.tail import Tail

if TYPE_CHECKING:
    from ._engine import Engine

A = TypeVar("A")

_BUFFER_ITEMS = 256
_EPHEMERAL_ITEMS = 64


@attrs.frozen
class Conversation:
    """A conversation, by id. Cheap, holds nothing open; every use goes to the actor that owns the conversation.

    What its verbs raise, besides what each names: NotFound (no such conversation), Overloaded (a bound was reached; nothing
    was kept), StoreUnavailable, ConversationQuarantined, EngineClosed.
    """

    _engine: Engine = attrs.field(repr=False)
    id: ConversationId

    @property
    def members(self) -> Membership:
        """Its members, mutes and bans, and the verbs on them."""
        return Membership(self._engine, self.id)

    async def post(
        self,
        draft: Draft,
        *,
        timeout_s: float | None = None,
        by: Principal | None = None,
        request_id: str | None = None,
    ) -> Ack:
        """Say something, and wait until it is committed.

        Args:
            draft: text, author, and an idempotency key if the post may have to be retried.
            timeout_s: how long to wait for the commit; the configured deadline when left out.
            by: whose rights count, for a program that lets people speak: bans, mutes and slow mode. Without it the embedding
                program speaks in the author's name, which no rule restrains.
            request_id: the name of the request in which it is said, as your logs have it: 1 to 128 of
                ``A-Z a-z 0-9 . _ ~ : / + = @ -``. It is kept beside the event, for operators, and never shown.

        Returns:
            An ack whose cursor stands just after the message: the store has it, and every subscriber will see it.

        Raises:
            StoreUnavailable: it was not sent to the store in time, is not stored and never will be.
            OutcomeUnknown: sent, and not confirmed in time: retrying with the same key is safe and settles it.
            PayloadTooLarge, Unprocessable, Conflict (archived), and with `by` Forbidden and RateLimited.
            TypeError: not a Draft.

        Cancellation leaves the post on its way: it may still be committed. Retry with the same key to know.
        """
        if not isinstance(draft, Draft):
            raise TypeError(f"post takes a Draft, as in Draft('hello', author='ada'), not {type(draft).__name__}")
        waiting: Waiting[Ack | Record] = Waiting()
        principal = by or Principal(draft.author, all_powerful=True)
        engine = self._engine
        stamp = engine.stamp(timeout_s, check_request_id(request_id))
        _, command = compose_post(engine.settings.conversation, principal, self.id, draft, stamp, waiting.reply)
        ack = await self._ask(command, waiting)
        assert isinstance(ack, Ack)
        return ack

    async def update(
        self,
        *,
        title: str | None = None,
        visibility: Visibility | None = None,
        archived: bool | None = None,
        slow_s: int | None = None,
        actor: Principal | None = None,
        request_id: str | None = None,
    ) -> Record:
        """Change the conversation; subscribers see a `conversation.updated` or `conversation.archived` event.

        Args:
            title, visibility, archived: as they shall be.
            slow_s: seconds between two posts of one author; 0 ends the slow mode.
            actor: who does it, with that principal's rights; the embedding program itself when left out.
            request_id: as in `post`.

        Returns:
            The record after the change. Raises as `post` does.
        """
        if title is not None:
            check_title(title, self._engine.settings.conversation)
        waiting: Waiting[Ack | Record] = Waiting()
        change = ConversationChange(title=title, visibility=visibility, archived=archived, slow_s=slow_s)
        stamp = self._engine.stamp(request_id=check_request_id(request_id))
        _, command = compose_change(actor or SYSTEM, self.id, change, stamp, waiting.reply)
        record = await self._ask(command, waiting)
        assert isinstance(record, Record)
        return record

    async def describe(self, *, by: Principal = SYSTEM, verb: Verb = Verb.READ) -> Record:
        """The conversation with its current head, and its members.

        Args:
            by: who asks; the embedding program itself when left out.
            verb: what `by` must be allowed here, for who needs the record to do that.

        Raises:
            NotFound, Forbidden: `by` may not.
        """
        waiting: Waiting[Record] = Waiting()
        return await self._ask(Describe(waiting.reply, by, verb), waiting)

    async def history(
        self,
        *,
        after: int | None = None,
        before: int | None = None,
        around: str | None = None,
        limit: int | None = None,
    ) -> MessagePage:
        """One page of messages, oldest first: the newest page, or after or before an offset (exclusive), or around a
        message id.

        Raises:
            InvalidCommand: more than one of the bounds, or a limit out of range.
        """
        waiting: Waiting[MessagePage] = Waiting()
        session = Session(self._engine.session_settings, SYSTEM)
        _, command = session.history(
            self.id, after=after, before=before, around=around, limit=limit, reply=waiting.reply
        )
        return await self._ask(command, waiting)

    async def hide(self, *, by: Principal) -> None:
        """Leave a direct conversation out of somebody's list until something new happens in it; it can be opened all the same.

        Raises:
            Conflict: it is no direct one; a room is left.
            NotFound, Forbidden: `by` is none of the two.
            OutcomeUnknown: perhaps it is hidden; call it again.
        """
        record = await self.describe(by=by, verb=Verb.HIDE)
        if record.kind is not ConversationKind.DIRECT:
            raise Conflict("only direct conversations are hidden: leave the others")
        await self._engine.store.hide(record.id, by.id, upto=record.offset)

    async def presence(self, *, limit: int = 100) -> Roster:
        """Who follows the conversation now: exact counts, and at most `limit` of the clients."""
        waiting: Waiting[Roster] = Waiting()
        return await self._ask(Presence(waiting.reply, SYSTEM, limit), waiting)

    async def signal(self, event_type: str, data: dict[str, object] | None = None, *, actor: Principal) -> None:
        """Send an ephemeral event: not stored, not replayed, seen by those who can take it now.

        The newest wins: while the conversation is busy handing out signals, this one replaces a waiting one of the same type and
        actor, and may be replaced itself. Past ``signal_items`` that wait, the oldest gives way. Order is kept. Give what must
        not replace each other types of their own.

        It returns when the signal was accepted, which promises nothing about who sees it. Cancellation does not take it back.

        Args:
            event_type: lower-case words joined by dots, for example "cursor.moved"; the engine's own types are refused.
            data: the event's content, a JSON object; bounded like the meta of a message.
            actor: whom the event shows.

        Raises:
            InvalidCommand, Unprocessable, PayloadTooLarge, Conflict (archived).
        """
        engine = self._engine
        waiting: Waiting[None] = Waiting()
        _, command = compose_signal(
            engine.settings.conversation, actor, self.id, event_type, data, engine.now_ms(), waiting.reply
        )
        await self._ask(command, waiting)

    @asynccontextmanager
    async def subscribe(
        self, *, since: Cursor | int | None = None, ephemeral: bool = False, name: str = "embedder"
    ) -> AsyncIterator[Subscription]:
        """Follow the conversation: first what was missed since a cursor, in order, then live, with no gap and no duplicate.

        Args:
            since: where you left off (a cursor, or a plain offset); None starts live.
            ephemeral: also yield ephemeral events, which are dropped when you are slow.
            name: how you appear in presence.

        Yields:
            An async iterator of `Event`; its `cursor` says where you stand. It may be used by one task at a time.

        Raises:
            RecoveryFailed: the cursor cannot be served; `reason` says why.

        Leaving the block ends the subscription. A slow iterator costs the room nothing: it is a cursor on its tail.
        """
        since_at = Since.of(since) if isinstance(since, Cursor) else None if since is None else Since(since)
        subscription = Subscription(self._engine, self.id, name, ephemeral=ephemeral)
        await subscription.start(since_at)
        try:
            yield subscription
        finally:
            subscription.close()

    async def _ask(self, command: Command, waiting: Waiting[A]) -> A:
        self._engine.send(self.id, command)
        return await waiting.wait()


class Subscription:
    """An iterator over a conversation's events; made by `Conversation.subscribe`.

    Attributes:
        epoch: name of the log.
    """

    def __init__(self, engine: Engine, conversation: ConversationId, name: str, *, ephemeral: bool) -> None:
        self._engine = engine
        self._conversation = conversation
        self._name = name
        self._wake = trio.Event()
        self._ended: EngineError | None = None
        self._ready: deque[Event] = deque()
        self._ephemeral: deque[Event] | None = deque(maxlen=_EPHEMERAL_ITEMS) if ephemeral else None
        self._subscriber = PullSubscriber(self, SYSTEM, engine.fresh_id())
        self._offset = 0
        self.epoch = ""

    @property
    def cursor(self) -> Cursor:
        """Where you stand: after the last event that was yielded."""
        return Cursor(self.epoch, self._offset)

    async def start(self, since: Since | None) -> None:
        """Join; called by `subscribe`."""
        waiting: Waiting[Joined] = Waiting()
        try:
            self._engine.send(
                self._conversation, Join(waiting.reply, self._subscriber.principal, self._subscriber, since, 0)
            )
            joined = await waiting.wait()
        except BaseException:
            self.close()
            raise
        if isinstance(joined.decision, Reset):
            self.close()
            raise RecoveryFailed(joined.decision.reason)
        self.epoch = joined.record.epoch
        self._offset = joined.offset

    def close(self) -> None:
        """End the subscription; idempotent."""
        self._subscriber.leave()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        """The next event. Cancellation loses nothing.

        Raises:
            EngineError: the subscription ended (EngineClosed, ConversationQuarantined); resume later from `cursor`.
        """
        await trio.lowlevel.checkpoint()
        while True:
            if self._ready:
                event = self._ready.popleft()
                assert event.offset is not None
                self._offset = event.offset
                return event
            if self._ephemeral:
                return self._ephemeral.popleft()
            if self._ended is not None:
                raise self._ended
            await self._refill()

    async def _refill(self) -> None:
        subscriber = self._subscriber
        tail = self._tail()
        if tail is not None and subscriber.cursor < tail.head:
            # It stays live while it reads pages: a pass only wakes it, and only when it stands at the head.
            if tail.covers(subscriber.cursor):
                self._keep(tail.events(subscriber.cursor, _BUFFER_ITEMS))
            else:
                await self._read_page(tail.head)
            return
        self._wake = trio.Event()
        await self._wake.wait()

    async def _read_page(self, head: int) -> None:
        limits, after = self._engine.settings, self._subscriber.cursor
        limit = min(limits.page_items, head - after)  # not past the head, as in `Reads`
        try:
            page = await self._engine.store.events(
                self._conversation, after=after, limit=limit, max_bytes=limits.page_bytes
            )
        except StoreUnavailable as error:
            await trio.sleep(min(error.retry_after_s or 1.0, 1.0))
            return
        self._keep(page)

    def _keep(self, events: list[Event]) -> None:
        self._ready.extend(events)
        self._subscriber.cursor += len(events)

    def _tail(self) -> Tail | None:
        return self._engine.tail_of(self._conversation)

    # -- the room's side ------------------------------------------------------------------------------------------------

    def push(self, data: bytes) -> bool:
        """There is something new: never taken, only noticed."""
        return False

    def fell_behind(self, subscriber: Subscriber) -> None:
        """Wake the reader."""
        self._wake.set()

    def take(self, event: Event) -> None:
        """Keep an ephemeral event, when they are wanted; the oldest gives way."""
        if self._ephemeral is not None:
            self._ephemeral.append(event)
            self._wake.set()

    def cut_off(self, subscriber: Subscriber, code: str) -> None:
        """The engine ends the subscription."""
        self._ended = error_of(code)
        subscriber.leave()
        self._wake.set()
