"""The committed counts of bytecode instructions, one file for each Python version that has one, and how they are judged.

A file says what one operation took when it was written. More than `TOLERANCE_PERCENT` on top is a regression of the pure code,
which the tests refuse without timing anything; fewer instructions are welcome, and `--renew` writes them down. A count under
`SMALL` may grow by that many: one more attribute of a tiny function is no regression.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
import msgspec

from ..errors import BenchError

TOLERANCE_PERCENT: Final = 15.0
SMALL: Final = 10.0
RENEW: Final = "hubbub bench micro --renew"


@attrs.frozen(kw_only=True)
class Baseline:
    """Instructions of one operation by name, for one Python version."""

    python: str
    instructions: dict[str, float]


def version() -> str:
    """The Python that runs this, as ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def path_of(python: str) -> Path:
    """Where the counts for a Python version are committed."""
    return Path(__file__).parent / f"counts-{python}.json"


def read(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        BenchError: there is none, or the file is not one.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Baseline)
    except (OSError, msgspec.DecodeError) as error:
        raise BenchError(f"no counts in {path}: {error}") from error


def write(path: Path, baseline: Baseline) -> None:
    """Write a baseline, one name a line, so that a difference reads well."""
    rounded = {name: round(value, 2) for name, value in baseline.instructions.items()}
    path.write_bytes(
        msgspec.json.format(msgspec.json.encode(attrs.evolve(baseline, instructions=rounded)), indent=1) + b"\n"
    )


def regressions(baseline: Mapping[str, float], counts: Mapping[str, float]) -> list[str]:
    """What takes more than is tolerated, or is missing on one side; a line for each."""
    found = [
        f"{name}: {'not counted any more' if name in baseline else 'has no baseline'}; {RENEW}"
        for name in sorted(baseline.keys() ^ counts.keys())
    ]
    for name, before in baseline.items():
        after = counts.get(name, before)
        if 100 * after > (100 + TOLERANCE_PERCENT) * before and after > before + SMALL:
            found.append(f"{name}: {before:,.0f} instructions became {after:,.0f}; if that is meant, {RENEW}")
    return found
