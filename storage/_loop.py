"""The asyncio loop under the driver, on trio, and what happens when something goes wrong inside it. See `driver.py`.

In asyncio an error in a callback belongs to nobody (under memory pressure: a `MemoryError` while a transport reads or writes).
Here it ends connections:

an error in a callback     every connection is cut, what was on the way fails as of unknown outcome, and the loop goes on: which
                           connection was hit is not known, and opening all of them again is cheap
the loop itself ends       or a call outlives its cut connection: no connection can be opened again. Every call fails at
                           once, the next ones with `StoreLost`, and whoever holds the loop open is cancelled with that error

A loop that ended is not replaced by another one: what ended it was an error in the machinery itself, and a process that starts
anew is the state that is known.

Left out: asyncpg (`driver.py`), reconnecting (the writer asks the backend to).
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeVar

import trio

from ..engine.log import get_logger
from ._guest import GuestLoop
from .ports import StoreLost

T = TypeVar("T")

_CUT_S: Final = 2.0  # a call whose connection was cut ends within milliseconds
_log = get_logger("hubbub.storage.loop")


class Cut(Exception):
    """The call was cut off, because something else in the loop failed."""


class Line(Protocol):
    """A connection."""

    def terminate(self) -> None:
        """Cut it at once, without waiting; may be called again."""
        ...


class _Call:
    """A trio task that waits for a future of the loop. It is woken once, by the future or because the loop has ended."""

    __slots__ = ("_parked", "_task", "_woken", "terminate")

    def __init__(self, terminate: Callable[[], object]) -> None:
        self._task = trio.lowlevel.current_task()
        self._parked = self._woken = False
        self.terminate = terminate

    def wake(self, _: object = None) -> None:
        if self._parked and not self._woken:
            trio.lowlevel.reschedule(self._task)
        self._woken = True

    async def wait(self, abort: Callable[[Callable[[], Any]], trio.lowlevel.Abort]) -> None:
        if self._woken:  # within the turn that began it
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            self._parked = True
            await trio.lowlevel.wait_task_rescheduled(abort)


class Loop:
    """The loop. Made by `open_aio`; all methods belong to the one trio thread.

    Attributes:
        lines: the connections in it, to be cut when something goes wrong. Whoever opens one adds it.
        dead: the loop has ended, and why. Nothing can be called any more.
    """

    def __init__(self) -> None:
        self._loop = GuestLoop(self._on_error)
        self._calls: set[_Call] = set()
        self._cut: set[_Call] = set()
        self._stirred = trio.Event()
        self._leaving = trio.Event()
        self.lines: weakref.WeakSet[Line] = weakref.WeakSet()
        self.dead: str | None = None

    async def call(self, work: Coroutine[Any, Any, T], terminate: Callable[[], object] | None = None) -> T:
        """Run a coroutine of asyncio to its end.

        Args:
            work: the coroutine.
            terminate: must make it end soon; called when this is cancelled. The default cancels the coroutine.

        Raises:
            StoreLost: the loop has ended; nothing was called.
            Cut: something in the loop failed meanwhile; what the call has done is not known.
        """
        if self.dead is not None:
            work.close()
            raise StoreLost(self.dead)
        future = asyncio.ensure_future(work, loop=self._loop)
        call = _Call(terminate or future.cancel)
        future.add_done_callback(call.wake)
        raise_cancel: Callable[[], Any] | None = None

        def abort(raising: Callable[[], Any]) -> trio.lowlevel.Abort:
            nonlocal raise_cancel
            raise_cancel = raising
            call.terminate()
            return trio.lowlevel.Abort.FAILED

        self._calls.add(call)
        self._loop.turn()  # what it sends leaves now
        try:
            await call.wait(abort)
        finally:
            self._calls.discard(call)
        in_vain = not future.done() or future.cancelled()
        if raise_cancel is not None and (in_vain or future.exception() is not None):
            raise_cancel()
        if in_vain:
            raise Cut("the driver failed meanwhile")
        return future.result()

    def _on_error(self, context: dict[str, Any]) -> None:
        """asyncio's exception handler. When it fails itself (no memory is left at all), the loop ends."""
        if self.dead is not None:
            return
        self._cut_all()  # before the log, which needs memory
        cause = context.get("exception")  # the message shows arguments, which may be somebody's text
        _log.error("connections_cut", why=type(cause).__name__, exc_info=cause)

    def _cut_all(self) -> None:
        self._cut |= self._calls
        self._stirred.set()
        for terminate in self._cuts():
            terminate()

    def _cuts(self) -> list[Callable[[], object]]:
        return [call.terminate for call in self._calls] + [line.terminate for line in self.lines]

    def leave(self) -> None:
        """Let `run` return."""
        self._leaving.set()
        self._stirred.set()

    async def _watch(self) -> None:
        """Return when it is time to leave.

        Raises:
            RuntimeError: a call did not end though its connection was cut: its wake-up was lost.
        """
        while True:
            await self._stirred.wait()
            self._stirred = trio.Event()
            with trio.move_on_after(_CUT_S):
                await self._leaving.wait()
                return
            if self._cut & self._calls:
                raise RuntimeError("a call did not end with its connection")
            self._cut.clear()

    async def run(self) -> None:
        """Run until told to leave.

        Raises:
            BaseException: the loop has ended by itself.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._loop.serve)
            await self._watch()
            nursery.cancel_scope.cancel()

    def close(self, *, failed: bool) -> None:
        """Close the loop, and the connections that are still open in it.

        Args:
            failed: it ends before its time; nobody may wait for it any longer.
        """
        for terminate in self._cuts():  # what this leaves to be done is done while the loop closes
            try:
                terminate()
            except Exception as exc:  # noqa: BLE001  whatever is broken in there, those who wait must be told
                _log.error("connection_not_cut", why=type(exc).__name__)
        if failed:
            self.dead = "the database driver has failed"
            for call in list(self._calls):
                call.wake()
        self._loop.close()


async def _hold(opened: Callable[[Loop], None]) -> None:
    loop = Loop()
    opened(loop)
    failed = True
    try:
        await loop.run()
        failed = False
    finally:
        loop.close(failed=failed)


@asynccontextmanager
async def open_aio() -> AsyncIterator[Loop]:
    """Run the loop while the block runs, shielded from cancellation until the block has been left.

    Raises:
        StoreLost: the loop ended by itself; the block was cancelled. `__cause__` says why.
    """
    loops: list[Loop] = []
    settled = trio.Event()
    death: BaseException | None = None
    failure: BaseException | None = None

    def opened(loop: Loop) -> None:
        loops.append(loop)
        settled.set()

    async def hold() -> None:
        nonlocal death
        try:
            with trio.CancelScope(shield=True):
                await _hold(opened)
        except BaseException as exc:  # noqa: BLE001  raised again below, without a group, and before what it causes
            death = exc
            _log.error("driver_failed", exc_info=exc)
            nursery.cancel_scope.cancel()
        finally:
            settled.set()

    async with trio.open_nursery() as nursery:
        # Not `nursery.start`: when cancelled it waits for a task that heeds cancellation, and this one does not.
        nursery.start_soon(hold)
        try:
            with trio.CancelScope(shield=True):
                await settled.wait()
            for loop in loops:  # one; or none, when it could not be opened
                yield loop
        except BaseException as exc:  # noqa: BLE001  raised again below: the nursery would wrap it in a group
            failure = exc
        for loop in loops:
            loop.leave()
    if isinstance(death, Exception):
        raise StoreLost(f"the database driver has failed: {_causes(death)}") from death
    if death is not None:
        raise death
    if failure is not None:
        raise failure


def _causes(exc: BaseException) -> str:
    """The names of the errors in a group, or of this one."""
    if isinstance(exc, BaseExceptionGroup):
        return ", ".join(dict.fromkeys(_causes(one) for one in exc.exceptions))
    return type(exc).__name__
