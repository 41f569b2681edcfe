"""What commands print: tables for people, lines for pipes, JSON for programs.

A terminal gets a table, or where that would be too wide a record of lines for each row; anything else one row a line, its values
parted by tabs, without a heading. With ``--json`` a thing is
one document and a list is one document a line, as the server sent it, in ASCII. Names and titles come from strangers: nothing in
them acts on a terminal.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Literal

import attrs
import click

from ..terminal import Terminal, harmless

Row = Mapping[str, Any]
_NARROWEST: Final = 20

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON: a document, of a list one a line.")


@attrs.frozen
class Column:
    """One column of a table, and one field of a thing.

    Args:
        title: its heading.
        key: where the value is; dots lead into objects.
        right: numbers stand on the right.
        time: a time, which people see in their own zone.
        free: a text that people chose, which a narrow table folds. Anything else is copied, and stays in one piece.
        none: what is said where there is no value.
    """

    title: str
    key: str
    right: bool = False
    time: bool = False
    free: bool = False
    none: str = ""

    def text(self, row: Row, *, local: bool) -> str:
        """The value in words: nothing for none, yes and no, a list with commas."""
        value: Any = row
        for part in self.key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            return self.none
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, list):
            return ",".join(harmless(str(each)) for each in value)
        text = harmless(str(value))
        return _local(text) if self.time and local else text


def _local(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):
        return text


@attrs.frozen
class Output:
    """Where a command's answer goes.

    Args:
        terminal: the streams.
        rich: standard output is a terminal.
    """

    terminal: Terminal
    rich: bool

    @property
    def as_json(self) -> bool:
        """Whether it is for programs."""
        return self.terminal.as_json

    def thing(self, columns: Sequence[Column], row: Row) -> None:
        """Print one thing: its fields, a line each."""
        if self.as_json:
            self.document(row)
            return
        shown = [(column.title, column.text(row, local=self.rich)) for column in columns]
        width = max(len(title) for title, _ in shown) + 1
        for title, text in shown:
            self.terminal.write(f"{title + ':':<{width}} {text}" if self.rich else f"{title}\t{text}")

    def rows(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Print a list. Called again it goes on, but a table is best printed at once."""
        if self.as_json:
            for row in rows:
                self.document(row)
        elif self.rich:
            self._table(columns, rows)
        else:
            for row in rows:
                self.terminal.write("\t".join(column.text(row, local=False) for column in columns))

    def document(self, value: object) -> None:
        """Print JSON on one line."""
        self.terminal.write(json.dumps(value, separators=(",", ":")))

    def done(self, text: str, document: object) -> None:
        """Say what was done: in a line for people, as a document for programs."""
        if self.as_json:
            self.document(document)
        else:
            self.terminal.write(harmless(text))

    def note(self, text: str) -> None:
        """Say something besides the answer."""
        self.terminal.warn(text)

    def _table(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        from .columns import fit, measure

        if not rows:
            self.note("nothing to show")
            return
        cells = [[column.text(row, local=True) for column in columns] for row in rows]
        widths = [
            measure(column.title, texts, free=column.free, whole=column.time)
            for column, texts in zip(columns, zip(*cells, strict=True), strict=True)
        ]
        room = max(_NARROWEST, shutil.get_terminal_size().columns)
        fitted = fit(widths, room)
        if fitted is None:
            self._records([column.title for column in columns], cells)
        else:
            self.terminal.write(_drawn(columns, cells, fitted, room))

    def _records(self, titles: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        """What no table holds: the fields of each row that say something, a line each, and an empty line between two rows."""
        width = max(map(len, titles)) + 1
        for number, texts in enumerate(cells):
            if number:
                self.terminal.write("")
            for title, text in zip(titles, texts, strict=True):
                if text:
                    self.terminal.write(f"{title + ':':<{width}} {text}")

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int], None]]:
        """Show how many there are by now, where a person waits and nothing else is printed meanwhile.

        It begins with the second page: one is there before anybody has read a word.
        """
        if not self.terminal.chatty or (self.rich and self.as_json):
            yield lambda _: None
            return
        from rich.console import Console

        status = Console(stderr=True).status("")
        pages = 0

        def show(count: int) -> None:
            nonlocal pages
            pages += 1
            if pages > 1:
                status.update(f"reading {what}: {count:,}")
                status.start()

        try:
            yield show
        finally:
            status.stop()


def _drawn(columns: Sequence[Column], cells: Sequence[Sequence[str]], widths: Sequence[int], room: int) -> str:
    """A table in lines. Drawn apart: what rich itself writes would fail in its own words when nobody reads any more."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from .columns import GAP

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for column, width in zip(columns, widths, strict=True):
        if width:
            justify: Literal["left", "right"] = "right" if column.right else "left"
            table.add_column(column.title, justify=justify, width=width, overflow="fold")
    for texts in cells:
        table.add_row(*(Text(text) for text, width in zip(texts, widths, strict=True) if width))
    drawn = io.StringIO()
    Console(file=drawn, width=room, force_terminal=True).print(table)
    return "\n".join(line.rstrip() for line in drawn.getvalue().splitlines())
