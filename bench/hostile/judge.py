"""What a played attack shows, and what of it is broken. Pure.

Broken is: a healthy client that lost, doubled, reordered or was cut off; a healthy post without an answer, or refused where
the attack does not say so; a bound that was passed (memory, latency, descriptors left behind); an outcome other than the
documented one, or a documented one that was not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from ..invariants import Verdict
from .attacks import Attack, Expect
from .protocol import Report

AFTERWARDS_P99_MS: Final = 1_000.0
SPARE_DESCRIPTORS: Final = 16
"""A server may open some for itself meanwhile (connections to Postgres)."""


@attrs.frozen(kw_only=True)
class Phase:
    """Figures of one stretch of time. None: not measured, because the server's process is not known.

    Attributes:
        acks: Healthy posts that were acknowledged.
        deliveries: Healthy deliveries.
        unanswered: Healthy posts without an answer at its end, the drain time included.
        behind: Healthy readers that had not been sent everything by then.
        rss_peak_mib: The most memory of the server that was seen.
        server_percent: The server's CPU, in percent of one core; Postgres apart.
        attackers_percent: The attackers' CPU; in the control what was burnt instead.
        healthy_percent: CPU of the healthy clients' process (and of the bench, which is little): near 100 it is they that lag.
        others_percent: CPU used on this machine by nobody of ours: other load, which disturbs the figures.
    """

    name: str
    seconds: float
    acks: int
    deliveries: int
    delivery_p50_ms: float
    delivery_p99_ms: float
    delivery_max_ms: float
    ack_p50_ms: float
    ack_p99_ms: float
    unanswered: int
    behind: int
    rss_peak_mib: float | None = None
    server_percent: float | None = None
    postgres_percent: float | None = None
    attackers_percent: float = 0.0
    healthy_percent: float | None = None
    others_percent: float | None = None


@attrs.frozen(kw_only=True)
class Played:
    """One attack as it went.

    Attributes:
        phases: Before, during, after, and the control where there was one.
        report: What became of the attackers' connections and requests.
        verdict: The healthy clients' account, over all phases.
        refused: Healthy posts that were refused, by code.
        left_descriptors: More than before the attack, some time after it; None when not known.
        failure: Why the healthy clients could not go on, if they could not.
    """

    attack: Attack
    phases: tuple[Phase, ...]
    report: Report
    verdict: Verdict
    refused: Mapping[str, int]
    left_descriptors: int | None = None
    failure: str = ""

    @property
    def broken(self) -> tuple[str, ...]:
        """What did not hold, as sentences; empty when all did."""
        return tuple(_broken(self))


def _broken(played: Played) -> Iterator[str]:
    attack, verdict = played.attack, played.verdict
    if played.failure:
        yield f"the healthy clients could not go on: {played.failure}"
    for name in verdict.broken():
        yield f"healthy clients: {name} {getattr(verdict, name)}"
    if played.refused and not attack.may_refuse:
        yield f"healthy posts were refused: {_counts(played.refused)}"
    yield from _departures("connections", attack.outcomes, played.report.outcomes)
    yield from _departures("replies", attack.replies, played.report.replies)
    for phase in played.phases:
        yield from _passed(attack, phase)
    yield from _grown(played)


def _departures(what: str, expect: Expect, seen: Mapping[str, int]) -> Iterator[str]:
    """Where what was seen differs from what is documented."""
    for word in sorted(expect.must - seen.keys()):
        yield f"{what}: none was {word!r}"
    for word in sorted(seen.keys() - expect.must - expect.may):
        yield f"{what}: {seen[word]} were {word!r}"


def _passed(attack: Attack, phase: Phase) -> Iterator[str]:
    """Bounds passed within one phase."""
    if phase.unanswered:
        yield f"{phase.name}: {phase.unanswered} healthy posts without an answer"
    if phase.behind:
        yield f"{phase.name}: {phase.behind} healthy readers did not get everything"
    if not phase.deliveries:
        yield f"{phase.name}: the healthy readers got nothing"
    limit_ms = attack.delivery_p99_ms if phase.name == "during" else AFTERWARDS_P99_MS
    if phase.delivery_p99_ms > limit_ms and phase.name in ("during", "after"):
        yield f"{phase.name}: delivery p99 {phase.delivery_p99_ms:.0f} ms, bound {limit_ms:.0f} ms"


def _grown(played: Played) -> Iterator[str]:
    """What the server had more of than it may."""
    peaks_mib = [phase.rss_peak_mib for phase in played.phases[:2] if phase.rss_peak_mib is not None]
    if len(peaks_mib) == 2:
        grown_mib = peaks_mib[1] - peaks_mib[0]
        if grown_mib > played.attack.rss_growth_mib:
            yield f"memory grew by {grown_mib:.0f} MiB, bound {played.attack.rss_growth_mib:.0f} MiB"
    if played.left_descriptors is not None and played.left_descriptors > SPARE_DESCRIPTORS:
        yield f"{played.left_descriptors} descriptors were left behind"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
