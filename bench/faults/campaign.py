"""All rounds of a plan: the stages one after the other, the rounds on them, and a last look at everything when a stage closes.

The data of a stage lives through all its rounds. When the stage closes, what every round left in the log is read again, so a
later fault that harms an earlier log is found; then the server is asked to stop, which must succeed and leave nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs

from ..errors import BenchError
from . import processes
from .bans import Standing
from .blows import BLOWS
from .client import Gone, Target
from .crowd import Load, until
from .kinds import CannotInject, Effect, Scene
from .ledger import Leftovers
from .outcome import Outcome, Status, skipped
from .plan import Round
from .rounds import play
from .stage import Stage, open_stage
from .tables import Stored, read_standing, read_stored

_QUIET_S: Final = 5.0
_FEW: Final = 8

Tell = Callable[[Outcome], None]
"""Called after each round."""


@attrs.frozen
class Campaign:
    """What was found.

    Attributes:
        outcomes: of the rounds, in the order in which they were played.
        problems: what was broken at the closing of a stage, for people.
    """

    outcomes: tuple[Outcome, ...]
    problems: tuple[str, ...]

    @property
    def broken(self) -> bool:
        """Whether any promise was broken."""
        return bool(self.problems) or any(outcome.status is Status.BROKEN for outcome in self.outcomes)

    @property
    def proven(self) -> bool:
        """Whether at least one round was played and none was invalid."""
        statuses = {outcome.status for outcome in self.outcomes}
        return bool(statuses - {Status.SKIPPED}) and Status.INVALID not in statuses


class _StageGround:
    """A stage for one round."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._pid = stage.server.pid
        self._descriptors = processes.descriptors(self._pid)
        stage.server.complaints()

    @property
    def target(self) -> Target:
        return self._stage.target

    async def strike(self, round_: Round) -> Effect:
        return await BLOWS[round_.fault.name](self._stage, round_)

    async def stored(self, conversation: str) -> Stored:
        return await read_stored(self._stage.where(), conversation)

    async def standing(self, conversation: str) -> Standing:
        return await read_standing(self._stage.where(), conversation)

    async def mend(self) -> int | None:
        if self._stage.server.alive:
            return None
        status = self._stage.server.process.returncode
        await self._stage.restarted()
        return status

    async def leftovers(self) -> Leftovers:
        for wires in (self._stage.client_wires, self._stage.database_wires):
            if wires is not None:
                wires.release()
        same = self._stage.server.pid == self._pid
        await until(lambda: not self._strays() and (not same or self._more() <= _FEW), _QUIET_S)
        errors, tracebacks = self._stage.server.complaints()
        return Leftovers(len(self._strays()), self._more() if same else 0, errors, tracebacks)

    def _more(self) -> int:
        return processes.descriptors(self._pid) - self._descriptors

    def _strays(self) -> set[int]:
        """What works in the data directory and does not belong to the Postgres that runs there."""
        postmaster = processes.postmaster(self._stage.cluster)
        ours = set(processes.family(postmaster)) if postmaster is not None else set()
        return set(processes.working_below(self._stage.data)) - ours


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The errors in a group, without the groups in between."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found


async def run_campaign(rounds: Iterable[Round], load: Load, tell: Tell) -> Campaign:
    """Play all rounds. Cancelled, it leaves nothing behind.

    Raises:
        BenchError: a server could not even be started for the first time.
    """
    outcomes: list[Outcome] = []
    problems: list[str] = []

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        tell(outcome)

    for scene, group in itertools.groupby(rounds, key=lambda round_: round_.fault.scene):
        left = list(group)
        while left:
            played, found = await _play_on_one_stage(scene, left, load, note)
            problems += found
            left = left[played:]
    return Campaign(tuple(outcomes), tuple(problems))


async def _play_on_one_stage(scene: Scene, rounds: Sequence[Round], load: Load, note: Tell) -> tuple[int, list[str]]:
    """Play until the rounds are over or the stage is of no more use; gives how many were played, and problems."""
    try:
        async with open_stage(scene) as stage:
            kept: dict[str, str] = {}
            for number, round_ in enumerate(rounds, 1):
                outcome = await _play(stage, round_, load, kept)
                note(outcome)
                if outcome.findings is None:
                    return number, []
            return len(rounds), await _close(stage, kept)
    except CannotInject as exc:
        for round_ in rounds:
            note(skipped(round_, str(exc)))
        return len(rounds), []


async def _play(stage: Stage, round_: Round, load: Load, kept: dict[str, str]) -> Outcome:
    """Play one round. A server that does not come back, or cannot be asked, is an outcome too."""
    failures: list[str] = []
    try:
        if round_.fault.ends_postgres:
            await stage.before_a_death()
        outcome, conversation, stored = await play(_StageGround(stage), round_, load)
        kept[conversation] = stored.digest
    except* (BenchError, Gone) as group:
        failures = [str(error) for error in leaves(group)]
    if failures:
        return Outcome(round=round_, status=Status.BROKEN, reasons=(*failures, stage.server.end()))
    return outcome


async def _close(stage: Stage, kept: dict[str, str]) -> list[str]:
    """Read everything again, then stop."""
    problems = []
    try:
        for conversation, digest in kept.items():
            if (await read_stored(stage.where(), conversation)).digest != digest:
                problems.append(f"the log of {conversation} has changed since its round")
    except BenchError as exc:
        problems.append(f"at the end: {exc}")
    status = await stage.server.stop()
    if status != 0:
        problems.append(f"asked to stop, the server ended with {status}: {stage.server.end()}")
    if stage.database_wires is None and processes.working_below(stage.data):
        problems.append(f"the server left processes behind: {processes.working_below(stage.data)}")
    return problems
