"""One server process of a simulation: the real engine, writer and connection table, put together as `transport.serve` does,
on a simulated disk, network, clock and source of ids.

It can be killed between any two steps of any task. From that moment nothing that its code still does reaches the disk, the
network or a client of ours; its tasks are then ended in the background, which must work, too.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import trio

from hubbub.engine import ConversationSettings, Engine, EngineSettings, WriterSettings
from hubbub.storage.store import WriterStore
from hubbub.transport.api import Api
from hubbub.transport.auth import Authenticator
from hubbub.transport.door import Door, DoorSettings
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.live import GUESTS_WELCOME, Live
from hubbub.transport.ports import Connection
from hubbub.transport.router import Router
from hubbub.transport.serve import drain
from hubbub.transport.table import Table, TableSettings

from .crash import Crashes
from .disk import Disk, SimBackend
from .host import Host
from .plan import Plan

DRAIN_S = 15.0
STALL_S = 20.0
ENDS_WITHIN_S = 60.0
GRACE_S = 3.0
WALL_MS = 1_790_000_000_000


@attrs.define
class WallClock:
    """The clock on the wall, which may be set."""

    step_ms: int = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return WALL_MS + self.step_ms + int(trio.current_time() * 1000)


class SimEngine(Engine):
    """The engine, with checkpoints of ours in its actors and its reads."""

    crashes = Crashes()  # replaced by the process that runs it

    def _make_actor(self, slot: Any) -> Any:
        actor = super()._make_actor(slot)
        for name in ("on_start", "on_batch", "on_stop"):
            setattr(actor, name, self.crashes.exposed(f"actor {slot.key}", getattr(actor, name)))
        return actor

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        exposed: Any = self.crashes.exposed("read", work)  # type: ignore[arg-type]  # it is a coroutine function
        super()._spawn(exposed)


def settings_of(plan: Plan) -> tuple[EngineSettings, WriterSettings]:
    """The settings, small, so that every bound is met."""

    def picked(kind: type) -> dict[str, Any]:
        names = {field.name for field in attrs.fields(kind)}
        return {name: value for name, value in plan.bounds.items() if name in names}

    conversation = ConversationSettings(**picked(ConversationSettings))
    engine = EngineSettings(conversation=conversation, drain_s=DRAIN_S, **picked(EngineSettings))
    return engine, WriterSettings(**picked(WriterSettings))


async def _no_cold_lane_to_drain(within_s: float) -> None:
    """There is none."""


class Process:
    """One server process.

    Attributes:
        alive: False from the moment it was killed: whatever it does then is seen by nobody.
        unanswered: embedders that still waited for an answer when the server had ended.
        running: set when it serves. `ended`: set when its last task is gone.
    """

    def __init__(self, plan: Plan, disk: Disk, wall: WallClock, crashes: Crashes, number: int) -> None:
        self._wall = wall
        self._crashes = crashes
        self._random = random.Random(f"process {plan.seed} {number}")
        self.number = number
        self.host = Host()
        self.backend = SimBackend(disk, self._random)
        self._settings, writer_settings = settings_of(plan)
        self.store = WriterStore(self.backend, writer_settings, drain_s=10.0)
        self.alive = True
        self._engine: Engine | None = None
        self._embedders: trio.Nursery | None = None
        self.unanswered = 0
        self.running = trio.Event()
        self.ended = trio.Event()
        self.stopping = trio.Event()
        self.scope = trio.CancelScope()

    @property
    def engine(self) -> Engine:
        """Once it runs."""
        assert self._engine is not None
        return self._engine

    @property
    def embedders(self) -> trio.Nursery:
        """For tasks that live in this process, beside the server, once it runs."""
        assert self._embedders is not None
        return self._embedders

    def kill(self, *, silently: bool) -> None:
        """kill -9 at this moment, or (`silently`) the machine loses its power."""
        if not self.alive:
            return
        self.alive = False
        self.host.die(silently=silently)
        self.backend.die()
        self.scope.cancel()

    async def run(self) -> None:
        """Serve until stopped, killed or fenced."""
        try:
            with self.scope:
                await self._run()
        finally:
            self.host.die(silently=False)
            self.ended.set()

    async def _run(self) -> None:
        """The server, and beside it the embedders, who outlive it by nothing: whoever waits for an answer gets one."""
        async with trio.open_nursery() as self._embedders:
            await self._serve()
            self.store.close()
            await trio.sleep(GRACE_S)
            self.unanswered = len(self._embedders.child_tasks)
            self._embedders.cancel_scope.cancel()

    async def _serve(self) -> None:
        writer: Any = self.store._writer
        writer._commit_until_drained = self._crashes.exposed("writer", writer._commit_until_drained)
        SimEngine.crashes = self._crashes
        async with SimEngine.open(
            store=self.store,
            settings=self._settings,
            clock=trio.current_time,
            wall=self._wall.now_ms,
            randbits=self._random.getrandbits,
        ) as self._engine:
            engine = self._engine
            table = Table(
                TableSettings(stall_s=STALL_S, max_unsent_bytes=100_000),
                poller=self.host.poller,
                clock=trio.current_time,
            )
            async with trio.open_nursery() as nursery:
                await nursery.start(table.run)
                table.listen(self.host.listener, self._door(engine, table).machine)  # type: ignore[arg-type]
                self.running.set()
                nursery.start_soon(self._stop_when_fenced)
                await self.stopping.wait()
                await drain(engine, table, _no_cold_lane_to_drain, DRAIN_S)
                nursery.cancel_scope.cancel()

    def _door(self, engine: Engine, table: Table) -> Door:
        def start_soon(work: Callable[[], Awaitable[None]]) -> None:
            table.start_soon(work)

        auth = Authenticator(engine.store, engine.now_ms, start_soon)
        api = Api(engine, auth, ROUTES, Live(GUESTS_WELCOME), start_soon)
        door = DoorSettings()
        return Door(Router(api, door.socket, door.stream), self._no_cold_lane, door.http)

    @staticmethod
    def _no_cold_lane(conn: Connection, data: bytes) -> None:
        raise AssertionError("a client of the simulation asked for the cold lane")

    async def _stop_when_fenced(self) -> None:
        await self.store.fenced.wait()
        self.stopping.set()
