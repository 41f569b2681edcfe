"""A child: how it is described, and one supervised child across its incarnations.

States: starting -> running -> ended (by itself) -> backoff -> starting ..., and stopping -> stopped (asked to).

Invariants:
- a child runs under a shield: cancellation from outside reaches it only through its supervisor's ordered shutdown
- only an `Exception` (an ExceptionGroup of them included) is a crash; any other BaseException passes through
- `settled` is set when the child is ready or gone, `gone` when its task has ended; neither can be missed

Left out: what follows from an end (`supervisor.py`).
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Literal, Protocol, TypeGuard, TypeVar, cast

import attrs
import trio
from attrs import validators

from .actor import Actor, run_incarnation
from .place import Exit, Place
from .tree import Node, NodeKind

M = TypeVar("M")

RestartType = Literal["permanent", "transient", "temporary"]


class Service(Protocol):
    """What a start function may return besides an actor: a supervisor, a registry, or anything of this shape."""

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Run until cancelled; call `task_status.started()` when ready; shut down in order under a shield of its own."""

    def tree(self) -> Node:
        """A snapshot for the tree."""


class TaskFunction(Protocol):
    """A plain task: calls `task_status.started()` when it is ready; is stopped by cancellation."""

    def __call__(self, *, task_status: trio.TaskStatus[None]) -> Awaitable[None]:
        """Run the task."""


@attrs.frozen
class ChildSpec(Generic[M]):
    """How to start, restart and stop one child.

    Attributes:
        name: unique in its supervisor.
        start: a function that returns a fresh `Actor` (called for every incarnation), or a `Supervisor` or `Registry`, or
            an async function ``(task_status)`` for a plain task.
        restart: "permanent" always restarts, "transient" after a crash only, "temporary" never.
        shutdown_s: how long an actor may drain and run `on_stop`, in seconds, before it is cancelled; may be infinite.
            Anything else is cancelled at once and waited for; it bounds its own clean-up.
        mailbox_capacity: most messages in an actor's mailbox.
    """

    name: str
    start: Callable[[], Actor[M] | Service] | TaskFunction
    restart: RestartType = attrs.field(
        default="permanent", validator=validators.in_(("permanent", "transient", "temporary"))
    )
    shutdown_s: float = attrs.field(default=5.0, validator=validators.ge(0))
    mailbox_capacity: int = attrs.field(default=1024, validator=validators.ge(1))


class Child(Generic[M]):
    """One child of a supervisor. Only its supervisor touches it."""

    __slots__ = (
        "_ready", "_scope", "_service", "due_s", "exit", "gone", "kind", "place", "restarts", "settled", "spec", "state",
    )  # fmt: skip

    def __init__(self, spec: ChildSpec[M]) -> None:
        self.spec = spec
        self.state: Literal["starting", "running", "ended", "backoff", "stopping", "stopped"] = "stopped"
        self.kind: NodeKind = "task" if is_task(spec.start) else "actor"
        self.restarts = 0
        self.due_s = 0.0
        self.exit: Exit | None = None
        self.place = self._new_place()
        self._service: Service | None = None
        self._begin_anew()

    def prepare(self) -> None:
        """Get ready for the next incarnation; its `run` is to be started right after."""
        if self.place.ended is not None:  # it ended for good and is restarted with its group: its handles are new
            self.place = self._new_place()
        self.exit = None
        self.state = "starting"
        self._begin_anew()

    async def run(self) -> None:
        """Run one incarnation and note how it ended. Raises only what is no `Exception`."""
        ended = Exit("shutdown")
        try:
            with self._scope:
                await self._body()
                if not self._ready and self.state != "stopping":
                    raise RuntimeError(f"child {self.spec.name!r} returned before it was ready")
                if self.state != "stopping":
                    ended = Exit("normal")
        except Exception as exc:  # noqa: BLE001  a crash is anything a child raises; its supervisor decides
            ended = Exit("crashed", exc)
        finally:
            self.exit = ended
            self.state = "stopped" if self.state == "stopping" else "ended"
            self.place.end_incarnation(ended)
            self.settled.set()
            self.gone.set()

    def ask_to_stop(self, *, for_good: bool) -> None:
        """Begin an orderly stop; `gone` tells when it is done. An actor that is not ready yet has nothing to drain.

        Args:
            for_good: drain the mailbox and close it, rather than leave what is inside to the next incarnation.
        """
        draining = self.kind == "actor" and self._ready
        self.state = "stopping"
        if not draining:
            self._scope.cancel()
            return
        if for_good:
            self.place.mailbox.close()
        else:
            self.place.mailbox.interrupt()
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + self.spec.shutdown_s)

    def await_restart(self, due_s: float) -> None:
        """Stand in backoff until `due_s` on trio's clock."""
        self.state = "backoff"
        self.due_s = due_s

    def finish(self) -> None:
        """It ends for good; its last crash, if it ended by one, is what waiting callers and monitors are told."""
        crashed = self.exit is not None and self.exit.reason == "crashed"
        normal = self.state == "ended" and not crashed
        self.place.finish(self.exit if self.exit is not None and (crashed or normal) else Exit("shutdown"))
        self.state = "stopped"

    @property
    def alive(self) -> bool:
        """True while its task runs."""
        return self.state in ("starting", "running", "stopping")

    @property
    def was_ready(self) -> bool:
        """True when this incarnation became ready."""
        return self._ready

    def node(self) -> Node:
        """Its part of the tree."""
        if self._service is not None:
            return attrs.evolve(
                self._service.tree(), name=self.spec.name, state=self._shown_state(), restarts=self.restarts
            )
        actor = self.kind == "actor"
        return Node(
            name=self.spec.name,
            kind=self.kind,
            state=self._shown_state(),
            restarts=self.restarts,
            depth=len(self.place.mailbox) if actor else None,
            capacity=self.place.mailbox.capacity if actor else None,
        )

    def started(self, value: None = None) -> None:
        """The child is ready."""
        self._ready = True
        if self.state == "starting":
            self.state = "running"
        self.settled.set()

    def _shown_state(self) -> str:
        return "stopped" if self.state == "ended" else self.state

    def _new_place(self) -> Place[M]:
        place: Place[M] = Place(self.spec.name, self.spec.mailbox_capacity)
        if self.kind != "actor":
            place.mailbox.close()
        return place

    def _begin_anew(self) -> None:
        self._scope = trio.CancelScope(shield=True)
        self._ready = False
        self.settled = trio.Event()
        self.gone = trio.Event()

    async def _body(self) -> None:
        start = self.spec.start
        if is_task(start):
            await start(task_status=self)
            return
        made = cast(Callable[[], Actor[M] | Service], start)()
        if isinstance(made, Actor):
            await run_incarnation(made, self.place, self.started)
            return
        self.kind = "task"
        self.place.mailbox.close()
        self._service = made
        await made.run(task_status=self)


def is_task(start: Any) -> TypeGuard[TaskFunction]:
    """True for an async function (also behind `functools.partial`) or an object with an async `__call__`."""
    return inspect.iscoroutinefunction(start) or inspect.iscoroutinefunction(getattr(type(start), "__call__", None))  # noqa: B004
