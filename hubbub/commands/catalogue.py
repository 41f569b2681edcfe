"""The groups of the command line: one whose commands are imported when they are asked for, one with a command that needs no name.

Every press of the completion key starts the program, and most commands need little of what `serve` and `bench` load. So the outer
group knows its commands by a table of names, places and short help, and imports one when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import attrs
import click
from click.shell_completion import CompletionItem


@attrs.frozen
class Entry:
    """One command of the table.

    Args:
        place: ``module:name``, the module relative to `hubbub`.
        help: what the list says of it.
    """

    place: str
    help: str


class Catalogue(click.Group):
    """A group that lists its commands in sections and imports each at its first use.

    Args:
        sections: heading to commands by name.
    """

    def __init__(self, *args: Any, sections: Mapping[str, Mapping[str, Entry]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections
        self._entries = {name: entry for entries in sections.values() for name, entry in entries.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the order of the table."""
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.place.partition(":")
        found: click.Command = getattr(import_module(module, "hubbub"), name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; of one that does not exist the nearest is named."""
        if args and args[0] not in self._entries and not ctx.resilient_parsing and not args[0].startswith("-"):
            near = get_close_matches(args[0], self._entries, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" {ctx.info_name} --help lists them."
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A list for each section."""
        width = max(len(name) for name in self._entries)
        for title, entries in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names and short help from the table; nothing is imported for it."""
        named = [
            CompletionItem(name, help=entry.help)
            for name, entry in self._entries.items()
            if name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, ctx, incomplete)


class DefaultGroup(click.Group):
    """A group with a command that is meant where none is named: ``hubbub rooms --all`` is ``hubbub rooms list --all``.

    Args:
        default: its name.
    """

    def __init__(self, *args: Any, default: str = "list", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default in front of what names no command."""
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        if not named and not ctx.resilient_parsing:
            args = [self.default, *args]
        return super().parse_args(ctx, args)
