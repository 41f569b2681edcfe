"""Lengths of time as people write them: 90s, 15m, 12h, 7d; a plain number is seconds."""

from __future__ import annotations

import re
from typing import Final

import click

_UNITS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_FORM: Final = re.compile(r"([0-9]{1,9})([smhdw]?)")


def duration(text: object) -> int:
    """Whole seconds; the type of an option or argument.

    Raises:
        click.BadParameter: it is no length of time.
    """
    found = _FORM.fullmatch(str(text).strip().lower())
    if found is None:
        raise click.BadParameter(f"{text!r} is no length of time: write 90s, 15m, 12h or 7d")
    return int(found[1]) * _UNITS_S[found[2]]
