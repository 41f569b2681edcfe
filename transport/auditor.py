"""The auditor: sees to it that every control-plane call, refused ones too, leaves one row in the audit log.

What happens when the store is away: rows wait here, a bounded number of them. While they fit, control calls go on (a
quarantine can be released, a configuration changed, just when something is wrong) and are answered at once; when no
row has room any more, control calls are refused before they change anything. So there is never a change without its row, but for
one case: the process is killed while rows wait. Each row is therefore in the log as well (level info).

Invariants:
- A call is carried out only when its row has room. It is answered when the row is committed, or when the store could not take it
  just then.
- Rows of callers that nobody recognised take at most half of the room; past that they are counted and not kept. They can neither
  stop a control call nor push recognised rows out of the log.
- A quarter of the room is for administrators and the operator: however many keys and members others change, or try to, a
  quarantine can be released.
- Nothing here is awaited by what serves requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final, NoReturn

import attrs
import trio
from attrs.validators import ge, instance_of, le

from ..engine import EngineError, Overloaded
from ..engine.audit import NOBODY, AuditRow, AuditStore
from ..engine.log import get_logger

_log = get_logger("hubbub.transport.auditor")
_trail = get_logger("hubbub.audit")

QUEUE_ROWS: Final = 1_024
_UNRECOGNISED_ROWS: Final = QUEUE_ROWS // 2
OTHERS_ROWS: Final = QUEUE_ROWS * 3 // 4
"""Of those who do not run the server."""
_BATCH_ROWS: Final = 128
_RETRY_S: Final = 1.0
_PRUNE_EVERY_S: Final = 3_600.0
_DAY_MS: Final = 86_400_000
_MAX_DAYS: Final = 36_500
_MAX_KEPT: Final = 1_000_000_000


@attrs.frozen(kw_only=True)
class AuditSettings:
    """How much of the audit log is kept."""

    keep_days: int = attrs.field(
        default=365,
        validator=[instance_of(int), ge(1), le(_MAX_DAYS)],
        metadata={"help": "Days after which a row of the audit log is forgotten"},
    )
    keep_unrecognised: int = attrs.field(
        default=10_000,
        validator=[instance_of(int), ge(0), le(_MAX_KEPT)],
        metadata={"help": "Rows that are kept of control calls by nobody that was recognised"},
    )


@attrs.frozen
class AuditorStatistics:
    """What became of rows so far.

    Attributes:
        written: in the store.
        missed: not kept because too many waited; none of them stands for a call that was carried out.
        waiting: for the store; at most `QUEUE_ROWS`.
        failures: tries that the store did not take.
    """

    written: int
    missed: int
    waiting: int
    failures: int


@attrs.define(eq=False)
class _Waiting:
    """A row that is not written yet, and who waits for it."""

    row: AuditRow
    done: Callable[[], None] | None
    runs_server: bool

    def tell(self) -> None:
        done, self.done = self.done, None
        if done is not None:
            done()


class Auditor:
    """Writes rows while `run` runs.

    Args:
        store: where they go.
        ready: whether the store takes commits now, as far as is known.
        now_ms: the wall clock, milliseconds since the epoch.
        settings: those of now.
    """

    def __init__(
        self,
        store: AuditStore,
        ready: Callable[[], bool],
        now_ms: Callable[[], int],
        settings: Callable[[], AuditSettings] = AuditSettings,
    ) -> None:
        self._store = store
        self._ready = ready
        self._now_ms = now_ms
        self._settings = settings
        self._rows: deque[_Waiting] = deque()
        self._promised = 0  # calls under way whose rows have room
        self._others = 0  # rows and promised rows of those who do not run the server
        self._unrecognised = 0  # rows of nobody that wait
        self._wake = trio.Event()
        self._empty = trio.Event()
        self._written = self._missed = self._failures = 0

    def promise(self, *, runs_server: bool) -> None:
        """Keep room for the row of a call that is about to be carried out; `note` must follow.

        Args:
            runs_server: the caller is an administrator or the operator.

        Raises:
            Overloaded: there is none.
        """
        if not self._has_room(runs_server):
            raise Overloaded("the audit log cannot be written, and too many changes wait for it", retry_after_s=5.0)
        self._promised += 1
        self._others += not runs_server

    def note(self, row: AuditRow, done: Callable[[], None], *, promised: bool, runs_server: bool) -> None:
        """Take a row; never waits.

        Args:
            row: what happened.
            done: called once: when it is written, or when the store cannot take it just now; perhaps at once.
            promised: room was kept for it; without that it may find none, which is counted.
            runs_server: as it was promised.
        """
        if promised:
            self._promised -= 1
            self._others -= not runs_server
        _trail.info("audit", **{name: value for name, value in attrs.asdict(row).items() if name != "at_ms"})
        nobody = row.actor == NOBODY
        full = not promised and not self._has_room(runs_server)
        if full or (nobody and self._unrecognised >= _UNRECOGNISED_ROWS):
            self._missed += 1
            done()
            return
        self._unrecognised += nobody
        self._others += not runs_server
        waiting = _Waiting(row, done, runs_server)
        self._rows.append(waiting)
        if not self._ready():
            waiting.tell()
        self._wake.set()

    def _has_room(self, runs_server: bool) -> bool:
        return len(self._rows) + self._promised < QUEUE_ROWS and (runs_server or self._others < OTHERS_ROWS)

    def statistics(self) -> AuditorStatistics:
        """A snapshot."""
        return AuditorStatistics(self._written, self._missed, len(self._rows), self._failures)

    async def run(self) -> NoReturn:
        """Write rows until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._prune_always)
            try:
                while True:
                    if not self._rows:
                        self._empty.set()
                        self._wake = trio.Event()
                        await self._wake.wait()
                    if not await self._write():
                        await trio.sleep(_RETRY_S)
            finally:
                self._tell_all()
                if self._rows:
                    rows = [attrs.asdict(waiting.row) for waiting in self._rows]
                    _log.error("audit rows are only in this log", rows=rows)

    async def flush(self, within_s: float) -> None:
        """Wait until every row is written, or the time is over."""
        with trio.move_on_after(within_s):
            while self._rows:
                self._empty = trio.Event()
                await self._empty.wait()

    async def _write(self) -> bool:
        batch = list(islice(self._rows, _BATCH_ROWS))
        try:
            await self._store.add([waiting.row for waiting in batch])
        except EngineError as error:
            self._failures += 1
            _log.warning("the audit log cannot be written", why=str(error), rows=len(self._rows))
            self._tell_all()
            return False
        for waiting in batch:
            self._rows.popleft()
            self._unrecognised -= waiting.row.actor == NOBODY
            self._others -= not waiting.runs_server
            waiting.tell()
        self._written += len(batch)
        return True

    def _tell_all(self) -> None:
        for waiting in self._rows:
            waiting.tell()

    async def _prune_always(self) -> NoReturn:
        while True:
            settings = self._settings()
            before_ms = self._now_ms() - settings.keep_days * _DAY_MS
            try:
                gone = 1
                while gone:
                    gone = await self._store.prune(before_ms=before_ms, keep_unrecognised=settings.keep_unrecognised)
                    await trio.sleep(_RETRY_S)
            except EngineError as error:
                _log.debug("the audit log was not pruned", why=str(error))  # the next time makes up for it
            await trio.sleep(_PRUNE_EVERY_S)
