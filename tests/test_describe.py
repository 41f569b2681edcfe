"""The command `hubbub openapi`."""

from __future__ import annotations

import json

from click.testing import CliRunner

from hubbub.cli import cli

from .transport.world import serving


async def test_it_prints_what_a_server_serves(autojump_clock) -> None:
    """Byte for byte on one line, and the same for people."""
    async with serving() as world, world.client() as client:
        served = await client.ask("GET", "/openapi.json")
    compact = CliRunner().invoke(cli, ["openapi", "--compact"])
    assert (compact.exit_code, compact.stdout_bytes) == (0, served.body + b"\n")
    wide = CliRunner().invoke(cli, ["openapi"])
    assert json.loads(wide.stdout) == served.json
    assert wide.stdout.startswith('{\n  "openapi": "3.1.0"')
