"""Waiting: how an embedder's task awaits the reply to a command."""

from __future__ import annotations

from typing import Generic, TypeVar

import trio

from .core.errors import EngineError

A = TypeVar("A")


class Waiting(Generic[A]):
    """Turns a command's reply into something to await. A cancelled waiter breaks nothing: the answer is dropped."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self._answer: A | EngineError | None = None

    def reply(self, answer: A | EngineError) -> None:
        """Take the answer; the command's `reply`."""
        self._answer = answer
        self._event.set()

    async def wait(self) -> A:
        """The answer; an error is raised."""
        await self._event.wait()
        if isinstance(self._answer, EngineError):
            raise self._answer
        return self._answer  # type: ignore[return-value]  # set before the event, and not an error
