"""Cursor: a position in one conversation's log.

An offset counts the durable events of a conversation, 1, 2, 3, ...; 0 stands before the first. The epoch is the random name
of the log that the offset belongs to: a conversation that was deleted and made again has another one, so that an offset of
the old log is never mistaken for one of the new (Centrifugo calls the pair a stream position).
"""

import re

import msgspec

from .errors import InvalidCommand

MAX_OFFSET = 2**63 - 1

_TOKEN = re.compile(r"([A-Za-z0-9_-]{1,32})\.([0-9]{1,19})", re.ASCII)


def offset(text: str) -> int:
    """Read an offset that came from outside.

    Raises:
        InvalidCommand: not a decimal number from 0 to 2**63 - 1.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 19) or int(text) > MAX_OFFSET:
        raise InvalidCommand("an offset is a whole number from 0 upwards")
    return int(text)


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """The position just after the event with `offset` in the log named `epoch`.

    Cursors of one log are ordered by offset; comparing cursors of two logs is a bug in the caller, so there is no ``<``.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        """The token form, ``epoch.offset``, for an embedder to save."""
        return f"{self.epoch}.{self.offset}"

    @classmethod
    def parse(cls, token: str) -> "Cursor":
        """Read the token form.

        Raises:
            InvalidCommand: it is not one.
        """
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise InvalidCommand("a cursor has the form epoch.offset")
        return cls(match[1], offset(match[2]))
