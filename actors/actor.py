"""The actor: state that one task owns, reached only by messages.

An incarnation is one life of an actor object: `on_start`, batches one after another, `on_stop`. A crash ends it at once,
without `on_stop`; a fresh object made by the factory is the next incarnation and reads the same mailbox.

Left out: who runs it, when it is restarted (`supervisor.py`, `registry.py`).
"""

import abc
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from .errors import MailboxClosed, MailboxInterrupted
from .place import ActorRef, Place

M = TypeVar("M")


class Actor(abc.ABC, Generic[M]):
    """Base class of actors; `M` is the union of its messages.

    Everything it raises (an `Exception`) is a crash. Its methods never run at the same time. It is shielded from
    cancellation from outside until its shutdown deadline passes.
    """

    max_batch: ClassVar[int | None] = None
    """Most messages in one batch; None takes all that wait."""

    _place: Place[M] | None = None
    stop_wanted = False
    """True once `stop` was called."""

    async def on_start(self) -> None:
        """Prepare. The actor is ready, and its supervisor goes on, when this returns."""

    @abc.abstractmethod
    async def on_batch(self, batch: list[M]) -> None:
        """Handle messages, oldest first. The list is the kernel's: keep messages if need be, but do not change it."""

    async def on_stop(self) -> None:
        """Finish in order. Runs on an orderly stop, after the mailbox is drained, within the shutdown deadline."""

    @property
    def idle(self) -> bool:
        """True when a registry may stop this actor: nothing in flight, nobody is owed a reply."""
        return True

    @property
    def ref(self) -> ActorRef[M]:
        """The actor's own handle, from `on_start` on."""
        if self._place is None:
            raise RuntimeError("the actor has not been started")
        return ActorRef(self._place)

    def stop(self) -> None:
        """End normally after the running batch: `on_stop` runs, messages in the mailbox are not read."""
        self.stop_wanted = True
        if self._place is not None:
            self._place.mailbox.interrupt()


async def run_incarnation(actor: Actor[M], place: Place[M], ready: Callable[[], None]) -> None:
    """Run one incarnation to its orderly end; what the actor raises passes through.

    It ends when the mailbox is closed and drained, or interrupted, or when the actor calls `stop`. While a batch is
    handled it stands in `place.in_hand`, and stays there after a crash.
    """
    mailbox = place.mailbox
    mailbox.resume()
    actor._place = place
    await actor.on_start()
    ready()
    while not actor.stop_wanted:
        try:
            batch = await mailbox.get_batch(actor.max_batch)
        except (MailboxClosed, MailboxInterrupted):
            break
        place.in_hand = batch
        await actor.on_batch(batch)
        # Let go of the messages before waiting for the next: a reply that the actor dropped must be seen to be dropped.
        place.in_hand = None
        del batch
    await actor.on_stop()
