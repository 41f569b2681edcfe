"""What the attacks showed, as a table for people and as JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs
import msgspec
from rich.console import Console
from rich.table import Table

from ..report import Machine, commit
from .judge import Phase, Played

SCHEMA: Final = 1


def to_json(plays: Sequence[Played], options: Mapping[str, object], started_at: float) -> bytes:
    """All attacks that were played, in their order, with where and how.

    Args:
        started_at: Seconds since 1970.
    """
    document = {
        "schema": SCHEMA,
        "started_at": datetime.fromtimestamp(started_at, UTC).isoformat(timespec="seconds"),
        "machine": attrs.asdict(Machine.here()),
        "commit": commit(),
        "options": options,
        "attacks": [_plain(played) for played in plays],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _plain(played: Played) -> dict[str, object]:
    attack = played.attack
    return {
        "attack": attack.name,
        "does": attack.does,
        "connections": attack.connections,
        "bound": attack.bound,
        "outcomes": played.report.outcomes,
        "replies": played.report.replies,
        "phases": [attrs.asdict(phase) for phase in played.phases],
        "verdict": attrs.asdict(played.verdict),
        "refused": dict(played.refused),
        "left_descriptors": played.left_descriptors,
        "broken": list(played.broken),
    }


def show(plays: Sequence[Played], console: Console) -> None:
    """Print a line for each phase of each attack, what became of the attackers, and what broke."""
    table = Table(
        title="healthy clients' delivery and ack in ms; the server's memory in MiB; CPU in % of a core: "
        "server, attackers, healthy clients, others",
        title_justify="left",
    )
    for title in ("attack", "phase"):
        table.add_column(title, no_wrap=True)
    for title in ("p50", "p99", "ack", "p99", "RSS", "srv", "att", "hea", "oth"):
        table.add_column(title, justify="right", no_wrap=True)
    for played in plays:
        for phase in played.phases:
            table.add_row(played.attack.name if phase.name == "before" else "", phase.name, *_cells(phase))
        table.add_section()
    console.print(table)
    for played in plays:
        seen = ", ".join(f"{n:,} {word}" for word, n in {**played.report.outcomes, **played.report.replies}.items())
        refused = ", ".join(f"{n} healthy posts refused: {why}" for why, n in played.refused.items())
        mark = "[bold red]broken[/]" if played.broken else "[green]held[/]"
        console.print(f"{mark} {played.attack.name}: {seen}{'; ' + refused if refused else ''}", highlight=False)
        for sentence in played.broken:
            console.print(f"  [red]{sentence}[/]", highlight=False)
    machine = Machine.here()
    console.print(
        f"{machine.cpu}, {machine.cores} cores shared by server, healthy clients and attackers, "
        f"Python {machine.python}, commit {commit()}",
        style="dim",
        highlight=False,
    )


def _cells(phase: Phase) -> list[str]:
    times_ms = (phase.delivery_p50_ms, phase.delivery_p99_ms, phase.ack_p50_ms, phase.ack_p99_ms)
    shares = (
        phase.rss_peak_mib,
        phase.server_percent,
        phase.attackers_percent,
        phase.healthy_percent,
        phase.others_percent,
    )
    return [
        *(f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in times_ms),
        *("-" if value is None else f"{value:.0f}" for value in shares),
    ]
