"""Buckets against the definition of their limit: in no stretch of time more than a burst and what has refilled since."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hubbub.engine.core.buckets import SECOND_NS, SHARED, Allowed, Buckets, Denied, Limit

LIMITS = st.builds(
    Limit,
    rate=st.integers(1, 7),
    period_ns=st.integers(SECOND_NS, 3 * SECOND_NS),
    burst=st.integers(1, 9),
)
PAUSES_NS = st.one_of(st.just(0), st.integers(0, 100), st.integers(0, 5 * SECOND_NS))


@attrs.define
class Stretches:
    """The naive model: every request that was let through, and the definition checked over every stretch that ends now."""

    limit: Limit
    let_through: list[tuple[int, int]] = attrs.field(factory=list)

    def cost_ns(self, cost: int) -> int:
        return min(cost, self.limit.burst) * self.limit.interval_ns

    def admits(self, now_ns: int, cost: int) -> bool:
        """Whether no stretch from an earlier request until now gets more than its due."""
        total_ns = self.cost_ns(cost)
        if total_ns > self.limit.depth_ns:
            return False
        for at_ns, earlier in reversed(self.let_through):
            total_ns += self.cost_ns(earlier)
            if total_ns > self.limit.depth_ns + now_ns - at_ns:
                return False
        return True


@given(limit=LIMITS, requests=st.lists(st.tuples(PAUSES_NS, st.integers(1, 12)), max_size=40))
def test_no_stretch_of_time_gets_more_than_a_burst_and_its_refill(
    limit: Limit, requests: list[tuple[int, int]]
) -> None:
    """Every verdict is the one of the definition, so refused requests count for nothing and no edge allows two bursts."""
    model, full_at_ns, now_ns = Stretches(limit), 0, 0
    for pause_ns, cost in requests:
        now_ns += pause_ns
        verdict = limit.decide(full_at_ns, now_ns, cost)
        assert isinstance(verdict, Allowed) == model.admits(now_ns, cost)
        if isinstance(verdict, Allowed):
            model.let_through.append((now_ns, cost))
            full_at_ns = now_ns + verdict.reset_ns
        else:
            assert now_ns + verdict.reset_ns == max(full_at_ns, now_ns)


@given(limit=LIMITS, requests=st.lists(st.tuples(PAUSES_NS, st.integers(1, 12)), max_size=40))
def test_a_verdict_tells_the_truth_about_what_comes_next(limit: Limit, requests: list[tuple[int, int]]) -> None:
    """`remaining` requests pass now and no more, a refused one passes after `after_ns` and not before, `reset_ns` fills it."""
    full_at_ns = now_ns = 0
    for pause_ns, cost in requests:
        now_ns += pause_ns
        verdict = limit.decide(full_at_ns, now_ns, cost)
        full_at_ns = now_ns + verdict.reset_ns
        if verdict.remaining:
            assert isinstance(limit.decide(full_at_ns, now_ns, verdict.remaining), Allowed)
        assert verdict.remaining == limit.burst or isinstance(
            limit.decide(full_at_ns, now_ns, verdict.remaining + 1), Denied
        )
        if isinstance(verdict, Denied):
            assert verdict.after_ns > 0
            assert isinstance(limit.decide(full_at_ns, now_ns + verdict.after_ns, cost), Allowed)
            assert isinstance(limit.decide(full_at_ns, now_ns + verdict.after_ns - 1, cost), Denied)
        assert limit.decide(full_at_ns, full_at_ns) == limit.decide(0, full_at_ns)


def test_fixed_windows_allow_double_bursts_at_the_edge_and_this_does_not() -> None:
    """Ten just before a full second and ten just after it are ten and one."""
    limit = Limit(rate=10, period_ns=10 * SECOND_NS, burst=10)
    buckets = Buckets(limit, 10)
    before = [buckets.take("ada", SECOND_NS - 1) for _ in range(10)]
    after = [buckets.take("ada", 2 * SECOND_NS) for _ in range(10)]
    assert [type(each) for each in before] == [Allowed] * 10
    assert [type(each) for each in after] == [Allowed] + [Denied] * 9


def test_counters_are_incremented_then_checked_and_these_are_not() -> None:
    """A thousand refused requests keep nobody from the one that is due a second later."""
    buckets = Buckets(Limit(rate=1, period_ns=SECOND_NS, burst=1), 10)
    assert isinstance(buckets.take("ada", 0), Allowed)
    assert all(buckets.take("ada", 1 + at) == Denied(SECOND_NS - 1 - at, 0, SECOND_NS - 1 - at) for at in range(1000))
    assert isinstance(buckets.take("ada", SECOND_NS), Allowed)


def test_buckets_follow_a_changed_limit() -> None:
    """What was used stays used: of a wider burst there is more left, of a tighter one nothing, and it refills at the new pace."""
    slow, fast = Limit(rate=1, period_ns=3600 * SECOND_NS, burst=5), Limit(rate=10, period_ns=SECOND_NS, burst=8)
    tight = Limit(rate=1, period_ns=SECOND_NS, burst=2)
    buckets = Buckets(slow, 10)
    for _ in range(5):
        buckets.take("ada", 0)
    buckets.take("bob", 0)
    buckets.change(fast, 0)
    assert [buckets.take("ada", 0).remaining for _ in range(4)] == [2, 1, 0, 0]
    buckets.change(tight, 0)
    assert buckets.take("ada", 0) == Denied(SECOND_NS, 0, 2 * SECOND_NS)
    assert [type(buckets.take("bob", 0)) for _ in range(2)] == [Allowed, Denied]


@given(before=LIMITS, after=LIMITS, used=st.integers(0, 9), passed_ns=PAUSES_NS)
def test_a_changed_limit_gives_nobody_a_fresh_bucket(before: Limit, after: Limit, used: int, passed_ns: int) -> None:
    """What is left is the new burst less what was used and has not come back, or nothing."""
    buckets = Buckets(before, 1)
    for _ in range(used):
        buckets.take("ada", 0)
    spent_ns = max(min(used, before.burst) * before.interval_ns - passed_ns, 0)
    still_used = -(-spent_ns // before.interval_ns)
    buckets.change(after, passed_ns)
    verdict = buckets.take("ada", passed_ns, after.burst)
    left = verdict.remaining if isinstance(verdict, Denied) else after.burst
    assert left == max(after.burst - still_used, 0)


def test_a_bucket_that_nobody_changed_is_empty_and_no_worse_under_another_limit() -> None:
    """For buckets outside of a table."""
    limit = Limit(rate=10, period_ns=SECOND_NS, burst=5)
    assert limit.decide(3600 * SECOND_NS, 0) == Denied(SECOND_NS // 10, 0, SECOND_NS // 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"rate": 0},
        {"rate": 1_000_001},
        {"period_ns": SECOND_NS - 1},
        {"period_ns": 8 * 86_400 * SECOND_NS},
        {"burst": 0},
        {"burst": 1_000_001},
    ],
)
def test_a_limit_has_bounds(fields: dict[str, int]) -> None:
    """What would allow nothing, or overflow any sense, is refused."""
    with pytest.raises(ValueError, match=next(iter(fields))):
        Limit(**({"rate": 1, "period_ns": SECOND_NS, "burst": 1} | fields))


class TableMachine(RuleBasedStateMachine):
    """More keys than the table has room for; each key has a model of its own that knows nothing of the others."""

    MAX = 4
    KEYS = tuple(f"key {number}" for number in range(9))

    def __init__(self) -> None:
        super().__init__()
        self.limit = Limit(rate=2, period_ns=SECOND_NS, burst=3)
        self.buckets = Buckets(self.limit, self.MAX)
        self.models = {key: Stretches(self.limit) for key in self.KEYS}
        self.now_ns = 0

    @rule(pause_ns=PAUSES_NS)
    def wait(self, pause_ns: int) -> None:
        """Time passes."""
        self.now_ns += pause_ns

    @rule(key=st.sampled_from(KEYS), cost=st.integers(1, 4))
    def take(self, key: str, cost: int) -> None:
        """Who is let through is within its own limit; while nobody shares, who is within its limit is let through."""
        verdict = self.buckets.take(key, self.now_ns, cost)
        admits = self.models[key].admits(self.now_ns, cost)
        if isinstance(verdict, Allowed):
            assert admits
            self.models[key].let_through.append((self.now_ns, cost))
        else:
            assert not admits or self.buckets.statistics().crowded

    @rule(key=st.sampled_from(KEYS))
    def take_and_give_back(self, key: str) -> None:
        """What is refused elsewhere leaves no trace."""
        before = self.buckets.take(key, self.now_ns)
        if isinstance(before, Allowed):
            self.buckets.give_back(key)
            assert self.buckets.take(key, self.now_ns) == before
            self.buckets.give_back(key)

    @invariant()
    def is_bounded(self) -> None:
        """No number of keys makes it larger."""
        assert len(self.buckets) <= self.MAX
        assert len(self.buckets._hand) == len(self.buckets)


TestTable = TableMachine.TestCase


def test_a_flood_of_keys_does_not_reset_a_limit() -> None:
    """Whoever has used its burst up gets nothing by having a hundred thousand others asked for, and memory stays bounded."""
    limit = Limit(rate=1, period_ns=3600 * SECOND_NS, burst=2)
    buckets = Buckets(limit, 100)
    assert [type(buckets.take("mallory", 0)) for _ in range(3)] == [Allowed, Allowed, Denied]
    for number in range(100_000):
        buckets.take(f"sock puppet {number}", 1)
    assert isinstance(buckets.take("mallory", 2), Denied)
    assert len(buckets) == 100


def test_a_key_that_came_while_the_table_was_full_has_no_fresh_bucket_afterwards() -> None:
    """What it got from a shared bucket counts when there is room again."""
    limit = Limit(rate=1, period_ns=3600 * SECOND_NS, burst=2)
    buckets = Buckets(limit, 1)
    buckets.take("first", 0)
    assert [type(buckets.take("late", SECOND_NS)) for _ in range(3)] == [Allowed, Allowed, Denied]
    room_ns = 3601 * SECOND_NS  # the first one's bucket is full again, and can be forgotten
    assert isinstance(buckets.take("late", room_ns), Allowed)
    assert isinstance(buckets.take("late", room_ns), Denied)
    assert buckets.statistics().crowded == 3


def test_full_buckets_are_forgotten_as_new_keys_come() -> None:
    """A table that had a rush shrinks to what is cheap to keep, where who comes back finds the own bucket."""
    buckets = Buckets(Limit(rate=1, period_ns=SECOND_NS, burst=1), 20_000)
    for number in range(12_000):
        buckets.take(f"early {number}", 0)
    assert len(buckets) == 12_000
    for number in range(4_000):
        buckets.take(f"late {number}", 10 * SECOND_NS)
    assert 8_192 - 3 < len(buckets) <= 8_192
    assert buckets.statistics().crowded == 0
    for number in range(9_000):
        buckets.take(f"last {number}", 20 * SECOND_NS)
    assert len(buckets) == 9_000


def test_keys_that_share_a_bucket_share_its_limit() -> None:
    """While the table is full, all late comers together get what the shared buckets hold, and no more."""
    buckets = Buckets(Limit(rate=1, period_ns=3600 * SECOND_NS, burst=2), 1)
    buckets.take("first", 0)
    passed = sum(isinstance(buckets.take(f"late {number}", 0), Allowed) for number in range(20 * SHARED))
    assert SHARED < passed <= 2 * SHARED
