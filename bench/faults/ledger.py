"""The notebook of one round: an `Audit` with times beside it. Pure; the clock is handed in.

Posts are named by their texts. Everything that tells how the round went is noted here, by writers and readers when it
happens to them, so nothing has to be collected from tasks that are gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import attrs

from ...testing.audit import Audit, Verdict
from .protocol import Message


@attrs.frozen
class Times:
    """When posts were acknowledged again; seconds, None where it never happened.

    Attributes:
        first_ack_s: from the beginning of the fault to the first ack of a post sent after that.
        recovery_s: from its end to the first ack of a post sent after that.
        longest_gap_s: the longest time without an ack since its beginning.
    """

    first_ack_s: float | None = None
    recovery_s: float | None = None
    longest_gap_s: float = 0.0


class Ledger:
    """One round in one conversation.

    Args:
        conversation: where.
        epoch: the name of its log.
        now: a monotonic clock, seconds.
    """

    def __init__(self, conversation: str, epoch: str, now: Callable[[], float]) -> None:
        self.conversation = conversation
        self.epoch = epoch
        self.stopping = False
        self.refusals: Counter[str] = Counter()
        self.resets: list[str] = []
        self.interrupted: Counter[str] = Counter()
        self.acked = 0
        self.acked_before = 0
        self._audit = Audit()
        self._now = now
        self._tries: Counter[str] = Counter()
        self._open: set[str] = set()
        self._fault_at: float | None = None
        self._healed_at: float | None = None
        self._first_ack_at: float | None = None
        self._recovered_at: float | None = None
        self._last_ack_at: float | None = None
        self._longest_gap_s = 0.0
        self._recovered: set[str] = set()
        self._joined: set[str] = set()

    # -- the fault --------------------------------------------------------------------------------------------------

    def begins(self) -> None:
        """The fault begins now."""
        self._fault_at = self._last_ack_at = self._now()
        self.acked_before = self.acked

    def healed(self) -> None:
        """The fault has been taken back."""
        self._healed_at = self._now()

    def has_recovered(self, writer: str) -> bool:
        """Whether a post was acknowledged that the writer sent after the fault was over."""
        return writer in self._recovered

    @property
    def times(self) -> Times:
        """How long it took."""
        return Times(
            _between(self._fault_at, self._first_ack_at),
            _between(self._healed_at, self._recovered_at),
            self._longest_gap_s,
        )

    # -- writers ----------------------------------------------------------------------------------------------------

    def tried(self, post: str) -> float:
        """A post is about to be sent, or sent again; gives the time."""
        self._audit.tried(self.conversation, post)
        self._tries[post] += 1
        self._open.add(post)
        return self._now()

    def tries(self, post: str) -> int:
        """How often a post was sent."""
        return self._tries[post]

    def ack(self, writer: str, post: str, sent_at: float, message: Message) -> None:
        """A post that was sent at that time was acknowledged."""
        self._audit.acked(self.conversation, post, message.offset, message.id)
        self._open.discard(post)
        self.acked += 1
        now = self._now()
        if self._fault_at is None or self._last_ack_at is None:
            return
        self._longest_gap_s = max(self._longest_gap_s, now - self._last_ack_at)
        self._last_ack_at = now
        if self._first_ack_at is None and sent_at > self._fault_at:
            self._first_ack_at = now
        if self._healed_at is not None and sent_at > self._healed_at:
            self._recovered.add(writer)
            if self._recovered_at is None:
                self._recovered_at = now

    def refused(self, post: str, code: str, *, settled: bool) -> None:
        """A try was refused; `settled` when the code says that it is not stored and never will be."""
        self.refusals[code] += 1
        if settled:
            self._audit.refused(self.conversation, post, code)

    def given_up(self, post: str) -> None:
        """The writer takes the refusal for an answer."""
        self._open.discard(post)

    @property
    def open_posts(self) -> tuple[str, ...]:
        """Posts that were neither acknowledged nor given up."""
        return tuple(sorted(self._open))

    # -- readers ----------------------------------------------------------------------------------------------------

    def reads(self, reader: str, after: int = 0) -> None:
        """A reader begins after an offset."""
        self._audit.reads(reader, self.conversation, after)

    def cursor(self, reader: str) -> int:
        """The offset after which a reader goes on."""
        return self._audit.resumes(reader, self.conversation)

    def seen(self, reader: str, offset: int, post: str) -> None:
        """A reader got a durable event."""
        self._audit.seen(reader, self.conversation, offset, post)

    def reset(self, reader: str, offset: int, why: str) -> None:
        """A reader was told that its position cannot be served, and goes on after another one."""
        self.resets.append(f"{reader}: {why}")
        self._audit.reads(reader, self.conversation, offset)

    def joined(self, reader: str) -> None:
        """A reader is connected, and the server has taken its subscription."""
        self._joined.add(reader)

    def is_joined(self, reader: str) -> bool:
        """Whether it is now."""
        return reader in self._joined

    def interruption(self, reader: str) -> None:
        """A reader that wants to stay is not connected. Counted once for each connection lost, from the fault on."""
        if reader in self._joined and self._fault_at is not None and not self.stopping:
            self.interrupted[reader] += 1
        self._joined.discard(reader)

    # -- the end ----------------------------------------------------------------------------------------------------

    def stored(self, log: Iterable[tuple[int, str, str]]) -> None:
        """The conversation's log as (offset, message id, post)."""
        self._audit.stored(self.conversation, log)

    def verdict(self) -> Verdict:
        """What the audit says. Call it once, at the end."""
        return self._audit.finish()


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else end - begin


@attrs.frozen
class Leftovers:
    """What a round left behind.

    Attributes:
        processes: that work in the data directory and should not.
        descriptors: open in the server beyond what it had before, once all clients had left.
        errors: lines of its log with level error or worse.
        tracebacks: in its log.
    """

    processes: int = 0
    descriptors: int = 0
    errors: int = 0
    tracebacks: int = 0
