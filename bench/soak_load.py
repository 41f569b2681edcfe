"""The load of a soak: open-loop posts into rooms of all sizes, and everything else that people do meanwhile.

Posts have their times from a schedule, whether or not the server keeps up, and are repeated under the same key until they are
acknowledged. All work is done in one process on trio; the load is moderate on purpose.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import attrs
import httpx
import msgspec
import trio

from .errors import BenchError
from .faults.client import Gone, Http, Refused, WebSocket
from .faults.crowd import become_guest, until
from .faults.writers import Poster, RestPoster, SocketPoster
from .soak_ledger import Cursor, Room
from .soak_readers import Visit, come_and_go, look_back, stall, stay, visit_socket, visit_stream
from .soak_world import KINDS, World
from .wire import WireError

_WORKERS: Final = 16
_FILLERS: Final = 48
_WAITING: Final = 2_000
_RETRY_S: Final = 0.25
_VISITORS: Final = 3  # of ten readers
_SETTLE_S: Final = 30.0
_VISITS: Final[tuple[Visit, ...]] = (visit_socket, visit_stream)
_PASSING: Final = frozenset({"store_unavailable", "outcome_unknown", "overloaded", "rate_limited", "503", "504", "111"})
"""Refusals that another try may not meet; numbers are those of a WebSocket."""


@attrs.frozen(kw_only=True)
class LoadPlan:
    """How much is done.

    Attributes:
        rate_per_s: posts.
        readers: connections that read; some of them come and go.
        fill_items: posts that each room with readers has before it begins, so that its tail is as full as it gets.
        life_s: pace of what happens now and then: a page of history twice as often, typing too, a new room and a new guest
            ten times as seldom.
    """

    rate_per_s: float = 40.0
    readers: int = 120
    fill_items: int = 4_200
    life_s: float = 1.0


@attrs.frozen
class _Due:
    room: Room
    intended_ns: int


class Load:
    """Everybody at work. Made by `loaded`."""

    def __init__(self, world: World, plan: LoadPlan, nursery: trio.Nursery) -> None:
        self._world = world
        self._plan = plan
        self._nursery = nursery
        self._cursors: list[Cursor] = []
        self._posting = 0
        self._posts = trio.CancelScope()

    async def fill(self) -> None:
        """Fill the tails, as fast as it goes, while a reader of each kind makes the server keep what it wraps for them."""
        rooms = self._world.steady()
        first = [Cursor(f"first {visit.__name__}", room, 0) for room in rooms for visit in _VISITS]
        async with trio.open_nursery() as readers:
            for number, cursor in enumerate(first):
                readers.start_soon(stay, self._world, _VISITS[number % len(_VISITS)], cursor)
            await self._fill(rooms)
            await until(lambda: all(cursor.offset == cursor.room.head for cursor in first), _SETTLE_S)
            readers.cancel_scope.cancel()
        self._world.timed()  # nobody wants to know how long those took

    async def _fill(self, rooms: list[Room]) -> None:
        due, todo = trio.open_memory_channel[_Due](0)
        async with trio.open_nursery() as nursery:
            for number in range(_FILLERS):
                nursery.start_soon(self._work, todo.clone(), number)
            todo.close()
            async with due:
                for _ in range(self._plan.fill_items):
                    for room in rooms:
                        await due.send(_Due(room, time.monotonic_ns()))

    def begin(self) -> None:
        """Start everybody."""
        world, plan, nursery = self._world, self._plan, self._nursery
        for kind in KINDS:
            for number in range(round(plan.readers * kind.readers)):
                room = world.rooms[kind.name][number % kind.rooms]
                visit = visit_socket if number % 3 else visit_stream
                cursor = Cursor(f"{kind.name} reader {number}", room, room.head)
                self._cursors.append(cursor)
                nursery.start_soon(come_and_go if number % 10 < _VISITORS else stay, world, visit, cursor)
        for room in world.rooms["loud"]:
            nursery.start_soon(stall, world, room, plan.fill_items)
        nursery.start_soon(look_back, world, plan.life_s / 2)
        nursery.start_soon(self._type)
        nursery.start_soon(self._open_rooms)
        nursery.start_soon(self._arrive)
        nursery.start_soon(self._post)

    async def settle(self) -> int:
        """Stop posting, let everything arrive; gives the number of readers that have not reached the head in time."""
        self._world.stopping = True
        self._posts.cancel()
        await until(lambda: not self._posting, _SETTLE_S)
        await until(lambda: not self._behind(), _SETTLE_S)
        return self._behind()

    def _behind(self) -> int:
        return sum(cursor.offset < cursor.room.head for cursor in self._cursors)

    # -- posts

    async def _post(self) -> None:
        due, todo = trio.open_memory_channel[_Due](_WAITING)
        for number in range(_WORKERS):
            self._nursery.start_soon(self._work, todo.clone(), number)
        todo.close()
        start_ns, start = time.monotonic_ns(), trio.current_time()
        with due, self._posts:
            number = 0
            while True:
                number += 1
                after_s = number / self._plan.rate_per_s  # from the start each time: adding up would drift
                await trio.sleep_until(start + after_s)
                try:
                    due.send_nowait(_Due(self._world.choose(), start_ns + int(after_s * 1e9)))
                except trio.WouldBlock:
                    self._world.happened["posts not sent, too many wait"] += 1

    async def _work(self, todo: trio.MemoryReceiveChannel[_Due], number: int) -> None:
        target = self._world.target()
        poster: Poster = SocketPoster(target) if number % 2 else RestPoster(target)
        with todo, poster:
            async for due in todo:
                self._posting += 1
                await self._insist(poster, due)
                self._posting -= 1

    async def _insist(self, poster: Poster, due: _Due) -> None:
        """Post under one key until it is acknowledged."""
        world = self._world
        number = world.ledger.posting()
        text = world.text(number, due.intended_ns)
        while True:
            try:
                message = await poster.post(due.room.name, text)
            except (Gone, Refused, WireError) as error:
                if isinstance(error, Refused) and error.code not in _PASSING:
                    raise BenchError(f"a post to {due.room.name} was refused for good: {error.code}") from error
                world.happened[f"a post was tried again: {error}"] += 1
                await trio.sleep(_RETRY_S)
                continue
            world.ledger.acked(due.room, number, message.offset)
            world.ack.record(time.monotonic_ns() - due.intended_ns)
            return

    # -- what else happens

    async def _type(self) -> None:
        while True:
            try:
                socket = await WebSocket.connect(self._world.target())
                try:
                    await self._type_on(socket)
                finally:
                    socket.close()
            except (Gone, Refused, WireError) as error:
                self._world.happened[f"typing failed: {error}"] += 1
                await trio.sleep(_RETRY_S)

    async def _type_on(self, socket: WebSocket) -> None:
        number = 1
        while True:
            number += 1
            room = self._world.choose().name
            command = {"id": number, "rpc": {"method": "typing", "data": {"conversation": room}}}
            await socket.ask(number, msgspec.json.encode(command))
            self._world.happened["typing"] += 1
            await trio.sleep(self._plan.life_s / 2)

    async def _open_rooms(self) -> None:
        """A new room, a few posts in it, one reader that goes for good: rooms must leave memory again."""
        while not self._world.stopping:
            await trio.sleep(10 * self._plan.life_s)
            http = Http(self._world.target())
            try:
                room = await self._world.make_room(http, "fresh")
            except (Gone, BenchError) as error:
                self._world.happened[f"a room could not be made: {error}"] += 1
                continue
            finally:
                http.close()
            self._world.move(room)
            self._world.happened["new rooms"] += 1
            self._nursery.start_soon(self._visit_once, room)

    async def _visit_once(self, room: Room) -> None:
        async with trio.open_nursery() as nursery:
            cursor = Cursor(f"guest of {room.name}", room, 0)
            nursery.start_soon(come_and_go, self._world, visit_socket, cursor)
            with RestPoster(self._world.target()) as poster:
                for _ in range(5):
                    self._posting += 1
                    await self._insist(poster, _Due(room, time.monotonic_ns()))
                    self._posting -= 1
            await until(lambda: cursor.offset >= room.head, _SETTLE_S)
            if cursor.offset < room.head:
                self._cursors.append(cursor)  # it is told at the end where it stands
            nursery.cancel_scope.cancel()

    async def _arrive(self) -> None:
        """A new guest, who looks at the page: the cold lane has work too."""
        while True:
            await trio.sleep(10 * self._plan.life_s)
            try:
                target = await become_guest(self._world.target())
                async with httpx.AsyncClient(trust_env=False, timeout=15) as browser:
                    await browser.get(f"http://{target.netloc}/")
            except (Gone, httpx.HTTPError) as error:
                self._world.happened[f"a guest could not arrive: {error!r}"] += 1
            else:
                self._world.happened["new guests"] += 1


@asynccontextmanager
async def loaded(world: World, plan: LoadPlan) -> AsyncIterator[Load]:
    """A load at work; everybody goes when the block is left."""
    async with trio.open_nursery() as nursery:
        yield Load(world, plan, nursery)
        nursery.cancel_scope.cancel()
