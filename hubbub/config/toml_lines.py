"""On which line of a TOML file each key stands. `tomllib` does not say; a message without a line sends people searching.

The reader of the standard library does the reading here, too: a line that it takes for a statement is one; one that it does
not take goes on in the next. A statement over more than `_MAX_STATEMENT_LINES` lines ends the search (the rest has no lines
then), so that the work stays linear in the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any, Final

Path = tuple[str, ...]

_MAX_STATEMENT_LINES: Final = 64


def lines_of(text: str) -> dict[Path, int]:
    """The line, from 1, of each table and key. For a file that `tomllib` has read without complaint."""
    found: dict[Path, int] = {}
    prefix: Path = ()
    waiting: list[str] = []
    started = 1
    for number, line in enumerate(text.split("\n"), 1):
        if not waiting:
            started = number
        waiting.append(line)
        said = _statement("\n".join(waiting))
        if said is None:
            if len(waiting) >= _MAX_STATEMENT_LINES:
                break
            continue
        is_header = waiting[0].lstrip().startswith("[")
        waiting = []
        paths = list(_paths(said))
        if is_header and paths:
            prefix = paths[-1]
            found.setdefault(prefix, started)
        else:
            for path in paths:
                found.setdefault(prefix + path, started)
    return found


def _statement(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _paths(table: dict[str, Any], prefix: Path = ()) -> Iterator[Path]:
    for name, value in table.items():
        path = (*prefix, name)
        yield path
        if isinstance(value, dict):
            yield from _paths(value, path)
        elif isinstance(value, list) and value == [{}]:  # the header of one table of a list
            continue
