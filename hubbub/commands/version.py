"""The command `hubbub version`."""

from __future__ import annotations

import click

from ..transport.version import version as program_version
from .output import json_option


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version."""
    import json

    click.echo(
        json.dumps({"name": "hubbub", "version": program_version()}) if as_json else f"hubbub {program_version()}"
    )
