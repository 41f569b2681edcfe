"""Authors: who does something, as everybody sees it."""

from typing import Literal

import msgspec

AuthorKind = Literal["user", "guest", "bot", "assistant"]


class Author(msgspec.Struct, frozen=True, gc=False):
    """Who did something, as everybody sees it."""

    id: str
    name: str
    kind: AuthorKind = "user"


def as_author(value: "Author | str") -> Author:
    """An embedder may name an author by a plain text: it is id and name at once."""
    return Author(value, value) if isinstance(value, str) else value
