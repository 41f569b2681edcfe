"""What a mutant is: the engine with one plausible bug in it, and the promise (`docs/guarantees.md`) which that bug breaks.

A mutant is text only. Its search text must occur exactly once in its file: sources that have moved on make it fail loudly
(`Stale`), because a mutant that is not applied would be caught by nobody and prove nothing.
"""

import ast
from pathlib import Path
from typing import Final

import attrs

_BEYOND_SIMULATION: Final = frozenset({"storage/sql.py", "storage/postgres.py", "storage/driver.py"})
"""The simulation stands a disk of its own in their place."""


class Stale(Exception):
    """A search text is not there exactly once; `str()` says where, and how often it is."""


def _block(text: str) -> str:
    return text.strip("\n")


@attrs.frozen
class Edit:
    """One replacement.

    Attributes:
        file: path from the root of the repository.
        find: what stands there, exactly once; newlines around it are for the reader's eye.
        put: what the colleague wrote in its place.
    """

    file: str
    find: str = attrs.field(converter=_block)
    put: str = attrs.field(converter=_block)

    def apply(self, text: str) -> str:
        """The file's text with this edit.

        Raises:
            Stale: the search text is not there exactly once.
        """
        times = text.count(self.find)
        if times != 1:
            raise Stale(f"{self.file}: found {times} times, not once:\n{self.find}")
        return text.replace(self.find, self.put)


@attrs.frozen(kw_only=True)
class Mutant:
    """One deliberately broken variant.

    Attributes:
        name: for `--only` and the table.
        promise: of `docs/guarantees.md`, G1 to G10; or `access`, of `docs/permissions.md`.
        breaks: what a user would see.
        story: how a real bug like this comes about.
        edits: at least one; those of one file are applied in this order.
        tests: test files that may catch it, cheapest first; they run when the simulation has had its turn.
        is_simulated: whether the simulation has anything to say about it; it asks for nothing that is refused.
    """

    name: str
    promise: str
    breaks: str
    story: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
    is_simulated: bool = True

    @property
    def simulated(self) -> bool:
        """Whether the simulation runs any of the changed code."""
        return self.is_simulated and any(edit.file not in _BEYOND_SIMULATION for edit in self.edits)

    def mutated(self, root: Path) -> dict[Path, str]:
        """The changed files below `root` with their new text.

        Raises:
            Stale: the sources have moved on.
            SyntaxError: the result is no Python.
        """
        texts: dict[Path, str] = {}
        for edit in self.edits:
            path = root / edit.file
            texts[path] = edit.apply(texts[path] if path in texts else path.read_text())
        for path, text in texts.items():
            ast.parse(text, str(path))
        return texts
