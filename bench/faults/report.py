"""What a campaign found, as a table for people and as JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import attrs
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from ...testing.audit import Kind
from ..report import Machine, commit
from .campaign import Campaign
from .kinds import FAULTS, NEEDS, CannotInject
from .outcome import Outcome, Range, Status, Summary
from .stage import check

SCHEMA = 1
_SHOWN = 10
_COLOURS = {Status.PASSED: "green", Status.BROKEN: "bold red", Status.INVALID: "yellow", Status.SKIPPED: "dim"}


def summaries(campaign: Campaign) -> list[Summary]:
    """One of each fault, in the order of play."""
    names = dict.fromkeys(outcome.round.fault.name for outcome in campaign.outcomes)
    return [Summary.of(name, campaign.outcomes) for name in names]


def to_json(campaign: Campaign, options: Mapping[str, object], started_at: float) -> bytes:
    """Everything about a campaign.

    Args:
        started_at: seconds since 1970.
    """
    report = {
        "schema": SCHEMA,
        "started_at": datetime.fromtimestamp(started_at, UTC).isoformat(timespec="seconds"),
        "machine": Machine.here(),
        "commit": commit(),
        "options": options,
        "broken": campaign.broken,
        "problems": campaign.problems,
        "faults": summaries(campaign),
        "rounds": [_round(outcome) for outcome in campaign.outcomes],
    }
    return msgspec.json.format(msgspec.json.encode(report), indent=2)


def _round(outcome: Outcome) -> dict[str, object]:
    round_ = outcome.round
    found = outcome.findings
    told: dict[str, object] = {
        "fault": round_.fault.name,
        "number": round_.number,
        "seed": round_.seed,
        "status": outcome.status,
        "reasons": outcome.reasons,
    }
    if found is not None:
        told |= attrs.asdict(found, filter=lambda attribute, _: attribute.name != "verdict")
        told |= {
            "tried": found.verdict.tried,
            "acked": found.verdict.acked,
            "refused": found.verdict.refused,
            "stored": found.verdict.stored,
            "seen": found.verdict.seen,
            "violations": {kind.value: count for kind, count in found.verdict.counts.items()},
        }
    return told


def show(campaign: Campaign, console: Console) -> None:
    """Print what was broken, how it went, and then whatever was not in order."""
    found = summaries(campaign)
    console.print(_what_was_broken(found))
    console.print(_how_it_went(found))
    console.print(
        "changes: of members, acked. seconds: median / worst. first ack: from the fault to the first ack of a later post; "
        "mended: from its end. "
        "other: ghost, ack changed. cut off: readers that wanted to stay and lost their connection, "
        "a breach only where the fault must spare them.",
        style="dim",
        highlight=False,
    )
    for outcome in [one for one in campaign.outcomes if one.status is not Status.PASSED][:_SHOWN]:
        console.print(f"[{_COLOURS[outcome.status]}]{outcome.status.value}[/] {outcome.round.name}", highlight=False)
        for reason in outcome.reasons[:_SHOWN]:
            console.print(f"  {reason}", highlight=False, markup=False)
    for problem in campaign.problems:
        console.print(problem, style="bold red", markup=False, highlight=False)
    console.print(_last_line(campaign), highlight=False)


_KINDS = (Kind.LOST, Kind.DOUBLED, Kind.REORDERED, Kind.DROPPED)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("fault", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _what_was_broken(found: Sequence[Summary]) -> Table:
    table = _table("What was broken", "passed", "acked", *(kind.value for kind in _KINDS), "other")
    for summary in found:
        passed = summary.statuses.get(Status.PASSED, 0)
        colour = "green" if passed == summary.rounds else "yellow"
        if summary.statuses.get(Status.BROKEN):
            colour = "bold red"
        counts = [summary.violations.get(kind, 0) for kind in _KINDS]
        counts.append(sum(summary.violations.values()) - sum(counts))
        table.add_row(
            summary.fault,
            f"[{colour}]{passed:,}/{summary.rounds:,}[/]",
            f"{summary.acked:,}",
            *(f"[bold red]{count:,}[/]" if count else "0" for count in counts),
        )
    return table


def _how_it_went(found: Sequence[Summary]) -> Table:
    table = _table("How it went", "changes", "refused", "cut off", "first ack", "mended", "ready")
    for summary in found:
        table.add_row(
            summary.fault,
            f"{summary.changes:,}",
            f"{sum(summary.refusals.values()):,}",
            f"{summary.interrupted:,}",
            *(_range(span) for span in (summary.first_ack, summary.recovery, summary.ready)),
        )
    return table


def _range(span: Range) -> str:
    return "" if span.median_s is None or span.most_s is None else f"{span.median_s:.2f} / {span.most_s:.2f}"


def _last_line(campaign: Campaign) -> str:
    counts = {status: sum(one.status is status for one in campaign.outcomes) for status in Status}
    words = ", ".join(f"[{_COLOURS[status]}]{count:,} {status.value}[/]" for status, count in counts.items() if count)
    return words or "no round was played"


def show_list(console: Console) -> None:
    """Print what can be done, what it needs, and whether this machine has that."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("fault", no_wrap=True)
    table.add_column("what it does")
    table.add_column("needs")
    table.add_column("here")
    for fault in FAULTS:
        try:
            check(fault.scene)
        except CannotInject as exc:
            here = f"[yellow]no: {exc}[/]"
        else:
            here = "yes"
        table.add_row(fault.name, fault.does, NEEDS.get(fault.scene, ""), here)
    console.print(table)


def line(outcome: Outcome) -> str:
    """One round on one line."""
    found = outcome.findings
    if found is None or found.effect is None:
        return f"{outcome.round.name}: {outcome.status.value}: {(outcome.reasons or ('',))[0].splitlines()[0]}"
    mended = "" if found.times.recovery_s is None else f", mended in {found.times.recovery_s:.2f} s"
    return f"{outcome.round.name}: {outcome.status.value}: {found.effect.what}; {found.verdict.acked:,} acked{mended}"
