"""The nearest known word to one that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_LIKENESS: Final = 0.6
_MAX_CHARS: Final = 200


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like `word`, or None where none is like it."""
    found = difflib.get_close_matches(word[:_MAX_CHARS], list(known), n=1, cutoff=_LIKENESS)
    return found[0] if found else None


def hint(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for a message, or nothing."""
    found = nearest(word, known)
    return f"; did you mean {found!r}?" if found else ""
