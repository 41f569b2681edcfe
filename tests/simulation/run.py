"""Runs one plan from beginning to end, and says what was found.

Phases: everything goes wrong as planned; it heals; everybody has to reach the end within a time; the server is stopped; what was
acked, stored and seen is compared. Trio's scheduler is seeded, so a plan runs the same way every time.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs
import trio
import trio._core._run
from trio.testing import MockClock

from hubbub.engine import Record, Visibility
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.principals import ServerRole
from hubbub.engine.identity.records import TokenKind, TokenRecord, User
from hubbub.testing.audit import Verdict

from .club import CLUB, Club
from .disk import Disk
from .faults import Faults
from .plan import Plan, draw
from .process import ENDS_WITHIN_S, WALL_MS
from .readers import Reader
from .town import Finding, Town
from .writers import Writer

CONVERGES_S: Final = 150.0
"""Within so long after the last fault every post is settled and every reader stands at the head."""
_WATCH_S: Final = 0.5
_FORETOLD: Final = ("InjectedCrash", "poison", "row_refused", "quarantined", "store_fenced")


@attrs.frozen
class Outcome:
    """What came of one plan.

    Attributes:
        seconds: of simulated time.
        faults: injected; crashes included.
        digest: of everything that happened; equal for equal plans.
    """

    plan: Plan
    findings: tuple[Finding, ...]
    seconds: float
    faults: int
    verdict: Verdict | None
    digest: str

    @property
    def ok(self) -> bool:
        """Nothing was found."""
        return not self.findings


def run_plan(plan: Plan, disk: type[Disk] = Disk) -> Outcome:
    """Simulate. Bugs of the simulation itself raise; whatever the engine does wrong is a finding.

    Args:
        plan: who does what, and what goes wrong.
        disk: another one, that lies for example.
    """
    outcomes: list[Outcome] = []
    with _repeatable(plan.seed), _listening() as heard:
        trio.run(
            _simulate,
            plan,
            disk(),
            heard,
            outcomes,
            clock=MockClock(autojump_threshold=0),
            strict_exception_groups=True,
        )
    return outcomes[0]


def run_seed(seed: int) -> Outcome:
    """Draw the plan of a seed and run it."""
    return run_plan(draw(seed))


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Seed trio's scheduler, and let the garbage collector run between simulations only: it ends dropped replies."""
    run: Any = trio._core._run
    before = run._ALLOW_DETERMINISTIC_SCHEDULING
    run._ALLOW_DETERMINISTIC_SCHEDULING = True
    run._r.seed(seed)
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        run._ALLOW_DETERMINISTIC_SCHEDULING = before


class _Ear(logging.Handler):
    """Hears errors that nobody foretold."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info is not None and record.exc_info[1] is not None:
            text += "\n" + "".join(traceback.format_exception(record.exc_info[1]))
        if not any(word in text for word in _FORETOLD):
            self.heard.append(text)


@contextmanager
def _listening() -> Iterator[_Ear]:
    logger, ear = logging.getLogger("hubbub"), _Ear()
    before = (logger.level, logger.propagate)
    logger.addHandler(ear)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield ear
    finally:
        logger.removeHandler(ear)
        logger.setLevel(before[0])
        logger.propagate = before[1]


async def _simulate(plan: Plan, disk: Disk, heard: _Ear, outcomes: list[Outcome]) -> None:
    async with trio.open_nursery() as nursery:
        town = Town(plan, disk, nursery)
        club = None if plan.club is None else Club(town, plan.club)
        await _furnish(town, club)
        readers = [Reader(town, number, reader) for number, reader in enumerate(plan.readers)]
        writers = [Writer(town, number, writer) for number, writer in enumerate(plan.writers)]
        faults = Faults(town, readers)
        nursery.start_soon(town.timeline.run)
        nursery.start_soon(_watch, town, heard)
        town.start()
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when_failed, town, scope)
            await _live(town, writers, readers, faults, club)
            await _stop(town)
            if club is not None:
                club.judge()
            for room in town.rooms:
                _read_back(town, room)
        for text in heard.heard[:1]:
            town.find("unforeseen error", text)
        outcomes.append(_outcome(town, faults))
        nursery.cancel_scope.cancel()


def _outcome(town: Town, faults: Faults) -> Outcome:
    verdict = None if town.findings else town.audit.finish()
    seconds = trio.current_time()
    return Outcome(town.plan, tuple(town.findings), seconds, faults.injected + town.crashes.done, verdict, town.digest)


async def _furnish(town: Town, club: Club | None) -> None:
    """Conversations and tokens, on the disk before anything starts."""
    for number, room in enumerate(town.rooms):
        record = Record(ConversationId(room), room, Visibility.PUBLIC, "nobody", f"epoch{number}", 0, WALL_MS)
        await town.disk.create(record)
    names = []
    if club is not None:
        await town.disk.create(club.record())
        names += club.people
    names += [f"w{number}" for number in range(len(town.plan.writers))]
    names += [f"r{number}" for number in range(len(town.plan.readers))]
    for name in names:
        digest = hashlib.sha256(f"hbg_{name}".encode()).digest()
        user = User(id=name, name=name, role=ServerRole.MEMBER, created_at_ms=WALL_MS)
        token = TokenRecord(
            digest=digest,
            id=f"token-{name}",
            user=name,
            kind=TokenKind.SESSION,
            created_at_ms=WALL_MS,
            last_used_at_ms=WALL_MS,
            expires_at_ms=WALL_MS + 10**12,
        )
        await town.disk.accounts.add_guest(user, token)


async def _cancel_when_failed(town: Town, scope: trio.CancelScope) -> None:
    await town.failed.wait()
    scope.cancel()


async def _live(town: Town, writers: list[Writer], readers: list[Reader], faults: Faults, club: Club | None) -> None:
    """Writers and readers at work, until all is healed and everybody has reached the end."""
    async with trio.open_nursery() as people:
        for reader in readers:
            people.start_soon(reader.run)
        if club is not None:
            club.start(people)
        async with trio.open_nursery() as working:
            working.start_soon(faults.run)
            for writer in writers:
                working.start_soon(writer.run)
            working.start_soon(_give_up, town, "writers", working.cancel_scope)
            while len(working.child_tasks) > 1:
                await trio.sleep(0.1)
            working.cancel_scope.cancel()
        with trio.move_on_after(CONVERGES_S) as patience:
            while not (_at_rest(town) and all(reader.at_head for reader in readers) and (club is None or club.at_rest)):
                await trio.sleep(0.1)
        if patience.cancelled_caught:
            late = [str(reader) for reader in readers if not reader.at_head]
            late += [str(club)] if club is not None and not club.at_rest else []
            town.find("stuck", f"readers do not reach the head: {late}")
        elif club is not None:
            await club.compare()
        town.over.set()
        for reader in readers:
            for place in reader.places.values():
                place.leaves()
        people.cancel_scope.cancel()


def _at_rest(town: Town) -> bool:
    """Nothing is on its way to the disk any more."""
    process = town.process
    if process is None or not process.alive or process.stopping.is_set() or not process.running.is_set():
        return False
    queued = process.store.statistics()
    return not (
        queued.queued_rows or queued.in_flight or any(room.waiting for room in process.engine.statistics().rooms)
    )


async def _give_up(town: Town, who: str, scope: trio.CancelScope) -> None:
    """Whoever has not come to an end so long after everything was healed never will."""
    await town.healed.wait()
    with trio.move_on_after(1.0):  # quarantined conversations are an operator's to release
        await town.running_process()
    for _ in range(3):
        _release(town)
        await trio.sleep(CONVERGES_S / 3)
    town.find("stuck", f"{who} do not come to an end")
    scope.cancel()


def _release(town: Town) -> None:
    process = town.process
    if process is not None and process.alive and process.running.is_set():
        for room in (*town.rooms, CLUB):
            process.engine.release(room)


async def _stop(town: Town) -> None:
    """Stop the server; every process there ever was has to end."""
    assert town.process is not None
    town.process.stopping.set()
    for process in town.processes:
        with trio.move_on_after(ENDS_WITHIN_S):
            await process.ended.wait()
        if not process.ended.is_set():
            town.find("does not end", f"process {process.number}")
        elif process.unanswered:
            town.find(
                "unanswered", f"process {process.number} ended and {process.unanswered} of its embedders still wait"
            )
        elif process.host.open_sockets:
            town.find("leak", f"process {process.number} leaves {process.host.open_sockets} descriptors")


def _read_back(town: Town, room: str) -> None:
    log = list(town.disk.log(room))
    for _, _, post in log:
        if "@" in post or post == "poison":
            town.audit.tried(room, post)
    town.audit.stored(room, log)


async def _watch(town: Town, heard: _Ear) -> None:
    """Bounds hold at every moment, and nothing crashes that was not made to (G7, G8)."""
    while True:
        await trio.sleep(_WATCH_S)
        if heard.heard:
            town.find("unforeseen error", heard.heard[0])
        process = town.process
        if process is None or not process.running.is_set() or not process.alive:
            continue
        bounds = process.engine.settings.conversation
        for room in process.engine.statistics().rooms:
            if room.tail_items > bounds.tail_items or room.waiting > bounds.waiting_items:
                town.find("bound", repr(room))
        queued = process.store.statistics()
        if queued.queued_rows > queued.queue_capacity:
            town.find("bound", repr(queued))
