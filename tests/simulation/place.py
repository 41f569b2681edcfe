"""One room as one reader follows it: where it stands, and what it gets, noted in the audit."""

from __future__ import annotations

from typing import Any

from .town import Town


class Place:
    """One reader in one room.

    Attributes:
        begun: it knows where it stands; before that it begins live, wherever it is told.
        epoch: name of the log, once known.
    """

    def __init__(self, town: Town, name: str, room: str, *, from_start: bool, only_messages: bool) -> None:
        self._town = town
        self._only_messages = only_messages
        self.name = name
        self.room = room
        self.epoch = ""
        self.begun = from_start
        if from_start:
            town.audit.reads(name, room, 0)

    @property
    def cursor(self) -> int:
        """Where it stands."""
        return self._town.audit.resumes(self.name, self.room) if self.begun else 0

    @property
    def at_head(self) -> bool:
        """It has seen everything, or never got to begin."""
        head = self._town.disk.head(self.room)
        while self._only_messages and head > self.cursor and "@" in (self._town.disk.text_at(self.room, head) or ""):
            head -= 1
        return not self.begun or self.cursor >= head

    def begins(self, offset: int) -> None:
        """A live reader was told where it begins."""
        if not self.begun:
            self.begun = True
            self._town.audit.reads(self.name, self.room, offset)

    def seen(self, offset: int, post: str) -> None:
        """A durable event."""
        self._town.note("seen", self.name, offset)
        self._town.audit.seen(self.name, self.room, offset, post)

    def seen_json(self, event: dict[str, Any]) -> None:
        """A durable event as the wires carry it; others are let go."""
        if "offset" in event:
            self.seen(event["offset"], name_of_json(event))

    def reset(self, what: object) -> None:
        """Its position could not be served, it is told: nothing here is ever trimmed."""
        self._town.find("reset", f"{self.name} in {self.room} at {self.cursor}: {what}")

    def leaves(self) -> None:
        """It need not see the rest."""
        self._town.audit.leaves(self.name, self.room)


def name_of_json(event: dict[str, Any]) -> str:
    """The name of a post, as `disk.name_of`."""
    message = event.get("message")
    return f"{event['type']}@{event['offset']}" if message is None else message["text"].split(" ", 1)[0]
