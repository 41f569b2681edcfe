"""Those who follow a room, over one transport each. They leave and come back, fall silent, are cut, and resume where they were.
What they get goes to the audit; whatever a position cannot be served for is a finding: nothing is ever trimmed here."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from hubbub.engine import Cursor, EngineError, Event

from .disk import name_of
from .links import Gone, Slow, Socket, call, open_stream, session
from .network import Link, LinkBroken
from .plan import ReaderPlan
from .process import Process
from .town import Town


class Reader:
    """One reader of one room."""

    def __init__(self, town: Town, number: int, plan: ReaderPlan) -> None:
        self._town = town
        self._plan = plan
        self._random = random.Random(f"reader {town.plan.seed} {number}")
        self.name = f"{plan.kind}-{number}"
        self.token = f"token-r{number}"
        self.room = town.rooms[plan.room % len(town.rooms)]
        self.slow = Slow()
        self.begun = plan.from_start
        self._epoch = ""
        if plan.from_start:
            town.audit.reads(self.name, self.room, 0)

    @property
    def cursor(self) -> int:
        """Where it stands."""
        return self._town.audit.resumes(self.name, self.room) if self.begun else 0

    @property
    def at_head(self) -> bool:
        """It has seen everything, or never got to begin."""
        head = self._town.disk.head(self.room)
        if self._plan.kind == "pages":  # they show messages only
            while head > self.cursor and "@" in (self._town.disk.text_at(self.room, head) or ""):
                head -= 1
        return not self.begun or self.cursor >= head

    async def run(self) -> None:
        """Follow until the town is over, with breaks."""
        follow: Callable[[], Awaitable[None]] = {
            "sse": self._stream,
            "socket": self._socket,
            "embedder": self._embedder,
            "pages": self._pages,
            "log": self._log,
        }[self._plan.kind]
        while not self._town.over.is_set():
            stays_s = 1e9 if self._town.healed.is_set() else self._random.expovariate(1 / self._plan.stays_s)
            with trio.move_on_after(stays_s):
                with contextlib.suppress(Gone, LinkBroken):
                    await follow()
            await trio.sleep(0.02 + self._random.random())

    def _begins(self, offset: int) -> None:
        """A live reader was told where it begins."""
        if not self.begun:
            self.begun = True
            self._town.audit.reads(self.name, self.room, offset)

    def _seen(self, offset: int, post: str) -> None:
        self._town.note("seen", self.name, offset)
        self._town.audit.seen(self.name, self.room, offset, post)

    def _seen_json(self, event: dict[str, Any]) -> None:
        """A durable event as the wires carry it; others are let go."""
        if "offset" in event:
            self._seen(event["offset"], _name_of_json(event))

    def _refused(self, status: int) -> None:
        """Not now is always allowed, a failure only where a crash of ours may be why."""
        if status != 503 and not (status == 500 and self._town.crashes.done):
            self._town.find("wrong refusal", f"{self.name} got {status}")

    def _reset(self, what: object) -> None:
        self._town.find("reset", f"{self.name} in {self.room} at {self.cursor}: {what}")

    # -- transports -----------------------------------------------------------------------------------------------

    async def _stream(self) -> None:
        link = self._town.network.connect()
        try:
            path = f"/api/v1/conversations/{self.room}/events"
            found = await open_stream(
                self._town, link, self.slow, self.token, path, str(self.cursor) if self.begun else ""
            )
            if isinstance(found, int):
                self._refused(found)
                return
            while True:
                block = await found.next()
                if block.event == "stream.open":
                    self._begins(block.data["offset"])
                elif block.event == "stream.reset":
                    self._reset(block.data)
                elif block.event != "stream.end":
                    self._seen_json(block.data)
        finally:
            link.close()

    async def _socket(self) -> None:
        async with session(self._town, self.slow, self.token) as socket:
            while await self._subscribe(socket):
                await trio.sleep(0.1)

    async def _subscribe(self, socket: Socket) -> bool:
        """Follow over one session until it ends; whether to subscribe again."""
        recovery = {"recover": True, "offset": self.cursor, "epoch": self._epoch} if self.begun else {}
        reply = await socket.ask(subscribe={"channel": self.room, **recovery})
        if "error" in reply:
            if not reply["error"].get("temporary"):
                self._town.find("wrong refusal", f"{self.name} got {reply['error']}")
            return True
        while True:
            push = await socket.next_push()
            if "subscribe" in push:
                self._subscribed(push["subscribe"])
            elif "pub" in push:
                self._seen_json(push["pub"]["data"])
            elif "unsubscribe" in push:
                return True

    def _subscribed(self, reply: dict[str, Any]) -> None:
        self._epoch = reply["epoch"]
        if reply.get("was_recovering") and not reply["recovered"]:
            self._reset(reply)
        for publication in reply.get("publications", ()):
            self._seen_json(publication["data"])
        self._begins(reply["offset"])
        if self.cursor != reply["offset"]:
            self._town.find("position", f"{self.name} stands at {self.cursor}, the reply says {reply['offset']}")

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
        try:
            with scope:
                room = process.engine.conversation(self.room)
                since = Cursor(self._epoch, self.cursor) if self._epoch else self.cursor if self.begun else None
                async with room.subscribe(since=since) as events:
                    if process.alive:
                        self._epoch = events.epoch
                        self._begins(events.cursor.offset)
                    async for event in events:
                        await self._digest(process, event)
        except EngineError as error:
            if error.code in ("gone", "not_found"):
                self._reset(repr(error))
        finally:
            done.set()

    async def _digest(self, process: Process, event: Event) -> None:
        if process.alive and event.offset is not None:
            self._seen(event.offset, name_of(event))
        if self._random.random() < 0.1:
            await trio.sleep(self._random.random())

    async def _pages(self) -> None:
        """Pages of messages by REST, forwards; each is held against the disk."""
        self._begins(0)
        link = self._town.network.connect()
        try:
            while not self._town.over.is_set():
                limit = self._random.randint(1, min(12, int(self._town.plan.bounds["page_items"])))
                path = f"/api/v1/conversations/{self.room}/messages?after={self.cursor}&limit={limit}"
                response = await call(self._town, link, self.token, "GET", path)
                if response.status == 200:
                    self._compare(response.body["messages"])
                else:
                    self._refused(response.status)
                await self._page_back(link)
                await trio.sleep(self._random.random())
        finally:
            link.close()

    async def _page_back(self, link: Link) -> None:
        """A page before some offset: whole, and as the disk has it."""
        before = self._random.randint(1, self.cursor + 1)
        path = f"/api/v1/conversations/{self.room}/messages?before={before}&limit=3"
        response = await call(self._town, link, self.token, "GET", path)
        if response.status != 200:
            self._refused(response.status)
            return
        said = [(message["offset"], message["text"].split(" ", 1)[0]) for message in response.body["messages"]]
        there = [(offset, post) for offset, _, post in self._town.disk.log(self.room) if offset < before]
        expected = [entry for entry in there if "@" not in entry[1]][-3:]
        if said != expected:
            self._town.find("wrong page", f"{self.name} got {said} before {before}, the log has {expected}")

    async def _log(self) -> None:
        """Pages of the log over a WebSocket, forwards from where it stands."""
        self._begins(0)
        async with session(self._town, self.slow, self.token) as socket:
            while True:
                since = {"since": {"offset": self.cursor, "epoch": self._epoch}} if self._epoch else {}
                reply = await socket.ask(history={"channel": self.room, "limit": 3 if since else 0, **since})
                if "error" in reply:
                    if not reply["error"].get("temporary"):
                        self._town.find("wrong refusal", f"{self.name} got {reply['error']}")
                else:
                    self._epoch = reply["history"]["epoch"]
                    for publication in reply["history"].get("publications", ()):
                        self._seen_json(publication["data"])
                await trio.sleep(self._random.random())

    def _compare(self, messages: list[dict[str, Any]]) -> None:
        """Pages hold messages only: the other events between them are filled in from the disk."""
        for message in messages:
            while self.cursor + 1 < message["offset"]:
                between = self._town.disk.text_at(self.room, self.cursor + 1)
                if between is None or "@" not in between:
                    break  # a message is missing: the audit will say so
                self._seen(self.cursor + 1, between)
            self._seen(message["offset"], message["text"].split(" ", 1)[0])


def _name_of_json(event: dict[str, Any]) -> str:
    message = event.get("message")
    return f"{event['type']}@{event['offset']}" if message is None else message["text"].split(" ", 1)[0]
