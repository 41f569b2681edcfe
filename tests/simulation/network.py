"""A network in memory: links between clients and a server that misbehave as TCP can.

A link is two wires. A wire takes bytes while its window has room (in flight and unread together, as a TCP window does) and
delivers them later, in order; two links know nothing of each other's order. What can happen to a link:

    delay, dribble     bytes come late, or in crumbs
    stall              the client's program takes nothing, so the window fills and the server's writes are refused
    cut                reset: both sides learn of it, what was in flight is gone
    half-open          nothing is delivered any more and nobody is told

Everything is driven by one clock and one seeded source of randomness.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Protocol

import attrs
import trio


class LinkBroken(Exception):
    """The client's side learns that its connection is gone."""


class Timeline:
    """What happens later, in order of time; one task carries it out."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._earlier = trio.Event()

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call `action` after a delay, never at once."""
        self.at(trio.current_time() + delay_s, action)

    def at(self, at: float, action: Callable[[], None]) -> None:
        """Call `action` at a time; what was ordered first comes first when the times are equal."""
        if not self._due or at < self._due[0][0]:
            self._earlier.set()
        heapq.heappush(self._due, (at, next(self._numbers), action))

    async def run(self) -> None:
        """Carry out until cancelled."""
        while True:
            now = trio.current_time()
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()
            self._earlier = trio.Event()
            with trio.move_on_at(self._due[0][0] if self._due else float("inf")):
                await self._earlier.wait()


@attrs.define
class Weather:
    """How links behave from now on; changed by faults."""

    delay_s: float = 0.001
    jitter_s: float = 0.002
    crumb_bytes: int | None = None


class Wire:
    """One direction of a link."""

    def __init__(self, link: Link, window_bytes: int, told: Callable[[], None]) -> None:
        self._link = link
        self._window_bytes = window_bytes
        self._told = told
        self._flying = 0
        self._arrives = 0.0
        self.inbox = bytearray()
        self.delivered = 0
        self.ended = False
        self.on_room: Callable[[], None] = lambda: None

    @property
    def room(self) -> int:
        """Bytes that `put` would take now."""
        return max(0, self._window_bytes - self._flying - len(self.inbox))

    def put(self, data: bytes) -> int:
        """Take what there is room for; returns how much."""
        taken = min(len(data), self.room)
        crumb = self._link.weather.crumb_bytes or max(1, taken)
        for start in range(0, taken, crumb):
            self._fly(data[start : min(start + crumb, taken)])
        return taken

    def end(self) -> None:
        """No more bytes will follow."""
        self._fly(b"")

    def _fly(self, piece: bytes) -> None:
        link = self._link
        self._flying += len(piece)
        if link.lost:
            return  # a half-open link swallows everything
        weather = link.weather
        soonest = trio.current_time() + weather.delay_s + weather.jitter_s * link.random.random()
        self._arrives = max(self._arrives, soonest)
        link.timeline.at(self._arrives, lambda: self._arrive(piece))

    def _arrive(self, piece: bytes) -> None:
        if self._link.broken or self._link.lost:
            return
        self._flying -= len(piece)
        self.inbox += piece
        self.delivered += len(piece)
        self.ended = self.ended or not piece
        self._told()

    def take(self, limit: int) -> bytes:
        """Read what has arrived, at most `limit` bytes."""
        was_full = not self.room
        data = bytes(self.inbox[:limit])
        del self.inbox[:limit]
        if was_full and data:
            self.on_room()
        return data


class Link:
    """One connection between a client and a server."""

    def __init__(
        self, rng: random.Random, timeline: Timeline, weather: Weather, window_bytes: int, number: int
    ) -> None:
        self.random = rng
        self.timeline = timeline
        self.weather = weather
        self.number = number
        self.broken = False
        self.lost = False
        self.given_up = False
        self._arrived = trio.Event()
        self._has_room = trio.Event()
        self.up = Wire(self, window_bytes, self._tell_server)
        self.down = Wire(self, window_bytes, self._tell_client)
        self.up.on_room = lambda: self._has_room.set()
        self.down.on_room = self._tell_server
        self.server: Socket | None = None

    def _tell_server(self) -> None:
        if self.server is not None:
            self.server.changed()

    def _tell_client(self) -> None:
        self._arrived.set()
        self._has_room.set()

    # -- what faults do -------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Reset it: both sides learn of it now."""
        self.broken = True
        self._tell_server()
        self._tell_client()

    def lose(self) -> None:
        """Half-open: nothing gets through, and nobody is told. The client gives up after a while; the server must find out."""
        self.lost = True
        self.timeline.after(3 + 12 * self.random.random(), self.give_up)

    def give_up(self) -> None:
        """The client takes a silent connection for dead."""
        self.given_up = True
        self._tell_client()

    # -- the client's side ----------------------------------------------------------------------------------------

    async def receive(self) -> bytes:
        """Wait for bytes; b"" at the server's end.

        Raises:
            LinkBroken: the connection was reset.
        """
        while True:
            if self.broken or self.given_up:
                raise LinkBroken
            if self.down.inbox:
                return self.down.take(65_536)
            if self.down.ended:
                return b""
            self._arrived = trio.Event()
            await self._arrived.wait()

    async def send(self, data: bytes) -> None:
        """Send all of it, waiting for room.

        Raises:
            LinkBroken: the connection was reset.
        """
        while data:
            if self.broken or self.given_up:
                raise LinkBroken
            data = data[self.up.put(data) :]
            if data:
                self._has_room = trio.Event()
                await self._has_room.wait()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """The client leaves: the server reads an end, or a reset when something unread was left."""
        if self.broken or self.lost:
            return
        if self.down.inbox:
            self.timeline.after(self.weather.delay_s, self.cut)
        else:
            self.up.end()


class Socket(Protocol):
    """What a link has of its server's socket."""

    def changed(self) -> None:
        """Something may have become ready."""


class Server(Protocol):
    """Whom clients connect to."""

    @property
    def listening(self) -> bool:
        """Connections are taken now."""

    def knock(self, link: Link) -> None:
        """A connection has come."""


class Network:
    """All links of a simulation."""

    def __init__(self, rng: random.Random, timeline: Timeline, window_bytes: int) -> None:
        self._random = rng
        self._timeline = timeline
        self._window_bytes = window_bytes
        self._numbers = itertools.count()
        self.weather = Weather()
        self.links: list[Link] = []
        self.host: Server | None = None

    def connect(self) -> Link:
        """Connect to the server that listens now.

        Raises:
            LinkBroken: nobody does.
        """
        host = self.host
        if host is None or not host.listening:
            raise LinkBroken
        link = Link(self._random, self._timeline, self.weather, self._window_bytes, next(self._numbers))
        self.links = [known for known in self.links if not (known.broken or known.given_up or known.down.ended)]
        self.links.append(link)
        self._timeline.after(self.weather.delay_s, lambda: host.knock(link))
        return link
