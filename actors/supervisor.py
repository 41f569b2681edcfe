"""Supervisors: start children in order, restart what crashes, give up when that does not help, stop in reverse order.

Terms and behaviour follow OTP. One control loop per supervisor reacts to ends of children and to requests, one at a time.

Invariants:
- children run in this supervisor's nursery and nowhere else; when `run` returns, none is left
- the restart intensity is that of the whole supervisor; a restart that fails to start counts as a crash
- giving up stops the other children in reverse start order and raises RestartsExceeded from the last crash
- cancellation from outside runs the same ordered shutdown, under a shield, each child with its deadline

Differences from OTP: a restart waits by an exponential backoff; the mailbox of a restarted actor and its handles survive,
only what the crashed incarnation had taken is lost.

Left out: actors made per key (`registry.py`).
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar, get_args

import attrs
import trio

from .child import Child, ChildSpec
from .errors import ActorDied, ActorError, RestartsExceeded, StartFailed
from .place import ActorRef
from .reply import Answer
from .restart import GiveUp, RestartIntensity, RestartWindow
from .tree import Node

M = TypeVar("M")
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
AnyChild = Child[Any]  # a supervisor holds children of every message type

_log = logging.getLogger(__name__)


@attrs.frozen(eq=False)
class _StartChild:
    spec: ChildSpec[Any]
    answer: Answer[ActorRef[Any]]


@attrs.frozen(eq=False)
class _StopChild:
    name: str
    answer: Answer[None]


class Supervisor:
    """Runs and restarts children.

    Args:
        name: for errors and the tree.
        strategy: which children are restarted with the one that ended: only it, all, or it and those started after it.
        children: started in this order, stopped in reverse.
        intensity: restarts that are bearable, counted over all children.
    """

    def __init__(
        self,
        name: str,
        strategy: Strategy = "one_for_one",
        *,
        children: Iterable[ChildSpec[Any]] = (),
        intensity: RestartIntensity | None = None,
    ) -> None:
        if strategy not in get_args(Strategy):
            raise ValueError(f"unknown strategy {strategy!r}")
        self.name = name
        self._strategy: Strategy = strategy
        self._specs = tuple(children)
        if len({spec.name for spec in self._specs}) < len(self._specs):
            raise ValueError(f"two children of supervisor {name!r} have one name")
        self._intensity = intensity or RestartIntensity()
        self._state = "stopped"
        self._nursery: trio.Nursery | None = None
        self._reset()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Supervisor"]:
        """Run it for the length of an `async with` block: ready on entry, shut down in order on leaving.

        Raises:
            StartFailed: a child crashed before it was ready; those before it have been stopped.
            RestartsExceeded: it gave up; the block was cancelled, all children are stopped.

        An error of the block comes out as it is. If the supervisor gave up as well, both come out in an ExceptionGroup.
        """
        errors: list[Exception] = []

        async def run(task_status: trio.TaskStatus[None]) -> None:
            try:
                await self.run(task_status)
            except RestartsExceeded as exc:
                errors.append(exc)
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(run)
                yield self
            except Exception as exc:  # noqa: BLE001  raised again below, outside the nursery that would wrap it
                errors.append(exc)
            nursery.cancel_scope.cancel()
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup(f"supervisor {self.name!r} and the block around it failed", errors)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the children, tell `task_status` when all are ready, supervise until cancelled.

        May be run again after it ended (a parent restarts it so): from the specs given at the beginning.

        Raises:
            StartFailed: a child crashed before it was ready.
            RestartsExceeded: it gave up.
        """
        if self._nursery is not None:
            raise RuntimeError(f"supervisor {self.name!r} runs already")
        failure: ActorError | None = None
        self._reset()
        self._state = "starting"
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                failure = await self._start_all()
                if failure is None:
                    self._state = "running"
                    task_status.started()
                    failure = await self._supervise()
            finally:
                with trio.CancelScope(shield=True):
                    await self._shut_down(failure)
        if failure is not None:
            raise failure

    async def start_child(self, spec: ChildSpec[M]) -> ActorRef[M]:
        """Start a child after the present ones. Returns its handle when it is ready.

        Not to be called from a child's `on_start`: the supervisor waits for that one. A cancelled caller leaves the child
        to the supervisor.

        Raises:
            StartFailed: it crashed before it was ready and was not added; `__cause__` is its error.
            ValueError: a child of this name exists.
            ActorDied: the supervisor does not run, or ends meanwhile.
        """
        answer: Answer[ActorRef[M]] = Answer()
        return await self._request(_StartChild(spec, answer), answer)

    async def stop_child(self, name: str) -> None:
        """Stop a child in order, within its deadline, and forget it. Not to be called from that child.

        Raises:
            KeyError: there is no such child.
            ActorDied: the supervisor does not run, or ends meanwhile.
        """
        answer: Answer[None] = Answer()
        await self._request(_StopChild(name, answer), answer)

    def ref(self, name: str) -> ActorRef[Any]:
        """The handle of a child. Raises KeyError when there is none of this name."""
        return ActorRef(self._children[name].place)

    def tree(self) -> Node:
        """A snapshot of this supervisor and everything below it. Cheap."""
        return Node(
            name=self.name,
            kind="supervisor",
            state=self._state,
            restarts=sum(child.restarts for child in self._children.values()),
            children=tuple(child.node() for child in self._children.values()),
        )

    def _reset(self) -> None:
        self._children: dict[str, AnyChild] = {}
        self._window = RestartWindow(self._intensity)
        self._bell = trio.Event()
        # Both are bounded: an incarnation enters once and each turn empties it; a request has a task waiting for it.
        self._ended: deque[AnyChild] = deque()
        self._requests: deque[_StartChild | _StopChild] = deque()

    async def _start_all(self) -> ActorError | None:
        for spec in self._specs:
            child = self._add(spec)
            if not await self._start(child):
                return self._start_failed(child)
        return None

    async def _supervise(self) -> ActorError | None:
        """Until giving up: ends of children first, then requests, then restarts that are due."""
        while True:
            await self._wait_for_work()
            while self._ended:
                child = self._ended.popleft()
                if child.state == "ended":  # else it has been dealt with together with its group
                    failure = await self._on_end(child)
                    if failure is not None:
                        return failure
            while self._requests:
                await self._serve(self._requests[0])
                self._requests.popleft()  # only now: if this is cancelled, `_shut_down` answers the caller
            await self._start_due()

    async def _wait_for_work(self) -> None:
        due_s = min((child.due_s for child in self._children.values() if child.state == "backoff"), default=None)
        if self._ended or self._requests:
            await trio.lowlevel.checkpoint()
        elif due_s is None:
            await self._bell.wait()
        else:
            with trio.move_on_at(due_s):
                await self._bell.wait()
        self._bell = trio.Event()

    async def _on_end(self, child: AnyChild) -> ActorError | None:
        assert child.exit is not None
        error = child.exit.error
        if error is not None:
            _log.warning("child %r of supervisor %r crashed", child.spec.name, self.name, exc_info=error)
        restart = child.spec.restart
        if restart == "temporary" or (restart == "transient" and error is None):
            child.finish()
            if restart == "temporary":
                del self._children[child.spec.name]
            return None
        verdict = self._window.crashed(trio.current_time())
        if isinstance(verdict, GiveUp):
            return RestartsExceeded(self.name, verdict.restarts, self._intensity.within_s, error)
        await self._stop_group(child)
        due_s = trio.current_time() + verdict.after_s
        for member in self._group(child):
            member.await_restart(due_s)
        return None

    def _group(self, child: AnyChild) -> list[AnyChild]:
        """The children that are restarted when `child` is, in start order."""
        if self._strategy == "one_for_one":
            return [child]
        members = list(self._children.values())
        return members if self._strategy == "one_for_all" else members[members.index(child) :]

    async def _stop_group(self, child: AnyChild) -> None:
        for member in reversed(self._group(child)):
            if member is not child:
                temporary = member.spec.restart == "temporary"
                await self._stop(member, for_good=temporary)
                if temporary:
                    del self._children[member.spec.name]

    async def _start_due(self) -> None:
        now = trio.current_time()
        for child in list(self._children.values()):
            if child.state == "backoff" and child.due_s <= now:
                child.restarts += 1
                if not await self._start(child):
                    return  # its end is queued and comes first: it may concern those after it

    async def _serve(self, request: _StartChild | _StopChild) -> None:
        if isinstance(request, _StopChild):
            child = self._children.get(request.name)
            if child is None:
                request.answer.fail(KeyError(request.name))
                return
            await self._stop(child, for_good=True)
            del self._children[request.name]
            request.answer.set(None)
            return
        if request.spec.name in self._children:
            request.answer.fail(ValueError(f"supervisor {self.name!r} has a child {request.spec.name!r} already"))
            return
        child = self._add(request.spec)
        if await self._start(child):
            request.answer.set(ActorRef(child.place))
        else:
            failure = self._start_failed(child)
            child.finish()
            del self._children[child.spec.name]
            request.answer.fail(failure)

    def _add(self, spec: ChildSpec[Any]) -> AnyChild:
        child = self._children[spec.name] = Child(spec)
        return child

    async def _start(self, child: AnyChild) -> bool:
        """Start an incarnation and wait until it is ready (True) or gone."""
        assert self._nursery is not None
        child.prepare()
        self._nursery.start_soon(self._run_child, child)
        await child.settled.wait()
        return child.was_ready

    async def _run_child(self, child: AnyChild) -> None:
        await child.run()
        if child.state == "ended":
            self._ended.append(child)
            self._bell.set()

    def _start_failed(self, child: AnyChild) -> StartFailed:
        assert child.exit is not None
        return StartFailed(self.name, child.spec.name, child.exit.error)

    async def _stop(self, child: AnyChild, *, for_good: bool) -> None:
        if child.alive:
            child.ask_to_stop(for_good=for_good)
            await child.gone.wait()
            if child.exit is not None and child.exit.error is not None:
                _log.warning(
                    "child %r of supervisor %r crashed while stopping",
                    child.spec.name, self.name, exc_info=child.exit.error,
                )  # fmt: skip
        if for_good:
            child.finish()

    async def _shut_down(self, failure: ActorError | None) -> None:
        self._state = "stopping"
        for child in reversed(list(self._children.values())):
            await self._stop(child, for_good=True)
        self._state = "stopped"
        self._nursery = None
        while self._requests:
            self._requests.popleft().answer.fail(ActorDied(self.name, failure))

    async def _request(self, request: _StartChild | _StopChild, answer: Answer[M]) -> M:
        if self._nursery is None:
            raise ActorDied(self.name, None)
        self._requests.append(request)
        self._bell.set()
        try:
            await answer.wait()
        finally:
            answer.abandon()
        return answer.unwrap()
