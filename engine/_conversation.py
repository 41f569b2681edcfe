"""The conversation actor: a thin shell around `core.conversation`. It drains its mailbox as a batch, asks the machine, hands
over to the store, answers posters, and makes one pass over the subscribers.

It never waits for a subscriber or for a commit. The only waits are loading (before it is ready) and yielding in a long pass.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import trio

from ..actors import Actor, ActorDied, summary_of
from ._answers import refuse, tell
from ._fanout import resume_all, run_pass
from ._following import Nudge
from ._reads import Reads
from ._room import Room
from ._step import Step
from .core.batch import Batch, Row
from .core.commands import Command, Describe, History, Join, NoteBlock, Presence, Replay, Signal, Submit
from .core.config import EngineSettings
from .core.conversation import ConversationMachine, Doubted, Pending
from .core.errors import (
    Conflict,
    ConversationQuarantined,
    EngineBroken,
    EngineClosed,
    EngineError,
    NotFound,
    Overloaded,
    StoreError,
    StoreUnavailable,
)
from .core.kinds import ConversationKind
from .core.messages import Ack, Event, Record
from .core.permissions import Verb, check
from .core.recovery import FromPages
from .core.subscriber import Joined, Stage
from .core.tail import Page, Tail
from .log import CONVERSATION, get_logger
from .ports import Store
from .tracing import BatchTrace

Query = Join | Describe | History | Replay | Signal | Presence | NoteBlock

_log = get_logger("hubbub.engine._conversation")

_NO_SUCH = "no such conversation"
_SETTLE_WAIT_S = 1.0  # a healthy store settles within milliseconds; callers are not kept waiting for a sick one


class ConversationActor(Actor[Command | Nudge]):
    """One incarnation of a conversation.

    Args:
        room: what outlives it.
        store: where it loads from and hands batches to.
        reads: carries out what has to wait for the store.
        settings: bounds.
        clock: seconds, monotonic.
        owes: called when the room has to be tended from now on: answers are owed, or subscribers wait for a load.
        drain_left_s: how long a drain may take from now on, seconds; infinite while the engine runs.
    """

    max_batch = 1024

    def __init__(
        self,
        room: Room,
        store: Store,
        reads: Reads,
        settings: EngineSettings,
        clock: Callable[[], float],
        owes: Callable[[Room], None],
        drain_left_s: Callable[[], float],
    ) -> None:
        self._room = room
        self._store = store
        self._reads = reads
        self._settings = settings
        self._clock = clock
        self._owes = owes
        self._drain_left_s = drain_left_s
        self._absent: EngineError = NotFound(_NO_SUCH)
        self._retry_at = 0.0

    @property
    def idle(self) -> bool:
        """Nothing in flight and nobody is owed an answer; subscribers pin the slot themselves.

        What is loaded stays while the store is away: it could not be loaded again, and its tail can still be read.
        """
        room = self._room
        if room.batch is not None:
            return False
        return room.machine is None or (not room.machine.busy and self._store.health().ready)

    async def on_start(self) -> None:
        """Load the log's end, after an earlier incarnation's batch has landed; then serve who was left behind."""
        CONVERSATION.set(self._room.id)  # the actor has a task of its own
        with self._until_drained(), trio.move_on_after(_SETTLE_WAIT_S):
            await self._room.wait_settled()
        await self._load()

    async def _load(self) -> None:
        room = self._room
        if room.batch is not None:  # loading now would miss what it is about to add
            self._absent = Overloaded("the conversation restarts, and its last posts are not settled yet")
        else:
            self._absent = EngineClosed()  # unless it ends before the drain does
            with self._until_drained():
                await self._load_settled()
        if room.machine is not None:
            await resume_all(room, self._settings.conversation.pass_items)
        elif room.clients:
            self._owes(room)  # they cannot ask for another try themselves

    @contextmanager
    def _until_drained(self) -> Iterator[None]:
        """Cancel the block when the engine's drain is over, also when that begins meanwhile."""
        room = self._room
        with trio.move_on_after(self._drain_left_s()) as scope:
            room.loading = scope
            try:
                yield
            finally:
                room.loading = None

    async def _load_settled(self) -> None:
        room = self._room
        try:
            record = await self._store.load(room.id)
            if record is None:
                self._absent = NotFound(_NO_SUCH)
                return
            tail = await self._load_tail(record)
            if record.kind is ConversationKind.DIRECT:
                record = await self._with_blockers(record)
        except StoreError as error:
            # The store being away is no fault of this conversation: no crash, no quarantine; it tries again when asked.
            self._absent = error
            self._retry_at = self._clock() + self._settings.tick_s
            return
        room.machine = ConversationMachine(record, tail, self._settings.conversation)
        room.cut_hidden(record)  # a change of visibility may have landed while no actor ran

    async def _with_blockers(self, record: Record) -> Record:
        two = record.members.belonging
        if len(two) != 2:  # the embedding program, which no rule restrains, has removed somebody
            return record
        return attrs.evolve(record, blockers=await self._store.blocks.between(*two))

    async def _load_tail(self, record: Record) -> Tail:
        bounds = self._settings.conversation
        events: list[Event] = []
        if record.offset:  # an empty log needs no second read: nobody else adds to it
            events = await self._store.latest(record.id, limit=bounds.tail_load_items, max_bytes=bounds.tail_bytes // 4)
        before = events[0].offset - 1 if events and events[0].offset is not None else record.offset
        tail = Tail(before, max_items=bounds.tail_items, max_bytes=bounds.tail_bytes)
        for event in events:
            tail.append(event)
        return tail

    async def on_batch(self, batch: list[Command | Nudge]) -> None:
        """Settle, handle, hand over, publish, spread; in this order."""
        room = self._room
        machine = room.machine or await self._loaded()
        if machine is None:
            self._refuse(batch)
            return
        start = machine.tail.head
        trace = self._settle(machine)
        step = Step(self._clock)
        for command in batch:
            self._handle(machine, command)
            if not isinstance(command, Submit) and step.over():
                await trio.lowlevel.checkpoint()
                step.begin()
        self._hand_over(machine)
        if start < machine.tail.head:
            bounds = self._settings.conversation
            await run_pass(room, machine.tail, start, write_bytes=bounds.write_bytes, pass_items=bounds.pass_items)
            room.meters.passes.note(self._clock() - room.settled_s)
        if trace is not None:
            room.finish(trace, len(room.clients) if start < machine.tail.head else None)
        if room.spread.busy:  # looked at here: a coroutine that has nothing to do costs every step 0.3 us
            await self._spread(machine)

    async def _spread(self, machine: ConversationMachine) -> None:
        """Spread signals, step by step, until something else has come: that is handled first, and then the next step."""
        room = self._room
        while room.spread.busy:
            room.spread.step(machine.tail.head, room.drop_broken)
            if room.spread.busy:
                await trio.lowlevel.checkpoint()
            if room.settled is not None or len(room.slot.mailbox):
                return

    async def _loaded(self) -> ConversationMachine | None:
        """The machine, after another try to load it when it is due."""
        room = self._room
        if room.machine is None and self._clock() >= self._retry_at:
            await self._load()  # the store may be back, and who was not there may have been made since
        return room.machine

    async def on_stop(self) -> None:
        """Drain: hand over and settle until nothing is owed, or until the engine's drain is over."""
        room, machine = self._room, self._room.machine
        with trio.move_on_after(self._drain_left_s()):
            while machine is not None and room.owing_posters:
                self._hand_over(machine)
                await room.wait_settled()
                await self.on_batch([])
        if machine is not None:
            room.finish(self._settle(machine))  # it may have landed in the moment in which the time was over
            for pending in machine.abandon():
                refuse(pending, StoreUnavailable("the server is shutting down"))
        room.machine = None
        room.spread.clear()

    # -- the parts of a batch -----------------------------------------------------------------------------------------

    def _refuse(self, batch: list[Command | Nudge]) -> None:
        for command in batch:
            if not isinstance(command, Nudge):
                refuse(command, self._absent)
        if isinstance(self._absent, NotFound):
            self.stop()  # names that nobody has made take no room

    def _settle(self, machine: ConversationMachine) -> BatchTrace | None:
        """Deal with the batch that was settled, if one was. Returns its way, where there is a tracer."""
        room = self._room
        if room.settled is None:
            return None
        before = machine.record
        answers = machine.settle(room.settled)
        trace = room.land()
        for pending, answer in answers:
            self._answer(pending, answer)
        if machine.record.visibility is not before.visibility:
            room.cut_hidden(machine.record)
        elif machine.record.members is not before.members:
            room.cut_hidden(
                machine.record, {pending.row.member.user.id for pending, _ in answers if pending.row.member}
            )
        return trace

    def _hand_over(self, machine: ConversationMachine) -> None:
        room = self._room
        # What the store refuses is not asked for again, and nothing would wake the actor for those behind it: they are next.
        while (rows := self._take_flight(machine)) is not None and machine.flight is not None:
            batch = Batch(room.id, rows, room.on_settled)
            room.depart(batch, machine.flight.pending, machine.record)
            try:
                self._store.submit(batch)
            except EngineError as error:
                self._refuse_flight(machine, error)
            except Exception:
                self._refuse_flight(machine, EngineBroken())
                raise

    def _take_flight(self, machine: ConversationMachine) -> list[Row] | None:
        rows = machine.take_flight()
        for pending, answer in machine.take_decided():
            tell(pending, answer)
        return rows

    def _refuse_flight(self, machine: ConversationMachine, error: EngineError) -> None:
        self._room.land()
        for pending, _ in machine.refuse_flight(error):
            refuse(pending, error)

    def _handle(self, machine: ConversationMachine, command: Command | Nudge) -> None:
        match command:
            case Submit():
                answer = machine.submit(command)
                if answer is not None:
                    self._answer(command, answer)
                else:
                    self._owes(self._room)
            case Nudge():
                pass  # it had the batch's beginning look at the room
            case _:
                try:
                    self._query(machine, command)
                except EngineError as error:
                    refuse(command, error)

    def _answer(self, owed: Submit | Pending, answer: Ack | Record | EngineError | Doubted) -> None:
        if not isinstance(answer, Doubted):
            tell(owed, answer)
            return
        machine = self._room.machine
        assert machine is not None, "it has just answered"
        try:
            self._reads.keys.find_ack(machine.record.epoch, owed, answer.error, owed.deadline - self._clock())
        except EngineError as error:
            refuse(owed, error)

    def _query(self, machine: ConversationMachine, command: Query) -> None:
        room = self._room
        if isinstance(command, Signal):
            check(command.principal, Verb.SIGNAL, machine.record, command.at_ms)
        else:
            verb = command.verb if isinstance(command, Describe) else Verb.READ
            check(command.principal, verb, machine.record)
        match command:
            case Join():
                self._join(machine, command)
            case Describe():
                tell(command, machine.described())
            case History():
                self._reads.history(room, machine, command)
            case Replay():
                self._reads.replay(room, machine, command)
            case Signal():
                author = command.principal.author
                event = Event(command.type, room.id, None, command.at_ms, author, data_json=command.data_json)
                room.spread.add(event, self._clock())
                tell(command, None)
            case Presence():
                tell(command, room.roster(command.limit))
            case NoteBlock():
                for pending, answer in machine.note_block(command.blocker, stands=command.stands):
                    self._answer(pending, answer)
                tell(command, None)

    def _join(self, machine: ConversationMachine, command: Join) -> None:
        room, subscriber, tail = self._room, command.subscriber, machine.tail
        if subscriber.stage is Stage.GONE:
            refuse(command, Conflict("unsubscribed before it had joined"))
            return
        decision = machine.recover(command.since)
        subscriber.cursor = decision.offset
        if isinstance(decision, FromPages) and not subscriber.pulls:
            self._reads.start_paging(room, subscriber, command, decision)
            return
        room.attach(subscriber)
        subscriber.stage = Stage.LIVE
        page = Page()
        if subscriber.cursor < tail.head:
            self._reads.tail_replays += 1
            if command.page_bytes and tail.covers(subscriber.cursor):
                upto = tail.reach(subscriber.cursor, command.page_bytes)
                page = tail.page(subscriber.cursor, upto)
                subscriber.cursor = upto
        if tell(command, Joined(machine.described(), decision, page, subscriber.cursor)):
            room.resume(subscriber)
        else:
            room.cut(subscriber, EngineBroken())  # it may not know that it joined, nor where it stands


def on_quarantine(room: Room, refused: list[Command | Nudge]) -> None:
    """Not even a keeper can serve `room`: whoever waits is refused, and nobody follows it any more."""
    for command in refused:
        if not isinstance(command, Nudge):
            refuse(command, room.refusal_to(command, ConversationQuarantined()))
    room.cut_all(ConversationQuarantined())


def on_crash(room: Room, error: Exception, lost: list[Command | Nudge]) -> None:
    """Registry callback: the actor of `room` died while it handled `lost`, or will never read it. Everybody is answered."""
    refusal: EngineError
    if isinstance(error, ActorDied):  # the end of the engine
        refusal = EngineClosed()
    else:
        _log.error("conversation crashed", conversation=room.id, error=summary_of(error))  # the kernel logs the stack
        refusal = Overloaded("the conversation restarted; nothing of this was kept")
    room.crashed(refusal)
    flying = {id(submission) for pending in room.flying for submission in pending.submissions}
    for command in lost:
        if not isinstance(command, Nudge) and id(command) not in flying:
            refuse(command, refusal)
