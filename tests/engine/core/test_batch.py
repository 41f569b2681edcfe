"""Group commit against a naive queue: order, bounds, put back, drain, and a pace that delays only the busy and never the full."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hubbub.engine.core.authors import Author
from hubbub.engine.core.batch import Batch, Committed, GroupCommit, Rejected, Result, Row
from hubbub.engine.core.errors import StoreUnavailable
from hubbub.engine.core.ids import ConversationId

ADA = Author("ada", "Ada")
ROOM = ConversationId("room")
PACE_S = 0.004
PACE_ITEMS = 3


def batch_of(rows: int, text_chars: int = 0, room: ConversationId = ROOM) -> Batch:
    """A batch of a room with so many rows of so long a text."""
    row = [Row(conversation=room, type="t", id=str(n), actor=ADA, at_ms=0, text="x" * text_chars) for n in range(rows)]
    return Batch(room, row, lambda _batch, _results: None)


def weight(batch: Batch) -> int:
    """Bytes of a batch."""
    return sum(row.size_bytes for row in batch.rows)


class GroupCommitMachine(RuleBasedStateMachine):
    """Batches arrive, leave, come back and are refused, on the machine and on a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = GroupCommit(
            max_items=12, max_commit_items=5, max_commit_bytes=3000, pace_s=PACE_S, pace_items=PACE_ITEMS
        )
        self.queue: list[Batch] = []
        self.out: list[Batch] = []
        self.now = 100.0
        self.arrived: list[tuple[float, ConversationId]] = []
        self.started = float("-inf")

    @property
    def rows(self) -> int:
        return sum(len(batch.rows) for batch in self.queue)

    @staticmethod
    def wait_s(rows: int) -> float:
        """How long after the last one a busy system's next commit starts."""
        if rows >= 5:
            return 0.0
        return PACE_S if rows >= PACE_ITEMS else 2 * PACE_S

    @rule(step_s=st.sampled_from([0.0, 0.001, 0.0015, 0.004, 1.0]))
    def time_passes(self, step_s: float) -> None:
        """The clock goes on."""
        self.now += step_s

    @rule(rows=st.integers(0, 7), text_chars=st.sampled_from([0, 100, 1000]), room=st.sampled_from("abcd"))
    def add(self, rows: int, text_chars: int, room: str) -> None:
        """A batch is kept whole, or refused when it would pass the bound."""
        batch = batch_of(rows, text_chars, ConversationId(room))
        before = self.rows
        fits = before + rows <= 12
        assert self.commits.add(batch, self.now) is fits
        if fits:
            assert self.commits.hastened(before) is (self.wait_s(before + rows) < self.wait_s(before))
        if fits:
            self.queue.append(batch)
            self.arrived.append((self.now, batch.conversation))

    @rule()
    def take(self) -> None:
        """The next transaction is the longest run from the front within the bounds, at least one batch."""
        expected: list[Batch] = []
        for batch in self.queue:
            more = [*expected, batch]
            if expected and (sum(len(b.rows) for b in more) > 5 or sum(map(weight, more)) > 3000):
                break
            expected = more
        assert self.commits.take(self.now) == expected
        if expected:
            self.started = self.now
        self.queue = self.queue[len(expected) :]
        self.out = expected or self.out

    @rule()
    def put_back(self) -> None:
        """A transaction did not happen: its batches are the next ones again, in their order, whatever the bound says."""
        self.commits.put_back(self.out)
        self.queue = [*self.out, *self.queue]
        self.out = []

    @rule()
    def drain(self) -> None:
        """Everything that waits is given out, once."""
        assert self.commits.drain() == self.queue
        self.queue = []

    @invariant()
    def same_queue(self) -> None:
        """Counts agree, and the next commit is due when the words say."""
        assert len(self.commits) == len(self.queue)
        assert self.commits.items == self.rows
        due_at = self.commits.due_at()
        if not self.queue:
            assert due_at is None
            return
        assert due_at is not None
        last = self.arrived[-GroupCommit.busy_batches :]
        near = len(last) == GroupCommit.busy_batches and last[-1][0] - last[0][0] < PACE_S
        busy = near and len({room for _, room in last}) == len(last)
        assert due_at == self.started + (self.wait_s(self.rows) if busy else 0.0)
        assert due_at <= self.now + 2 * PACE_S


TestGroupCommitMachine = GroupCommitMachine.TestCase


def simulate(gaps_s: Sequence[float], rows: Sequence[int], max_commit_items: int) -> list[tuple[float, float, int]]:
    """Run a writer whose commits take no time: (start, the first batch's arrival, rows) of every commit."""
    commits = GroupCommit(
        max_items=10**6,
        max_commit_items=max_commit_items,
        max_commit_bytes=10**9,
        pace_s=PACE_S,
        pace_items=PACE_ITEMS,
    )
    arrivals: dict[int, float] = {}
    log: list[tuple[float, float, int]] = []

    def run_until(end: float) -> None:
        now = end
        while (due_at := commits.due_at()) is not None and (now := max(due_at, last)) < end:
            taken = commits.take(now)
            log.append((now, arrivals[id(taken[0])], sum(len(batch.rows) for batch in taken)))

    keep: list[Batch] = []
    now = last = 1000.0
    for gap_s, count in zip(gaps_s, rows, strict=True):
        now += gap_s
        run_until(now)
        batch = batch_of(count, room=ConversationId(f"room{len(keep)}"))
        keep.append(batch)
        arrivals[id(batch)] = last = now
        assert commits.add(batch, now)
    run_until(float("inf"))
    assert sum(count for _, _, count in log) == sum(rows)
    return log


GAPS = st.lists(st.sampled_from([0.0, 0.0002, 0.001, 0.0021, 0.004, 0.01]), min_size=1, max_size=40)


@given(GAPS)
def test_pace_laws(gaps_s: list[float]) -> None:
    """Nothing waits longer than two paces, one when enough have come, and nothing before three batches came within one pace waits
    at all."""
    log = simulate(gaps_s, [1] * len(gaps_s), max_commit_items=1000)
    times, now = [], 1000.0
    for gap_s in gaps_s:
        now += gap_s
        times.append(now)
    for start, arrived, _ in log:
        assert 0 <= start - arrived <= 2 * PACE_S + 1e-9
        if start > arrived:
            near = [time for time in times if start - 3 * PACE_S - 1e-9 < time <= start]
            assert len(near) >= GroupCommit.busy_batches


@given(st.integers(0, 30), st.floats(PACE_S / 2 + 1e-6, 10.0))
def test_an_idle_system_commits_at_once(count: int, gap_s: float) -> None:
    """Batches that come more than half a pace apart never wait."""
    log = simulate([gap_s] * count, [1] * count, max_commit_items=128)
    assert len(log) == count
    assert all(start == arrived for start, arrived, _ in log)


def test_one_conversation_is_never_paced() -> None:
    """A poster that waits for each ack gets the next commit at once, however fast it is."""
    commits = GroupCommit(
        max_items=100, max_commit_items=10, max_commit_bytes=10**6, pace_s=PACE_S, pace_items=PACE_ITEMS
    )
    now = 1000.0
    for _ in range(20):
        assert commits.add(batch_of(1), now)
        due_at = commits.due_at()
        assert due_at is not None
        assert due_at <= now
        assert len(commits.take(now)) == 1
        now += PACE_S / 20


@given(st.integers(3, 60), st.floats(0.0, PACE_S / 4))
def test_a_busy_system_commits_a_pace_apart(count: int, gap_s: float) -> None:
    """Once busy, commits start at least a pace apart, so that rows share them."""
    log = simulate([gap_s] * count, [1] * count, max_commit_items=10**6)
    starts = [start for start, _, _ in log]
    busy = starts[2:]  # the first two batches came to an idle system
    assert all(later - earlier >= PACE_S - 1e-9 for earlier, later in pairwise(busy))
    assert len(log) <= 3 + count * gap_s / PACE_S


@given(st.integers(5, 40))
def test_a_full_commit_is_not_delayed(count: int) -> None:
    """As soon as the waiting rows fill a transaction it may start, however recent the last one."""
    commits = GroupCommit(
        max_items=1000, max_commit_items=8, max_commit_bytes=10**9, pace_s=PACE_S, pace_items=PACE_ITEMS
    )
    for place in range(count):
        now = 1000.0 + place * 1e-6
        assert commits.add(batch_of(4), now)
        due_at = commits.due_at()
        assert due_at is not None
        if commits.items >= 8:
            assert due_at <= now
            assert sum(len(batch.rows) for batch in commits.take(now)) == 8


def test_a_batch_larger_than_a_transaction_still_leaves() -> None:
    """A batch over both bounds is a transaction of its own."""
    commits = GroupCommit(max_items=100, max_commit_items=2, max_commit_bytes=10, pace_s=PACE_S, pace_items=PACE_ITEMS)
    large, small = batch_of(5, 1000), batch_of(1)
    assert commits.add(large, 0.0)
    assert commits.add(small, 0.0)
    assert commits.take(0.0) == [large]
    assert commits.take(0.0) == [small]
    assert commits.take(0.0) == []


def test_an_empty_take_does_not_start_the_pace() -> None:
    """Asking without anything to commit leaves the next one due at once."""
    commits = GroupCommit(
        max_items=100, max_commit_items=50, max_commit_bytes=10**6, pace_s=PACE_S, pace_items=PACE_ITEMS
    )
    assert commits.take(10.0) == []
    for _ in range(3):
        assert commits.add(batch_of(1), 10.0)
    due_at = commits.due_at()
    assert due_at is not None
    assert due_at <= 10.0


def test_a_batch_is_settled_exactly_once_with_a_result_per_row() -> None:
    """The wrong number of results and a second settling are refused, and the caller's function runs once."""
    calls: list[Sequence[Result]] = []
    batch = batch_of(2)
    batch.on_settled = lambda settled, results: calls.append(results)
    with pytest.raises(ValueError, match="exactly once"):
        batch.settle([Committed(1)])
    results = [Committed(1), Rejected(StoreUnavailable())]
    batch.settle(results)
    with pytest.raises(ValueError, match="exactly once"):
        batch.settle(results)
    assert calls == [results]
    assert batch.results == results
