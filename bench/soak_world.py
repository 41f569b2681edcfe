"""What everybody in a soak shares: the rooms, the texts, the ledger, and what is counted and timed.

Sizes are mixed. One loud room has half of the readers, two middling ones a quarter, four small ones the rest; each of them is
posted to all the time. Many quiet rooms are posted to so seldom that they leave memory in between; now and then a new one
takes the place of an old one.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from random import Random
from typing import Final

import attrs
import msgspec

from .errors import BenchError
from .faults.client import Gone, Http, Target
from .faults.crowd import become_guest
from .faults.protocol import Created, Event, Message, Page, decode
from .measure import Histogram
from .soak_ledger import FOREIGN, Cursor, Room, SoakLedger
from .texts import CorruptText, Mark, Texts

SIZES_BYTES: Final = (100, 240, 900)
_QUIET: Final = "quiet"
_TOKENS: Final = 16
_PAGE: Final = 500


@attrs.frozen
class RoomKind:
    """Some rooms of one size.

    Attributes:
        rooms: how many.
        readers: share of all readers that follow one of them.
        posts: share of all posts that go to one of them.
    """

    name: str
    rooms: int
    readers: float
    posts: float


KINDS: Final = (
    RoomKind("loud", 1, 0.5, 0.35),
    RoomKind("middling", 2, 0.25, 0.35),
    RoomKind("small", 4, 0.25, 0.27),
    RoomKind(_QUIET, 150, 0.0, 0.03),
)


class World:
    """One soak's rooms and notebook. Made by `open_world`."""

    def __init__(self, target: Target, tokens: Sequence[str], run: str, seed: int) -> None:
        self.ledger: Final = SoakLedger()
        self.rng: Final = Random(seed)
        self.rooms: Final[dict[str, list[Room]]] = {kind.name: [] for kind in KINDS}
        self.left: Final[list[Room]] = []
        self.stopping = False
        self.happened: Final[Counter[str]] = Counter()
        """What was done and what befell, for the report."""
        self.delivery = Histogram()
        self.ack = Histogram()
        self._target = target
        self._tokens = tokens
        self._run = run
        self._texts = {size: Texts(run, size, seed) for size in SIZES_BYTES}

    def target(self) -> Target:
        """The server, as one of the guests."""
        return attrs.evolve(self._target, token=self.rng.choice(self._tokens))

    def everywhere(self) -> list[Room]:
        """All rooms."""
        return [*(room for rooms in self.rooms.values() for room in rooms), *self.left]

    def steady(self) -> list[Room]:
        """The rooms that have readers all the time."""
        return [room for kind in KINDS if kind.readers for room in self.rooms[kind.name]]

    def choose(self) -> Room:
        """Where the next post goes."""
        kind = self.rng.choices(KINDS, [kind.posts for kind in KINDS])[0]
        return self.rng.choice(self.rooms[kind.name])

    def move(self, room: Room) -> None:
        """A new quiet room takes the place of one that is never posted to again: else their tails would grow for ever."""
        quiet = self.rooms[_QUIET]
        at = self.rng.randrange(len(quiet))
        self.left.append(quiet[at])
        quiet[at] = room

    def text(self, number: int, intended_ns: int) -> str:
        """What the post with this number says."""
        return self._texts[SIZES_BYTES[number % len(SIZES_BYTES)]].write(number, intended_ns)

    async def make_room(self, http: Http, kind: str) -> Room:
        """A new public room.

        Raises:
            Gone: no answer.
            BenchError: the server refuses.
        """
        name = f"soak-{self._run}-{kind}-{secrets.token_hex(4)}"
        answer = await http.call("POST", "/conversations", msgspec.json.encode({"id": name, "visibility": "public"}))
        if answer.status != HTTPStatus.CREATED:
            raise BenchError(f"a room could not be made: {answer.body.decode(errors='replace')}")
        return Room(name, decode(answer.body, Created).epoch)

    def take(self, cursor: Cursor, event: Event, live_since_ns: int | None) -> None:
        """A reader got an event.

        Args:
            live_since_ns: posts that were meant to be sent since then are timed; None: none are.
        """
        if event.offset is None:
            self.happened["ephemeral events"] += 1
            return
        mark = self.read(cursor, event.message)
        if mark is None:
            return
        if live_since_ns is not None and mark.intended_ns >= live_since_ns and not self.stopping:
            self.delivery.record(time.monotonic_ns() - mark.intended_ns)
        self.ledger.seen(cursor, event.offset, mark.number)

    def read(self, cursor: Cursor, message: Message | None) -> Mark | None:
        """What a message says; None when its text was altered, which is noted."""
        if message is None:
            return Mark(FOREIGN, 0)
        texts = self._texts.get(len(message.text), self._texts[SIZES_BYTES[0]])
        try:
            return texts.read(message.text) or Mark(FOREIGN, 0)
        except CorruptText:
            self.ledger.corrupted(cursor.reader)
            return None

    def timed(self) -> tuple[Histogram, Histogram]:
        """The latencies, deliveries and acks, since the last call."""
        found = self.delivery, self.ack
        self.delivery, self.ack = Histogram(), Histogram()
        return found

    async def stored(self, room: Room) -> dict[int, int]:
        """The whole log of a room as the store has it, offset to post.

        Raises:
            Gone: it could not be read.
        """
        log: dict[int, int] = {}
        cursor, http = Cursor("the store", room, 0), Http(self.target())
        try:
            after: int | None = 0
            while after is not None:
                answer = await http.call("GET", f"/conversations/{room.name}/messages?after={after}&limit={_PAGE}")
                if answer.status != HTTPStatus.OK:
                    raise Gone(f"a page of {room.name}: {answer.body.decode(errors='replace')}")
                page = decode(answer.body, Page)
                for message in page.messages:
                    mark = self.read(cursor, message)
                    log[message.offset] = FOREIGN if mark is None else mark.number
                after = page.next
        finally:
            http.close()
        return log


async def open_world(target: Target, seed: int) -> World:
    """Guests and rooms on a server.

    Raises:
        BenchError: it refuses, or does not answer.
    """
    try:
        tokens = [(await become_guest(target)).token for _ in range(_TOKENS)]
        world = World(target, tokens, secrets.token_hex(4), seed)
        http = Http(world.target())
        try:
            for kind in KINDS:
                world.rooms[kind.name] += [await world.make_room(http, kind.name) for _ in range(kind.rooms)]
        finally:
            http.close()
    except Gone as error:
        raise BenchError(f"the rooms could not be opened: {error}") from error
    return world
