"""Those who follow rooms, over one transport each. They leave and come back, fall silent, are cut, and resume where they were.
Now and then they name a position that never was, and must be told."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from hubbub.engine import Cursor, EngineError, Event

from .disk import name_of
from .links import Gone, Slow, Socket, call, open_stream, session
from .network import Link, LinkBroken
from .place import Place
from .plan import ReaderPlan
from .process import Process
from .town import Town

_NEVER_WAS: Final = 1_000_000


class Reader:
    """One reader: of one room, or over one connection of all of them."""

    def __init__(self, town: Town, number: int, plan: ReaderPlan) -> None:
        self._town = town
        self._plan = plan
        self._random = random.Random(f"reader {town.plan.seed} {number}")
        self.name = f"{plan.kind}-{number}"
        self.token = f"hbg_r{number}"
        self.slow = Slow()
        rooms = town.rooms if plan.kind == "sockets" else [town.rooms[plan.room % len(town.rooms)]]
        self.places = {
            room: Place(town, self.name, room, from_start=plan.from_start, only_messages=plan.kind == "pages")
            for room in rooms
        }
        self._place = next(iter(self.places.values()))

    @property
    def at_head(self) -> bool:
        """It has seen everything."""
        return all(place.at_head for place in self.places.values())

    def __str__(self) -> str:
        return ", ".join(f"{self.name} at {place.cursor} of {place.room}" for place in self.places.values())

    async def run(self) -> None:
        """Follow until the town is over, with breaks."""
        follow: Callable[[], Awaitable[None]] = {
            "sse": self._stream,
            "socket": self._socket,
            "sockets": self._socket,
            "embedder": self._embedder,
            "pages": self._pages,
            "log": self._log,
        }[self._plan.kind]
        while not self._town.over.is_set():
            stays_s = 1e9 if self._town.healed.is_set() else self._random.expovariate(1 / self._plan.stays_s)
            with trio.move_on_after(stays_s), contextlib.suppress(Gone, LinkBroken):
                await follow()
            await trio.sleep(0.02 + self._random.random())

    def _refused(self, what: object, status: int) -> None:
        """Not now is always allowed, a failure only where a crash of ours may be why."""
        if status != 503 and not (status == 500 and self._town.crashes.done):
            self._town.find("wrong refusal", f"{self.name} got {status} for {what}")

    def _refused_reply(self, error: dict[str, Any]) -> None:
        if not error.get("temporary"):
            self._town.find("wrong refusal", f"{self.name} got {error}")

    def _expect_reset(self, told: object, *, was_told: bool) -> None:
        if not was_told:
            self._town.find("no reset", f"{self.name} named a position that never was and got {told}")

    @property
    def _lies(self) -> bool:
        """Whether to name a position that never was, this time."""
        return self._random.random() < 0.1

    # -- transports -----------------------------------------------------------------------------------------------

    async def _stream(self) -> None:
        place, lies = self._place, self._lies
        link = self._town.network.connect()
        try:
            path = f"/api/v1/conversations/{place.room}/events"
            last_id = str(_NEVER_WAS) if lies else str(place.cursor) if place.begun else ""
            found = await open_stream(self._town, link, self.slow, self.token, path, last_id)
            if isinstance(found, int):
                self._refused(path, found)
                return
            block = await found.next()
            if lies:
                block = await found.next()
                self._expect_reset(block, was_told=block.event in ("stream.reset", "stream.end"))
                return
            while True:
                if block.event == "stream.open":
                    place.begins(block.data["offset"])
                elif block.event == "stream.reset":
                    place.reset(block.data)
                elif block.event != "stream.end":
                    place.seen_json(block.data)
                block = await found.next()
        finally:
            link.close()

    async def _socket(self) -> None:
        async with session(self._town, self.slow, self.token) as socket:
            missing = list(self.places.values())
            while missing:
                place = missing.pop(0)
                if self._lies:
                    await self._lie(socket, place)
                elif not await self._subscribe(socket, place):
                    missing.append(place)
                    await trio.sleep(0.1)
                    continue
                if not missing:
                    missing.append(await self._follow(socket))
                    await trio.sleep(0.1)

    async def _subscribe(self, socket: Socket, place: Place) -> bool:
        recovery = {"recover": True, "offset": place.cursor, "epoch": place.epoch} if place.begun else {}
        reply = await socket.ask(subscribe={"channel": place.room, **recovery})
        if "error" in reply:
            self._refused_reply(reply["error"])
        return "error" not in reply

    async def _lie(self, socket: Socket, place: Place) -> None:
        """Name a position of this log that is not there yet, or any of another one; then leave."""
        where = {"offset": _NEVER_WAS, "epoch": place.epoch} if self._random.random() < 0.5 else {"epoch": "other"}
        reply = await socket.ask(subscribe={"channel": place.room, "recover": True, **where})
        if "error" in reply:
            self._refused_reply(reply["error"])
        else:
            self._expect_reset(reply, was_told=not reply["subscribe"]["recovered"])
        raise Gone

    async def _follow(self, socket: Socket) -> Place:
        """Take what comes, until a room has to be subscribed to again."""
        while True:
            push = await socket.next_push()
            place = self.places[push["channel"]]
            if "subscribe" in push:
                self._subscribed(place, push["subscribe"])
            elif "pub" in push:
                place.seen_json(push["pub"]["data"])
            elif "unsubscribe" in push:
                return place

    def _subscribed(self, place: Place, reply: dict[str, Any]) -> None:
        place.epoch = reply["epoch"]
        if reply.get("was_recovering") and not reply["recovered"]:
            place.reset(reply)
        for publication in reply.get("publications", ()):
            place.seen_json(publication["data"])
        place.begins(reply["offset"])
        if place.cursor != reply["offset"]:
            self._town.find("position", f"{self.name} stands at {place.cursor}, the reply says {reply['offset']}")

    async def _embedder(self) -> None:
        process = await self._town.running_process()
        done = trio.Event()
        scope = trio.CancelScope()
        process.embedders.start_soon(self._embedded, process, scope, done)
        try:
            await done.wait()
        finally:
            scope.cancel()

    async def _embedded(self, process: Process, scope: trio.CancelScope, done: trio.Event) -> None:
        place, lies = self._place, self._lies
        try:
            with scope:
                room = process.engine.conversation(place.room)
                since = Cursor(place.epoch, place.cursor) if place.epoch else place.cursor if place.begun else None
                async with room.subscribe(since=Cursor("other", 0) if lies else since) as events:
                    if lies:
                        self._expect_reset(events.cursor, was_told=not process.alive)
                        return
                    if process.alive:
                        place.epoch = events.epoch
                        place.begins(events.cursor.offset)
                    async for event in events:
                        await self._digest(process, place, event)
        except EngineError as error:
            if error.code == "not_found" or (error.code == "gone" and not lies):
                place.reset(repr(error))
        finally:
            done.set()

    async def _digest(self, process: Process, place: Place, event: Event) -> None:
        if process.alive and event.offset is not None:
            place.seen(event.offset, name_of(event))
        if self._random.random() < 0.1:
            await trio.sleep(self._random.random())

    async def _pages(self) -> None:
        """Pages of messages by REST, forwards; each is held against the disk."""
        place = self._place
        place.begins(0)
        link = self._town.network.connect()
        try:
            while not self._town.over.is_set():
                limit = self._random.randint(1, min(12, int(self._town.plan.bounds["page_items"])))
                path = f"/api/v1/conversations/{place.room}/messages?after={place.cursor}&limit={limit}"
                response = await call(self._town, link, self.token, "GET", path)
                if response.status == 200:
                    self._compare(response.body["messages"])
                else:
                    self._refused(path, response.status)
                await self._page_back(link)
                await trio.sleep(self._random.random())
        finally:
            link.close()

    async def _page_back(self, link: Link) -> None:
        """A page before some offset: whole, and as the disk has it."""
        place = self._place
        before = self._random.randint(1, place.cursor + 1)
        path = f"/api/v1/conversations/{place.room}/messages?before={before}&limit=3"
        response = await call(self._town, link, self.token, "GET", path)
        if response.status != 200:
            self._refused(path, response.status)
            return
        said = [(message["offset"], message["text"].split(" ", 1)[0]) for message in response.body["messages"]]
        there = [(offset, post) for offset, _, post in self._town.disk.log(place.room) if offset < before]
        expected = [entry for entry in there if "@" not in entry[1]][-3:]
        if said != expected:
            self._town.find("wrong page", f"{self.name} got {said} before {before}, the log has {expected}")

    async def _log(self) -> None:
        """Pages of the log over a WebSocket, forwards from where it stands."""
        place = self._place
        place.begins(0)
        async with session(self._town, self.slow, self.token) as socket:
            while True:
                since = {"since": {"offset": place.cursor, "epoch": place.epoch}} if place.epoch else {}
                reply = await socket.ask(history={"channel": place.room, "limit": 3 if since else 0, **since})
                if "error" in reply:
                    self._refused_reply(reply["error"])
                else:
                    place.epoch = reply["history"]["epoch"]
                    for publication in reply["history"].get("publications", ()):
                        place.seen_json(publication["data"])
                await trio.sleep(self._random.random())

    def _compare(self, messages: list[dict[str, Any]]) -> None:
        """Pages hold messages only: the other events between them are filled in from the disk."""
        place = self._place
        for message in messages:
            while place.cursor + 1 < message["offset"]:
                between = self._town.disk.text_at(place.room, place.cursor + 1)
                if between is None or "@" not in between:
                    break  # a message is missing: the audit will say so
                place.seen(place.cursor + 1, between)
            place.seen(message["offset"], message["text"].split(" ", 1)[0])
