"""``hubbub config``: check a configuration, show what is in force and why, print a file to begin with. These ask no running
server; those that do are in `live_command`.

Exit codes: 0 done; 1 the configuration cannot be used; 2 wrong usage.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import click

from ..commands.exits import exit_codes
from ..commands.output import Column, Row
from ..commands.server import output_of
from .documents import effective, example, markdown_table
from .errors import ConfigError
from .live_command import get_settings, put_settings, set_setting, unset_setting
from .schema import Leaf
from .sources import FILE_NAME
from .startup import Started, sources_of, start
from .values import name_of

_FILE = click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file; else $HUBBUB_CONFIG, else ./hubbub.toml, as root /etc/hubbub/hubbub.toml.",
)
_DATA = click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), help="Data directory, with the settings made by admins."
)
_SHOWN: Final = (
    Column("setting", "key"),
    Column("value", "value", free=True),
    Column("said by", "origin", free=True),
    Column("live", "live"),
)
_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group()
def config() -> None:
    """Check, show and begin a configuration, as `hubbub serve` would read it; get and set what a running server has.

    \b
    Examples:
      hubbub config example > hubbub.toml
      hubbub config check
      hubbub config get access
      hubbub config set access.sign_up invite
    """


for _command in (get_settings, set_setting, unset_setting, put_settings):
    config.add_command(_command)


@config.command()
@_FILE
@_DATA
@_JSON
def check(config_file: Path | None, data: Path | None, as_json: bool) -> None:
    """Say what is wrong with the configuration, all of it at once; exit code 1 when something is."""
    try:
        started = start(sources_of(config_file, {"data": data}))
    except ConfigError as error:
        if as_json:
            problems = [
                {"key": each.key, "origin": str(each.origin), "message": each.message} for each in error.problems
            ]
            click.echo(json.dumps({"ok": False, "problems": problems}, indent=2))
        else:
            click.echo("\n".join(error.lines()), err=True)
        sys.exit(1)
    warnings = started.loaded.warnings
    if as_json:
        click.echo(json.dumps({"ok": True, "warnings": warnings}, indent=2))
        return
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"good: {_where(started)}")


@config.command()
@_FILE
@_DATA
@_JSON
@click.option("--all", "everything", is_flag=True, help="Also what is at its default.")
def show(config_file: Path | None, data: Path | None, as_json: bool, everything: bool) -> None:
    """Show the values in force and where each was said. Secrets are hidden."""
    try:
        started = start(sources_of(config_file, {"data": data}))
    except ConfigError as error:
        click.echo("\n".join(error.lines()), err=True)
        sys.exit(1)
    found = [
        (leaf, value, origin) for leaf, value, origin in effective(started.loaded) if everything or origin != "default"
    ]
    if as_json:
        rows = {
            leaf.key: {"value": value, "origin": origin, "live": leaf.live, "takes": name_of(leaf.kind)}
            for leaf, value, origin in found
        }
        click.echo(json.dumps(rows, indent=2))
        return
    if not found:
        click.echo("everything is at its default (--all shows it)")
        return
    with exit_codes():
        output_of(as_json=False).rows(_SHOWN, [_row(*each) for each in found])


def _row(leaf: Leaf, value: object, origin: str) -> Row:
    shown = None if value is None else json.dumps(value, ensure_ascii=False)
    return {"key": leaf.key, "value": shown, "origin": origin, "live": "yes" if leaf.live else None}


@config.command("example")
@click.option("--markdown", is_flag=True, help="As the table of docs/configuration.md.")
def show_example(markdown: bool) -> None:
    """Print a file that says everything there is, each with its default and what it means."""
    click.echo(markdown_table() if markdown else example(), nl=False)


def _no_file(file: Path | None) -> str:
    """That none was read; and, where one lies here that is not looked at, how to name it."""
    here = Path(FILE_NAME)
    if here.exists() and (file is None or file.absolute() != here.absolute()):
        return f"no file (./{FILE_NAME} is not read here: name it with --config)"
    return "no file"


def _where(started: Started) -> str:
    file = started.sources.file
    read = [str(file)] if file is not None and file.exists() else [_no_file(file)]
    kinds = {origin.kind for origin in started.loaded.origins.values()}
    names = {"admin": "settings made by admins", "environment": "the environment", "flag": "flags"}
    return ", ".join(read + [name for kind, name in names.items() if kind in kinds])
