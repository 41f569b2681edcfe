"""The town: everything that clients, faults and checks of one simulation share. It notes what was found wrong."""

from __future__ import annotations

import random
import traceback
from hashlib import blake2b

import attrs
import trio

from hubbub.testing.audit import Audit, Violation

from .crash import Crashes, InjectedCrash
from .disk import Disk
from .network import Network, Timeline
from .plan import Plan
from .process import Process, WallClock


@attrs.frozen
class Finding:
    """Something that must not be: a broken promise, an unexpected crash, a client that waits for ever."""

    kind: str
    detail: str
    at_s: float

    def __str__(self) -> str:
        return f"{self.kind} at {self.at_s:.3f} s: {self.detail}"


class Town:
    """One simulation's world.

    Attributes:
        nursery: of this simulation; ends with it.
        process: the server that runs, or ran last.
        healed: set when nothing goes wrong any more and everybody has to reach the end.
        over: set when readers may go.
    """

    def __init__(self, plan: Plan, disk: Disk, nursery: trio.Nursery) -> None:
        self.plan = plan
        self.nursery = nursery
        self.random = random.Random(f"town {plan.seed}")
        self.timeline = Timeline()
        self.network = Network(self.random, self.timeline, plan.window_bytes)
        self.disk = disk
        self.wall = WallClock()
        self.crashes = Crashes()
        self.audit = Audit(durable=self.disk.text_at, on_violation=self._violated)
        self.findings: list[Finding] = []
        self.failed = trio.Event()
        self.healed = trio.Event()
        self.over = trio.Event()
        self.process: Process | None = None
        self.processes: list[Process] = []
        self._started = trio.Event()
        self._digest = blake2b(digest_size=8)

    @property
    def rooms(self) -> list[str]:
        """The conversations."""
        return [f"room{number}" for number in range(self.plan.rooms)]

    # -- notes ----------------------------------------------------------------------------------------------------

    def find(self, kind: str, detail: str) -> None:
        """Note something that must not be."""
        self.findings.append(Finding(kind, detail, trio.current_time()))
        self.note("found", kind, detail)
        self.failed.set()

    def _violated(self, violation: Violation) -> None:
        self.find(violation.kind.value, f"{violation.conversation}: {violation.detail}")

    def note(self, *what: object) -> None:
        """Add to the digest of this run: two runs of one plan must have the same."""
        self._digest.update(f"{trio.current_time():.6f} {what}\n".encode())

    @property
    def digest(self) -> str:
        """Of everything that was noted."""
        return self._digest.hexdigest()

    # -- processes ------------------------------------------------------------------------------------------------

    def start(self) -> Process:
        """A new server process; the network leads to it."""
        process = Process(self.plan, self.disk, self.wall, self.crashes, len(self.processes))
        self.processes.append(process)
        self.process = process
        self.network.host = process.host
        self.nursery.start_soon(self._run, process)
        self.note("process", process.number)
        self._started.set()
        self._started = trio.Event()
        return process

    async def _run(self, process: Process) -> None:
        try:
            await process.run()
        except Exception as error:  # noqa: BLE001  a process that dies by itself is judged here
            if process.alive and not _foretold(error):
                self.find("process died", "".join(traceback.format_exception(error)))
        if process.alive and process is self.process and not process.stopping.is_set():
            process.alive = False
            self.note("process died", process.number)
            self.start()

    async def running_process(self) -> Process:
        """Wait for a process that serves."""
        while True:
            process = self.process
            if process is not None and process.alive and not process.stopping.is_set():
                await process.running.wait()
                if process.alive and not process.stopping.is_set():
                    return process
            with trio.move_on_after(0.5):
                await self._started.wait()


def _foretold(error: BaseException) -> bool:
    """Whether our own crashes alone brought a process down: its storage actor was restarted too often."""
    if isinstance(error, BaseExceptionGroup):
        return all(_foretold(part) for part in error.exceptions)
    while error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, InjectedCrash)
