"""Room: what of a conversation outlives its actor. The subscribers, the batch in flight, and who waits for it.

The actor comes and goes (crash, passivation); its machine is then `None` and subscribers see a pause. A batch that was handed
to the store is settled whoever lives: with a running actor the actor settles it, without one the room answers the waiting
posters itself, and the next incarnation, which loads only after that, finds the events in the log and publishes them.

What a reply or an outlet raises is logged and goes no further: it is one caller's bug, not the conversation's.
"""

from collections import Counter
from collections.abc import Iterator, Sequence, Sized
from itertools import islice
from typing import Final, Protocol

import trio

from ..actors import ActorError
from ._answers import late_answer, log_failure, refusal_of, refuse, tell
from ._meters import Meters
from ._spread import Spread
from .core.batch import Batch, Result
from .core.commands import Command, Roster
from .core.config import ConversationSettings
from .core.conversation import ConversationMachine, Pending, overdue
from .core.errors import ConversationQuarantined, EngineBroken, EngineError, OutcomeUnknown
from .core.ids import ConversationId
from .core.messages import Event, Record
from .core.permissions import Verb, check
from .core.principals import Principal
from .core.subscriber import Progress, Stage, Subscriber
from .core.tail import Tail
from .tracing import BatchTrace


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


class Room:
    """Subscribers and unfinished business of one conversation.

    Attributes:
        machine: the running actor's, or None.
        known: the conversation as it was when an actor last crashed, or None: for when it cannot be loaded any more.
        loading: the scope of the load that its actor waits for, or None.
        meters: what is counted over all rooms.
        trace: the way of the batch in flight, where there is a tracer.
        settled_s: when the last batch was settled, on the engine's clock.
        groups: push subscribers by wire format, no group empty; a pass writes the same bytes to all of a group.
        spread: ephemeral events on their way; they end with the actor's incarnation.
    """

    __slots__ = (
        "_batch_done",
        "_pager",
        "_sent_from",
        "batch",
        "clients",
        "flying",
        "groups",
        "id",
        "known",
        "loading",
        "machine",
        "members",
        "meters",
        "settled",
        "settled_s",
        "slot",
        "spread",
        "trace",
        "write_bytes",
    )

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
        self.known: Record | None = None
        self.loading: trio.CancelScope | None = None
        self._sent_from: Record | None = None
        self.groups: dict[str, dict[Subscriber, None]] = {}
        self.spread = Spread(settings, self.groups)
        self.clients: dict[str, Principal] = {}
        self.members: Counter[str] = Counter()
        self.batch: Batch | None = None
        self.flying: list[Pending] = []
        self.settled: Sequence[Result] | None = None
        self.settled_s = 0.0
        self.trace: BatchTrace | None = None
        self._batch_done: trio.Event | None = None

    # -- commands ---------------------------------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Put a command into the mailbox.

        Raises:
            Overloaded: the mailbox is full, or too many conversations are live; nothing was kept.
            ConversationQuarantined, EngineClosed.
            NotFound, Forbidden: it is quarantined, and who asks may not know.
        """
        try:
            self.slot.put(command)
        except ActorError as error:
            raise self.refusal_to(command, refusal_of(error)) from None

    def refusal_to(self, command: Command, error: EngineError) -> EngineError:
        """What a command is refused with that no actor will see: who may not read there must not learn of a quarantine, as far
        as it is known who may (of a conversation that could not be loaded since the start nothing is)."""
        if self.known is not None and isinstance(error, ConversationQuarantined):
            try:
                check(command.principal, Verb.READ, self.known)
            except EngineError as hidden:
                return hidden
        return error

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

    @property
    def owing(self) -> bool:
        """Commands wait, or answers of the store are out."""
        return bool(len(self.slot.mailbox)) or self.slot.in_hand is not None or self.owing_posters

    @property
    def owing_posters(self) -> bool:
        """Somebody waits for the answer to a post. A batch that is out and of which everybody has been told is no debt."""
        if self.machine is not None and self.machine.waiting:
            return True
        return any(not pending.answered for pending in self.flying)

    def tend(self, now: float) -> bool:
        """Watch deadlines, and see to it that subscribers without a loaded conversation get one; whoever lives.

        Args:
            now: the engine's clock, seconds.

        Returns:
            Whether this room has to be looked at again.
        """
        sent = self.batch is not None and self.batch.sent
        machine = self.machine
        expired = machine.expire(now, sent=sent) if machine is not None else overdue(self.flying, now, sent=sent)
        for pending, error in expired:
            refuse(pending, error)
        deserted = self.machine is None and bool(self.clients)
        if deserted:
            self.rouse()
        return deserted or self.batch is not None or (self.machine is not None and self.machine.busy)

    def drain(self, within_s: float) -> None:
        """The engine drains: a load that its actor waits for takes no longer than this, in seconds, from now on."""
        if self.loading is not None:
            self.loading.deadline = trio.current_time() + within_s

    def rouse(self) -> None:
        """Let an actor, or a keeper, that could not load try again."""
        waking = bool(len(self.slot.mailbox)) or self.slot.state not in ("idle", "running", "quarantined")
        if self.machine is None and not waking:
            self.nudge()

    # -- the batch in flight ----------------------------------------------------------------------------------------

    def depart(self, batch: Batch, flying: list[Pending], record: Record) -> None:
        """Note a batch before it is handed to the store, and the conversation as it is before it."""
        self.batch = batch
        self.flying = flying
        self._sent_from = record
        self.settled = None
        if self.meters.tracer is not None:
            self.trace = BatchTrace(batch, self.meters.clock())

    def on_settled(self, batch: Batch, results: Sequence[Result]) -> None:
        """The store settled the batch: keep the results for the actor, or answer for a dead one."""
        if batch is not self.batch:
            raise ValueError("a batch of another flight was settled")
        if self.trace is not None:
            self.trace.results, self.trace.settled_s = results, self.meters.clock()
        if self.machine is None:
            self._answer_orphans(results)
            self.finish(self.land())
            if self.clients:
                self.rouse()
        else:
            self.settled = results
            self.settled_s = self.meters.clock()
            self.nudge()
        if self._batch_done is not None:
            self._batch_done.set()
            self._batch_done = None

    def land(self) -> BatchTrace | None:
        """The batch is dealt with. Returns its way, to be finished when it has come to its end."""
        self.batch = None
        self.flying = []
        self.settled = None
        trace, self.trace = self.trace, None
        return trace

    def finish(self, trace: BatchTrace | None, readers: int | None = None) -> None:
        """Tell the tracer, if there is one, of a batch that has come to its end.

        Args:
            readers: as in `BatchTrace`.
        """
        tracer = self.meters.tracer
        if trace is None or tracer is None:
            return
        trace.ended_s, trace.readers = self.meters.clock(), readers
        try:
            tracer.finished(trace)
        except Exception as error:  # noqa: BLE001  a tracer's bug must not cost the conversation anything
            log_failure("a tracer failed", error, conversation=self.id)

    async def wait_settled(self) -> None:
        """Wait until no batch is out, or its results are here. Cancellation changes nothing."""
        while self.batch is not None and self.settled is None:
            if self._batch_done is None:
                self._batch_done = trio.Event()
            await self._batch_done.wait()

    def crashed(self, error: EngineError) -> None:
        """The actor died: what waited is certainly not stored and told `error`, what flies is answered when it lands."""
        machine, self.machine = self.machine, None
        if machine is not None:
            self.known = machine.record
        self.spread.clear()
        if self.settled is not None:
            self._answer_orphans(self.settled)
            self.finish(self.land())
        if machine is not None:
            for pending in machine.abandon():
                refuse(pending, error)

    def _answer_orphans(self, results: Sequence[Result]) -> None:
        record = self._sent_from
        assert record is not None, "a batch departs with its record"
        for pending, result in zip(self.flying, results, strict=True):
            try:
                answer = late_answer(record, pending.row, result)
            except Exception as error:  # noqa: BLE001  what crashed the actor may be in here; the others are owed theirs
                log_failure("an answer failed", error, conversation=self.id)
                answer = OutcomeUnknown()
            tell(pending, answer)

    # -- subscribers ------------------------------------------------------------------------------------------------

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

    def announce(self, event: Event, now: float) -> None:
        """Have the actor spread an ephemeral event. Without one nobody stands at the head, and nobody is told.

        Args:
            now: the engine's clock, seconds.
        """
        if self.machine is not None:
            self.spread.add(event, now)
            self.nudge()

    def say_all(self) -> None:
        """Spread what waits to be spread now, in one go: for when the subscriptions are about to end."""
        while self.machine is not None and self.spread.busy:
            self.spread.step(self.machine.tail.head, self.drop_broken)
