"""Reads: what has to wait for the store, so that no conversation does. Pages of history, and subscribers behind the tail.

Both are bounded: so many pages of history at once, so many subscribers reading pages at once (design: G8). A subscriber that
reads pages is paced by its own outlet: the next page is read when the last one has been taken.

No read goes past the conversation's head: what is committed and not yet settled is in the store already, but a reader who had
seen it would stand ahead of the conversation.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import trio

from ._answers import Owed, answer_with, refuse, tell
from ._following import Following
from ._keys import KeyLookUps
from .core.commands import History, Join, Replay, Replayed
from .core.config import EngineSettings
from .core.conversation import ConversationMachine
from .core.errors import (
    Conflict,
    EngineBroken,
    EngineClosed,
    EngineError,
    NotFound,
    Overloaded,
    RecoveryFailed,
    SlowSubscriber,
    StoreUnavailable,
)
from .core.messages import Event, Message, MessagePage, Record
from .core.newest import NewestPages
from .core.permissions import Verb, check
from .core.recovery import Decision, Reset
from .core.subscriber import Joined, Stage, Subscriber
from .core.tail import Entry, Page
from .ports import Store

_HISTORY_READS = 64
_RETRY_S = 0.25
_HISTORY_BYTES = 1024 * 1024  # about one answer; a page that would be longer has fewer messages and leads on
_NEWEST_PAGES = 256
_NEWEST_BYTES = 64 * 1024  # of one page that is kept: 16 MiB of them all
_MESSAGE_BYTES = 256  # of a message besides its text and meta

A = TypeVar("A")


class Reads:
    """Tasks that read the store on behalf of conversations.

    Args:
        store: what they read.
        settings: bounds.
        spawn: starts a task that lives at most as long as the engine.

    Attributes:
        keys: looks idempotency keys up.
        pages_read: pages asked of the store so far, of history and of the log.
        tail_replays: joins so far that were given what they had missed from memory.
    """

    def __init__(
        self, store: Store, settings: EngineSettings, spawn: Callable[[Callable[[], Awaitable[None]]], None]
    ) -> None:
        self._store = store
        self._settings = settings
        self._spawn = spawn
        self._history_reads = 0
        self._newest = NewestPages(max_pages=_NEWEST_PAGES, max_bytes=_NEWEST_BYTES)
        self.keys = KeyLookUps(store, spawn)
        self._pagers: dict[Subscriber, trio.Event] = {}
        self.pages_read = self.tail_replays = 0

    # -- history ----------------------------------------------------------------------------------------------------

    def history(self, room: Following, machine: ConversationMachine, command: History) -> None:
        """Answer from the tail when it holds the whole page, else from the store."""
        page = self._newest_page(machine, command) if command.newest else _fitted_from_tail(machine, command)
        if page is not None:
            tell(command, page)
        else:
            head = machine.tail.head
            self._read(command, lambda: self._fitted_page(room, head, command))

    def _newest_page(self, machine: ConversationMachine, command: History) -> MessagePage | None:
        """The newest page, as it was made for another reader if nothing has been added since."""
        record, head, limit = machine.record, machine.tail.head, command.limit
        page = self._newest.find(record.id, record.epoch, head, limit)
        if page is None:
            page = _fitted_from_tail(machine, command)
            if page is not None:
                size_bytes = sum(map(_size, page.messages))
                self._newest.keep(record.id, record.epoch, head, limit, page, size_bytes)
        return page

    def replay(self, room: Following, machine: ConversationMachine, command: Replay) -> None:
        """Answer with a page of the log, from the tail or from the store."""
        since = command.since
        decision = machine.recover(since)
        if isinstance(decision, Reset):
            raise RecoveryFailed(decision.reason)
        record, limit = machine.described(), command.limit
        if command.reverse:
            newest = record.offset if since is None else max(0, since.offset - 1)
            after = max(0, newest - limit)
            limit = newest - after
        else:
            after = 0 if since is None else since.offset
            limit = min(limit, record.offset - after)
        if machine.tail.covers(after) or limit == 0:
            events = machine.tail.events(after, limit) if limit else []
            tell(command, Replayed(record, _ordered(events, command)))
        else:
            self._read(command, lambda: self._replayed(room, record, command, after, limit))

    def _read(self, command: Owed[A | EngineError], read: Callable[[], Awaitable[A]]) -> None:
        if self._history_reads >= _HISTORY_READS:
            raise Overloaded("too many pages of history are being read")
        self._spawn(lambda: self._answer_read(command, read))
        self._history_reads += 1

    async def _answer_read(self, command: Owed[A | EngineError], read: Callable[[], Awaitable[A]]) -> None:
        try:
            await answer_with(command, read)
        finally:
            self._history_reads -= 1
            refuse(command, EngineClosed())  # no answer yet: this task was cancelled

    async def _replayed(self, room: Following, record: Record, command: Replay, after: int, limit: int) -> Replayed:
        most = self._settings.page_bytes
        self.pages_read += 1
        if command.reverse:  # a page is cut at the end that is farthest from where it was asked
            before = after + limit + 1
            events = await self._store.latest(room.id, before=before, limit=limit, max_bytes=most)
        else:
            events = await self._store.events(room.id, after=after, limit=limit, max_bytes=most)
        return Replayed(record, _ordered(events, command))

    async def _fitted_page(self, room: Following, head: int, command: History) -> MessagePage:
        return fitted(await self._page(room, head, command), command)

    async def _page(self, room: Following, head: int, command: History) -> MessagePage:
        after, before, limit = command.after, command.before, command.limit
        if command.around is not None:
            offset = await self._store.message_offset(room.id, command.around)
            if offset is None or offset > head:
                raise NotFound("no such message")
            half, most = limit // 2, _HISTORY_BYTES // 2
            older, more_older = await self._messages(room, None, offset, half, most) if half else ([], True)
            newer, more_newer = await self._messages(room, offset - 1, head + 1, limit - len(older), most)
            return page_of(older + newer, older=more_older, newer=more_newer, head=head)
        upto = head + 1 if before is None else min(before, head + 1)
        found, full = await self._messages(room, after, upto, limit, _HISTORY_BYTES)
        if after is not None:
            return page_of(found, older=after > 0, newer=full, head=head, after=after)
        return page_of(found, older=full, newer=before is not None, head=head, before=before)

    async def _messages(
        self, room: Following, after: int | None, before: int, limit: int, max_bytes: int
    ) -> tuple[list[Message], bool]:
        """Messages from the store, and whether there may be more of them."""
        self.pages_read += 1
        found = await self._store.messages(room.id, after=after, before=before, limit=limit, max_bytes=max_bytes)
        cut = sum(message.content_bytes for message in found) >= max_bytes
        return found, cut or len(found) == limit

    # -- subscribers behind the tail ----------------------------------------------------------------------------------

    def start_paging(self, room: Following, subscriber: Subscriber, join: Join, decision: Decision) -> None:
        """A subscriber joined with a cursor older than the tail: its answer carries the first page."""
        if len(self._pagers) >= self._settings.paging_subscribers:
            refuse(join, Overloaded("too many subscribers are catching up"))
            return
        room.pin()  # until the first page is there, nothing else keeps the conversation from passivating
        try:
            self._spawn(lambda: self._catch_up(room, subscriber, (join, decision)))
        except EngineError:
            room.slot.unpin()
            raise
        subscriber.host = room
        subscriber.stage = Stage.PAGING
        self._pagers[subscriber] = trio.Event()

    def start_pager(self, room: Following, subscriber: Subscriber) -> None:
        """A live subscriber fell out of the tail."""
        if subscriber in self._pagers:
            return
        if len(self._pagers) >= self._settings.paging_subscribers:
            room.cut(subscriber, SlowSubscriber())
            return
        self._spawn(lambda: self._catch_up(room, subscriber, None))
        self._pagers[subscriber] = trio.Event()

    def writable(self, subscriber: Subscriber) -> None:
        """The outlet of a subscriber that reads pages has room again, or the subscriber is gone."""
        event = self._pagers.get(subscriber)
        if event is not None:
            event.set()

    @property
    def paging(self) -> int:
        """Subscribers reading pages now."""
        return len(self._pagers)

    @property
    def owing(self) -> bool:
        """Pages of history are being read for somebody, or keys looked up."""
        return self._history_reads > 0 or self.keys.owing

    async def _catch_up(self, room: Following, subscriber: Subscriber, first: tuple[Join, Decision] | None) -> None:
        pinned = first is not None
        try:
            while subscriber.stage is Stage.PAGING:
                tail = room.tail
                if first is None and tail is not None and tail.covers(subscriber.cursor):
                    subscriber.stage = Stage.LIVE
                    break
                entries = await self._entries(room, subscriber, first)
                if entries is None or subscriber.stage is not Stage.PAGING:
                    continue
                if first is not None:
                    self._answer(room, subscriber, *first, entries)
                    first = None
                else:
                    await self._push(subscriber, b"".join([entry.wire(subscriber.format) for entry in entries]))
                    subscriber.cursor += len(entries)
        except EngineError as error:
            _give_up(room, subscriber, first, error)
        except Exception:
            _give_up(room, subscriber, first, EngineBroken())
            raise
        finally:
            del self._pagers[subscriber]
            if pinned:
                room.slot.unpin()
            if first is not None:
                left = subscriber.stage is Stage.GONE
                refuse(first[0], Conflict("unsubscribed before it had joined") if left else EngineClosed())
        room.resume(subscriber)

    async def _entries(
        self, room: Following, subscriber: Subscriber, first: tuple[Join, Decision] | None
    ) -> list[Entry] | None:
        limits, tail = self._settings, room.tail
        if tail is None:
            if first is not None:
                raise Overloaded("the conversation restarted")
            await trio.sleep(_RETRY_S)
            return None
        wanted = limits.page_bytes if first is None or not first[0].page_bytes else first[0].page_bytes
        self.pages_read += 1
        try:
            events = await self._store.events(
                room.id,
                after=subscriber.cursor,
                limit=min(limits.page_items, tail.head - subscriber.cursor),
                max_bytes=wanted,
            )
        except StoreUnavailable:
            if first is not None:
                raise
            await trio.sleep(_RETRY_S)
            return None
        return [Entry(event) for event in events]

    def _answer(
        self, room: Following, subscriber: Subscriber, join: Join, decision: Decision, entries: list[Entry]
    ) -> None:
        machine = room.machine
        if machine is None or join.answered:  # answered already: its actor died in the batch that began this
            raise Overloaded("the conversation restarted")
        check(join.principal, Verb.READ, machine.record)
        room.attach(subscriber)
        page = Page(tuple(entries)) if join.page_bytes else Page()
        subscriber.cursor += len(page.entries)
        if not tell(join, Joined(machine.described(), decision, page, subscriber.cursor)):
            room.cut(subscriber, EngineBroken())  # as in `ConversationActor._join`

    async def _push(self, subscriber: Subscriber, data: bytes) -> None:
        while subscriber.stage is Stage.PAGING and not subscriber.push(data):
            event = self._pagers[subscriber] = trio.Event()
            subscriber.outlet.fell_behind(subscriber)
            await event.wait()


def _give_up(room: Following, subscriber: Subscriber, first: tuple[Join, Decision] | None, error: EngineError) -> None:
    """Catching up failed: the join is refused, or the subscription is ended."""
    if first is None:
        room.cut(subscriber, error)
    else:
        subscriber.stage = Stage.GONE
        refuse(first[0], error)


def _fitted_from_tail(machine: ConversationMachine, command: History) -> MessagePage | None:
    page = from_tail(machine, command)
    return None if page is None else fitted(page, command)


def from_tail(machine: ConversationMachine, command: History) -> MessagePage | None:
    """A page of history when the tail alone can tell it; None when the store must be asked."""
    tail, limit = machine.tail, command.limit
    if command.around is not None:
        return None
    if command.after is not None:
        if not tail.covers(command.after):
            return empty_page(tail.head, after=command.after, before=None) if command.after > tail.head else None
        found: list[Message] = []
        for entry in tail.entries(command.after):
            if entry.event.message is not None:
                found.append(entry.event.message)
                if len(found) == limit:
                    break
        full = len(found) == limit
        return page_of(found, older=command.after > 0, newer=full, head=tail.head, after=command.after)
    upto = tail.head if command.before is None else min(command.before - 1, tail.head)
    if upto < tail.floor:
        return None
    found = []
    for entry in tail.entries_back(upto):
        if entry.event.message is not None:
            found.append(entry.event.message)
            if len(found) == limit:
                break
    if len(found) < limit and tail.floor > 0:
        return None
    found.reverse()
    newer = command.before is not None
    return page_of(found, older=len(found) == limit, newer=newer, head=tail.head, before=command.before)


def _size(message: Message | None) -> int:
    return _MESSAGE_BYTES if message is None else _MESSAGE_BYTES + message.content_bytes


def _fitting(sizes: Iterable[int], max_bytes: int) -> int:
    """How many from the beginning fit; at least one where there is one."""
    count = 0
    for size in sizes:
        max_bytes -= size
        if count and max_bytes < 0:
            break
        count += 1
    return count


def _ordered(events: Sequence[Event], command: Replay) -> tuple[Event, ...]:
    """The events in the order asked for, as many as one answer carries."""
    ordered = tuple(reversed(events)) if command.reverse else tuple(events)
    return ordered[: _fitting((_size(event.message) for event in ordered), _HISTORY_BYTES)]


def fitted(page: MessagePage, command: History) -> MessagePage:
    """As much of a page as one answer carries, from the side that was asked for; the edges lead to the rest."""
    sizes = [_size(message) for message in page.messages]
    start, end = 0, len(sizes)
    if sum(sizes) > _HISTORY_BYTES:
        if command.around is not None:
            centre = next((at for at, message in enumerate(page.messages) if message.id == command.around), 0)
            start = centre - _fitting(reversed(sizes[:centre]), _HISTORY_BYTES // 2)
            end = centre + _fitting(sizes[centre:], _HISTORY_BYTES // 2)
        elif command.after is not None:
            end = _fitting(sizes, _HISTORY_BYTES)
        else:
            start = end - _fitting(reversed(sizes), _HISTORY_BYTES)
    kept = page.messages[start:end]
    return MessagePage(
        kept,
        kept[-1].offset if end < len(sizes) else page.next,
        kept[0].offset if start > 0 else page.previous,
    )


def page_of(
    found: list[Message], *, older: bool, newer: bool, head: int, after: int | None = None, before: int | None = None
) -> MessagePage:
    """Make a page; `older` and `newer` say whether there may be more on that side, `after` and `before` what was asked."""
    if not found:
        return empty_page(head, after=after, before=before)
    first, last = found[0].offset, found[-1].offset
    return MessagePage(tuple(found), last if newer and last < head else None, first if older and first > 1 else None)


def empty_page(head: int, *, after: int | None, before: int | None) -> MessagePage:
    """No message on the side that was asked for: the page still leads to the other side, where it began."""
    newer = head if before is None else max(before - 1, 0)
    older = 0 if after is None else min(after, head)
    return MessagePage((), newer if newer < head else None, older + 1 if older > 0 else None)
