"""The conversation machine: order, repeats, deadlines and the tail of one conversation. Sans-I/O, owned by one actor.

A submission goes: accepted into `waiting` (or answered at once), handed over in a `Flight` (one at a time), settled by the
store, appended to the tail, answered. What arrives while a flight is out waits and leaves with the next one.

Invariants: the tail's head is the offset of the last event that the store settled here; each submission is answered exactly
once; submissions with one key share one row, so a key never flies twice; an error answered as "unavailable" withdraws the row.
A key that was acked keeps its ack, whatever the conversation has become since: what would be refused is `Doubted` when it has a
key, and only the store can tell then.
"""

from collections import deque
from collections.abc import Sequence

import attrs

from .batch import Committed, Rejected, Repeat, Result, Row
from .commands import Submit
from .config import ConversationSettings
from .cursor import Cursor
from .dedupe import Dedupe, Scope
from .errors import EngineError, OutcomeUnknown, Overloaded, StoreUnavailable, Unprocessable
from .messages import Ack, ConversationChange, Event, EventType, Message, Record
from .permissions import check
from .recovery import Decision, Since, decide
from .tail import Tail

_OTHER_BODY = "the idempotency key was used for another body"


@attrs.define(eq=False)
class Pending:
    """One row and everybody who waits for it: the first submission, then retries of it with the same key."""

    row: Row
    deadline: float
    submissions: list[Submit]

    @property
    def scope(self) -> Scope | None:
        """What its key is unique in; None without a key."""
        return None if self.row.key is None else Scope(self.row.actor.id, self.row.key)

    @property
    def answered(self) -> bool:
        """Whether nobody waits for it any longer."""
        return all(submission.answered for submission in self.submissions)

    def answer(self, answer: Ack | Record | EngineError) -> None:
        """Answer everybody; all but the first are told that theirs was a repeat.

        Raises:
            ExceptionGroup: what replies raised; the other submissions have been answered all the same.
        """
        failures: list[Exception] = []
        for place, submission in enumerate(self.submissions):
            if place == 1 and isinstance(answer, Ack):
                answer = attrs.evolve(answer, repeated=True)
            try:
                submission.answer(answer)
            except Exception as error:  # noqa: BLE001  one caller's bug must not cost the others their answer
                failures.append(error)
        if failures:
            raise ExceptionGroup("replies failed", failures)


@attrs.frozen
class Doubted:
    """A post with a key is refused, unless the store knows the key: then it is the retry of a post that was committed."""

    error: EngineError


@attrs.define(eq=False)
class Flight:
    """What was handed to the storage actor together."""

    pending: list[Pending]


class ConversationMachine:
    """The rules of one conversation.

    Args:
        record: as loaded; `record.offset` is the head of the log.
        tail: the newest events, ending at that head.
        settings: bounds.
    """

    __slots__ = (
        "_dedupe",
        "_described",
        "_flying",
        "_waiting_bytes",
        "flight",
        "record",
        "settings",
        "tail",
        "waiting",
    )

    def __init__(self, record: Record, tail: Tail, settings: ConversationSettings) -> None:
        self.record = record
        self.tail = tail
        self.settings = settings
        self.waiting: deque[Pending] = deque()
        self.flight: Flight | None = None
        self._dedupe = Dedupe(settings.dedupe_items, settings.dedupe_bytes)
        self._flying: dict[Scope, Pending] = {}
        self._waiting_bytes = 0
        self._described: Record | None = None

    @property
    def busy(self) -> bool:
        """Whether an answer is owed or a batch is out."""
        return self.flight is not None or bool(self.waiting)

    def described(self) -> Record:
        """The record with the current head; the same object until one of the two changes: a crowd that joins asks for it."""
        known = self._described
        if known is None or known.offset != self.tail.head:
            known = self._described = attrs.evolve(self.record, offset=self.tail.head)
        return known

    def submit(self, submission: Submit) -> Ack | EngineError | Doubted | None:
        """Accept a submission, or say at once what it comes to. None: the answer follows."""
        row = submission.row
        if row.key is not None:
            scope = Scope(row.actor.id, row.key)
            known = self._dedupe.acked(scope)
            if known is not None:
                if known.digest != row.digest:
                    return Unprocessable(_OTHER_BODY)
                return attrs.evolve(known.ack, repeated=True)
            pending = self._flying.get(scope)
            if pending is not None:
                return self._share(pending, submission)
        refusal = _refusal(submission, self.record)
        return self._enqueue(submission) if refusal is None else refusal

    def _share(self, pending: Pending, retry: Submit) -> EngineError | None:
        """A retry of what is on its way."""
        if pending.row.digest != retry.row.digest:
            return Unprocessable(_OTHER_BODY)
        if len(pending.submissions) >= self.settings.waiting_items:
            return Overloaded("too many retries of one post")
        if pending.answered:  # the deadlines of those before are over; only this one's counts now
            pending.deadline = retry.deadline
        retry.row = pending.row  # the same content: let go of the copy
        pending.submissions.append(retry)
        return None

    def _enqueue(self, submission: Submit) -> EngineError | None:
        row = submission.row
        size = row.size_bytes
        full = self._waiting_bytes and self._waiting_bytes + size > self.settings.waiting_bytes
        if full or len(self.waiting) >= self.settings.waiting_items:
            return Overloaded("too many posts wait in this conversation")
        pending = Pending(row, submission.deadline, [submission])
        self.waiting.append(pending)
        self._waiting_bytes += size
        if row.key is not None:
            self._flying[Scope(row.actor.id, row.key)] = pending
        return None

    def take_flight(self) -> list[Row] | None:
        """The rows to hand over now; None while a flight is out or nothing waits."""
        if self.flight is not None or not self.waiting:
            return None
        taken: list[Pending] = []
        size = 0
        while self.waiting and len(taken) < self.settings.batch_items:
            size += self.waiting[0].row.size_bytes
            if taken and size > self.settings.batch_bytes:
                break
            taken.append(self.waiting.popleft())
            self._waiting_bytes -= taken[-1].row.size_bytes
        self.flight = Flight(taken)
        return [pending.row for pending in taken]

    def refuse_flight(self, error: EngineError) -> list[tuple[Pending, EngineError]]:
        """The storage actor did not take the flight: everybody in it is told, nothing is stored."""
        assert self.flight is not None
        flight, self.flight = self.flight, None
        return [(self._forget(pending), error) for pending in flight.pending]

    def settle(self, results: Sequence[Result]) -> list[tuple[Pending, Ack | Record | EngineError | Doubted]]:
        """Take what became of the flight: append what was committed and return the answers, in order.

        Raises:
            ValueError: the results do not continue the log; the owner must start again from the store.
        """
        assert self.flight is not None
        flight, self.flight = self.flight, None
        answers: list[tuple[Pending, Ack | Record | EngineError | Doubted]] = []
        before = self.record
        for pending, result in zip(flight.pending, results, strict=True):
            answers.append((pending, self._settle_one(pending, result)))
        if self.record is not before:
            answers.extend(self._refuse_waiting())
        return answers

    def _refuse_waiting(self) -> list[tuple[Pending, EngineError | Doubted]]:
        """The conversation has changed: what waits must be allowed in it as it is now."""
        refused: list[tuple[Pending, EngineError | Doubted]] = []
        for pending in self.waiting:
            refusal = _refusal(pending.submissions[0], self.record)
            if refusal is not None:
                refused.append((pending, refusal))
        self._drop([pending for pending, _ in refused])
        return refused

    def _settle_one(self, pending: Pending, result: Result) -> Ack | Record | EngineError:
        self._forget(pending)
        match result:
            case Rejected(error):
                return error
            case Repeat():
                answer = answer_to_repeat(pending.row, result, self.record.epoch)
                if isinstance(answer, EngineError):
                    return answer
                if result.offset > self.tail.head:
                    raise ValueError(f"a repeat at {result.offset}, past the head {self.tail.head}")
                return self._remember(pending, answer)
            case Committed(offset):
                event = event_of(pending.row, offset)
                self.tail.append(event)
                if event.message is None:
                    return self._changed(pending.row.change or ConversationChange())
                return self._remember(pending, Ack(event.message, Cursor(self.record.epoch, offset)))

    def _remember(self, pending: Pending, ack: Ack) -> Ack:
        if pending.scope is not None:
            self._dedupe.acknowledge(pending.scope, pending.row.digest, ack)
        return ack

    def _changed(self, change: ConversationChange) -> Record:
        self.record = changed(self.record, change)
        self._described = None
        return self.described()

    def expire(self, now: float, *, sent: bool) -> list[tuple[Pending, EngineError]]:
        """Answer what is past its deadline.

        What has not left for the store is withdrawn and certainly not stored. What has left stays in its flight, and will be
        published if it turns out to be committed, but nobody waits for it any longer.

        Args:
            now: the engine's clock, seconds.
            sent: whether the flight has left for the store (`Batch.sent`).
        """
        expired = [] if self.flight is None else overdue(self.flight.pending, now, sent=sent)
        if not sent:
            for pending, _ in expired:
                self._forget(pending)  # a retry must not share the fate of a row that will never leave
        late = [pending for pending in self.waiting if now >= pending.deadline]
        self._drop(late)
        expired.extend((pending, StoreUnavailable()) for pending in late)
        return expired

    def _drop(self, leaving: list[Pending]) -> None:
        if leaving:
            gone = {id(pending) for pending in leaving}
            self.waiting = deque(pending for pending in self.waiting if id(pending) not in gone)
        for pending in leaving:
            self._waiting_bytes -= self._forget(pending).row.size_bytes

    def abandon(self) -> list[Pending]:
        """Give up everything that waits (the actor ends): returned to be refused as certainly not stored."""
        waiting = [self._forget(pending) for pending in self.waiting]
        self.waiting.clear()
        self._waiting_bytes = 0
        return waiting

    def _forget(self, pending: Pending) -> Pending:
        scope = pending.scope
        if scope is not None and self._flying.get(scope) is pending:
            del self._flying[scope]
        return pending

    def recover(self, since: Since | None) -> Decision:
        """Where a subscriber that left off at `since` is served from."""
        return decide(since, epoch=self.record.epoch, oldest=0, floor=self.tail.floor, head=self.tail.head)


def _refusal(submission: Submit, record: Record) -> EngineError | Doubted | None:
    """Why a submission is not allowed in the conversation as it is; None when it is."""
    try:
        check(submission.principal, submission.verb, record)
    except EngineError as error:
        return error if submission.row.key is None else Doubted(error)
    return None


def answer_to_repeat(row: Row, first: Repeat, epoch: str) -> Ack | Unprocessable:
    """What a post comes to whose key was used before."""
    if first.digest != row.digest:
        return Unprocessable(_OTHER_BODY)
    return Ack(message_of(row, first.offset, first), Cursor(epoch, first.offset), repeated=True)


def overdue(flying: Sequence[Pending], now: float, *, sent: bool) -> list[tuple[Pending, EngineError]]:
    """Those of a flight whose deadline is over, each with its answer, once. What was not sent is withdrawn."""
    expired: list[tuple[Pending, EngineError]] = []
    for pending in flying:
        if now < pending.deadline or pending.row.withdrawn or pending.answered:
            continue
        pending.row.withdrawn = not sent
        expired.append((pending, OutcomeUnknown() if sent else StoreUnavailable()))
    return expired


def message_of(row: Row, offset: int, first: Repeat | None = None) -> Message:
    """The message that a row became, or that an equal earlier row became, which was the `first` with its key."""
    told = first or row
    return Message(
        id=told.id,
        conversation=row.conversation,
        offset=offset,
        author=told.actor,
        text=row.text,
        created_at_ms=told.at_ms,
        reply_to=row.reply_to,
        meta_json=row.meta_json,
    )


def event_of(row: Row, offset: int) -> Event:
    """The event that a row became."""
    message = message_of(row, offset) if row.type == EventType.MESSAGE_CREATED else None
    return Event(row.type, row.conversation, offset, row.at_ms, row.actor, message=message, change=row.change)


def changed(record: Record, change: ConversationChange) -> Record:
    """A record after a change."""
    return attrs.evolve(
        record,
        title=record.title if change.title is None else change.title,
        visibility=record.visibility if change.visibility is None else change.visibility,
        archived=record.archived if change.archived is None else change.archived,
    )
