"""How a round is judged, and what the rounds of one fault add up to. Pure.

A round has passed only when a fault was seen to take effect under load and nothing was broken. One without an ack before and
after the fault, or whose fault did nothing, is invalid: it proves nothing, and is never counted as passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum
from statistics import median
from typing import Final

import attrs

from ...testing.audit import Kind, Verdict
from .kinds import Effect
from .ledger import Leftovers, Times
from .plan import Round

_MORE_DESCRIPTORS: Final = 8
"""A server may open so many for itself in a round: reading connections of its pool, opened when first needed."""
_KEPT: Final = 5


class Status(Enum):
    """How a round ended."""

    PASSED = "passed"
    BROKEN = "broken"
    INVALID = "invalid"
    SKIPPED = "skipped"


@attrs.frozen(kw_only=True)
class Findings:
    """What is known of a round when it is over.

    Attributes:
        effect: None when the fault was never injected; `why_not` then says why.
        verdict: of the audit.
        acked_before: acks before the fault.
        recovered: every writer got an ack for a post that it sent after the fault.
        open_posts: how many posts were never settled.
        changes: changes of members that were acked.
        open_changes: how many of them were never settled.
        members: where the members are not what was acked.
        behind: readers that did not reach the head in time.
        resets: readers that were told that their position is lost.
        interrupted: readers that wanted to stay and lost their connection, with how often.
        refusals: by code.
        tables: what is inconsistent between the tables.
        ended: exit status of the server when it ended without being asked to; None otherwise.
    """

    effect: Effect | None
    verdict: Verdict
    times: Times = attrs.Factory(Times)
    why_not: str = ""
    acked_before: int = 0
    recovered: bool = False
    open_posts: int = 0
    changes: int = 0
    open_changes: int = 0
    members: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    resets: tuple[str, ...] = ()
    interrupted: Mapping[str, int] = attrs.Factory(dict)
    refusals: Mapping[str, int] = attrs.Factory(dict)
    tables: tuple[str, ...] = ()
    leftovers: Leftovers = attrs.Factory(Leftovers)
    ended: int | None = None


@attrs.frozen(kw_only=True)
class Outcome:
    """One round, judged.

    Attributes:
        reasons: why it did not pass, for people; the first few of each sort.
        findings: what the judgement rests on; None for a skipped round.
    """

    round: Round
    status: Status
    reasons: tuple[str, ...] = ()
    findings: Findings | None = None


def skipped(round_: Round, why: str) -> Outcome:
    """A round that this machine could not play."""
    return Outcome(round=round_, status=Status.SKIPPED, reasons=(why,))


def judge(round_: Round, found: Findings) -> Outcome:
    """Judge a round. What is broken is broken, also in a round that is otherwise invalid."""
    broken = (*_broken_words(found), *_broken_service(round_, found))
    if broken:
        return Outcome(round=round_, status=Status.BROKEN, reasons=broken, findings=found)
    invalid = _invalid(found)
    if invalid:
        return Outcome(round=round_, status=Status.INVALID, reasons=(invalid,), findings=found)
    return Outcome(round=round_, status=Status.PASSED, findings=found)


def _invalid(found: Findings) -> str:
    if found.effect is None:
        return f"no fault was injected: {found.why_not}"
    if not found.effect.took:
        return f"the fault took no effect: {found.effect.what}"
    if found.acked_before == 0:
        return "nothing was acked before the fault"
    if found.verdict.seen == 0:
        return "no reader saw anything"
    return ""


def _broken_words(found: Findings) -> list[str]:
    """What was acked, stored and seen does not fit together."""
    reasons = [f"{kind.value}: {count}" for kind, count in found.verdict.counts.items()]
    reasons += [str(violation) for violation in found.verdict.violations[:_KEPT]]
    reasons += [f"tables: {problem}" for problem in found.tables[:_KEPT]]
    reasons += [f"members: {problem}" for problem in found.members[:_KEPT]]
    reasons += [f"reset: {reset}" for reset in found.resets[:_KEPT]]
    reasons += [f"behind: {reader}" for reader in found.behind[:_KEPT]]
    return reasons


def _broken_service(round_: Round, found: Findings) -> list[str]:
    """The server did not do what it owes while and after this fault."""
    fault, reasons = round_.fault, []
    if found.effect is not None and not found.recovered:
        reasons.append("not mended: posts sent after the fault were not acked in time")
    if found.open_posts:
        reasons.append(f"not settled: {found.open_posts} posts have no answer")
    if found.open_changes:
        reasons.append(f"not settled: {found.open_changes} changes of members have no answer")
    if fault.keeps_subscriptions and found.interrupted:
        reasons.append(f"subscriptions lost: {_counted(found.interrupted)}")
    if found.ended is not None and not fault.ends_server:
        reasons.append(f"the server ended by itself with {found.ended}")
    left = found.leftovers
    if left.processes:
        reasons.append(f"left over: {left.processes} processes")
    if left.descriptors > _MORE_DESCRIPTORS:
        reasons.append(f"left over: {left.descriptors} descriptors")
    if left.tracebacks and not fault.may_complain:
        reasons.append(f"tracebacks in the log: {left.tracebacks}")
    return reasons


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


@attrs.frozen(kw_only=True)
class Range:
    """Median and greatest of some seconds; None without any."""

    median_s: float | None
    most_s: float | None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Range:
        """Of those that are known."""
        known = [value for value in values if value is not None]
        return cls(median_s=median(known) if known else None, most_s=max(known, default=None))


@attrs.frozen(kw_only=True)
class Summary:
    """The rounds of one fault.

    Attributes:
        statuses: rounds by status.
        changes: of members, that were acked.
        violations: of the audit, by kind.
        interrupted: connections that readers who wanted to stay lost.
    """

    fault: str
    rounds: int
    statuses: Mapping[Status, int]
    acked: int
    changes: int
    stored: int
    seen: int
    violations: Mapping[Kind, int]
    refusals: Mapping[str, int]
    interrupted: int
    errors: int
    first_ack: Range
    recovery: Range
    ready: Range

    @classmethod
    def of(cls, fault: str, outcomes: Iterable[Outcome]) -> Summary:
        """Add up the rounds of this fault."""
        mine = [outcome for outcome in outcomes if outcome.round.fault.name == fault]
        found = [outcome.findings for outcome in mine if outcome.findings is not None]
        violations: Counter[Kind] = Counter()
        refusals: Counter[str] = Counter()
        for findings in found:
            violations.update(findings.verdict.counts)
            refusals.update(findings.refusals)
        return cls(
            fault=fault,
            rounds=len(mine),
            statuses=Counter(outcome.status for outcome in mine),
            acked=sum(findings.verdict.acked for findings in found),
            changes=sum(findings.changes for findings in found),
            stored=sum(findings.verdict.stored for findings in found),
            seen=sum(findings.verdict.seen for findings in found),
            violations=violations,
            refusals=refusals,
            interrupted=sum(sum(findings.interrupted.values()) for findings in found),
            errors=sum(findings.leftovers.errors for findings in found),
            first_ack=Range.of(findings.times.first_ack_s for findings in found),
            recovery=Range.of(findings.times.recovery_s for findings in found),
            ready=Range.of(findings.effect.ready_s for findings in found if findings.effect is not None),
        )
