"""A backend that tears: it fails before, during and after commits, as its script says, and keeps rows in memory."""

from collections.abc import Sequence
from enum import Enum, auto

import trio

from hubbub.engine.core.batch import Result, Row
from hubbub.engine.core.errors import OutcomeUnknown, StoreFenced, StoreUnavailable, Unprocessable
from hubbub.engine.core.messages import Event
from hubbub.storage.memory import MemoryBackend
from hubbub.storage.ports import RowsRefused

POISON = "poison"


class Fault(Enum):
    """What happens to one commit."""

    NONE = auto()
    AWAY = auto()  # nothing happened
    LOST = auto()  # the answer is missing; not stored
    STORED = auto()  # the answer is missing; stored
    LATE = auto()  # the answer is missing; stored while the connection is mended
    CRASH = auto()  # a bug, before it was stored
    CRASH_STORED = auto()  # a bug, after it was stored
    FENCED = auto()
    HANG = auto()  # no answer until cancelled; stored


class TornBackend(MemoryBackend):
    """Commits take 1 ms and follow `script`, then succeed. `away` makes revival fail while it is set."""

    def __init__(self, script: Sequence[Fault] = ()) -> None:
        super().__init__()
        self.script = list(script)
        self.away = False
        self.commits: list[tuple[list[str], bool]] = []
        self._problem: str | None = None
        self._late: list[Row] = []

    @property
    def problem(self) -> str | None:  # type: ignore[override]  # a property here, a constant there
        """What the last fault left behind."""
        return self._problem

    def lose_connection(self) -> None:
        """The connection breaks while nobody uses it."""
        self._problem = "cut"

    async def revive(self) -> None:
        """Mend, and let what was under way happen first."""
        await trio.sleep(0.001)
        if self.away:
            raise StoreUnavailable("still away")
        self.apply(self._late, again=True)
        self._late = []
        self._problem = None

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        """Commit, or fail as the script says."""
        assert self._problem is None, "a commit over a broken connection"
        assert not any(row.withdrawn for row in rows), "a withdrawn row was sent"
        self.commits.append(([row.text for row in rows], again))
        await trio.sleep(0.001)
        fault = self.script.pop(0) if self.script else Fault.NONE
        if fault in (Fault.NONE, Fault.STORED, Fault.LATE, Fault.CRASH_STORED) and any(r.text == POISON for r in rows):
            raise RowsRefused("22021", Unprocessable("poison"))
        match fault:
            case Fault.NONE:
                return self.apply(rows, again=again)
            case Fault.AWAY:
                self._problem = "away"
                raise StoreUnavailable("away")
            case Fault.FENCED:
                raise StoreFenced("fenced")
            case Fault.CRASH:
                raise RuntimeError("crash")
            case Fault.CRASH_STORED:
                self.apply(rows, again=again)
                raise RuntimeError("crash")
            case Fault.HANG:
                self.apply(rows, again=again)
                await trio.sleep_forever()
        if fault is Fault.STORED:
            self.apply(rows, again=again)
        elif fault is Fault.LATE:
            self._late.extend(rows)
        self._problem = "broken"
        raise OutcomeUnknown("broken")

    def log(self, conversation: str) -> list[Event]:
        """What is stored."""
        log = self._logs.get(conversation)
        return [] if log is None else log.events
