"""What a check found: how it stands, in one sentence, and what to do about it."""

from __future__ import annotations

from enum import Enum

import attrs


class Level(Enum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """A server runs; under load, or one day, it will not do what it could."""
    FAILED = "failed"
    """A server does not start, or does not keep its promises."""


@attrs.frozen
class Finding:
    """The end of one check.

    Attributes:
        check: its name, stable for programs.
        level: how it stands.
        text: what was found, a sentence without a full stop; holds no secret.
        advice: what to do; "" where there is nothing.
    """

    check: str
    level: Level
    text: str
    advice: str = ""


def ok(check: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(check, Level.OK, text)


def warning(check: str, text: str, advice: str) -> Finding:
    """It will do for now."""
    return Finding(check, Level.WARNING, text, advice)


def failed(check: str, text: str, advice: str) -> Finding:
    """It will not do."""
    return Finding(check, Level.FAILED, text, advice)
