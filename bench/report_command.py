"""The command `hubbub bench report`: earlier results once more, as tables, as a page, judged and compared. Runs nothing."""

from __future__ import annotations

from pathlib import Path

import click

from .command import leave, shown
from .errors import BenchError
from .options import Wanted, with_wanted
from .report import read_results


@click.command()
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@with_wanted
def report(*, files: tuple[Path, ...], wanted: Wanted) -> None:
    """Show results that were written with --json: several in one page, judged anew, or against older ones."""
    results = []
    for file in files:
        try:
            found = read_results(file.read_bytes())
        except (OSError, BenchError) as exc:
            raise click.BadParameter(f"{file}: {exc}", param_hint="FILE") from exc
        # A service level that was judged then is kept unless another one is asked for now.
        results += [shown(wanted, result) for result in found]
    leave(wanted, results)
