"""Following: who follows a conversation, and how they are joined, served on the spot and let go.

The base of `_room.Room`, which adds the business of posters. Followers outlive the conversation's actor; without one, when its
machine is `None`, they see a pause. No group of them is empty, and whoever is in a group pins the actor.

What an outlet raises is logged and ends its own subscription: it is one caller's bug, not the conversation's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sized
from itertools import islice
from typing import Final, Protocol

from ..actors import ActorError
from ._answers import log_failure, refusal_of
from ._meters import Meters
from .core.commands import Command, Roster
from .core.config import ConversationSettings
from .core.conversation import ConversationMachine
from .core.errors import EngineBroken, EngineError
from .core.ids import ConversationId
from .core.messages import Record
from .core.permissions import Verb, check
from .core.principals import Principal
from .core.subscriber import Progress, Stage, Subscriber
from .core.tail import Tail


class Nudge:
    """A message to the actor that only says: look at your room."""

    __slots__ = ()


NUDGE: Final = Nudge()


class Pager(Protocol):
    """What reads pages for subscribers behind the tail."""

    def start_pager(self, room: Following, subscriber: Subscriber) -> None:
        """A live subscriber fell out of the tail."""
        ...

    def writable(self, subscriber: Subscriber) -> None:
        """A subscriber that reads pages has room again, or is gone."""
        ...


class Slot(Protocol):
    """What the room uses of its place in the registry."""

    def put(self, message: Command | Nudge) -> None:
        """Send to the actor, starting it when needed."""
        ...

    @property
    def state(self) -> str:
        """Of the slot's actor; "idle" when none runs, "quarantined" when it crashed too often."""
        ...

    @property
    def mailbox(self) -> Sized:
        """What waits for the actor."""
        ...

    @property
    def in_hand(self) -> object:
        """What the actor handles just now, or None."""
        ...

    def pin(self) -> None:
        """Keep the actor from passivating."""
        ...

    def unpin(self) -> None:
        """Undo one pin."""
        ...


class Following:
    """Who follows one conversation.

    Attributes:
        machine: the running actor's, or None.
        meters: what is counted over all rooms.
        groups: push subscribers by wire format, no group empty; a pass writes the same bytes to all of a group.
        clients: all that follow, by client id.
        members: by user id, how many clients each has here.
    """

    __slots__ = ("_pager", "clients", "groups", "id", "machine", "members", "meters", "slot", "write_bytes")

    def __init__(
        self,
        conversation: ConversationId,
        slot: Slot,
        settings: ConversationSettings,
        pager: Pager,
        meters: Meters,
    ) -> None:
        self.id = conversation
        self.slot = slot
        self.write_bytes = settings.write_bytes
        self._pager = pager
        self.meters = meters
        self.machine: ConversationMachine | None = None
        self.groups: dict[str, dict[Subscriber, None]] = {}
        self.clients: dict[str, Principal] = {}
        self.members: Counter[str] = Counter()

    @property
    def tail(self) -> Tail | None:
        """The tail while an actor runs."""
        return None if self.machine is None else self.machine.tail

    def pin(self) -> None:
        """Keep the actor from passivating, until `slot.unpin`.

        Raises:
            EngineClosed, ConversationQuarantined, Overloaded: it was not pinned.
        """
        try:
            self.slot.pin()
        except ActorError as error:
            raise refusal_of(error) from None

    def attach(self, subscriber: Subscriber) -> None:
        """Add a push subscriber; it counts as present from now on.

        Raises:
            EngineClosed: the engine is closing; it was not added.
        """
        self.pin()
        subscriber.host = self
        self.groups.setdefault(subscriber.format.name, {})[subscriber] = None
        self.clients[subscriber.client] = subscriber.principal
        self.members[subscriber.principal.id] += 1

    def detach(self, subscriber: Subscriber) -> None:
        """Remove a push subscriber. Never refused, never waits, idempotent."""
        if subscriber.stage is Stage.PAGING:
            subscriber.stage = Stage.GONE
            self._pager.writable(subscriber)  # its task looks up and ends
        subscriber.stage = Stage.GONE
        group = self.groups.get(subscriber.format.name)
        if group is not None and subscriber in group:
            del group[subscriber]
            if not group:
                del self.groups[subscriber.format.name]
            self._leave(subscriber.client)

    def _leave(self, client: str) -> None:
        principal = self.clients.pop(client)
        self.members[principal.id] -= 1
        if not self.members[principal.id]:
            del self.members[principal.id]
        self.slot.unpin()

    def roster(self, limit: int) -> Roster:
        """Who is here."""
        return Roster(len(self.clients), len(self.members), tuple(islice(self.clients.items(), limit)))

    def subscribers(self) -> Iterator[Subscriber]:
        """All push subscribers."""
        for group in self.groups.values():
            yield from group

    def resume(self, subscriber: Subscriber) -> None:
        """Go on with a subscriber that may be written to again, or that just joined. Idempotent."""
        if subscriber.stage is Stage.PAGING:
            self._pager.writable(subscriber)
            return
        tail = self.tail
        if tail is None or subscriber.stage is not Stage.LIVE:
            return
        try:
            match subscriber.advance(tail, self.write_bytes):
                case Progress.BLOCKED:
                    subscriber.outlet.fell_behind(subscriber)
                case Progress.FELL_OUT:
                    self._pager.start_pager(self, subscriber)
                case Progress.AT_HEAD:
                    pass
        except Exception as error:  # noqa: BLE001  a broken outlet ends its own subscription, not the conversation
            self.drop_broken(subscriber, error)

    def drop_broken(self, subscriber: Subscriber, error: Exception) -> None:
        """Let go of a subscriber whose outlet raised: what it took is not known."""
        log_failure("an outlet failed", error, conversation=self.id, client=subscriber.client)
        self.cut(subscriber, EngineBroken())

    def cut(self, subscriber: Subscriber, error: EngineError) -> None:
        """End one subscription."""
        self.meters.cut_off[error.code] += 1
        try:
            subscriber.outlet.cut_off(subscriber, error.code)
        except Exception as failure:  # noqa: BLE001  as in `resume`
            log_failure("an outlet failed", failure, conversation=self.id, client=subscriber.client)
        finally:
            subscriber.leave()

    def cut_all(self, error: EngineError) -> None:
        """End every subscription (quarantine, end of the engine)."""
        for subscriber in list(self.subscribers()):
            self.cut(subscriber, error)

    def cut_hidden(self, record: Record, users: set[str] | None = None) -> None:
        """End the subscriptions of those who may no longer read it.

        Args:
            users: look at these only, whose membership has just changed. They are given the event that says so first, when they
                stand near enough: nothing that came after it is in the tail yet. Others may not see what the conversation became.
        """
        for subscriber in list(self.subscribers()):
            if users is not None and subscriber.principal.id not in users:
                continue
            try:
                check(subscriber.principal, Verb.READ, record)
            except EngineError as error:
                if users is not None and subscriber.stage is Stage.LIVE:
                    self.resume(subscriber)
                    if not self._has(subscriber):
                        continue  # its outlet broke, or it fell too far behind: it was cut for that
                self.cut(subscriber, error)

    def _has(self, subscriber: Subscriber) -> bool:
        return subscriber in self.groups.get(subscriber.format.name, ())
