"""Room: what of a conversation outlives its actor. The subscribers, the batch in flight, and who waits for it.

The actor comes and goes (crash, passivation); its machine is then `None` and subscribers see a pause. A batch that was handed
to the store is settled whoever lives: with a running actor the actor settles it, without one the room answers the waiting
posters itself, and the next incarnation, which starts only after that, finds the events in the log and publishes them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import attrs
import trio

from ..actors import ActorError, MailboxClosed, MailboxFull, Quarantined
from .core.batch import Batch, Committed, Rejected, Repeat, Result
from .core.codec import event_json
from .core.commands import Command
from .core.conversation import ConversationMachine, Pending, message_of
from .core.cursor import Cursor
from .core.errors import (
    ConversationQuarantined,
    EngineClosed,
    EngineError,
    OutcomeUnknown,
    Overloaded,
    Unprocessable,
)
from .core.ids import ConversationId
from .core.messages import Ack, Event, Principal
from .core.subscriber import Progress, Stage, Subscriber
from .core.tail import Tail


class Nudge:
    """A message to the actor that only says: look at your room."""

    __slots__ = ()


NUDGE: Final = Nudge()


class Pager(Protocol):
    """What reads pages for subscribers behind the tail."""

    def start_pager(self, room: "Room", subscriber: Subscriber) -> None:
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
        """Of the slot's actor; "idle" when none runs."""
        ...

    def pin(self) -> None:
        """Keep the actor from passivating."""
        ...

    def unpin(self) -> None:
        """Undo one pin."""
        ...


class Room:
    """Subscribers and unfinished business of one conversation.

    Attributes:
        machine: the running actor's, or None.
        groups: push subscribers by wire format; a pass writes the same bytes to all of a group.
    """

    __slots__ = (
        "_batch_done",
        "_pager",
        "batch",
        "clients",
        "epoch",
        "flying",
        "groups",
        "id",
        "machine",
        "members",
        "settled",
        "slot",
        "write_bytes",
    )

    def __init__(
        self,
        conversation: ConversationId,
        slot: Slot,
        write_bytes: int,
        pager: Pager,
    ) -> None:
        self.id = conversation
        self.slot = slot
        self.write_bytes = write_bytes
        self._pager = pager
        self.machine: ConversationMachine | None = None
        self.epoch = ""
        self.groups: dict[str, dict[Subscriber, None]] = {}
        self.clients: dict[str, Principal] = {}
        self.members: Counter[str] = Counter()
        self.batch: Batch | None = None
        self.flying: list[Pending] = []
        self.settled: Sequence[Result] | None = None
        self._batch_done: trio.Event | None = None

    # -- commands ---------------------------------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Put a command into the mailbox.

        Raises:
            Overloaded: the mailbox is full; nothing was kept.
            ConversationQuarantined, EngineClosed.
        """
        try:
            self.slot.put(command)
        except MailboxFull:
            raise Overloaded("the conversation's mailbox is full") from None
        except Quarantined:
            raise ConversationQuarantined from None
        except MailboxClosed:
            raise EngineClosed from None

    def nudge(self) -> None:
        """Wake the actor, if it can be woken. A full mailbox wakes it anyway; a closed one means that it is draining."""
        try:
            self.slot.put(NUDGE)
        except ActorError:
            return

    @property
    def disposable(self) -> bool:
        """Nothing would be forgotten if this room were made anew at the next command."""
        return self.slot.state == "idle" and self.batch is None and not self.clients

    # -- the batch in flight ----------------------------------------------------------------------------------------

    def depart(self, batch: Batch, flying: list[Pending]) -> None:
        """Note a batch before it is handed to the store."""
        self.batch = batch
        self.flying = flying
        self.settled = None

    def on_settled(self, batch: Batch, results: Sequence[Result]) -> None:
        """The store settled the batch: keep the results for the actor, or answer for a dead one."""
        if batch is not self.batch:
            raise ValueError("a batch of another flight was settled")
        if self.machine is None:
            self._answer_orphans(results)
            self.land()
        else:
            self.settled = results
            self.nudge()
        if self._batch_done is not None:
            self._batch_done.set()
            self._batch_done = None

    def land(self) -> None:
        """The batch is dealt with."""
        self.batch = None
        self.flying = []
        self.settled = None

    async def wait_settled(self) -> None:
        """Wait until no batch is out, or its results are here. Cancellation changes nothing."""
        while self.batch is not None and self.settled is None:
            if self._batch_done is None:
                self._batch_done = trio.Event()
            await self._batch_done.wait()

    def crashed(self) -> None:
        """The actor died: what waited is certainly not stored, what flies will be answered when it lands."""
        machine, self.machine = self.machine, None
        if machine is not None:
            for pending in machine.abandon():
                pending.answer(Overloaded("the conversation restarted before the post was stored"))
        if self.settled is not None:
            self._answer_orphans(self.settled)
            self.land()

    def _answer_orphans(self, results: Sequence[Result]) -> None:
        for pending, result in zip(self.flying, results, strict=True):
            pending.answer(_late_answer(self.epoch, pending, result))

    # -- subscribers ------------------------------------------------------------------------------------------------

    @property
    def tail(self) -> Tail | None:
        """The tail while an actor runs."""
        return None if self.machine is None else self.machine.tail

    def attach(self, subscriber: Subscriber) -> None:
        """Add a push subscriber; it counts as present from now on."""
        subscriber.host = self
        self.groups.setdefault(subscriber.format.name, {})[subscriber] = None
        self._arrive(subscriber.client, subscriber.principal)

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

    def _arrive(self, client: str, principal: Principal) -> None:
        self.clients[client] = principal
        self.members[principal.id] += 1
        self.slot.pin()

    def _leave(self, client: str) -> None:
        principal = self.clients.pop(client)
        self.members[principal.id] -= 1
        if not self.members[principal.id]:
            del self.members[principal.id]
        self.slot.unpin()

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
        match subscriber.advance(tail, self.write_bytes):
            case Progress.BLOCKED:
                subscriber.outlet.fell_behind(subscriber)
            case Progress.FELL_OUT:
                self._pager.start_pager(self, subscriber)
            case Progress.AT_HEAD:
                pass

    def cut_all(self, error: EngineError) -> None:
        """End every subscription (quarantine, archive of the server)."""
        for subscriber in list(self.subscribers()):
            subscriber.outlet.cut_off(subscriber, error.code)

    def spread(self, event: Event) -> None:
        """Give an ephemeral event to those who stand at the head and can take it now; the others never miss it."""
        body = event_json(event)
        head = self.machine.tail.head if self.machine is not None else -1
        for group in list(self.groups.values()):
            data: bytes | None = None
            for subscriber in list(group):
                if subscriber.cursor == head and subscriber.stage is Stage.LIVE:
                    if data is None:
                        data = subscriber.format.encode(event, body)
                    subscriber.signal(event, data)


def _late_answer(epoch: str, pending: Pending, result: Result) -> Ack | EngineError:
    match result:
        case Rejected(error):
            return error
        case Committed(offset) if pending.row.change is None:
            return Ack(message_of(pending.row, offset), Cursor(epoch, offset))
        case Repeat() if result.digest == pending.row.digest:
            message = message_of(pending.row, result.offset, row_id=result.id, at_ms=result.at_ms)
            return Ack(message, Cursor(epoch, result.offset), repeated=True)
        case Repeat():
            return Unprocessable("the idempotency key was used for another body")
        case Committed():
            return OutcomeUnknown("the conversation restarted: ask for its state")


@attrs.frozen
class RoomStatistics:
    """Figures of one live conversation."""

    id: str
    head: int
    subscribers: int
    tail_items: int
    tail_bytes: int
    waiting: int


def statistics_of(room: Room) -> RoomStatistics:
    """A snapshot of a room; cheap."""
    machine = room.machine
    return RoomStatistics(
        room.id,
        0 if machine is None else machine.tail.head,
        len(room.clients),
        0 if machine is None else len(machine.tail),
        0 if machine is None else machine.tail.size_bytes,
        0 if machine is None else len(machine.waiting),
    )
