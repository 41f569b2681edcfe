"""Room: what of a conversation outlives its actor. The followers (`_following`), the batch in flight, and who waits for it.

The actor comes and goes (crash, passivation); its machine is then `None` and subscribers see a pause. A batch that was handed
to the store is settled whoever lives: with a running actor the actor settles it, without one the room answers the waiting
posters itself, and the next incarnation, which loads only after that, finds the events in the log and publishes them.

What a reply or an outlet raises is logged and goes no further: it is one caller's bug, not the conversation's.
"""

from collections.abc import Sequence

import trio

from ..actors import ActorError
from ._answers import late_answer, log_failure, refusal_of, refuse, tell
from ._following import NUDGE, Following, Pager, Slot
from ._meters import Meters
from ._spread import Spread
from .core.batch import Batch, Result
from .core.commands import Command
from .core.config import ConversationSettings
from .core.conversation import Pending, overdue
from .core.errors import ConversationQuarantined, EngineError, OutcomeUnknown
from .core.ids import ConversationId
from .core.messages import Event, Record
from .core.permissions import Verb, check
from .tracing import BatchTrace


class Room(Following):
    """Followers and unfinished business of one conversation.

    Attributes:
        known: the conversation as it was when an actor last crashed, or None: for when it cannot be loaded any more.
        loading: the scope of the load that its actor waits for, or None.
        trace: the way of the batch in flight, where there is a tracer.
        settled_s: when the last batch was settled, on the engine's clock.
        spread: ephemeral events on their way; they end with the actor's incarnation.
    """

    __slots__ = (
        "_batch_done",
        "_sent_from",
        "batch",
        "flying",
        "known",
        "loading",
        "settled",
        "settled_s",
        "spread",
        "trace",
    )

    def __init__(
        self,
        conversation: ConversationId,
        slot: Slot,
        settings: ConversationSettings,
        pager: Pager,
        meters: Meters,
    ) -> None:
        super().__init__(conversation, slot, settings, pager, meters)
        self.known: Record | None = None
        self.loading: trio.CancelScope | None = None
        self._sent_from: Record | None = None
        self.spread = Spread(settings, self.groups)
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

    # -- ephemeral events ---------------------------------------------------------------------------------------------

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
