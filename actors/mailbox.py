"""The bounded inbox of one actor.

Invariants:
- first in, first out; at most `capacity` messages; a put past the bound is refused and stores nothing
- `put` never waits; it wakes the reader at most once, however many puts follow before the reader runs
- one reader waits at a time; a cancelled read takes nothing, so no message is ever lost to cancellation
- `taken` counts messages handed to readers, `accepted` those ever put: a message put when `accepted` became n
  has been taken exactly when `taken >= n` (`Place` finds the calls of a crashed incarnation by this)

Left out: who runs the reader, restarts, replies. Not thread-safe: everything happens on trio's thread.
"""

from collections import deque
from typing import Generic, TypeVar

import attrs
import trio

from .errors import MailboxClosed, MailboxFull, MailboxInterrupted

T = TypeVar("T")


@attrs.frozen
class MailboxStatistics:
    """How near a mailbox is to its bound, and what went through it."""

    depth: int
    capacity: int
    accepted: int
    refused: int
    closed: bool


class Mailbox(Generic[T]):
    """A bounded queue with synchronous put and batch get.

    Args:
        capacity: most messages it holds, at least 1.
        name: for errors and the tree.
    """

    __slots__ = ("_closed", "_interrupted", "_items", "_limit", "_refused", "_taken", "_waiter", "capacity", "name")

    def __init__(self, capacity: int, name: str = "") -> None:
        if capacity < 1:
            raise ValueError(f"a mailbox holds at least one message, not {capacity}")
        self.capacity = capacity
        self.name = name
        self._items: deque[T] = deque()
        self._limit = capacity  # 0 once closed, so that put makes one comparison for both refusals
        self._waiter: trio.lowlevel.Task | None = None
        self._closed = False
        self._interrupted = False
        self._taken = 0
        self._refused = 0

    def put(self, message: T) -> None:
        """Store a message and wake the reader. Never waits.

        Raises:
            MailboxFull: `capacity` messages are inside already.
            MailboxClosed: the mailbox was closed.
        """
        items = self._items
        if len(items) >= self._limit:
            self._refused += 1
            if self._closed:
                raise MailboxClosed(self.name)
            raise MailboxFull(self.name, self.capacity)
        items.append(message)
        if self._waiter is not None:
            self._wake()

    async def get(self) -> T:
        """Take the oldest message, waiting for one. Cancellation takes nothing.

        Raises:
            MailboxClosed: closed and empty.
            MailboxInterrupted: the owner asks the reader to leave; messages may remain.
            trio.BusyResourceError: another reader waits.
        """
        await self._wait_for_message()
        self._taken += 1
        return self._items.popleft()

    async def get_batch(self, max_items: int | None = None) -> list[T]:
        """Wait for at least one message, then take what is there, oldest first, at most `max_items`.

        Always a checkpoint, before anything is taken: cancellation takes nothing. Raises as `get` does.
        """
        await self._wait_for_message()
        return self.get_batch_nowait(max_items)

    def get_batch_nowait(self, max_items: int | None = None) -> list[T]:
        """Take what is there, oldest first, at most `max_items`; an empty list when there is nothing."""
        items = self._items
        if max_items is None or len(items) <= max_items:
            batch = list(items)
            items.clear()
        else:
            batch = [items.popleft() for _ in range(max_items)]
        self._taken += len(batch)
        return batch

    def close(self) -> None:
        """Refuse further puts. What is inside can still be read. Overrides `interrupt`; idempotent."""
        self._closed = True
        self._interrupted = False
        self._limit = 0
        self._wake()

    def interrupt(self) -> None:
        """Ask the reader to leave: reads raise MailboxInterrupted until `resume`. Puts go on. No-op once closed."""
        if not self._closed:
            self._interrupted = True
            self._wake()

    def resume(self) -> None:
        """Let a new reader read again after `interrupt`."""
        self._interrupted = False

    @property
    def closed(self) -> bool:
        """True once `close` was called."""
        return self._closed

    @property
    def taken(self) -> int:
        """Messages handed to readers so far."""
        return self._taken

    @property
    def accepted(self) -> int:
        """Messages put so far, without the refused ones."""
        return self._taken + len(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def statistics(self) -> MailboxStatistics:
        """A snapshot; cheap."""
        return MailboxStatistics(len(self._items), self.capacity, self.accepted, self._refused, self._closed)

    def _wake(self) -> None:
        if self._waiter is not None:
            trio.lowlevel.reschedule(self._waiter)
            self._waiter = None

    async def _wait_for_message(self) -> None:
        if self._items and not self._interrupted:
            await trio.lowlevel.checkpoint()
        while self._interrupted or not self._items:
            if self._interrupted:
                raise MailboxInterrupted(self.name)
            if self._closed:
                raise MailboxClosed(self.name)
            if self._waiter is not None:
                raise trio.BusyResourceError(f"another task reads mailbox {self.name!r}")
            self._waiter = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort_wait)

    def _abort_wait(self, _: object) -> trio.lowlevel.Abort:
        # Called only while parked: once put has rescheduled the task, trio delivers the wake-up, not the cancellation.
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED
