"""How wide the columns of a table are, so that nobody gets half an id. Pure.

A word is never broken: an id, a token or a time that stands on two lines cannot be copied. Where a table is too wide it first
loses the columns in which nothing stands; then texts that people chose (names, titles) are folded, and others are parted between
words. What does not fit then is not a table, and is shown as records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

GAP: Final = 2
"""Blanks between two columns."""
_LEAST: Final = 8
"""A text that people chose is folded to no less."""


@attrs.frozen
class Width:
    """What one column takes, in cells of the terminal.

    Attributes:
        wish: as wide as its longest line.
        least: what it can be narrowed to.
        empty: nothing stands in it.
    """

    wish: int
    least: int
    empty: bool


def measure(title: str, texts: Sequence[str], *, free: bool, whole: bool) -> Width:
    """What a column takes.

    Args:
        texts: of all rows.
        free: a text that people chose, which may be folded anywhere.
        whole: it is not even parted between words.
    """
    from rich.cells import cell_len

    wish = max(map(cell_len, (title, *texts)))
    words = [word for text in (title, *texts) for word in text.split()]
    least = wish if whole else max(map(cell_len, words), default=1)
    if free:
        least = min(wish, max(_LEAST, *map(cell_len, title.split())))
    return Width(wish, least, not any(texts))


def fit(widths: Sequence[Width], room: int) -> list[int] | None:
    """How wide each column is in a table of at most `room`; 0 leaves one out. None where no table fits."""
    shown = [True] * len(widths)
    if _table([width.wish for width in widths]) > room:
        shown = [not width.empty for width in widths]
    kept = [width for width, wanted in zip(widths, shown, strict=True) if wanted]
    found = [width.wish for width in kept]
    while _table(found) > room:
        number = max(
            (number for number, width in enumerate(kept) if found[number] > width.least),
            key=found.__getitem__,
            default=None,
        )
        if number is None:
            return None
        found[number] -= 1
    left = iter(found)
    return [next(left) if wanted else 0 for wanted in shown]


def _table(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * max(0, len(widths) - 1)
