"""One key of a registry: its mailbox and its state, with or without a running actor.

Invariants:
- a key has one slot object as long as anybody holds it; puts on it are in order and never reach two actors
- a slot is in the registry's table while it runs, waits in backoff, is quarantined, is pinned, or holds messages
- a message that was accepted is read by an incarnation, or reported to `on_crash` or `on_quarantine`: never dropped silently
- `reason` is set exactly while the key is quarantined; it then has its fallback for an actor (`served`), or none

Left out: the task that runs the incarnations, capacity, passivation (`registry.py`).
"""

from typing import Generic, Literal, Protocol, TypeVar

import trio

from .actor import Actor
from .errors import Quarantined
from .place import ActorRef, Place
from .restart import RestartIntensity, RestartWindow

K = TypeVar("K")
M = TypeVar("M")

SlotState = Literal["idle", "starting", "running", "backoff", "stopping", "quarantined"]


class _Owner(Protocol[K, M]):
    """What a slot asks of its registry."""

    def admit(self, slot: "Slot[K, M]") -> None:
        """Make sure the slot is in the table; raises RegistryFull or MailboxClosed."""

    def activate(self, slot: "Slot[K, M]") -> None:
        """Start the slot's actor."""

    def let_go(self, slot: "Slot[K, M]") -> None:
        """Take the slot out of the table when nothing keeps it there."""


class Slot(Place[M], Generic[K, M]):
    """The place of one key. Made by `Registry.slot` only."""

    __slots__ = (
        "__weakref__", "_owner", "_state", "_window", "actor", "crashes", "key", "pins", "quiet_since_s", "reason",
        "restarts", "scope", "served", "taken_before",
    )  # fmt: skip

    def __init__(self, owner: _Owner[K, M], key: K, name: str, mailbox_capacity: int) -> None:
        super().__init__(name, mailbox_capacity)
        self.key = key
        self.pins = 0
        self.restarts = 0
        self.crashes = 0
        self.reason: Exception | None = None
        """Why the key is quarantined; None when it is not."""
        self.served = False
        """Whether the registry's fallback takes the messages of this quarantined key."""
        self.actor: Actor[M] | None = None
        self.scope: trio.CancelScope | None = None
        self.taken_before = 0
        self.quiet_since_s = 0.0
        self._owner = owner
        self._state: SlotState = "idle"
        self._window: RestartWindow | None = None

    @property
    def state(self) -> SlotState:
        """Where the slot stands."""
        return self._state

    @property
    def ref(self) -> ActorRef[M]:
        """A handle for `cast`, `call` and `monitor`; passivation is no end to it."""
        return ActorRef(self)

    def put(self, message: M) -> None:
        """Put a message and start the actor when it does not run. Never waits.

        Raises:
            MailboxFull: the key's mailbox is at its bound.
            MailboxClosed: the registry does not run or shuts down.
            Quarantined: the key gave up, and so did its fallback, or there is none.
            RegistryFull: the key is not live and there is no room for it.
        """
        state = self._state
        if state == "running":
            self.mailbox.put(message)
        elif state == "idle":
            self._owner.admit(self)
            self.mailbox.put(message)
            self._owner.activate(self)
        elif state == "quarantined":
            self._put_quarantined(message)
        else:
            self.mailbox.put(message)

    def _put_quarantined(self, message: M) -> None:
        if not self.served:
            assert self.reason is not None
            raise Quarantined(self.name, self.reason)
        self.mailbox.put(message)
        if self.scope is None:  # the fallback had stopped itself
            self._owner.activate(self)

    def pin(self) -> None:
        """Keep the slot: no passivation until every pin is undone. Starts nothing. Raises as `put` when not live."""
        self._owner.admit(self)
        self.pins += 1

    def unpin(self) -> None:
        """Undo one `pin`."""
        if self.pins == 0:
            raise ValueError(f"{self.name!r} is not pinned")
        self.pins -= 1
        self._owner.let_go(self)

    def release(self) -> None:
        """End the quarantine; the next message starts the actor, with a fresh restart intensity. No-op otherwise.

        A fallback is stopped in order after its batch; messages that it has not read wait for the actor.
        """
        if self.reason is None:
            return
        if not self.served:
            self.reopen()
        self.reason = self._window = None
        self.served = False
        if self.scope is None:
            self._state = "idle"
        else:
            self._state = "stopping"
            self.mailbox.interrupt()
        self._owner.let_go(self)

    def quarantine(self, reason: Exception, *, served: bool) -> None:
        """For the registry: the key gave up; from now on its fallback serves it, with restarts of its own, or nobody."""
        self._state = "quarantined"
        self.reason = reason
        self.served = served
        self._window = None

    def enter(self, state: SlotState) -> None:
        """For the registry: move to a state."""
        self._state = state

    def window(self, intensity: RestartIntensity) -> RestartWindow:
        """For the registry: the key's own restarts; made at its first crash."""
        self._window = self._window or RestartWindow(intensity)
        return self._window

    def quiet_for_s(self, now: float) -> float:
        """For the registry: how long nothing was read, as far as its sweeps could see, in seconds."""
        if self.taken_before != self.mailbox.taken or self.in_hand is not None:
            self.taken_before = self.mailbox.taken
            self.quiet_since_s = now
        return now - self.quiet_since_s

    def can_passivate(self) -> bool:
        """For the registry: running, waiting for a message, unpinned, and the actor says that it is idle."""
        return (
            self._state == "running"
            and not self.pins
            and self.in_hand is None
            and not len(self.mailbox)
            and self.actor is not None
            and self.actor.idle
        )
