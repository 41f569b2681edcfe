"""The writer: the storage actor. It gathers what all conversations hand in and commits it through a backend, one transaction
at a time.

It runs as a plain task of the engine's supervisor; its state is this object and outlives each incarnation, so a crash loses no
batch and settles none twice. Stopping it (cancellation) drains: what was accepted is committed, or refused when the drain
time is over; the commits run under a shield.

What happens to a batch while things fail:

store away            it waits in the queue, unsent; its conversation withdraws rows at their deadlines, and a batch that is
                      withdrawn as a whole is settled within a tick
store silent          what was sent waits for its answer as long as the backend lets it; `health` says so after two seconds.
                      While nobody posts the writer asks by itself, so that a frozen store is noticed before somebody does
outcome unknown       it is sent again, before anything newer, until the outcome is known
content refused       it is halved until the poison row stands alone, which is rejected; all others commit in order
fenced                everything is refused, for good; `fenced` tells the server
lost                  the same, without waiting for the drain: what was sent is of unknown outcome, the rest is refused

Left out: SQL and connections (a `Backend`'s), when a commit is due and in which order (`engine.core.batch.GroupCommit`).
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import attrs
import trio

from ..actors import ChildSpec
from ..engine.core.batch import Batch, GroupCommit, Rejected
from ..engine.core.config import WriterSettings
from ..engine.core.errors import (
    EngineClosed,
    EngineError,
    OutcomeUnknown,
    Overloaded,
    StoreFenced,
    StoreUnavailable,
)
from ..engine.core.histogram import Distribution, Histogram
from ..engine.log import get_logger
from ..engine.ports import StoreHealth
from .flight import Flight, Settled
from .ports import Backend, RowsRefused, StoreLost

_TICK_S: Final = 0.25
_PROBE_S: Final = 1.0  # an idle writer asks the backend that often
_SILENT_S: Final = 2.0  # a healthy store answers within milliseconds
COMMIT_BOUNDS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
ROWS_BOUNDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_log = get_logger("hubbub.storage.writer")

A = TypeVar("A")


@attrs.frozen(kw_only=True)
class WriterStatistics:
    """What the writer has done and what waits.

    Attributes:
        commits: transactions that succeeded; `rows` is how many rows they settled, repeats included.
        largest_rows: rows of the largest of them.
        refused_rows: rows rejected alone because of their content.
        failures: commits and reconnections that failed because the store was away.
        last_commit_s: how long the last commit took, seconds; `commit_s` how long each of them.
        commit_rows: rows of each commit that succeeded.
        queued_rows: rows waiting; at most `queue_capacity`.
        in_flight: whether rows have left the queue and are not all settled.
    """

    commits: int
    rows: int
    largest_rows: int
    refused_rows: int
    failures: int
    last_commit_s: float
    commit_s: Distribution
    commit_rows: Distribution
    queued_rows: int
    queue_capacity: int
    in_flight: bool


class Writer:
    """The storage actor over one backend. All methods belong to the one trio thread.

    Args:
        backend: where rows go; used by nobody else for commits.
        settings: bounds and pace.
        drain_s: how long stopping may take before what is left is refused, seconds.
    """

    def __init__(self, backend: Backend, settings: WriterSettings, *, drain_s: float) -> None:
        self._backend = backend
        self._settings = settings
        self._drain_s = drain_s
        self._queue = GroupCommit(
            max_items=settings.queue_items,
            max_commit_items=settings.commit_items,
            max_commit_bytes=settings.commit_bytes,
            pace_s=settings.pace_s,
            pace_items=settings.pace_items,
        )
        self._flight: Flight | None = None
        self._unsettled: deque[Settled] = deque()  # outcomes known, not yet told
        self._wake = trio.Event()
        self._idle = False
        self._running = False
        self._draining = False
        self._closed = False
        self._lost: str | None = None
        self._scope = trio.CancelScope()
        self._trouble: str | None = None
        self._trouble_since = 0.0
        self._asked_at: float | None = None
        self._probing = trio.CancelScope()
        self._hurried = trio.Event()
        self._delay_s = settings.retry_s
        self.drain_by = float("inf")
        """When draining must be over at the latest, on trio's clock."""
        self.fenced = trio.Event()
        """Set when another server has taken the store over: this one can only stop."""
        self._commits = self._rows = self._largest = self._refused = self._failures = 0
        self._last_commit_s = 0.0
        self._commit_s, self._commit_rows = Histogram(COMMIT_BOUNDS_S), Histogram(ROWS_BOUNDS)

    def spec(self) -> ChildSpec[None]:
        """How the engine's supervisor runs it: always restarted, drained by itself when stopped."""
        return ChildSpec(name="storage", start=self.run, restart="permanent")

    def submit(self, batch: Batch) -> None:
        """Keep a batch for one of the next transactions; see `engine.ports.Store.submit`."""
        if self._closed or self._over:
            raise EngineClosed("the store takes no more posts")
        items_before = self._queue.items
        if not self._queue.add(batch, trio.current_time()):
            raise Overloaded("too many posts wait for the store")
        if self._idle or self._queue.hastened(items_before):
            self._wake.set()

    def health(self) -> StoreHealth:
        """Whether commits can succeed now."""
        now, asked_at = trio.current_time(), self._asked_at
        if self.fenced.is_set():
            return _unhealthy("another server has taken the database over; this one must stop")
        if self._lost is not None:
            return _unhealthy(self._lost)
        if not self._running:
            return _unhealthy("the storage actor is not running")
        if self._trouble is not None:
            return _unhealthy(self._trouble, now - self._trouble_since)
        if asked_at is not None and now - asked_at >= _SILENT_S:
            return _unhealthy("the database does not answer", now - asked_at)
        if self._backend.problem is not None:
            return _unhealthy(self._backend.problem, 0.0)
        return StoreHealth(ready=True)

    def statistics(self) -> WriterStatistics:
        """A snapshot."""
        return WriterStatistics(
            commits=self._commits,
            rows=self._rows,
            largest_rows=self._largest,
            refused_rows=self._refused,
            failures=self._failures,
            last_commit_s=self._last_commit_s,
            commit_s=self._commit_s.read(),
            commit_rows=self._commit_rows.read(),
            queued_rows=self._queue.items,
            queue_capacity=self._settings.queue_items,
            in_flight=self._flight is not None,
        )

    @property
    def _over(self) -> bool:
        """Whether nothing can be committed ever again."""
        return self.fenced.is_set() or self._lost is not None

    def hurry(self) -> None:
        """There is reason to think that the store is back: do not wait for the next try."""
        self._hurried.set()

    def close(self) -> None:
        """Refuse what is left and everything to come. For the store's owner, after the actor has stopped for good."""
        self._closed = True
        self._refuse_all(StoreUnavailable("the store is closing"))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit until cancelled, then drain for at most the drain time."""
        self._scope = trio.CancelScope(shield=True)
        self._draining = self._closed = False
        self._running = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._work)
                nursery.start_soon(self._housekeep)
                task_status.started()
                try:
                    await trio.sleep_forever()
                finally:
                    self._drain()
        finally:
            self._running = False

    def _drain(self) -> None:
        self._draining = True
        now = trio.current_time()
        self._scope.deadline = min(now + self._drain_s, self.drain_by)
        self._probing.deadline = now + _TICK_S  # nobody waits for what a probe finds
        self._wake.set()

    async def _work(self) -> None:
        with self._scope:
            await self._commit_until_drained()
        self.close()

    async def _housekeep(self) -> None:
        """Settle withdrawn batches while commits hang or fail, and notice a lost connection when nobody posts."""
        while True:
            await trio.sleep(_TICK_S)
            self._settle([(batch, _unavailable(batch)) for batch in self._queue.take_withdrawn()])
            if self._idle and self._backend.problem is not None:
                self._wake.set()

    async def _commit_until_drained(self) -> None:
        self._settle([])  # what a crash left untold
        while not self._over:
            idle = self._flight is None and not self._queue
            if idle and self._draining:
                return
            try:
                if self._backend.problem is not None:
                    await self._asking(self._backend.revive)
                    self._recovered()
                elif idle:
                    if not await self._wait_idle():
                        await self._probe()
                else:
                    await self._wait_due()
                    await self._commit()
            except StoreFenced as exc:
                self._fence(exc)
            except StoreLost as exc:
                self._lose(exc)
            except (StoreUnavailable, OutcomeUnknown) as exc:
                await self._back_off(exc)
        await self._wait_draining()

    async def _asking(self, ask: Callable[[], Awaitable[A]]) -> A:
        """Ask the backend something, and note since when no answer has come."""
        self._asked_at = trio.current_time()
        try:
            answer = await ask()
        except (StoreUnavailable, OutcomeUnknown):
            self._note_trouble_since(self._asked_at)
            raise
        finally:
            self._asked_at = None
        return answer

    def _note_trouble_since(self, since: float) -> None:
        if self._trouble is None:
            self._trouble_since = since

    async def _wait_idle(self) -> bool:
        """Wait for something to do; False when there was nothing for so long that it is time to probe."""
        self._wake = trio.Event()
        self._idle = True
        try:
            with trio.move_on_after(_PROBE_S):
                await self._wake.wait()
                return True
            return False
        finally:
            self._idle = False

    async def _probe(self) -> None:
        with trio.CancelScope() as self._probing:
            await self._asking(lambda: self._backend.probe(write=self._trouble is not None))
            self._recovered()

    async def _wait_due(self) -> None:
        while self._flight is None and not self._draining:
            due = self._queue.due_at()
            if due is None or due <= trio.current_time():
                return
            self._wake = trio.Event()
            with trio.move_on_at(due):
                await self._wake.wait()

    async def _wait_draining(self) -> None:
        while not self._draining:
            self._wake = trio.Event()
            await self._wake.wait()

    async def _commit(self) -> None:
        """One transaction: of the flight that is out, else of what is due."""
        if self._flight is None:
            self._flight = Flight(self._queue.take(trio.current_time()))
        flight, part = self._flight, self._flight.front
        if part is not None:
            flight.mark_sent()
            started = flight.sent_s = trio.current_time()
            try:
                results = await self._asking(lambda: self._backend.commit(part.rows, again=part.again))
                flight.known(results)
            except RowsRefused as refused:
                self._note_refused(flight, refused)
            except (StoreUnavailable, StoreFenced):
                raise
            except BaseException:
                flight.unknown()
                raise
            else:
                self._note_commit(len(results), trio.current_time() - started)
        self._settle(flight.take_settled())
        if flight.over:
            self._flight = None

    def _note_commit(self, rows: int, took_s: float) -> None:
        self._commits += 1
        self._rows += rows
        self._largest = max(self._largest, rows)
        self._last_commit_s = took_s
        self._commit_s.note(took_s)
        self._commit_rows.note(rows)
        if self._trouble is not None:
            self._recovered()

    def _note_refused(self, flight: Flight, refused: RowsRefused) -> None:
        front = flight.front
        row = front.rows[0] if front is not None else None
        if flight.refused(refused.error) and row is not None:
            self._refused += 1
            name = row.request_id
            _log.error("row_refused", conversation=row.conversation, row=row.id, request_id=name, why=refused.detail)

    def _recovered(self) -> None:
        if self._trouble is not None:
            _log.warning("store_back", was=self._trouble)
        self._trouble = None
        self._delay_s = self._settings.retry_s

    async def _back_off(self, exc: EngineError) -> None:
        """The store is away: what is certainly unsent waits in the queue, where it can be withdrawn."""
        self._failures += 1
        if self._trouble is None:
            _log.warning("store_away", why=str(exc))
        self._trouble = str(exc)
        if self._flight is not None:
            self._queue.put_back(self._flight.take_unsent())
            if self._flight.over:
                self._flight = None
        self._hurried = trio.Event()
        with trio.move_on_after(self._delay_s):
            await self._hurried.wait()
        self._delay_s = min(2 * self._delay_s, self._settings.retry_max_s)

    def _fence(self, exc: StoreFenced) -> None:
        _log.error("store_fenced", why=str(exc))
        self.fenced.set()
        self._refuse_all(StoreFenced("another server has taken over; this post is not stored"))

    def _lose(self, exc: StoreLost) -> None:
        _log.error("store_lost", why=str(exc))
        self._lost = str(exc)
        self._refuse_all(StoreUnavailable("the store has failed; this post is not stored"))

    def _refuse_all(self, error: EngineError) -> None:
        flight, self._flight = self._flight, None
        settled = flight.give_up(error) if flight is not None else []
        settled.extend((batch, [Rejected(error)] * len(batch.rows)) for batch in self._queue.drain())
        self._settle(settled)

    def _settle(self, settled: Sequence[Settled]) -> None:
        """Tell outcomes. What is not told when a callback crashes is told by the next incarnation."""
        self._unsettled.extend(settled)
        while self._unsettled:
            batch, results = self._unsettled.popleft()
            batch.settle(results)


def _unavailable(batch: Batch) -> list[Rejected]:
    return [Rejected(StoreUnavailable())] * len(batch.rows)


def _unhealthy(problem: str, away_s: float | None = None) -> StoreHealth:
    return StoreHealth(ready=False, problems=(problem,), away_s=away_s)
