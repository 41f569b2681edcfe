"""What is wrong with a configuration: all of it at once, each with its key and the place that says it.

No problem ever carries a secret's value.
"""

from __future__ import annotations

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
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line for each problem, at most `MAX_PROBLEMS` and one that counts the rest."""
        lines = [str(problem) for problem in self.problems[:MAX_PROBLEMS]]
        left = len(self.problems) - len(lines)
        return [*lines, f"and {left} more"] if left else lines


class Mistake(Exception):
    """A value that its setting does not take; the message names the value's type and what is taken, no secret."""
