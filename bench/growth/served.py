"""Readers, connections, rooms and history, varied on a real server with its own Postgres, over WebSocket."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from .. import wire
from ..fleet import Tell
from ..server import Server, started
from ..watch import counters
from . import rest
from .client import Crowd, Peer, crowd
from .dimension import Curve, Curves
from .law import Law
from .meter import Meter

TEXT: Final = "The rollout to the second region is done; could somebody check the dashboards, please? " + "x" * 33
_SMALL_ROOM: Final = 100
_IDLE_S: Final = 1.0
_IDLE_BLOCKS: Final = 3
_IDLE_FLOOR_US: Final = 5_000.0  # half a percent of a core: what a server does that serves nobody
_FOLLOWED: Final = 1000  # rooms that one connection follows: the server's bound
_IN_FLIGHT: Final = 10
_READS: Final = "hubbub_store_reads_total"


class World:
    """A server with a poster, and the means to look at it."""

    def __init__(self, server: Server, token: str, peers: Crowd) -> None:
        self.server = server
        self.token = token
        self.crowd = peers
        self.meter = Meter(server)
        self.ids = itertools.count(100)
        [self.poster] = peers.open(1, lambda _: ())

    def room(self, name: str) -> str:
        """Make a room."""
        rest.create(self.server, self.token, [name])
        return name

    def post(self, rooms: Sequence[str]) -> None:
        """Post once to each of these, at most `_IN_FLIGHT` unanswered; wait for the last answer."""
        poster = self.poster
        for at in range(0, len(rooms), _IN_FLIGHT):
            some = rooms[at : at + _IN_FLIGHT]
            self.crowd.ask(poster, *(self.publish(room) for room in some))

    def publish(self, room: str) -> bytes:
        """The command that posts."""
        number = next(self.ids)
        return wire.publish(number, room, TEXT, f"growth-{number}")

    def ask(self, peer: Peer, **command: object) -> None:
        """One command, to its reply."""
        self.crowd.ask(peer, json.dumps({"id": next(self.ids), **command}).encode())

    def delivered(self, readers: Sequence[Peer]) -> None:
        """Wait until readers of one room, counting from one moment, have what the first of them has, and nothing is under way."""
        seen = -1
        while readers and seen != readers[0].received:
            seen = readers[0].received
            self._received(readers, seen)
            self.crowd.idle(0.02)

    def _received(self, readers: Sequence[Peer], wanted: int) -> None:
        self.crowd.wait(lambda: all(reader.received >= wanted for reader in readers))

    def idle_us(self) -> float:
        """CPU of the server for a second in which nothing is asked of it, in microseconds."""

        def rest_a_while() -> int:
            self.crowd.idle(_IDLE_S)
            return 1

        return self.meter.cost(rest_a_while, blocks=_IDLE_BLOCKS).server_us / _IDLE_S


@contextlib.contextmanager
def world(tell: Tell) -> Iterator[World]:
    """A fresh server with one guest, for the length of a `with` block."""
    tell("starting the server")
    with started() as server:
        token = rest.guest(server)
        with crowd(server, [token]) as peers:
            yield World(server, token, peers)


def _deaf(peers: list[Peer]) -> list[Peer]:
    for peer in peers:
        peer.deafen()
    return peers


def _posts_to(there: World, room: str, readers: Sequence[Peer], count: int) -> Callable[[], int]:
    """Work for a meter: posts one after the other, each acked, all delivered at the end."""

    def work() -> int:
        for reader in readers:
            reader.received = 0  # they joined at different times
        for _ in range(count):
            there.crowd.ask(there.poster, there.publish(room))
        there.delivered(readers)
        return count

    return work


def readers(sizes: Sequence[int], tell: Tell) -> tuple[Curve, ...]:
    """Readers of one room, each a connection."""
    curves = Curves(
        Curve(what="a post to all of them", unit="us", allowed=Law.LINEAR),
        Curve(what="a delivery to one of them", unit="us", allowed=Law.CONSTANT),
        Curve(what="to connect and subscribe one more", unit="us", allowed=Law.CONSTANT),
        Curve(what="memory of one of them", unit="B", allowed=Law.CONSTANT),
    )
    with world(tell) as there:
        room = there.room("crowded")
        _posts_to(there, room, (), 100)()
        present: list[Peer] = []
        for size in sizes:
            tell(f"{size:,} readers")
            more, empty = size - len(present), there.meter.rss_bytes

            def join(more: int = more) -> int:
                present.extend(_deaf(there.crowd.open(more, lambda _: (room,))))
                return more

            curves.add("to connect and subscribe one more", size, there.meter.cost(join, blocks=1).server_us)
            if size >= 1000:  # a page of memory is as large as some readers
                curves.add("memory of one of them", size, (there.meter.rss_bytes - empty) / more)
            posts = max(3, min(100, 20_000 // size))
            cost = there.meter.cost(_posts_to(there, room, present, posts)).server_us
            curves.add("a post to all of them", size, cost)
            curves.add("a delivery to one of them", size, cost / size)
    return curves.measured()


def connections(sizes: Sequence[int], tell: Tell) -> tuple[Curve, ...]:
    """Idle connections, in rooms that nobody posts to, beside a small room in which people talk."""
    curves = Curves(
        Curve(what=f"a post to a room of {_SMALL_ROOM}", unit="us", allowed=Law.CONSTANT),
        Curve(what="a second in which nothing happens", unit="us", allowed=Law.LINEAR, floor=_IDLE_FLOOR_US),
    )
    with world(tell) as there:
        room, quiet = there.room("talking"), there.room("quiet")
        talking = _deaf(there.crowd.open(_SMALL_ROOM, lambda _: (room,)))
        _posts_to(there, room, talking, 100)()
        idle = 0
        for size in sizes:
            tell(f"{size:,} idle connections")
            _deaf(there.crowd.open(size - idle, lambda _: (quiet,)))
            idle = size
            work = _posts_to(there, room, talking, 100)
            curves.add(f"a post to a room of {_SMALL_ROOM}", size, there.meter.cost(work).server_us)
            curves.add("a second in which nothing happens", size, there.idle_us())
    return curves.measured()


def rooms(sizes: Sequence[int], tell: Tell) -> tuple[Curve, ...]:
    """Live rooms, each with a reader; posts go to one after the other, ten under way at a time."""
    curves = Curves(
        Curve(what="a post to one of them", unit="us", allowed=Law.CONSTANT),
        Curve(what="the same, CPU of Postgres", unit="us", allowed=Law.CONSTANT),
        Curve(what="to follow one more", unit="us", allowed=Law.CONSTANT),
        Curve(what="memory of one with one event", unit="B", allowed=Law.CONSTANT),
        Curve(what="a second in which nothing happens", unit="us", allowed=Law.LINEAR, floor=_IDLE_FLOOR_US),
    )
    with world(tell) as there:
        names: list[str] = []
        for size in sizes:
            tell(f"{size:,} rooms")
            more = [f"room-{number}" for number in range(len(names), size)]
            rest.create(there.server, there.token, more)
            empty = there.meter.rss_bytes
            curves.add("to follow one more", size, there.meter.cost(_follow(there, more), blocks=1).server_us)
            tell(f"{size:,} rooms: a first post to each")
            there.post(more)
            names += more
            if size >= 1000:
                curves.add("memory of one with one event", size, (there.meter.rss_bytes - empty) / len(more))
            turns = itertools.cycle(names)
            cost = there.meter.cost(lambda: _post_in_turn(there, turns))  # noqa: B023  used within this round
            curves.add("a post to one of them", size, cost.server_us)
            curves.add("the same, CPU of Postgres", size, cost.postgres_us)
            curves.add("a second in which nothing happens", size, there.idle_us())
    return curves.measured()


def _follow(there: World, names: Sequence[str]) -> Callable[[], int]:
    def work() -> int:
        bundles = [names[at : at + _FOLLOWED] for at in range(0, len(names), _FOLLOWED)]
        _deaf(there.crowd.open(len(bundles), lambda number: bundles[number]))
        return len(names)

    return work


def _post_in_turn(there: World, turns: Iterator[str]) -> int:
    there.post(list(itertools.islice(turns, 300)))
    there.crowd.idle(0.02)
    return 300


def history(sizes: Sequence[int], tell: Tell) -> tuple[Curve, ...]:
    """Events in one room: what posting, opening, reading and resuming cost."""
    with world(tell) as there:
        return _History(there).run(sizes, tell)


class _History:
    """One room that grows, and a reader that asks for parts of it."""

    missed = 10
    behind = 4000  # more than a tail holds
    page = 10

    def __init__(self, there: World) -> None:
        self._there = there
        self._room = there.room("long")
        [self._reader] = there.crowd.open(1, lambda _: ())
        self._length = 0
        asked = ("a post", "to open it", "the newest page", "a page in the middle")
        resumed = (self._inside, self._outside)
        self._curves = Curves(
            *(Curve(what=what, unit="us", allowed=Law.CONSTANT) for what in (*asked, *resumed)),
            *(
                Curve(what=f"{what}, CPU of Postgres", unit="us", allowed=Law.CONSTANT, floor=20)
                for what in ("a post", "a page in the middle", self._outside)
            ),
            Curve(what=f"{self._inside}: reads", unit="reads", allowed=Law.NOTHING),
            Curve(what=f"{self._outside}: reads", unit="reads", allowed=Law.CONSTANT),
        )

    @property
    def _inside(self) -> str:
        return f"to resume {self.missed} events back"

    @property
    def _outside(self) -> str:
        return f"to resume {self.behind:,} events back"

    def run(self, sizes: Sequence[int], tell: Tell) -> tuple[Curve, ...]:
        """Grow and measure."""
        for size in sizes:
            tell(f"{size:,} events in a room")
            self._grow(size)
            self._measure("to open it", size, self._open, 50)
            self._measure("the newest page", size, lambda: self._history(limit=self.page), 50)
            if size >= 2 * self.behind:  # else the tail may hold it
                self._measure(
                    "a page in the middle", size, partial(self._history, before=size // 2, limit=self.page), 50
                )
                self._measure(self._outside, size, lambda: self._resume(self.behind), 3, reads=True)
            if size >= self.missed:
                self._measure(self._inside, size, lambda: self._resume(self.missed), 50, reads=True)
            # Last, as it makes the room longer.
            self._measure("a post", size, self._post, max(2, min(50, size // 50)))
        return self._curves.measured()

    def _grow(self, size: int) -> None:
        """Post until it is so long, with as many posts under way as one connection may have."""
        there = self._there
        while self._length < size:
            count = min(100, size - self._length)
            there.crowd.ask(there.poster, *(there.publish(self._room) for _ in range(count)))
            self._length += count

    def _measure(self, what: str, size: int, once: Callable[[], None], count: int, *, reads: bool = False) -> None:
        def work() -> int:
            for _ in range(count):
                once()
            return count

        before = counters(self._there.server).get(_READS, 0.0)
        cost = self._there.meter.cost(work)
        if reads:
            grown = counters(self._there.server).get(_READS, 0.0) - before
            self._curves.add(f"{what}: reads", size, grown / (5 * count))
        self._curves.add(what, size, cost.server_us)
        if what not in ("to open it", "the newest page", self._inside):
            self._curves.add(f"{what}, CPU of Postgres", size, cost.postgres_us)

    def _post(self) -> None:
        self._there.crowd.ask(self._there.poster, self._there.publish(self._room))
        self._length += 1

    def _history(self, **bounds: int) -> None:
        data = {"conversation": self._room, **bounds}
        self._there.ask(self._reader, rpc={"method": "history", "data": data})

    def _open(self) -> None:
        self._there.ask(self._reader, subscribe={"channel": self._room})
        self._there.ask(self._reader, unsubscribe={"channel": self._room})

    def _resume(self, missed: int) -> None:
        """Subscribe with so many events missed, take them all, and leave."""
        there, reader, room = self._there, self._reader, self._room
        there.ask(reader, subscribe={"channel": room, "recover": True, "offset": self._length - missed})
        there.crowd.wait(lambda: reader.offset >= self._length)
        there.ask(reader, unsubscribe={"channel": room})
