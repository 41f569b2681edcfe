"""Secret: a text that does not show itself: not in a repr, a log line, an error or a traceback's locals."""

from __future__ import annotations

from typing import Final, final

HIDDEN: Final = "(hidden)"


@final
class Secret:
    """A password, a key, or a URL that carries one. Only `reveal` gives the text; equality is by text.

    Args:
        text: what is to be hidden.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text. Hand it straight to what needs it; never to a log or an answer."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret{HIDDEN}"

    def __str__(self) -> str:
        return HIDDEN

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")
