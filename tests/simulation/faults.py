"""What goes wrong: carries out the faults of a plan. See `plan.FAULTS` for how much; amounts are noted at each one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn, cast

import trio
from trio.lowlevel import Task, add_instrument, remove_instrument

from hubbub.engine import Author, Draft, Engine, EngineError, Principal
from hubbub.engine.core.batch import Row
from hubbub.engine.core.commands import Submit
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.permissions import Verb

from .club import CLUB
from .crash import InjectedCrash
from .disk import POISON
from .network import Weather
from .plan import Fault
from .readers import Reader
from .town import Town


class PoisonRow:
    """A row that crashes whoever looks at it."""

    def __getattr__(self, name: str) -> NoReturn:
        raise InjectedCrash(name)


class Fuse(trio.abc.Instrument):
    """Calls something between two steps of whatever tasks run, after so many steps."""

    def __init__(self, steps: int, action: Callable[[], None]) -> None:
        self._steps = steps
        self._action = action

    def before_task_step(self, task: Task) -> None:
        """One step nearer."""
        self._steps -= 1
        if self._steps == 0:
            self._action()


class Faults:
    """Carries out one plan's faults, then heals."""

    def __init__(self, town: Town, readers: list[Reader]) -> None:
        self._town = town
        self._readers = readers
        self._undo: list[Callable[[], None]] = []
        self._fuses: list[Fuse] = []
        self.injected = 0

    async def run(self) -> None:
        """Everything in its time, then heal."""
        plan = self._town.plan
        for fault in plan.faults:
            await trio.sleep_until(fault.at_s)
            self._town.note("fault", fault.kind)
            self.injected += 1
            _KINDS[fault.kind](self, fault)
        await trio.sleep_until(plan.seconds)
        self.heal()

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        town = self._town
        for fuse in self._fuses:
            remove_instrument(fuse)
        self._fuses.clear()
        town.crashes.calm()
        town.disk.sky.next_commits.clear()
        for undo in self._undo:
            undo()
        self._undo.clear()
        for link in town.network.links:
            if link.lost:
                link.give_up()
        for reader in self._readers:
            reader.slow.stop(0)
        town.healed.set()

    def _for(self, seconds: float, undo: Callable[[], None]) -> None:
        self._undo.append(undo)
        self._town.timeline.after(seconds, undo)

    def _room(self, fault: Fault) -> str:
        rooms = self._town.rooms + ([CLUB] if self._town.plan.club else [])
        return rooms[fault.target % len(rooms)]

    # -- processes: amount is in steps of tasks -------------------------------------------------------------------

    def kill(self, fault: Fault, *, silently: bool = False) -> None:
        """kill -9 between two steps."""
        process = self._town.process
        fuse: Fuse

        def die() -> None:
            remove_instrument(fuse)
            self._fuses.remove(fuse)
            if process is not None and process.alive:
                process.kill(silently=silently)
                self._town.timeline.after(0.05, self._restart)

        fuse = Fuse(1 + int(fault.amount), die)
        self._fuses.append(fuse)
        add_instrument(fuse)

    def power_cut(self, fault: Fault) -> None:
        """The machine dies: its connections fall silent, and nobody is told."""
        self.kill(fault, silently=True)

    def stop(self, fault: Fault) -> None:
        """SIGTERM: drain, then start anew."""
        process = self._town.process
        if process is None or process.stopping.is_set() or not process.alive:
            return
        process.stopping.set()
        self._town.nursery.start_soon(self._restart_when_ended)

    async def _restart_when_ended(self) -> None:
        process = self._town.process
        assert process is not None
        await process.ended.wait()
        self._restart()

    def _restart(self) -> None:
        process = self._town.process
        if process is None or not process.alive or process.ended.is_set():
            self._town.start()

    def zombie(self, fault: Fault) -> None:
        """A second server takes over while the first, paused for `amount` seconds, does not know it yet."""
        old = self._town.process
        if old is None or not old.alive or old.stopping.is_set():
            return
        self._town.start()
        self._town.timeline.after(fault.amount, old.backend.lose_connection)

    # -- actors: amount is in checkpoints -------------------------------------------------------------------------

    def crash_actor(self, fault: Fault) -> None:
        """A conversation's actor raises at one of its next checkpoints."""
        self._town.crashes.arm(f"actor {self._room(fault)}", int(fault.amount))

    def crash_loop(self, fault: Fault) -> None:
        """It raises again and again: it will be quarantined."""
        self._town.crashes.loop(f"actor {self._room(fault)}", int(fault.amount))

    def crash_writer(self, fault: Fault) -> None:
        """The storage actor raises."""
        self._town.crashes.arm("writer", int(fault.amount))

    def crash_read(self, fault: Fault) -> None:
        """A task that reads pages raises."""
        self._town.crashes.arm("read", int(fault.amount))

    def poison_command(self, fault: Fault) -> None:
        """A command that crashes whoever handles it."""
        process = self._town.process
        if process is None or not process.alive or not process.running.is_set():
            return
        room = ConversationId(self._room(fault))
        principal = Principal(Author("poisoner", "Poisoner"))
        row = cast("Row", PoisonRow())
        try:
            process.engine.send(room, Submit(lambda answer: None, principal, Verb.POST, row, 1e9))
        except Exception as error:  # noqa: BLE001  refused like any other command
            self._town.note("poison refused", type(error).__name__)

    def poison_row(self, fault: Fault) -> None:
        """A post whose content the store refuses."""
        process = self._town.process
        if process is not None and process.alive and process.running.is_set() and not process.stopping.is_set():
            process.embedders.start_soon(self._post_poison, process.engine, self._room(fault))

    async def _post_poison(self, engine: Engine, room: str) -> None:
        try:
            await engine.conversation(room).post(Draft(f"{POISON} x", author="poisoner"))
        except EngineError as error:
            self._town.note("poison", error.code)
        else:
            self._town.find("poison", "a row that the store refuses was acked")

    def release(self, fault: Fault) -> None:
        """An operator ends a quarantine."""
        process = self._town.process
        if process is not None and process.alive and process.running.is_set():
            process.engine.release(self._room(fault))

    def archive(self, fault: Fault) -> None:
        """An owner archives a room for `amount` seconds: nothing new is taken, and what was acked stays acked."""
        self._town.nursery.start_soon(self._archive, self._room(fault), fault.amount)

    async def _archive(self, room: str, seconds: float) -> None:
        await self._change(room, archived=True)
        with trio.move_on_after(seconds):
            await self._town.healed.wait()
        await self._change(room, archived=False)

    async def _change(self, room: str, *, archived: bool) -> None:
        done = False
        while not done:
            process = await self._town.running_process()
            tried = trio.Event()

            async def change(engine: Engine = process.engine, tried: trio.Event = tried) -> None:
                nonlocal done
                try:
                    await engine.conversation(room).update(archived=archived)
                    done = True
                except EngineError as error:
                    self._town.note("archive", error.code)
                finally:
                    tried.set()

            process.embedders.start_soon(change)
            await tried.wait()
            await trio.sleep(0.2)

    # -- the store: amount is in seconds, or how many commits -----------------------------------------------------

    def lose_store(self, fault: Fault) -> None:
        """The connection to the database breaks while nobody uses it."""
        process = self._town.process
        if process is not None:
            process.backend.lose_connection()

    def store_away(self, fault: Fault) -> None:
        """The database is away."""
        sky = self._town.disk.sky
        sky.away = True
        self._for(fault.amount, lambda: setattr(sky, "away", False))

    def reads_away(self, fault: Fault) -> None:
        """Reads fail."""
        sky = self._town.disk.sky
        sky.reads_away = True
        self._for(fault.amount, lambda: setattr(sky, "reads_away", False))

    def disk_full(self, fault: Fault) -> None:
        """Commits fail, nothing else."""
        sky = self._town.disk.sky
        sky.full = True
        self._for(fault.amount, lambda: setattr(sky, "full", False))

    def slow_commits(self, fault: Fault) -> None:
        """Commits take up to so many seconds, for a while."""
        sky = self._town.disk.sky
        sky.commit_s = fault.amount
        self._for(8.0, lambda: setattr(sky, "commit_s", 0.01))

    def commits(self, fault: Fault) -> None:
        """The next commits fail in one of the ways of `Sky.next_commits`."""
        how = fault.kind.removeprefix("commit_")
        self._town.disk.sky.next_commits += [how] * max(1, int(fault.amount))

    # -- the network: amount is in seconds, or bytes --------------------------------------------------------------

    def cut(self, fault: Fault) -> None:
        """One connection is reset."""
        links = self._town.network.links
        if links:
            links[fault.target % len(links)].cut()

    def cut_all(self, fault: Fault) -> None:
        """All of them."""
        for link in self._town.network.links:
            link.cut()

    def half_open(self, fault: Fault) -> None:
        """One falls silent."""
        links = self._town.network.links
        if links:
            links[fault.target % len(links)].lose()

    def stall(self, fault: Fault) -> None:
        """One reader takes nothing."""
        if self._readers:
            self._readers[fault.target % len(self._readers)].slow.stop(fault.amount)

    def dribble(self, fault: Fault) -> None:
        """Everything arrives in crumbs of so many bytes, for a while."""
        weather = self._town.network.weather
        weather.crumb_bytes = max(1, int(fault.amount))
        self._for(3.0, lambda: setattr(weather, "crumb_bytes", None))

    def delay(self, fault: Fault) -> None:
        """Everything arrives late, for a while."""
        weather = self._town.network.weather
        weather.delay_s = weather.jitter_s = fault.amount
        self._for(8.0, lambda: calm(weather))

    def clock_step(self, fault: Fault) -> None:
        """The clock on the wall is set."""
        self._town.wall.step_ms += int(fault.amount * 1000)


def calm(weather: Weather) -> None:
    """Ordinary delays again."""
    weather.delay_s, weather.jitter_s = 0.001, 0.002


_KINDS: Final[dict[str, Callable[[Faults, Fault], None]]] = {
    "kill": Faults.kill,
    "power_cut": Faults.power_cut,
    "stop": Faults.stop,
    "zombie": Faults.zombie,
    "crash_actor": Faults.crash_actor,
    "crash_loop": Faults.crash_loop,
    "crash_writer": Faults.crash_writer,
    "crash_read": Faults.crash_read,
    "poison_command": Faults.poison_command,
    "poison_row": Faults.poison_row,
    "release": Faults.release,
    "archive": Faults.archive,
    "lose_store": Faults.lose_store,
    "store_away": Faults.store_away,
    "reads_away": Faults.reads_away,
    "disk_full": Faults.disk_full,
    "slow_commits": Faults.slow_commits,
    "commit_away": Faults.commits,
    "commit_lost": Faults.commits,
    "commit_stored": Faults.commits,
    "commit_late": Faults.commits,
    "commit_deadlock": Faults.commits,
    "commit_hang": Faults.commits,
    "cut": Faults.cut,
    "cut_all": Faults.cut_all,
    "half_open": Faults.half_open,
    "stall": Faults.stall,
    "dribble": Faults.dribble,
    "delay": Faults.delay,
    "clock_step": Faults.clock_step,
}
