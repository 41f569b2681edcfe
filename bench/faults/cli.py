"""The command `hubbub bench faults`: chooses faults, plays their rounds with a live progress, prints the table.

Exit codes: 0 no promise was broken in any round; 1 one was; 2 wrong usage; 3 not proven: nothing could be run, a round
proved nothing, or a fault that was asked for by name is not possible here; 130 interrupted (everything is stopped).
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import click
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import BenchError
from ..exits import EXIT_BROKEN, EXIT_INTERRUPTED, EXIT_NOT_RUN, NotRun
from . import report
from .campaign import Campaign, Tell, leaves, run_campaign
from .crowd import Load
from .kinds import BY_NAME, FAULTS, Fault
from .outcome import Outcome, Status
from .plan import Round, plan

_PIPE_COLUMNS: Final = 120
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@click.command()
@click.option(
    "--fault",
    "names",
    multiple=True,
    type=click.Choice([fault.name for fault in FAULTS]),
    metavar="NAME",
    help="A fault to inject; may be given several times. --list names them.",
)
@click.option("--all", "everything", is_flag=True, help="Every fault that this machine allows.")
@click.option(
    "--list", "list_them", is_flag=True, help="List the faults, what each needs and whether it is here, and end."
)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Rounds of each fault.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the moments and of everything random.")
@click.option(
    "--writers",
    type=click.IntRange(1, 200),
    default=8,
    show_default=True,
    help="Clients that post, half by REST, half by WebSocket.",
)
@click.option(
    "--readers",
    type=click.IntRange(1, 500),
    default=8,
    show_default=True,
    help="Clients that read: WebSocket and event streams; half stay, half come and go.",
)
@click.option("--json", "json_path", help="Also write everything as JSON to this file; - for stdout, no table.")
def faults(
    *,
    names: tuple[str, ...],
    everything: bool,
    list_them: bool,
    rounds: int,
    seed: int,
    writers: int,
    readers: int,
    json_path: str | None,
) -> None:
    """Break a real server in every way and audit what was promised.

    \b
    hubbub bench faults --list
    hubbub bench faults --fault kill-server --rounds 100
    hubbub bench faults --all --rounds 5 --seed 7 --json faults.json

    Starts servers of its own (real processes, real Postgres, real sockets) and injects one fault a round while clients
    post and read. After each round what was acked is compared with what is stored and with what every reader saw:
    lost, doubled, reordered, silently dropped, refused and stored all the same, acked twice differently. A round whose
    fault took no effect is invalid, one that this machine cannot play is skipped; neither counts as passed.

    A round is the same for the same seed, fault and number, up to the timing of the machine.

    Exit code: 0 no promise was broken; 1 one was; 2 wrong usage; 3 not run or not proven; 130 interrupted.
    """
    if list_them:
        report.show_list(Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS))
        return
    if bool(names) == everything:
        raise click.UsageError("say which faults: --fault NAME (once or more), or --all")
    schedule = plan(FAULTS if everything else [BY_NAME[name] for name in names], rounds=rounds, seed=seed)
    started_at = time.time()
    campaign = _carry_out(schedule, Load(writers=writers, readers=readers))
    options = {"faults": names or "all", "rounds": rounds, "seed": seed, "writers": writers, "readers": readers}
    if json_path == "-":
        click.echo(report.to_json(campaign, options, started_at))
    else:
        report.show(campaign, Console())
        if json_path is not None:
            Path(json_path).write_bytes(report.to_json(campaign, options, started_at) + b"\n")
    _leave(campaign, [BY_NAME[name] for name in names])


def _leave(campaign: Campaign, asked: Sequence[Fault]) -> None:
    if campaign.broken:
        raise click.exceptions.Exit(EXIT_BROKEN)
    not_possible = any(
        outcome.status is Status.SKIPPED and outcome.round.fault in asked for outcome in campaign.outcomes
    )
    if not_possible or not campaign.proven:
        raise click.exceptions.Exit(EXIT_NOT_RUN)


def _carry_out(schedule: Sequence[Round], load: Load) -> Campaign:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    # In a log the bar would be its last line, drawn once at the end.
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("starting", total=len(schedule))

        def tell(outcome: Outcome) -> None:
            if outcome.status is not Status.PASSED or not console.is_terminal:
                console.print(report.line(outcome), markup=False, highlight=False, soft_wrap=True)
            progress.update(task, advance=1, description=report.line(outcome)[:100])

        try:
            found = trio.run(_interruptible, schedule, load, tell)
        except* BenchError as group:
            raise NotRun("\n".join(str(error) for error in leaves(group))) from group
    if found is None:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)
    return found


@attrs.define
class _Slot:
    campaign: Campaign | None = None


async def _interruptible(schedule: Sequence[Round], load: Load, tell: Tell) -> Campaign | None:
    """The campaign, or None when SIGINT or SIGTERM came first; everything is stopped then."""
    slot = _Slot()
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    return

            nursery.start_soon(watch)
            slot.campaign = await run_campaign(schedule, load, tell)
            nursery.cancel_scope.cancel()
    return slot.campaign
