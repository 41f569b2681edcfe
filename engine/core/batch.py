"""Group commit: rows on their way to the store, what became of them, and when the next transaction is due.

A conversation has one `Batch` in flight. Two facts about it are shared with the storage actor, on one thread, without a lock:
`sent` (set by the writer just before the rows leave for the store, never unset until the outcome is known) and `withdrawn` of
a row (set by the conversation when the row's poster was told that it is not stored). A withdrawn row that was not yet sent is
never sent; that is what makes "unavailable" a promise. Every batch is settled exactly once, with one result per row.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import msgspec

from .authors import Author
from .errors import EngineError
from .ids import ConversationId
from .members import Member, MemberChange
from .messages import ConversationChange


@attrs.define(eq=False, kw_only=True)
class Row:
    """One durable event to be. `digest` and `key` guard repeats; `at_ms` is when it was accepted.

    A membership event carries what is wished for (`wish`) until its conversation, just before it hands the row over, decides
    what that comes to (`type` and `member`).

    Attributes:
        request_id: of the request by which it came, to be kept beside the event, for operators. Nothing that is made of a row has
            it: it stays in memory no longer than the row does, and no client sees it.
    """

    conversation: ConversationId
    type: str
    id: str
    actor: Author
    at_ms: int
    text: str = ""
    reply_to: str | None = None
    meta_json: bytes | None = None
    change: ConversationChange | None = None
    wish: MemberChange | None = None
    member: Member | None = None
    key: str | None = None
    digest: bytes = b""
    request_id: str | None = None
    withdrawn: bool = False

    @property
    def size_bytes(self) -> int:
        """About what the row weighs on the way."""
        return 200 + 2 * len(self.text) + len(self.meta_json or b"")


class Committed(msgspec.Struct, frozen=True, gc=False):
    """The row took this offset."""

    offset: int


@attrs.frozen
class Repeat:
    """A row with the same author and key was committed before: its offset, id, time, the digest of its request, and its author
    as it was called then."""

    offset: int
    id: str
    at_ms: int
    digest: bytes
    actor: Author


@attrs.frozen
class Rejected:
    """The row is certainly not stored, or (OutcomeUnknown) the writer had to stop before it knew."""

    error: EngineError


Result = Committed | Repeat | Rejected


@attrs.define(eq=False)
class Batch:
    """Rows of one conversation handed to the storage actor together, in order.

    Attributes:
        on_settled: called once, synchronously, with one result per row; must not raise.
        sent_s: when the transaction that settled it began, seconds of the writer's clock; None when none did.
    """

    conversation: ConversationId
    rows: Sequence[Row]
    on_settled: Callable[["Batch", Sequence[Result]], None]
    sent: bool = False
    sent_s: float | None = None
    results: Sequence[Result] | None = None

    def settle(self, results: Sequence[Result]) -> None:
        """Give every row its result.

        Raises:
            ValueError: settled before, or another number of results than rows (a bug in the caller).
        """
        if self.results is not None or len(results) != len(self.rows):
            raise ValueError("a batch is settled exactly once, with one result per row")
        self.results = results
        self.on_settled(self, results)


class GroupCommit:
    """What is due, in which order, and when. Batches leave first come, first served; one transaction at a time.

    The pace adapts: while few conversations post, a commit starts at once; when the last `busy_batches` batches came within one
    pace and from as many conversations, commits start `pace_s` apart, because a commit costs the same for one row and for ten;
    and up to twice as far apart while fewer than `pace_items` rows wait, because so few hardly share that cost yet.
    A single conversation is never paced: it has one batch out, so waiting would bring it nothing but the wait.
    """

    busy_batches: Final = 3

    def __init__(
        self, *, max_items: int, max_commit_items: int, max_commit_bytes: int, pace_s: float, pace_items: int
    ) -> None:
        self.max_items = max_items
        self.max_commit_items = max_commit_items
        self.max_commit_bytes = max_commit_bytes
        self.pace_s = pace_s
        self.pace_items = pace_items
        self.items = 0
        self._queue: deque[Batch] = deque()
        self._arrivals: deque[tuple[float, ConversationId]] = deque(maxlen=self.busy_batches)
        self._started = float("-inf")

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, batch: Batch, now: float) -> bool:
        """Queue a batch. False when its rows would pass the bound: nothing was kept."""
        if self.items + len(batch.rows) > self.max_items:
            return False
        self._queue.append(batch)
        self._arrivals.append((now, batch.conversation))
        self.items += len(batch.rows)
        return True

    def due_at(self) -> float | None:
        """When the next commit may start (a time of the caller's clock, possibly past); None when nothing waits."""
        if not self._queue:
            return None
        if self.items >= self.max_commit_items or not self._busy():
            return self._started
        return self._started + (self.pace_s if self.items >= self.pace_items else 2 * self.pace_s)

    def hastened(self, items_before: int) -> bool:
        """Whether `due_at` may be sooner than it was while only `items_before` rows waited."""
        return items_before < self.pace_items <= self.items or items_before < self.max_commit_items <= self.items

    def _busy(self) -> bool:
        arrivals = self._arrivals
        if len(arrivals) < self.busy_batches or arrivals[-1][0] - arrivals[0][0] >= self.pace_s:
            return False
        return len({conversation for _, conversation in arrivals}) == self.busy_batches

    def take(self, now: float) -> list[Batch]:
        """The batches of the next transaction: at least one when any waits, then as many as the bounds allow."""
        taken: list[Batch] = []
        items = size = 0
        while self._queue:
            batch = self._queue[0]
            batch_bytes = sum(row.size_bytes for row in batch.rows)
            if taken and (
                items + len(batch.rows) > self.max_commit_items or size + batch_bytes > self.max_commit_bytes
            ):
                break
            taken.append(self._queue.popleft())
            items += len(batch.rows)
            size += batch_bytes
        self.items -= items
        if taken:
            self._started = now
        return taken

    def put_back(self, batches: Sequence[Batch]) -> None:
        """Return batches whose transaction certainly did not happen to the front, in their order."""
        self._queue.extendleft(reversed(batches))
        self.items += sum(len(batch.rows) for batch in batches)

    def take_withdrawn(self) -> list[Batch]:
        """Take out the batches all of whose rows were withdrawn: they can be settled without a transaction."""
        withdrawn = [batch for batch in self._queue if all(row.withdrawn for row in batch.rows)]
        if withdrawn:
            leaving = set(withdrawn)
            self._queue = deque(batch for batch in self._queue if batch not in leaving)
            self.items -= sum(len(batch.rows) for batch in withdrawn)
        return withdrawn

    def drain(self) -> list[Batch]:
        """Take everything, to refuse it."""
        batches = list(self._queue)
        self._queue.clear()
        self.items = 0
        return batches
