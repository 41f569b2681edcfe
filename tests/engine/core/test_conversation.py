"""The conversation machine against a naive store: one list of what was committed and one dict of keys.

The Hypothesis machine plays everybody around it: posters with and without keys, retries, a store that commits, refuses,
rejects single rows or forgets to answer, deadlines, a crash with a batch in flight, and readers that come and go.
"""

from collections.abc import Sequence

import attrs
import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hubbub.engine.core.authors import Author
from hubbub.engine.core.batch import Committed, Rejected, Repeat, Result, Row
from hubbub.engine.core.commands import Submit, digest_of
from hubbub.engine.core.config import ConversationSettings
from hubbub.engine.core.conversation import (
    ConversationMachine,
    Doubted,
    Pending,
)
from hubbub.engine.core.cursor import Cursor
from hubbub.engine.core.dedupe import Scope
from hubbub.engine.core.errors import (
    Conflict,
    EngineError,
    Forbidden,
    OutcomeUnknown,
    Overloaded,
    StoreError,
    StoreUnavailable,
    Unprocessable,
)
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.kinds import EventType, Visibility
from hubbub.engine.core.messages import Ack, ConversationChange, Event, Record
from hubbub.engine.core.outcomes import answer_to_repeat, event_of, record_after
from hubbub.engine.core.permissions import Verb
from hubbub.engine.core.principals import Principal
from hubbub.engine.core.recovery import FromPages, Reset, Since
from hubbub.engine.core.tail import Tail

ROOM = ConversationId("room")
OWNER = Principal(Author("ada", "Ada"))
OTHER = Principal(Author("bob", "Bob"))
SETTINGS = ConversationSettings(
    tail_items=6,
    tail_load_items=3,
    waiting_items=5,
    batch_items=3,
    batch_bytes=700,
    dedupe_items=2,
    post_deadline_s=4.0,
)
NOT_STORED = (Overloaded, Unprocessable, Conflict, Forbidden, StoreUnavailable)
Answer = Ack | Record | EngineError


@attrs.define(eq=False)
class Case:
    """One submission and every answer that it got."""

    submission: Submit
    answers: list[Answer] = attrs.field(factory=list)


class World:
    """The store and the posters: what is true, in the most simple form."""

    def __init__(self) -> None:
        self.log: list[Row] = []
        self.keys: dict[tuple[str, str], int] = {}
        self.first = Record(ROOM, "title", Visibility.PUBLIC, "ada", "epoch", 0, 0)
        self.cases: list[Case] = []
        self.now = 0.0

    def submission(
        self, who: Principal, text: str, key: str | None = None, change: ConversationChange | None = None
    ) -> Case:
        """A submission with a fresh id and the usual deadline; its id is its number, so that order can be seen."""
        row = Row(
            conversation=ROOM,
            type=EventType.MESSAGE_CREATED if change is None else EventType.CONVERSATION_UPDATED,
            id=f"{len(self.cases):06d}",
            actor=who.author,
            at_ms=len(self.cases),
            text=text,
            key=key,
            digest=b"" if key is None else digest_of(text, None, None),
            change=change,
        )
        answers: list[Answer] = []
        verb = Verb.POST if change is None else Verb.MANAGE
        case = Case(Submit(answers.append, who, verb, row, self.now + SETTINGS.post_deadline_s), answers)
        self.cases.append(case)
        return case

    def record(self) -> Record:
        """The conversation as the log makes it."""
        record = self.first
        for row in self.log:
            if row.change is not None:
                record = record_after(record, row)
        return attrs.evolve(record, offset=len(self.log))

    def commit(self, row: Row) -> Result:
        """One row's part of a transaction."""
        scope = None if row.key is None else (row.actor.id, row.key)
        if scope is not None and scope in self.keys:
            offset = self.keys[scope]
            first = self.log[offset - 1]
            return Repeat(offset, first.id, first.at_ms, first.digest, first.actor)
        self.log.append(row)
        if scope is not None:
            self.keys[scope] = len(self.log)
        return Committed(len(self.log))

    def settled(self, row: Row, answer: Answer | Doubted) -> Answer:
        """The answer to a post, after the store was asked for its key where the machine doubts."""
        if not isinstance(answer, Doubted):
            return answer
        assert row.key is not None
        offset = self.keys.get((row.actor.id, row.key))
        if offset is None:
            return answer.error
        first = self.log[offset - 1]
        return answer_to_repeat(row, Repeat(offset, first.id, first.at_ms, first.digest, first.actor), "epoch")

    def events(self, after: int, upto: int) -> list[Event]:
        """The log as events."""
        return [event_of(row, offset) for offset, row in enumerate(self.log, 1) if after < offset <= upto]

    def load(self) -> ConversationMachine:
        """A machine as an actor makes it from the store."""
        record, bounds = self.record(), SETTINGS
        before = max(0, record.offset - bounds.tail_load_items)
        tail = Tail(before, max_items=bounds.tail_items, max_bytes=bounds.tail_bytes)
        for event in self.events(before, record.offset):
            tail.append(event)
        return ConversationMachine(record, tail, bounds)


@attrs.define
class Reader:
    """A subscriber's view: where it started, where it is, what it saw."""

    start: int
    seen: list[Event] = attrs.field(factory=list)

    @property
    def cursor(self) -> int:
        """The last offset that it has."""
        return self.start + len(self.seen)


class ConversationLaws(RuleBasedStateMachine):
    """Drives one conversation; the invariants are the promises G1 to G5."""

    @initialize()
    def begin(self) -> None:
        """An empty room."""
        self.world = World()
        self.machine = self.world.load()
        self.rows: list[Row] | None = None
        self.sent: list[Row] | None = None
        self.orphans: list[Pending] | None = None
        self.readers: list[Reader] = []

    # -- posters ------------------------------------------------------------------------------------------------------

    def offer(self, case: Case) -> None:
        answer = self.machine.submit(case.submission)
        if answer is not None:
            case.submission.answer(self.world.settled(case.submission.row, answer))

    @rule(
        who=st.sampled_from([OWNER, OTHER]),
        text=st.sampled_from(["one", "two", "x" * 200]),
        key=st.none() | st.sampled_from(["k1", "k2", "k3"]),
    )
    def post(self, who: Principal, text: str, key: str | None) -> None:
        """Somebody posts, perhaps with a key that was used before, for the same body or another."""
        case = self.world.submission(who, text, key)
        scope = None if key is None else Scope(who.id, key)
        flight = [] if self.machine.flight is None else self.machine.flight.pending
        known = scope is not None and (
            (who.id, key) in self.world.keys
            or scope in {one.scope for one in [*self.machine.waiting, *flight] if not one.row.withdrawn}
        )
        archived = self.machine.record.archived
        self.offer(case)
        if archived and not known:
            assert isinstance(case.answers[0], Conflict)
        assert not known or not any(isinstance(answer, Conflict) for answer in case.answers)

    @precondition(lambda self: self.world.cases)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """A client sends an earlier post again, word for word, answered or not."""
        old = data.draw(st.sampled_from(self.world.cases)).submission
        self.offer(self.world.submission(old.principal, old.row.text, old.row.key, old.row.change))

    @rule(
        who=st.sampled_from([OWNER, OTHER]),
        change=st.builds(ConversationChange, title=st.sampled_from(["a", "b"]), archived=st.none() | st.booleans()),
    )
    def change(self, who: Principal, change: ConversationChange) -> None:
        """The owner changes the conversation, and somebody else tries to."""
        case = self.world.submission(who, "", change=change)
        self.offer(case)
        assert who is OWNER or isinstance(case.answers[0], Forbidden)

    # -- the store ------------------------------------------------------------------------------------------------------

    @rule()
    def take_flight(self) -> None:
        """The actor hands over what waits; one flight at a time, within its bounds."""
        waiting = len(self.machine.waiting)
        rows = self.machine.take_flight()
        if self.orphans is not None or self.rows is not None or not waiting:
            assert rows is None or self.orphans is not None
        else:
            assert rows is not None
            assert 1 <= len(rows) <= SETTINGS.batch_items
            assert len(rows) == 1 or sum(row.size_bytes for row in rows) <= SETTINGS.batch_bytes
        self.rows = rows if rows is not None else self.rows

    @precondition(lambda self: self.rows is not None and self.sent is None)
    @rule()
    def send(self) -> None:
        """The rows leave for the store; withdrawn ones never do."""
        assert self.rows is not None
        self.sent = [row for row in self.rows if not row.withdrawn]

    @precondition(lambda self: self.rows is not None and self.sent is None)
    @rule(error=st.sampled_from([Overloaded(), StoreUnavailable()]))
    def refuse(self, error: EngineError) -> None:
        """The storage actor does not take the flight."""
        for pending, answer in self.machine.refuse_flight(error):
            pending.answer(answer)
        self.rows = None

    def outcome(self, poison: set[int]) -> list[Result]:
        if self.sent is None:
            self.send()
        assert self.rows is not None
        assert self.sent is not None
        results: list[Result] = []
        for place, row in enumerate(self.rows):
            if row not in self.sent or place in poison:
                results.append(Rejected(StoreUnavailable()))
            else:
                results.append(self.world.commit(row))
        self.rows = self.sent = None
        return results

    @precondition(lambda self: self.rows is not None)
    @rule(poison=st.just(set()) | st.sets(st.integers(0, 2)))
    def settle(self, poison: set[int]) -> None:
        """The transaction ends: rows are committed, found to be repeats, or rejected."""
        before = self.machine.tail.head
        answers = self.machine.settle(self.outcome(poison))
        assert self.machine.tail.head == len(self.world.log) >= before
        for pending, answer in answers:
            pending.answer(self.world.settled(pending.row, answer))

    @rule(step_s=st.sampled_from([0.5, 2.0, 5.0]))
    def time_passes(self, step_s: float) -> None:
        """The clock goes on and the overdue are answered: unavailable before the rows left, unknown after."""
        self.world.now += step_s
        for pending, error in self.machine.expire(self.world.now, sent=self.sent is not None):
            pending.answer(error)
            if self.sent is not None and pending.row in self.sent:
                assert isinstance(error, OutcomeUnknown)
            else:
                assert isinstance(error, StoreUnavailable)
        for case in self.world.cases:
            assert case.answers or case.submission.deadline > self.world.now

    @rule(committed=st.booleans())
    def crash(self, committed: bool) -> None:
        """The actor dies and starts again from the store, after its batch has landed there."""
        for pending in self.machine.abandon():
            pending.answer(Overloaded("restarted"))
        if self.rows is not None:
            flight = self.machine.flight
            assert flight is not None
            results = self.outcome(set() if committed else {0, 1, 2})
            for pending, result in zip(flight.pending, results, strict=True):
                pending.answer(result.error if isinstance(result, Rejected) else OutcomeUnknown())
        self.machine = self.world.load()

    # -- readers --------------------------------------------------------------------------------------------------------

    @rule(data=st.data())
    def attach(self, data: st.DataObject) -> None:
        """A reader comes, live or with any offset it may have."""
        head = self.machine.tail.head
        since = data.draw(st.none() | st.integers(0, head))
        decision = self.machine.recover(None if since is None else Since(since, "epoch"))
        assert decision.offset == (head if since is None else since)
        assert not isinstance(decision, Reset)
        self.readers = [*self.readers[-3:], Reader(decision.offset)]

    @rule(after=st.integers(1, 5))
    def a_cursor_from_elsewhere_is_reset(self, after: int) -> None:
        """A future offset or another epoch is told so."""
        head = self.machine.tail.head
        for since in (Since(head + after), Since(0, "another")):
            assert isinstance(self.machine.recover(since), Reset)

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """Some readers take what is due, from the window or from pages; the others stall."""
        tail = self.machine.tail
        for reader in self.readers:
            if data.draw(st.booleans()):
                decision = self.machine.recover(Since(reader.cursor, "epoch"))
                if isinstance(decision, FromPages):
                    reader.seen += self.world.events(reader.cursor, tail.floor)
                upto = tail.reach(reader.cursor, data.draw(st.sampled_from([1, 10**6])))
                reader.seen += [entry.event for entry in tail.entries(reader.cursor, upto)]

    # -- laws -----------------------------------------------------------------------------------------------------------

    @invariant()
    def answered_once(self) -> None:
        """No submission is ever answered twice, and one unanswered is really waited for."""
        assert all(len(case.answers) <= 1 for case in self.world.cases)
        flight = [] if self.machine.flight is None else self.machine.flight.pending
        owed = [one for pending in [*self.machine.waiting, *flight] for one in pending.submissions if not one.answered]
        unanswered = [case.submission for case in self.world.cases if not case.answers]
        assert sorted(map(id, owed)) == sorted(map(id, unanswered))
        assert self.machine.busy == bool(self.machine.waiting or flight)

    @invariant()
    def acks_are_true_and_the_same_for_a_key(self) -> None:
        """An ack names a stored row with the poster's words; one key has one place, and one new ack at most."""
        fresh: list[int] = []
        for case in self.world.cases:
            row = case.submission.row
            for answer in case.answers:
                if isinstance(answer, Ack):
                    stored = self.world.log[answer.cursor.offset - 1]
                    assert answer.cursor == Cursor("epoch", answer.message.offset)
                    assert (answer.message.id, answer.message.text, answer.message.created_at_ms) == (
                        stored.id,
                        row.text,
                        stored.at_ms,
                    )
                    assert (stored.key, stored.actor.id, stored.text) == (row.key, row.actor.id, row.text)
                    if row.key is None:
                        assert stored.id == row.id
                    if not answer.repeated:
                        fresh.append(answer.cursor.offset)
        assert len(fresh) == len(set(fresh))

    @invariant()
    def refused_is_not_stored(self) -> None:
        """What was answered as not stored is not, and never will be."""
        stored = {row.id for row in self.world.log}
        for case in self.world.cases:
            if any(isinstance(answer, NOT_STORED) for answer in case.answers):
                assert case.submission.row.id not in stored

    @invariant()
    def one_order(self) -> None:
        """The log is in the order of submission; every reader has exactly its part of it; the record follows it."""
        ids = [row.id for row in self.world.log]
        assert ids == sorted(ids)
        assert len(self.world.keys) == sum(row.key is not None for row in self.world.log)
        for reader in self.readers:
            assert reader.seen == self.world.events(reader.start, reader.cursor)
        assert self.machine.described() == self.world.record()

    @invariant()
    def bounded(self) -> None:
        """No queue is longer than its bound, and a key never flies twice."""
        assert len(self.machine.waiting) <= SETTINGS.waiting_items
        assert len(self.machine.tail) <= SETTINGS.tail_items
        flight = [] if self.machine.flight is None else self.machine.flight.pending
        scopes = [one.scope for one in [*self.machine.waiting, *flight] if one.scope and not one.row.withdrawn]
        assert len(scopes) == len(set(scopes))

    def teardown(self) -> None:
        """In the end everybody who posted is answered, and every acked key still gives its ack."""
        if not hasattr(self, "world"):
            return
        while self.machine.busy:
            self.take_flight()
            self.settle(set())
        assert all(len(case.answers) == 1 for case in self.world.cases)
        self.acks_are_true_and_the_same_for_a_key()
        self.refused_is_not_stored()
        self.one_order()


ConversationLaws.TestCase.settings = settings(max_examples=120, stateful_step_count=40)
TestConversationLaws = ConversationLaws.TestCase


# -- single situations ------------------------------------------------------------------------------------------------


@pytest.fixture
def world() -> World:
    """An empty store."""
    return World()


def fly(machine: ConversationMachine, results: Sequence[Result]) -> None:
    """Settle what flies and answer."""
    for pending, answer in machine.settle(results):
        assert not isinstance(answer, Doubted)
        pending.answer(answer)


def test_parallel_retries_share_one_row(world: World) -> None:
    """Five sendings of one key make one row; the first gets the ack, the others the same ack as a repeat."""
    machine = world.load()
    cases = [world.submission(OTHER, "hi", "k") for _ in range(5)]
    assert [machine.submit(case.submission) for case in cases] == [None] * 5
    rows = machine.take_flight()
    assert rows is not None
    assert [row.id for row in rows] == [cases[0].submission.row.id]
    fly(machine, [world.commit(rows[0])])
    (first,) = cases[0].answers
    assert isinstance(first, Ack)
    assert [case.answers for case in cases[1:]] == [[msgspec.structs.replace(first, repeated=True)]] * 4


def test_a_key_belongs_to_its_author(world: World) -> None:
    """Two authors who choose one key and say the same are two posts, in flight and after, each with the ack of its own."""
    machine = world.load()
    cases = [world.submission(who, "hi", "k") for who in (OWNER, OTHER)]
    assert [machine.submit(case.submission) for case in cases] == [None, None]
    rows = machine.take_flight()
    assert rows is not None
    assert [row.actor for row in rows] == [OWNER.author, OTHER.author]
    fly(machine, [world.commit(row) for row in rows])
    for case, who, offset in zip(cases, (OWNER, OTHER), (1, 2), strict=True):
        (ack,) = case.answers
        assert isinstance(ack, Ack)
        assert (ack.message.author, ack.cursor.offset) == (who.author, offset)
        assert machine.submit(world.submission(who, "hi", "k").submission) == msgspec.structs.replace(
            ack, repeated=True
        )


def test_another_body_under_a_key_is_refused_in_flight_and_after(world: World) -> None:
    """The first body wins, whether its post is still under way, remembered, or only in the store."""
    machine = world.load()
    first, second = world.submission(OTHER, "hi", "k"), world.submission(OTHER, "ho", "k")
    assert machine.submit(first.submission) is None
    assert isinstance(machine.submit(second.submission), Unprocessable)
    rows = machine.take_flight()
    assert rows is not None
    fly(machine, [world.commit(rows[0])])
    assert isinstance(machine.submit(second.submission), Unprocessable)
    restarted = world.load()
    assert restarted.submit(second.submission) is None
    rows = restarted.take_flight()
    assert rows is not None
    fly(restarted, [world.commit(rows[0])])
    assert isinstance(second.answers[0], Unprocessable)


def test_a_retry_of_a_withdrawn_post_gets_a_row_of_its_own(world: World) -> None:
    """While a withdrawn row waits for the store, a retry is neither bound to it nor left without an answer."""
    machine = world.load()
    first = world.submission(OTHER, "hi", "k")
    assert machine.submit(first.submission) is None
    withdrawn = machine.take_flight()
    world.now += 5
    for pending, error in machine.expire(world.now, sent=False):
        pending.answer(error)
    assert isinstance(first.answers[0], StoreUnavailable)
    retry = world.submission(OTHER, "hi", "k")
    assert machine.submit(retry.submission) is None
    assert withdrawn is not None
    fly(machine, [Rejected(StoreUnavailable())])
    again = world.submission(OTHER, "hi", "k")
    assert machine.submit(again.submission) is None
    rows = machine.take_flight()
    assert rows == [retry.submission.row]
    fly(machine, [world.commit(rows[0])])
    assert isinstance(retry.answers[0], Ack)
    assert again.answers == [msgspec.structs.replace(retry.answers[0], repeated=True)]


def test_a_retry_of_an_overdue_post_has_its_own_deadline(world: World) -> None:
    """After "outcome unknown" a retry waits for the same row, until its own deadline."""
    machine = world.load()
    first = world.submission(OTHER, "hi", "k")
    machine.submit(first.submission)
    rows = machine.take_flight()
    assert rows is not None
    world.now += 5
    for pending, error in machine.expire(world.now, sent=True):
        pending.answer(error)
    assert isinstance(first.answers[0], OutcomeUnknown)
    retry = world.submission(OTHER, "hi", "k")
    assert machine.submit(retry.submission) is None
    assert machine.expire(world.now + 1, sent=True) == []
    fly(machine, [world.commit(rows[0])])
    assert len(first.answers) == 1
    assert isinstance(retry.answers[0], Ack)
    assert world.log == rows


def test_an_unknown_outcome_that_was_a_commit_is_published(world: World) -> None:
    """Nobody waits any longer, and still the event is in the tail."""
    machine = world.load()
    case = world.submission(OTHER, "hi")
    machine.submit(case.submission)
    rows = machine.take_flight()
    assert rows is not None
    for pending, error in machine.expire(100.0, sent=True):
        pending.answer(error)
    fly(machine, [world.commit(rows[0])])
    assert machine.tail.head == 1
    assert isinstance(case.answers[0], OutcomeUnknown)


@pytest.mark.parametrize(
    "result", [Committed(2), Committed(0), Repeat(7, "m", 0, digest_of("hi", None, None), OTHER.author)]
)
def test_results_that_do_not_continue_the_log_are_a_crash(world: World, result: Result) -> None:
    """A gap is never papered over: the machine raises, so that its owner starts again from the store."""
    machine = world.load()
    machine.submit(world.submission(OTHER, "hi", "k").submission)
    machine.take_flight()
    with pytest.raises(ValueError, match="head"):
        machine.settle([result])


def test_the_waiting_posts_are_bounded(world: World) -> None:
    """Past the bound a post is refused with a time to come back, and nothing of it is kept."""
    machine = world.load()
    for _ in range(SETTINGS.waiting_items):
        assert machine.submit(world.submission(OTHER, "hi").submission) is None
    refused = machine.submit(world.submission(OTHER, "hi", "k").submission)
    assert isinstance(refused, Overloaded)
    assert not isinstance(refused, StoreError)
    assert refused.retry_after_s
    assert len(machine.abandon()) == SETTINGS.waiting_items
    assert machine.submit(world.submission(OTHER, "hi", "k").submission) is None
    assert len(machine.waiting) == 1
