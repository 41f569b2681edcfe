"""What the harness calls broken, from figures that were made up."""

import attrs
import pytest

from hubbub.bench.hostile.attacks import ATTACKS, Expect, find
from hubbub.bench.hostile.judge import Phase, Played
from hubbub.bench.hostile.protocol import Report
from hubbub.bench.invariants import Verdict

ATTACK = attrs.evolve(
    find("fragments"),
    outcomes=Expect(frozenset({"close 1009"}), frozenset({"eof"})),
    replies=Expect(),
    rss_growth_mib=10,
    delivery_p99_ms=500,
)


def phase(name: str, **changes: object) -> Phase:
    calm = Phase(
        name=name,
        seconds=5,
        acks=100,
        deliveries=1_000,
        delivery_p50_ms=4,
        delivery_p99_ms=9,
        delivery_max_ms=12,
        ack_p50_ms=3,
        ack_p99_ms=8,
        unanswered=0,
        behind=0,
        rss_peak_mib=60,
    )
    return attrs.evolve(calm, **changes)


def played(**changes: object) -> Played:
    held = Played(
        attack=ATTACK,
        phases=(phase("before"), phase("during"), phase("after")),
        report=Report(outcomes={"close 1009": 5}, replies={}, cpu_s=1.0),
        verdict=Verdict(readers=40, received=1_000),
        refused={},
        left_descriptors=0,
    )
    return attrs.evolve(held, **changes)


def during(**changes: object) -> tuple[Phase, ...]:
    return (phase("before"), phase("during", **changes), phase("after"))


def test_what_went_as_documented_held() -> None:
    """Nothing is broken, also when an allowed outcome was seen beside the necessary one."""
    assert played().broken == ()
    assert played(report=Report(outcomes={"close 1009": 5, "eof": 1}, replies={}, cpu_s=0)).broken == ()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"verdict": Verdict(lost=2)}, "healthy clients: lost 2"),
        ({"verdict": Verdict(reordered=1)}, "healthy clients: reordered 1"),
        ({"verdict": Verdict(cut_off=1)}, "healthy clients: cut_off 1"),
        ({"refused": {"503 full": 3}}, "healthy posts were refused: 3 503 full"),
        ({"report": Report(outcomes={"open": 5}, replies={}, cpu_s=0)}, "connections: none was 'close 1009'"),
        (
            {"report": Report(outcomes={"close 1009": 4, "hung": 1}, replies={}, cpu_s=0)},
            "connections: 1 were 'hung'",
        ),
        (
            {"report": Report(outcomes={"close 1009": 4}, replies={"error 100": 2}, cpu_s=0)},
            "replies: 2 were 'error 100'",
        ),
        ({"phases": during(rss_peak_mib=75)}, "memory grew by 15 MiB, bound 10 MiB"),
        ({"phases": during(delivery_p99_ms=501)}, "during: delivery p99 501 ms, bound 500 ms"),
        ({"phases": during(unanswered=3)}, "during: 3 healthy posts without an answer"),
        ({"phases": during(behind=2)}, "during: 2 healthy readers did not get everything"),
        ({"phases": during(deliveries=0)}, "during: the healthy readers got nothing"),
        ({"left_descriptors": 100}, "100 descriptors were left behind"),
        ({"failure": "gone"}, "the healthy clients could not go on: gone"),
    ],
)
def test_each_departure_is_broken_and_named(changes: dict[str, object], sentence: str) -> None:
    """One departure from what is promised is enough, and the harness says which."""
    assert played(**changes).broken == (sentence,) or sentence in played(**changes).broken


def test_refused_posts_are_allowed_where_the_attack_says_so() -> None:
    """A flood beyond the mailbox may cost healthy clients a refusal, never a loss."""
    attack = attrs.evolve(ATTACK, may_refuse=True)
    assert played(attack=attack, refused={"503 full": 3}).broken == ()
    assert played(attack=attack, verdict=Verdict(posts_lost=1)).broken == ("healthy clients: posts_lost 1",)


def test_what_is_not_known_is_not_judged() -> None:
    """Without the server's process there is no memory to compare."""
    phases = tuple(phase(name, rss_peak_mib=None) for name in ("before", "during", "after"))
    assert played(phases=phases, left_descriptors=None).broken == ()


def test_every_attack_is_documented() -> None:
    """Names differ, every attack has a bound, and expects something."""
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
    for attack in ATTACKS:
        assert attack.outcomes.must, attack.name
        assert attack.bound, attack.name
        assert attack.rss_growth_mib < 200, attack.name
