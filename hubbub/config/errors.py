"""What is wrong with a configuration: all of it at once, each with its key and the place that says it.

No problem ever carries a secret's value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs

MAX_PROBLEMS: Final = 50
"""Most problems that are told at once; the rest are counted."""


@attrs.frozen
class Origin:
    """Where a value was said.

    Attributes:
        kind: "default", "file", "admin", "environment" or "flag".
        place: for people: ``hubbub.toml:12``, ``HUBBUB_SERVE__PORT``, ``--port``; empty for a default.
    """

    kind: str
    place: str = ""

    def __str__(self) -> str:
        return self.place or self.kind


DEFAULT: Final = Origin("default")
_ELSEWHERE: Final = {"file": "in the server's file", "environment": "in the server's environment"}


@attrs.frozen
class Problem:
    """One thing that is wrong.

    Attributes:
        key: the dotted key, or "" for a whole source.
        origin: where it was said.
        message: what is wrong with it, and what would be right.
    """

    key: str
    origin: Origin
    message: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.key}: {self.message}" if self.key else f"{self.origin}: {self.message}"


class ConfigError(Exception):
    """A configuration that cannot be used.

    Attributes:
        problems: all that was found, in the order of the sources; at least one.
        files: that hold secrets, and may be named in messages.
    """

    def __init__(self, problems: tuple[Problem, ...], files: tuple[Path, ...] = ()) -> None:
        self.problems = problems
        self.files = files
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line for each problem, at most `MAX_PROBLEMS` and one that counts the rest."""
        return self._counted([str(problem) for problem in self.problems[:MAX_PROBLEMS]])

    def lines_for_callers(self) -> list[str]:
        """As `lines`, without the names of the server's files: a key stands in its place, or what kind of source it was.

        What is not the callers' doing, since the server's own file or environment says it, is told from what is.
        """
        names = sorted(
            map(str, self.files), key=len, reverse=True
        )  # the longest first: one may be the beginning of another
        found = []
        for problem in self.problems[:MAX_PROBLEMS]:
            message = problem.message
            for name in names:
                message = message.replace(name, "a file")
            line = f"{problem.key or problem.origin.kind}: {message}"
            elsewhere = _ELSEWHERE.get(problem.origin.kind)
            found.append(line if elsewhere is None else f"{elsewhere}, not in this change: {line}")
        return self._counted(found)

    def _counted(self, lines: list[str]) -> list[str]:
        left = len(self.problems) - len(lines)
        return [*lines, f"and {left} more"] if left else lines


class Mistake(Exception):
    """A value that its setting does not take; the message names the value's type and what is taken, no secret."""
