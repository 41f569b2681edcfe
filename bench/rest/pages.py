"""Whether a read was answered right: the newest page of a room, or its record, while nothing is posted. Pure.

The first answer of each kind and room is parsed and compared with what was posted; the bytes that passed are kept, and
an answer with the same bytes is right without being parsed again (a page of 50 takes 30 us to parse, and 1 to compare).
Other bytes are parsed: they may be right as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from .ledger import Message


class Page(msgspec.Struct, frozen=True):
    """A page of messages as REST shows it."""

    messages: tuple[Message, ...]
    next: int | None
    previous: int | None


class Record(msgspec.Struct, frozen=True):
    """A conversation's record as REST shows it; only what is checked here."""

    id: str
    offset: int


read_page: Final = msgspec.json.Decoder(Page).decode
_read_record: Final = msgspec.json.Decoder(Record).decode


class Expected:
    """What reads of one room must show.

    Args:
        room: Its id.
        messages: All of its messages, by offset; not empty.
        limit: Messages of a page.
    """

    __slots__ = ("_known_page", "_known_record", "_page", "_record")

    def __init__(self, room: str, messages: Sequence[Message], limit: int) -> None:
        newest = tuple(messages[-limit:])
        more = len(messages) > limit
        self._page: Final = Page(newest, None, newest[0].offset if more else None)
        self._record: Final = Record(room, messages[-1].offset)
        self._known_page: bytes | None = None
        self._known_record: bytes | None = None

    def page_is_right(self, body: bytes) -> bool:
        """Whether this is the newest page."""
        if body == self._known_page:
            return True
        try:
            right = read_page(body) == self._page
        except msgspec.DecodeError:
            return False
        if right:
            self._known_page = body
        return right

    def record_is_right(self, body: bytes) -> bool:
        """Whether this is the record."""
        if body == self._known_record:
            return True
        try:
            right = _read_record(body) == self._record
        except msgspec.DecodeError:
            return False
        if right:
            self._known_record = body
        return right
