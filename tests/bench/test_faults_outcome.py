"""How rounds are noted and judged."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.faults.kinds import BY_NAME, FAULTS, Effect
from hubbub.bench.faults.ledger import Ledger, Leftovers
from hubbub.bench.faults.outcome import Findings, Outcome, Range, Status, Summary, judge, skipped
from hubbub.bench.faults.plan import plan
from hubbub.bench.faults.protocol import Message
from hubbub.testing.audit import Audit, Kind


def findings(**changes: object) -> Findings:
    audit = Audit()
    audit.tried("c", "p")
    audit.acked("c", "p", 1, "m1")
    audit.reads("r", "c", 0)
    audit.seen("r", "c", 1, "p")
    audit.stored("c", [(1, "m1", "p")])
    good = Findings(effect=Effect(True, "done"), verdict=audit.finish(), acked_before=1, recovered=True)
    return attrs.evolve(good, **changes)


def round_of(name: str):
    return plan([BY_NAME[name]], rounds=1, seed=1)[0]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_round_without_findings_passes(fault) -> None:
    """With a fault that took effect and nothing wrong, every kind of round passes."""
    assert judge(round_of(fault.name), findings()).status is Status.PASSED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"recovered": False}, "not mended"),
        ({"open_posts": 2}, "not settled: 2"),
        ({"open_changes": 1}, "not settled: 1 changes of members"),
        ({"members": ("u: gone",)}, "members: u: gone"),
        ({"behind": ("r stands at 0 of 1",)}, "behind: r"),
        ({"resets": ("r: not recovered",)}, "reset: r"),
        ({"interrupted": {"r": 3}}, "subscriptions lost: r 3"),
        ({"tables": ("no keys",)}, "tables: no keys"),
        ({"ended": -9}, "the server ended by itself with -9"),
        ({"leftovers": Leftovers(processes=1)}, "left over: 1 processes"),
        ({"leftovers": Leftovers(descriptors=50)}, "left over: 50 descriptors"),
        ({"leftovers": Leftovers(tracebacks=1)}, "tracebacks"),
    ],
)
def test_each_breach_breaks_a_round(changes, reason) -> None:
    """Every single breach is enough, and is named; also when the fault took no effect."""
    for effect in (Effect(True, "done"), Effect(False, "missed")):
        outcome = judge(round_of("kill-postgres"), findings(**changes, effect=effect))
        assert outcome.status is Status.BROKEN
        assert any(reason in found for found in outcome.reasons), outcome.reasons


def test_what_a_fault_may_do_breaks_nothing() -> None:
    """A killed server ends and loses its readers; a server without memory complains."""
    killed = findings(interrupted={"r": 1}, ended=-9)
    assert judge(round_of("kill-server"), killed).status is Status.PASSED
    complaining = findings(leftovers=Leftovers(errors=3, tracebacks=3))
    assert judge(round_of("memory"), complaining).status is Status.PASSED


@pytest.mark.parametrize(
    "changes",
    [
        {"effect": None, "why_not": "no Postgres"},
        {"effect": Effect(False, "nothing was stopped")},
        {"acked_before": 0},
        {"verdict": attrs.evolve(findings().verdict, seen=0)},
    ],
)
def test_a_round_that_proves_nothing_is_invalid(changes) -> None:
    """No fault, no effect, no acks or no reader: neither passed nor broken."""
    assert judge(round_of("kill-server"), findings(**changes)).status is Status.INVALID


def test_a_summary_adds_up_and_counts_skipped_rounds_as_not_passed() -> None:
    """Rounds, acks and violations are those of the fault alone."""
    audit = Audit()
    audit.acked("c", "p", 1, "m1")
    audit.stored("c", [])
    lost = findings(verdict=audit.finish())
    one, other = round_of("kill-server"), round_of("kill-both")
    outcomes = [judge(one, findings()), judge(one, lost), skipped(one, "no"), judge(other, lost)]
    summary = Summary.of("kill-server", outcomes)
    assert (summary.rounds, summary.acked, summary.violations) == (3, 2, {Kind.LOST: 1})
    assert summary.statuses == {Status.PASSED: 1, Status.BROKEN: 1, Status.SKIPPED: 1}
    assert isinstance(outcomes[2], Outcome)
    assert outcomes[2].findings is None


@given(st.lists(st.none() | st.floats(0, 1e6)))
def test_a_range_is_of_what_is_known(values) -> None:
    """Median and greatest leave the unknown out; the median is not above the greatest."""
    found = Range.of(values)
    known = [value for value in values if value is not None]
    assert (found.most_s is None) == (not known)
    if known:
        assert found.most_s == max(known)
        assert min(known) <= found.median_s <= found.most_s


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_recovery_is_timed_from_posts_that_were_sent_after() -> None:
    """An ack that was on its way already says nothing about the recovery."""
    clock = Clock()
    ledger = Ledger("c", "e", clock)
    before = ledger.tried("a")
    clock.now_s = 101
    ledger.begins()
    clock.now_s = 103
    ledger.ack("w", "a", before, Message("m1", 1))
    during = ledger.tried("b")
    clock.now_s = 104
    ledger.healed()
    clock.now_s = 110
    ledger.ack("w", "b", during, Message("m2", 2))
    assert not ledger.has_recovered("w")
    after = ledger.tried("d")
    clock.now_s = 112
    ledger.ack("w", "d", after, Message("m3", 3))
    assert ledger.has_recovered("w")
    times = ledger.times
    assert (times.first_ack_s, times.recovery_s, times.longest_gap_s) == (9, 8, 7)


def test_lost_connections_count_once_each_and_only_from_the_fault_on() -> None:
    """Failing to come back is not another loss, and what happens before the fault or after the end is not counted."""
    ledger = Ledger("c", "e", Clock())
    ledger.joined("r")
    ledger.interruption("r")
    ledger.begins()
    ledger.joined("r")
    for _ in range(3):
        ledger.interruption("r")
    ledger.joined("r")
    ledger.interruption("r")
    ledger.joined("r")
    ledger.stopping = True
    ledger.interruption("r")
    assert ledger.interrupted == {"r": 2}


def test_posts_stay_open_until_they_are_settled() -> None:
    """An unsettled refusal leaves a post open; an ack or giving up settles it."""
    ledger = Ledger("c", "e", Clock())
    for post in ("acked", "given up", "refused"):
        ledger.tried(post)
    ledger.ack("w", "acked", 0.0, Message("m1", 1))
    ledger.refused("given up", "overloaded", settled=True)
    ledger.given_up("given up")
    ledger.refused("refused", "outcome_unknown", settled=False)
    assert ledger.open_posts == ("refused",)
    assert ledger.refusals == {"overloaded": 1, "outcome_unknown": 1}
