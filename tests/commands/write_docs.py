"""Writes the reference into docs/cli.md from the commands themselves: ``python -m tests.commands.write_docs``."""

from __future__ import annotations

from pathlib import Path

import click

from hubbub.cli import SECTIONS, cli

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
BEGIN = "<!-- commands: written by tests/commands/write_docs.py -->\n"
END = "<!-- end of commands -->\n"


def reference() -> str:
    """A table for each section: how a command is called, and what it does."""
    top = click.Context(cli, info_name="hubbub")
    parts = []
    for title, entries in SECTIONS.items():
        parts.append(f"\n### {title}\n\n| command | what it does |\n|---|---|\n")
        for name in entries:
            command = cli.get_command(top, name)
            assert command is not None
            parts.extend(_rows(top, command))
    return BEGIN + "".join(parts) + "\n" + END


def _rows(parent: click.Context, command: click.Command) -> list[str]:
    context = click.Context(command, info_name=command.name, parent=parent)
    if isinstance(command, click.Group) and command.name != "bench":
        return [row for inner in command.commands.values() for row in _rows(context, inner)]
    pieces = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
    usage = " ".join([context.command_path, *pieces])
    options = [
        "/".join(param.opts + param.secondary_opts)
        for param in command.params
        if isinstance(param, click.Option) and param.name not in {"url", "token", "name", "data", "as_json"}
    ]
    more = f" ({', '.join(f'`{option}`' for option in options)})" if options else ""
    return [f"| `{usage}` | {command.get_short_help_str(limit=300).replace('|', '&#124;')}{more} |\n"]


def main() -> None:
    """Replace what stands between the marks."""
    text = DOCS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCS.write_text(before + reference() + after, encoding="utf-8")


if __name__ == "__main__":
    main()
