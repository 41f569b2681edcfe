"""Tests of the command line as a whole: what there is, what it costs to ask, and that `docs/cli.md` says the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hubbub.cli import SECTIONS, cli

from .write_docs import DOCS, reference

CONTEXT = click.Context(cli, info_name="hubbub")
NO_SERVER = {"serve", "config", "openapi", "bench", "completion", "version", "migrate", "doctor", "backup", "restore"}
PRINTS_NO_DATA = {"serve", "completion", "openapi", "users export", "config example"}


def _commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that can be run, by its words; those of the bench are its own matter."""
    for name in cli.list_commands(CONTEXT):
        command = cli.get_command(CONTEXT, name)
        assert command is not None
        if isinstance(command, click.Group) and name != "bench":
            for inner in command.commands.values():
                yield f"{name} {inner.name}", inner
        elif name != "bench":
            yield name, command


COMMANDS = tuple(_commands())


def options_of(command: click.Command) -> set[str]:
    return {flag for param in command.params if isinstance(param, click.Option) for flag in param.opts}


def test_every_command_of_the_table_is_there_under_its_name() -> None:
    """The table and the commands agree, and each has help of one line and of its own."""
    for entries in SECTIONS.values():
        for name, entry in entries.items():
            command = cli.get_command(CONTEXT, name)
            assert command is not None
            assert command.name == name
            assert command.help
            assert len(entry.help) <= 60


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=lambda value: value if isinstance(value, str) else "")
def test_commands_share_their_options(words: str, command: click.Command) -> None:
    """All that ask a server take --url, all that print data take --json, and no password can be an argument."""
    options = options_of(command)
    if words.split()[0] not in NO_SERVER:
        assert "--url" in options
    if words not in PRINTS_NO_DATA:
        assert "--json" in options
    assert not {"--password", "--present-password"} & options
    for param in command.params:
        if isinstance(param, click.Option) and param.name == "url":
            assert param.envvar == "HUBBUB_URL"


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_help_can_be_had(words: str, command: click.Command) -> None:
    """It names the command and says something of it."""
    done = CliRunner().invoke(cli, [*words.split(), "--help"], prog_name="hubbub")
    assert done.exit_code == 0
    assert f"Usage: hubbub {words}" in done.output
    assert command.get_short_help_str()


def test_help_lists_the_commands_in_sections() -> None:
    """Each heading, each command, and what the exit codes mean."""
    shown = CliRunner().invoke(cli, ["--help"]).output
    for title, entries in SECTIONS.items():
        assert f"\n{title}:\n" in shown
        for name, entry in entries.items():
            assert f"  {name} " in shown
            assert entry.help in shown
    assert "77 not signed in" in shown


def test_a_command_that_does_not_exist_names_the_nearest() -> None:
    """Exit code 2; without a near one, the list is named."""
    near = CliRunner().invoke(cli, ["romms"])
    assert (near.exit_code, "Did you mean 'rooms'?" in near.output) == (2, True)
    far = CliRunner().invoke(cli, ["zzzzzz"])
    assert (far.exit_code, "--help lists them" in far.output) == (2, True)


def test_help_and_completion_load_neither_engine_nor_client() -> None:
    """What every press of the completion key costs."""
    program = (
        "import sys\nfrom click.testing import CliRunner\nfrom hubbub.cli import cli\n"
        "for env in ({}, {'_HUBBUB_COMPLETE': 'bash_complete', 'COMP_WORDS': 'hubbub r', 'COMP_CWORD': '1'}):\n"
        "    print(CliRunner().invoke(cli, ['--help'], prog_name='hubbub', env=env).output)\n"
        "print([m for m in ('trio', 'httpx', 'rich', 'asyncpg', 'hubbub.engine') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "plain,rooms" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_given_their_script(shell: str) -> None:
    """It defines a function for hubbub, and asks by the variable that the program knows."""
    done = CliRunner().invoke(cli, ["completion", shell])
    assert done.exit_code == 0
    assert "_HUBBUB_COMPLETE" in done.output


def test_the_documentation_has_every_command() -> None:
    """`python -m tests.commands.write_docs` puts the reference there; it is not written by hand."""
    assert reference() in Path(DOCS).read_text(encoding="utf-8")


def test_the_version_is_told_in_both_forms() -> None:
    """In a line and as JSON."""
    assert CliRunner().invoke(cli, ["version"]).output.startswith("hubbub ")
    assert '"version"' in CliRunner().invoke(cli, ["version", "--json"]).output
