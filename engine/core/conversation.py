"""The conversation machine: order, repeats, deadlines and the tail of one conversation. Sans-I/O, owned by one actor.

A submission goes: accepted into `waiting` (or answered at once), handed over in a `Flight` (one at a time), settled by the
store, appended to the tail, answered. What arrives while a flight is out waits and leaves with the next one.

Invariants: the tail's head is the offset of the last event that the store settled here; each submission is answered exactly
once; submissions with one key share one row, so a key never flies twice; an error answered as "unavailable" withdraws the row.
A key that was acked keeps its ack, whatever the conversation has become since: what would be refused is `Doubted` when it has a
key, and only the store can tell then.

A row that changes the conversation or its members is the last of its flight, and what it comes to is decided when it is handed
over: so it is decided by what is settled, and whoever posts behind it must be allowed in the conversation as it is then.
"""

from collections import deque
from collections.abc import Sequence

import attrs
import msgspec

from .batch import Committed, Rejected, Repeat, Result, Row
from .commands import Submit
from .config import ConversationSettings
from .cursor import Cursor
from .dedupe import Dedupe, Scope
from .errors import (
    EngineError,
    OutcomeUnknown,
    Overloaded,
    PreconditionFailed,
    RateLimited,
    StoreUnavailable,
    Unprocessable,
)
from .kinds import EventType
from .members import MemberChange, decide_member
from .messages import Ack, Record
from .outcomes import OTHER_BODY, answer_to_repeat, event_of, record_after
from .permissions import Standing, Verb, check, rank_of, standing_of
from .recovery import Decision, Since, decide
from .slow_mode import SlowMode
from .tail import Tail
from .version import version_of

_OFFICE = frozenset({Standing.OWNER, Standing.MODERATOR})


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
                answer = msgspec.structs.replace(answer, repeated=True)
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
        "_decided",
        "_dedupe",
        "_described",
        "_flying",
        "_slow",
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
        self._decided: list[tuple[Pending, Record | EngineError]] = []
        self._slow = SlowMode()
        self._recall_speakers()

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
                    return Unprocessable(OTHER_BODY)
                return msgspec.structs.replace(known.ack, repeated=True)
            pending = self._flying.get(scope)
            if pending is not None:
                return self._share(pending, submission)
        refusal = _refusal(submission, self.record)
        if refusal is None and self.record.slow_s:
            refusal = self._too_soon(submission)
        if refusal is not None:
            return refusal
        refusal = self._enqueue(submission)
        if refusal is not None:
            self._slow.give_back(row.actor.id, row.at_ms)
        return refusal

    def _too_soon(self, submission: Submit) -> EngineError | Doubted | None:
        """Slow mode: one post of an author in `slow_s` seconds; those in office are free of it."""
        if submission.verb is not Verb.POST or standing_of(submission.principal, self.record) in _OFFICE:
            return None
        row = submission.row
        left_ms = self._slow.take(row.actor.id, row.at_ms, self.record.slow_s)
        if not left_ms:
            return None
        error = RateLimited("slow mode: wait before you post again", retry_after_s=left_ms / 1000)
        return error if row.key is None else Doubted(error)

    def _recall_speakers(self) -> None:
        """Slow mode begins, or the conversation was loaded: who spoke lately stands in the tail."""
        events = self.tail.events(self.tail.floor, len(self.tail)) if self.record.slow_s else []
        self._slow.recall((event.actor.id, event.at_ms) for event in events if event.message is not None)

    def _share(self, pending: Pending, retry: Submit) -> EngineError | None:
        """A retry of what is on its way."""
        if pending.row.digest != retry.row.digest:
            return Unprocessable(OTHER_BODY)
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
        """The rows to hand over now; None while a flight is out or nothing waits. See `take_decided` for the others."""
        if self.flight is not None or not self.waiting:
            return None
        taken: list[Pending] = []
        size = 0
        while self.waiting and len(taken) < self.settings.batch_items:
            row = self.waiting[0].row
            size += row.size_bytes
            if taken and size > self.settings.batch_bytes:
                break
            pending = self.waiting.popleft()
            self._waiting_bytes -= row.size_bytes
            if row.wish is not None and not self._decide(pending, row.wish):
                continue
            taken.append(pending)
            if row.type != EventType.MESSAGE_CREATED:
                break
        if not taken:
            return None
        self.flight = Flight(taken)
        return [pending.row for pending in taken]

    def _decide(self, pending: Pending, wish: MemberChange) -> bool:
        """What a wish to change a membership comes to, as everything before it is settled. False: nothing to store."""
        submission, row, record = pending.submissions[0], pending.row, self.record
        try:
            check(submission.principal, submission.verb, record, row.at_ms)
            rank = rank_of(submission.principal, record)
            found = decide_member(record.members, wish, by_id=submission.principal.id, rank=rank, at_ms=row.at_ms)
        except EngineError as error:
            self._decided.append((self._forget(pending), error))
            return False
        if found is None:
            self._decided.append((self._forget(pending), self.described()))
            return False
        row.type, row.member = found
        return True

    def take_decided(self) -> list[tuple[Pending, Record | EngineError]]:
        """What `take_flight` found to come to nothing that is stored, with the answers."""
        decided, self._decided = self._decided, []
        return decided

    def refuse_flight(self, error: EngineError) -> list[tuple[Pending, EngineError]]:
        """The storage actor did not take the flight: everybody in it is told, nothing is stored."""
        assert self.flight is not None
        flight, self.flight = self.flight, None
        return [(self._lose(pending), error) for pending in flight.pending]

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

    def note_block(self, blocker: str, *, stands: bool) -> list[tuple[Pending, EngineError | Doubted]]:
        """One of the two of a direct conversation has blocked the other, or has ended it. Returns who may not post any more."""
        others = self.record.blockers - {blocker}
        self.record = attrs.evolve(self.record, blockers=others | {blocker} if stands else others)
        self._described = None
        return self._refuse_waiting()

    def _settle_one(self, pending: Pending, result: Result) -> Ack | Record | EngineError:
        match result:
            case Rejected(error):
                self._lose(pending)
                return error
            case Repeat():
                self._lose(pending)
                answer = answer_to_repeat(pending.row, result, self.record.epoch)
                if isinstance(answer, EngineError):
                    return answer
                if result.offset > self.tail.head:
                    raise ValueError(f"a repeat at {result.offset}, past the head {self.tail.head}")
                return self._remember(pending, answer)
            case Committed(offset):
                self._forget(pending)
                event = event_of(pending.row, offset)
                self.tail.append(event)
                if event.message is None:
                    return self._changed(pending.row)
                return self._remember(pending, Ack(event.message, Cursor(self.record.epoch, offset)))

    def _remember(self, pending: Pending, ack: Ack) -> Ack:
        if pending.scope is not None:
            self._dedupe.acknowledge(pending.scope, pending.row.digest, ack)
        return ack

    def _changed(self, row: Row) -> Record:
        was_slow = self.record.slow_s
        self.record = record_after(self.record, row)
        if self.record.slow_s and not was_slow:
            self._recall_speakers()
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
                self._lose(pending)  # a retry must not share the fate of a row that will never leave
        late = [pending for pending in self.waiting if now >= pending.deadline]
        self._drop(late)
        expired.extend((pending, StoreUnavailable()) for pending in late)
        return expired

    def _drop(self, leaving: list[Pending]) -> None:
        if leaving:
            gone = {id(pending) for pending in leaving}
            self.waiting = deque(pending for pending in self.waiting if id(pending) not in gone)
        for pending in leaving:
            self._waiting_bytes -= self._lose(pending).row.size_bytes

    def abandon(self) -> list[Pending]:
        """Give up everything that waits (the actor ends): returned to be refused as certainly not stored."""
        waiting = [self._forget(pending) for pending in self.waiting]
        self.waiting.clear()
        self._waiting_bytes = 0
        return waiting

    def _lose(self, pending: Pending) -> Pending:
        """Nothing comes of it."""
        self._slow.give_back(pending.row.actor.id, pending.row.at_ms)
        return self._forget(pending)

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
        check(submission.principal, submission.verb, record, submission.row.at_ms)
    except EngineError as error:
        return error if submission.row.key is None else Doubted(error)
    if submission.versions is not None and version_of(record) not in submission.versions:
        return PreconditionFailed("the conversation has changed: look at it again")
    return None


def overdue(flying: Sequence[Pending], now: float, *, sent: bool) -> list[tuple[Pending, EngineError]]:
    """Those of a flight whose deadline is over, each with its answer, once. What was not sent is withdrawn."""
    expired: list[tuple[Pending, EngineError]] = []
    for pending in flying:
        if now < pending.deadline or pending.row.withdrawn or pending.answered:
            continue
        pending.row.withdrawn = not sent
        expired.append((pending, OutcomeUnknown() if sent else StoreUnavailable()))
    return expired
