"""Actors by key: started by their first message, stopped when idle, each key supervised on its own.

Invariants:
- at most `capacity` keys are live; past that a new key is refused with RegistryFull
- one key's crashes never restart, count against, or delay another key
- a message put at any moment of a passivation is not lost: the key is activated again
- a slot leaves the table when it does not run, holds no message and is not pinned; memory follows the live keys
- a quarantined key stays in the table until it is released; with a fallback it runs that and never its own actor
- slot tasks run in the registry's nursery, each under a shield; `run` ends with none left

One sweeper looks for idle keys; there is no timer per key, and a put reads no clock. So a key passivates between
`idle_s` and 1.5 * `idle_s` after its last message.

Left out: which keys exist and what their actors do.
"""

import itertools
import logging
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

import attrs
import trio

from .actor import Actor, run_incarnation
from .errors import ActorDied, MailboxClosed, Quarantined, RegistryFull, RestartsExceeded, summary_of
from .place import Exit
from .restart import GiveUp, RestartIntensity
from .slot import Slot
from .tree import Node

K = TypeVar("K")
M = TypeVar("M")

_LONGEST_SWEEP_PAUSE_S = 30.0
_SHORTEST_SWEEP_PAUSE_S = 0.05  # also between sweeps for room, so that refused callers cannot keep the sweeper busy
_SLOTS_PER_TURN = 1000  # of a sweep; about a millisecond
_NODES_SHOWN = 100

_log = logging.getLogger(__name__)


@attrs.frozen
class RegistryStatistics:
    """How full a registry is. `states` counts the live keys by state."""

    live: int
    capacity: int
    active: int
    quarantined: int
    activations: int
    passivations: int
    crashes: int
    refused: int
    states: dict[str, int]


class Registry(Generic[K, M]):
    """Keyed actors, activated on first use. Run it as a child: ``ChildSpec("rooms", lambda: registry)``.

    Args:
        factory: makes the actor of one incarnation; what it raises is a crash of that key.
        capacity: most live keys.
        mailbox_capacity: most messages waiting per key.
        idle_s: a key with nothing to do for so long, in seconds, is passivated; may be infinite.
        intensity: restarts that are bearable, per key.
        shutdown_s: how long all keys together may drain at shutdown, in seconds, before they are cancelled.
        name: for errors and the tree.
        on_crash: called, synchronously, with the slot, the error and the messages that no one will read: the batch in hand
            (some of it may have been handled), and at the end of a shutdown what was left in the mailbox.
        on_quarantine: called, synchronously, with the slot, the reason (RestartsExceeded) and the messages refused: none
            when the fallback takes over (`slot.served`), and once more when that gave up, too.
        fallback: makes the actor that serves a quarantined key in its actor's place, until the key is released. Messages
            that wait go to it. When it crashes more often than the intensity bears, the key refuses its messages.
    """

    def __init__(
        self,
        factory: Callable[[Slot[K, M]], Actor[M]],
        *,
        capacity: int = 10_000,
        mailbox_capacity: int = 1024,
        idle_s: float = 60.0,
        intensity: RestartIntensity | None = None,
        shutdown_s: float = 5.0,
        name: str = "registry",
        on_crash: Callable[[Slot[K, M], Exception, list[M]], None] | None = None,
        on_quarantine: Callable[[Slot[K, M], Exception, list[M]], None] | None = None,
        fallback: Callable[[Slot[K, M]], Actor[M]] | None = None,
    ) -> None:
        self.name = name
        self._factory = factory
        self._capacity = capacity
        self._mailbox_capacity = mailbox_capacity
        self._idle_s = idle_s
        self._intensity = intensity or RestartIntensity()
        self._shutdown_s = shutdown_s
        self._on_crash = on_crash
        self._on_quarantine = on_quarantine
        self._fallback = fallback
        self._nursery: trio.Nursery | None = None
        self._activations = self._passivations = self._crashes = self._refused = 0
        self._reset()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, then shut down in order: every running actor drains its mailbox and stops.

        May be run again after it ended; slots of the earlier run stay closed.
        """
        if self._nursery is not None:
            raise RuntimeError(f"registry {self.name!r} runs already")
        self._reset()
        try:
            async with trio.open_nursery() as self._nursery:
                try:
                    task_status.started()
                    await self._sweep_for_ever()
                finally:
                    await self._shut_down()
        finally:
            self._nursery = None

    def slot(self, key: K) -> Slot[K, M]:
        """The slot of a key, made when there is none. It takes room only once it is put to or pinned.

        Raises:
            RegistryFull: the key is not live and there is no room. Idle keys are then passivated ahead of their time, so
                that trying again soon may succeed.
        """
        slot = self._slots.get(key)
        if slot is not None:
            return slot
        self._check_room()
        slot = self._handles.get(key)
        if slot is None:
            slot = Slot(self, key, f"{self.name}[{key}]", self._mailbox_capacity)
            self._handles[key] = slot
        return slot

    def statistics(self) -> RegistryStatistics:
        """A snapshot; goes once over the live keys."""
        return RegistryStatistics(
            live=len(self._slots),
            capacity=self._capacity,
            active=self._active,
            quarantined=len(self._quarantined),
            activations=self._activations,
            passivations=self._passivations,
            crashes=self._crashes,
            refused=self._refused,
            states=dict(Counter(slot.state for slot in self._slots.values())),
        )

    @property
    def crashes(self) -> int:
        """Crashes of all keys, since the registry was made."""
        return self._crashes

    def quarantined(self) -> list[Slot[K, M]]:
        """The keys that gave up, oldest first."""
        return list(self._quarantined.values())

    def tree(self) -> Node:
        """A snapshot with the quarantined keys first and at most 100 keys in all. Cheap however many are live."""
        others = (slot for slot in self._slots.values() if slot.key not in self._quarantined)
        shown = list(itertools.islice(itertools.chain(self._quarantined.values(), others), _NODES_SHOWN))
        return Node(
            name=self.name,
            kind="registry",
            state="stopped" if self._nursery is None else "stopping" if self._closing.is_set() else "running",
            depth=len(self._slots),
            capacity=self._capacity,
            children=tuple(_node(slot) for slot in shown),
            omitted=len(self._slots) - len(shown),
        )

    def admit(self, slot: Slot[K, M]) -> None:
        """For slots: put it into the table. Raises MailboxClosed or RegistryFull."""
        if self._nursery is None or self._closing.is_set() or self._handles.get(slot.key) is not slot:
            raise MailboxClosed(slot.name)
        if slot.key not in self._slots:
            self._check_room()
            self._slots[slot.key] = slot

    def activate(self, slot: Slot[K, M]) -> None:
        """For slots: start its task."""
        assert self._nursery is not None
        if slot.reason is None:
            slot.enter("starting")
        slot.scope = trio.CancelScope(shield=True)
        self._active += 1
        self._nursery.start_soon(self._live, slot)

    def let_go(self, slot: Slot[K, M]) -> None:
        """For slots: drop it from the table when nothing keeps it."""
        if slot.state != "quarantined":
            self._quarantined.pop(slot.key, None)
        if slot.state == "idle" and not slot.pins and not len(slot.mailbox) and self._slots.get(slot.key) is slot:
            del self._slots[slot.key]

    def _reset(self) -> None:
        self._slots: dict[K, Slot[K, M]] = {}
        # Every slot somebody holds, live or not: whoever asks for the key gets the same object.
        self._handles: WeakValueDictionary[K, Slot[K, M]] = WeakValueDictionary()
        self._quarantined: dict[K, Slot[K, M]] = {}
        self._active = 0
        self._closing = trio.Event()
        self._all_stopped: trio.Event | None = None
        self._room_wanted = trio.Event()

    def _check_room(self) -> None:
        if len(self._slots) >= self._capacity:
            self._refused += 1
            self._room_wanted.set()
            raise RegistryFull(self.name, self._capacity)

    async def _live(self, slot: Slot[K, M]) -> None:
        """One activation of a slot: incarnation after incarnation until there is nothing to do."""
        assert slot.scope is not None
        try:
            with slot.scope:
                while await self._run_once(slot):
                    pass
        except Exception as exc:  # noqa: BLE001  raised while it was being cancelled at the deadline; it ends anyhow
            _log.warning("%s crashed while it was cancelled", slot.name, exc_info=exc)
        finally:
            self._retire(slot)

    async def _run_once(self, slot: Slot[K, M]) -> bool:
        """Run one incarnation. Returns whether another is due."""
        if self._closing.is_set():
            slot.enter("stopping")
        elif slot.reason is None:
            slot.enter("starting")
        factory = self._factory if slot.reason is None or self._fallback is None else self._fallback
        taken_before = slot.mailbox.taken
        error: Exception | None = None
        try:
            slot.actor = factory(slot)
            await run_incarnation(slot.actor, slot, lambda: self._ready(slot))
            if len(slot.mailbox) and slot.actor.stop_wanted and slot.mailbox.taken == taken_before:
                # It would be activated again at once, for ever; as a crash it is bounded by the restart intensity.
                raise RuntimeError("the actor stopped itself without reading the messages that wait")
        except Exception as exc:  # noqa: BLE001  a crash is anything an actor raises; the restart rule decides
            error = exc
        except BaseException:
            lost = slot.end_incarnation(Exit("shutdown"))
            self._tell(self._on_crash, slot, ActorDied(slot.name, None), lost)
            raise
        finally:
            slot.actor = None
        if error is not None:
            return await self._after_crash(slot, error)
        slot.end_incarnation(Exit("normal"))
        return len(slot.mailbox) > 0

    def _ready(self, slot: Slot[K, M]) -> None:
        self._activations += 1
        if slot.state == "starting":  # else it is a fallback, was released meanwhile, or the registry shuts down
            slot.quiet_since_s = trio.current_time()
            slot.enter("running")

    async def _after_crash(self, slot: Slot[K, M], error: Exception) -> bool:
        self._crashes += 1
        slot.crashes += 1
        _log.warning("%s crashed", slot.name, exc_info=error)
        self._tell(self._on_crash, slot, error, slot.end_incarnation(Exit("crashed", error)))
        if self._closing.is_set():
            return False
        verdict = slot.window(self._intensity).crashed(trio.current_time())
        if isinstance(verdict, GiveUp):
            return self._quarantine(
                slot, RestartsExceeded(slot.name, verdict.restarts, self._intensity.within_s, error)
            )
        if slot.reason is None:
            slot.enter("backoff")
        with trio.move_on_after(verdict.after_s):
            await self._closing.wait()
        slot.restarts += 1
        return not self._closing.is_set() or len(slot.mailbox) > 0

    def _quarantine(self, slot: Slot[K, M], reason: Exception) -> bool:
        """The key gave up, or its fallback did. Returns whether the fallback is due."""
        serve = self._fallback is not None and slot.reason is None
        slot.quarantine(reason, served=serve)
        self._quarantined[slot.key] = slot
        refused: list[M] = []
        if not serve:
            slot.fail_calls(lambda: Quarantined(slot.name, reason))
            refused = slot.finish(Exit("crashed", reason))
        _log.error("%s is quarantined", slot.name, exc_info=reason)
        self._tell(self._on_quarantine, slot, reason, refused)
        return serve

    def _tell(
        self,
        callback: Callable[[Slot[K, M], Exception, list[M]], None] | None,
        slot: Slot[K, M],
        error: Exception,
        messages: list[M],
    ) -> None:
        if callback is None:
            return
        try:
            callback(slot, error, messages)
        except Exception:  # noqa: BLE001  its bug must not reach the other keys
            _log.exception("a callback for %s failed", slot.name)

    def _retire(self, slot: Slot[K, M]) -> None:
        """The slot's task ends."""
        self._active -= 1
        slot.scope = None
        if slot.state != "quarantined":
            slot.enter("idle")
            if self._closing.is_set():
                self._end_slot(slot)
            else:
                self.let_go(slot)
        if not self._active and self._all_stopped is not None:
            self._all_stopped.set()

    def _end_slot(self, slot: Slot[K, M]) -> None:
        unread = slot.finish(Exit("shutdown"))
        if unread:
            self._tell(self._on_crash, slot, ActorDied(slot.name, None), unread)
        self._slots.pop(slot.key, None)
        self._quarantined.pop(slot.key, None)

    async def _sweep_for_ever(self) -> None:
        pause_s = min(max(self._idle_s / 4, _SHORTEST_SWEEP_PAUSE_S), _LONGEST_SWEEP_PAUSE_S)
        while True:
            with trio.move_on_after(pause_s):
                await self._room_wanted.wait()
            if self._room_wanted.is_set():
                self._room_wanted = trio.Event()
                await self._sweep(room_wanted=self._capacity // 8 + 1)
                await trio.sleep(_SHORTEST_SWEEP_PAUSE_S)
            else:
                await self._sweep(room_wanted=0)

    async def _sweep(self, room_wanted: int) -> None:
        """Passivate the keys that were quiet for `idle_s`, and as many idle ones as room is wanted for."""
        now = trio.current_time()
        for number, slot in enumerate(list(self._slots.values()), start=1):
            if number % _SLOTS_PER_TURN == 0:
                await trio.lowlevel.checkpoint()
                now = trio.current_time()
            due = slot.quiet_for_s(now) >= self._idle_s or room_wanted > 0
            if due and self._can_passivate(slot):
                room_wanted -= 1
                self._passivations += 1
                slot.enter("stopping")
                slot.mailbox.interrupt()

    def _can_passivate(self, slot: Slot[K, M]) -> bool:
        try:
            return slot.can_passivate()
        except Exception:  # noqa: BLE001  as above
            _log.exception("%s cannot tell whether it is idle", slot.name)
            return False

    async def _shut_down(self) -> None:
        self._closing.set()
        self._all_stopped = trio.Event()
        for slot in list(self._slots.values()):
            if slot.scope is not None:
                slot.enter("stopping")
                slot.mailbox.close()
            elif slot.state != "quarantined":
                self._end_slot(slot)
        if self._active:
            with trio.move_on_after(self._shutdown_s, shield=True):
                await self._all_stopped.wait()
        for slot in list(self._slots.values()):
            if slot.scope is not None:
                slot.scope.cancel()


def _node(slot: Slot[K, M]) -> Node:
    return Node(
        name=str(slot.key),
        kind="actor",
        state=slot.state,
        restarts=slot.restarts,
        depth=len(slot.mailbox),
        capacity=slot.mailbox.capacity,
        reason="" if slot.reason is None else summary_of(slot.reason.__cause__ or slot.reason),
    )
