"""Crashes at any checkpoint: drives a coroutine step by step and throws into it when its time has come."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class InjectedCrash(Exception):
    """A bug that the simulation makes up."""


class Crashes:
    """Which parts crash next, and after how many more of their checkpoints."""

    def __init__(self) -> None:
        self._armed: dict[str, int] = {}
        self._looping: dict[str, int] = {}
        self.done = 0

    def arm(self, part: str, after: int) -> None:
        """Crash `part` once, when it has passed `after` more checkpoints."""
        self._armed[part] = after

    def loop(self, part: str, every: int | None) -> None:
        """Crash `part` again and again, every so many checkpoints; None ends it."""
        if every is None:
            self._looping.pop(part, None)
        else:
            self._looping[part] = every
            self._armed.setdefault(part, every)

    def calm(self) -> None:
        """Nothing crashes any more."""
        self._armed.clear()
        self._looping.clear()

    def checkpoint(self, part: str) -> None:
        """Raise, when it is time."""
        left = self._armed.get(part)
        if left is None:
            return
        if left > 0:
            self._armed[part] = left - 1
            return
        del self._armed[part]
        if part in self._looping:
            self._armed[part] = self._looping[part]
        self.done += 1
        raise InjectedCrash(part)

    def exposed(self, part: str, method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Awaitable[T]]:
        """`method`, with a checkpoint of ours wherever it waits, and after it."""

        async def call(*args: P.args, **named: P.kwargs) -> T:
            result: T = await self._drive(part, method(*args, **named))
            self.checkpoint(part)
            return result

        return call

    @types.coroutine
    def _drive(self, part: str, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        send: Any = None
        error: BaseException | None = None
        while True:
            try:
                trap = work.send(send) if error is None else work.throw(error)
            except StopIteration as stop:
                return stop.value
            send = error = None
            try:
                send = yield trap
            except BaseException as exc:  # noqa: BLE001  whatever trio throws in goes on to the coroutine
                error = exc
            else:
                try:
                    self.checkpoint(part)
                except InjectedCrash as exc:
                    error = exc
