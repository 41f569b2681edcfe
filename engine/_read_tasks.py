"""Read tasks: what has to wait for the store, each in a task of its own, in a nursery that the engine supervises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from ._answers import log_failure
from .core.errors import EngineClosed


class ReadTasks:
    """The engine's child that reads. It runs until it is cancelled; a bug in one read does not end the others."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None

    def spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        """Start a task.

        Raises:
            EngineClosed: the child does not run.
        """
        if self._nursery is None:
            raise EngineClosed
        self._nursery.start_soon(_guarded, work)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be the child."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None


async def _guarded(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception as error:  # noqa: BLE001  a bug in one read must not end the others
        log_failure("a read failed", error)  # whoever waited for it has been answered
