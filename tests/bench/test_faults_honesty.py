"""The fault harness against a server that lies in known ways: it must see exactly that, and nothing where there is nothing."""

import attrs
import pytest

from hubbub.bench.faults.crowd import Load
from hubbub.bench.faults.kinds import Effect, Fault, Span
from hubbub.bench.faults.ledger import Leftovers
from hubbub.bench.faults.outcome import Outcome, Status
from hubbub.bench.faults.plan import Round, plan
from hubbub.bench.faults.rounds import play
from hubbub.testing.audit import Kind

from .lying import LyingServer, lying

NOTHING = Fault(name="nothing", does="nothing", lasts=Span(0.1, 0.1), keeps_subscriptions=True)
ROUND: Round = attrs.evolve(plan([NOTHING], rounds=1, seed=1)[0], acks=60)
LOAD = Load(writers=4, readers=2)


async def outcome_of(server: LyingServer, **changes: object) -> Outcome:
    async with lying(server) as ground:
        outcome, _, _ = await play(attrs.evolve(ground, **changes), ROUND, LOAD)
        return outcome


def counts(outcome: Outcome) -> dict[Kind, int]:
    assert outcome.findings is not None
    return outcome.findings.verdict.counts


async def test_an_honest_server_passes() -> None:
    """Nothing is found where nothing is wrong, and everybody has seen every post."""
    outcome = await outcome_of(LyingServer())
    assert (outcome.status, outcome.reasons) == (Status.PASSED, ())
    found = outcome.findings
    assert found is not None
    assert found.verdict.acked == found.verdict.stored == found.verdict.tried > 60
    assert found.verdict.seen == 5 * found.verdict.stored  # two readers, two latecomers, the pages
    assert found.times.recovery_s is not None
    assert (found.changes > 0, found.members, found.open_changes) == (True, (), 0)


@pytest.mark.parametrize(
    ("lies", "expected"),
    [
        ({"forget": {7, 31}}, {Kind.LOST: 2}),
        ({"double": {12}}, {Kind.DOUBLED: 1}),
        ({"drop": {21}}, {Kind.DROPPED: 1}),
        ({"repeat": {9, 33}}, {Kind.DOUBLED: 2}),
        ({"swap": {15}}, {Kind.DROPPED: 1, Kind.REORDERED: 1}),
        ({"alter": {40}}, {Kind.REORDERED: 1}),
    ],
)
async def test_a_lie_is_counted_exactly(lies: dict[str, set[int]], expected: dict[Kind, int]) -> None:
    """A forgotten, doubled, dropped, repeated, swapped or altered message is found as often as it happened."""
    outcome = await outcome_of(LyingServer(**lies))
    assert outcome.status is Status.BROKEN
    assert counts(outcome) == expected


async def test_a_refusal_that_was_stored_is_a_ghost() -> None:
    """A writer that took "not stored" for an answer finds its post in the log."""
    outcome = await outcome_of(LyingServer(ghost=set(range(20, 28))))
    assert outcome.status is Status.BROKEN
    assert counts(outcome).get(Kind.GHOST, 0) >= 1
    # A stubborn writer's second try is stored again, and acked where the first one stands.
    assert set(counts(outcome)) <= {Kind.GHOST, Kind.DOUBLED, Kind.LOST}


async def test_an_honest_refusal_breaks_nothing() -> None:
    """Refused and not stored is what was promised; the refusals are counted by code."""
    outcome = await outcome_of(LyingServer(refuse=set(range(20, 28))))
    assert outcome.status is Status.PASSED, outcome.reasons
    assert outcome.findings is not None
    assert sum(outcome.findings.refusals.values()) == 8
    assert set(outcome.findings.refusals) <= {"store_unavailable", "503"}


async def test_a_changed_ack_is_found() -> None:
    """A repeat of an acked post that is acked differently breaks the promise of its key."""
    outcome = await outcome_of(LyingServer(change_ack=True))
    assert outcome.status is Status.BROKEN
    assert counts(outcome).get(Kind.ACK_CHANGED, 0) >= 1


@pytest.mark.parametrize("lie", ["forget_ban", "double_ban", "undo_ban"])
async def test_a_lie_about_members_is_found(lie: str) -> None:
    """An acked ban that is not stored, stored twice, or not in force breaks a round, though all posts are in order."""
    outcome = await outcome_of(LyingServer(**{lie: set(range(3, 1000))}))
    assert outcome.status is Status.BROKEN
    assert outcome.reasons[0].startswith("members: outlaw-")
    assert counts(outcome) == {}


async def test_a_reset_is_reported() -> None:
    """A reader that is told that its position is lost was not served as promised."""
    outcome = await outcome_of(LyingServer(reset=True))
    assert outcome.status is Status.BROKEN
    assert any(reason.startswith("reset: socket-0") for reason in outcome.reasons)


async def test_a_fault_without_effect_proves_nothing() -> None:
    """A round whose fault did nothing is invalid, however well it went."""
    outcome = await outcome_of(LyingServer(), effect=Effect(False, "missed"))
    assert outcome.status is Status.INVALID
    assert outcome.reasons == ("the fault took no effect: missed",)


async def test_leftovers_break_a_round() -> None:
    """Processes and tracebacks that stay behind are reported."""
    outcome = await outcome_of(LyingServer(), leaves=Leftovers(processes=2, tracebacks=1))
    assert outcome.reasons == ("left over: 2 processes", "tracebacks in the log: 1")
