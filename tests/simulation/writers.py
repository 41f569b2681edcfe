"""Those who post. Each post has a name (the first word of its text) and a key; it is tried until an answer settles it, over the
writer's transport, and now and then once more although it is settled, or twice at the same time."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import trio

from hubbub.engine import Author, Draft, EngineError
from hubbub.engine.core.errors import WIRE

from .links import Gone, Slow, call, session
from .network import LinkBroken
from .plan import WriterPlan
from .process import Process
from .town import Town

# Codes that say: this try is not stored and never will be.
CERTAIN: Final = frozenset({"store_unavailable", "overloaded", "closed", "quarantined", "fenced"})
UNKNOWN: Final = "outcome_unknown"
_BURST: Final = 5
_SLACK_S: Final = 6.0  # connecting, a token looked up, a load that waits for an older batch, ticks
# Several codes share a number; those that do are all certain.
_CENTRIFUGAL: Final = {wire.reply_code: code for code, wire in WIRE.items()}


@attrs.frozen
class Acked:
    """Committed, it is said. `offset` and `id` are None where the transport does not say them."""

    offset: int | None = None
    id: str | None = None


@attrs.frozen
class Refused:
    """An error with its code."""

    code: str


class Writer:
    """One author."""

    def __init__(self, town: Town, number: int, plan: WriterPlan) -> None:
        self._town = town
        self._plan = plan
        self._random = random.Random(f"writer {town.plan.seed} {number}")
        self.name = f"w{number}"
        self.token = f"hbg_{self.name}"
        self.author = Author(self.name, self.name)
        self._settled: list[tuple[str, str]] = []
        self._slow = Slow()
        sluggish = any(fault.kind in ("delay", "dribble", "half_open", "power_cut") for fault in town.plan.faults)
        self._answer_s = 1e9 if sluggish else town.plan.bounds["post_deadline_s"] + _SLACK_S
        self._calm = not town.plan.faults and town.plan.bounds["post_deadline_s"] > 1
        self._archives = any(fault.kind == "archive" for fault in town.plan.faults)
        self._transports: dict[str, Callable[[str, str, str], Awaitable[Acked | Refused | None]]] = {
            "rest": self._rest,
            "rpc": self._rpc,
            "publish": self._publish,
            "embedder": self._embedder,
        }

    async def run(self) -> None:
        """Post everything, and see it settled."""
        if self._plan.kind == "burst":
            await self._run_bursts()
            return
        for number in range(self._plan.posts):
            await trio.sleep(self._random.expovariate(1.0) * self._plan.pause_s)
            room = self._random.choice(self._town.rooms)
            post = f"{self.name}-{number}"
            chance = self._random.random()
            if chance < 0.25:
                await self._once(room, post)
            elif chance < 0.4:
                async with trio.open_nursery() as both:
                    both.start_soon(self._deliver, room, post)
                    both.start_soon(self._deliver, room, post)
            else:
                await self._deliver(room, post)
            if self._settled and self._random.random() < 0.3:
                await self._deliver(*self._random.choice(self._settled))
            if self._settled and self._random.random() < 0.05:
                await self._reuse_key(*self._random.choice(self._settled))
            if self._random.random() < 0.05:
                await self._rename(room)
            if self._random.random() < 0.1:
                await self._ask("rpc", {"method": "typing", "data": {"conversation": room}})

    async def _run_bursts(self) -> None:
        """Several posts at once over one connection: what is stored of them stands in the order in which they were sent."""
        for first in range(0, self._plan.posts, _BURST):
            await trio.sleep(self._random.expovariate(1.0) * self._plan.pause_s)
            room = self._random.choice(self._town.rooms)
            posts = [f"{self.name}-{number}" for number in range(first, first + _BURST)]
            for post in posts:
                self._town.audit.tried(room, post)
            with contextlib.suppress(Gone):
                await self._burst(room, posts)

    async def _burst(self, room: str, posts: list[str]) -> None:
        town, acked = self._town, list[int]()
        async with session(town, self._slow, self.token) as socket:
            numbers = []
            for post in posts:
                data = {"conversation": room, "text": f"{post} {'x' * self._plan.text_bytes}"}
                numbers.append(await socket.put(rpc={"method": "post", "data": data}))
            for number, post in zip(numbers, posts, strict=True):
                reply = await socket.reply(number)
                town.note("burst", post, reply)
                if "rpc" in reply:
                    data = reply["rpc"]["data"]
                    town.audit.acked(room, post, data["offset"], data["id"])
                    acked.append(data["offset"])
                elif _code_of(reply["error"]) in CERTAIN:
                    town.audit.refused(room, post, _code_of(reply["error"]))
        if acked != sorted(acked):
            town.find("out of order", f"{room}: {posts} were sent in this order and acked at {acked}")

    async def _once(self, room: str, post: str) -> None:
        """One try only: if that is refused, the post must never appear."""
        await self._try(room, post)

    async def _deliver(self, room: str, post: str) -> None:
        """Try until it is settled."""
        while not await self._try(room, post):
            await trio.sleep(0.05 + self._random.random())
        if (room, post) not in self._settled:
            self._settled.append((room, post))

    async def _reuse_key(self, room: str, post: str) -> None:
        """Another text under a key that was used: refused, and never stored."""
        answer = await self._transports[self._plan.kind](room, post, f"{post}-other text")
        self._town.note("reuse", room, post, answer)
        if isinstance(answer, Acked):
            self._town.find("key reused", f"{self.name}: {post} with another text was acked")

    async def _rename(self, room: str) -> None:
        """A durable event that is no message."""
        process = await self._town.running_process()
        done = trio.Event()
        process.embedders.start_soon(self._renamed, process, room, done)
        await done.wait()

    async def _renamed(self, process: Process, room: str, done: trio.Event) -> None:
        title = f"title {self._random.random()}"
        try:
            with trio.move_on_after(3.0):
                record = await process.engine.conversation(room).update(title=title)
                if process.alive and record.title != title:
                    self._town.find("wrong answer", f"{room} is called {record.title!r} and not {title!r}")
        except EngineError as error:
            if error.code not in (*CERTAIN, UNKNOWN, "internal", "conflict"):
                self._town.find("wrong refusal", f"a change of {room} got {error.code}")
        finally:
            done.set()

    async def _try(self, room: str, post: str) -> bool:
        """One try; whether it settled the post."""
        town = self._town
        kind = self._plan.kind if self._random.random() < 0.8 else self._random.choice(list(self._transports))
        text = f"{post} {'x' * self._plan.text_bytes}"
        town.audit.tried(room, post)
        began = trio.current_time()
        answer = await self._transports[kind](room, post, text)
        town.note("try", room, post, kind, answer)
        if answer is not None and kind != "embedder":  # an embedder waits for a process first, and looks itself
            self._timely(post, kind, began, answer)
        match answer:
            case Acked(offset, message_id):
                self._acked(room, post, offset, message_id)
                return True
            case Refused("conflict") if (room, post) in self._settled:
                town.find("retry refused", f"{post} was acked, and its retry got a conflict")
            case Refused("store_unavailable" | "outcome_unknown" as code) if self._calm and kind in (
                "rest",
                "embedder",
            ):
                town.find("wrong refusal", f"{post} got {code} from a store that is well")
            case Refused(code) if code in CERTAIN or (code == "conflict" and self._archives):
                town.audit.refused(room, post, code)
            case Refused(code) if code != UNKNOWN and not (code == "internal" and town.crashes.done):
                town.find("wrong refusal", f"{post} got {code}")
                return True
        return False

    def _timely(self, post: str, kind: str, began: float, answer: Acked | Refused) -> None:
        took = trio.current_time() - began
        if took > self._answer_s:
            self._town.find("late", f"{post} over {kind} was answered after {took:.1f} s: {answer}")

    def _acked(self, room: str, post: str, offset: int | None, message_id: str | None) -> None:
        if offset is None or message_id is None:
            there = self._town.disk.find(room, post)
            if there is None:
                self._town.find("early", f"{room}: {post} was acked and is not durable")
                return
            offset, message_id = there
        self._town.audit.acked(room, post, offset, message_id)

    # -- transports -----------------------------------------------------------------------------------------------

    async def _rest(self, room: str, post: str, text: str) -> Acked | Refused | None:
        try:
            link = self._town.network.connect()
        except LinkBroken:
            return None
        try:
            response = await call(
                self._town,
                link,
                self.token,
                "POST",
                f"/api/v1/conversations/{room}/messages",
                headers={"idempotency-key": key_of(post)},
                body={"text": text},
            )
        except Gone:
            return None
        finally:
            link.close()
        if response.status == 201:
            return Acked(response.body["offset"], response.body["id"])
        return Refused(response.body["code"])

    async def _rpc(self, room: str, post: str, text: str) -> Acked | Refused | None:
        data = {"conversation": room, "text": text, "idempotency_key": key_of(post)}
        return await self._ask("rpc", {"method": "post", "data": data})

    async def _publish(self, room: str, post: str, text: str) -> Acked | Refused | None:
        return await self._ask("publish", {"channel": room, "data": {"text": text, "idempotency_key": key_of(post)}})

    async def _ask(self, kind: str, command: dict[str, Any]) -> Acked | Refused | None:
        try:
            async with session(self._town, self._slow, self.token) as socket:
                reply = await socket.ask(**{kind: command})
        except Gone:
            return None
        if "error" in reply:
            return Refused(_code_of(reply["error"]))
        data = reply[kind].get("data", {})
        return Acked(data.get("offset"), data.get("id"))

    async def _embedder(self, room: str, post: str, text: str) -> Acked | Refused | None:
        process = await self._town.running_process()
        answers: list[Acked | Refused] = []
        patience_s = self._random.choice((0.02, 3.0, 1e6, 1e6))
        done = trio.Event()
        process.embedders.start_soon(self._embedded, process, room, post, text, patience_s, answers, done)
        await done.wait()
        return answers[0] if answers else None

    async def _embedded(
        self, process: Process, room: str, post: str, text: str, patience_s: float, answers: list[Any], done: trio.Event
    ) -> None:
        """A task inside the server's process: it may be cancelled at any moment, and dies with the process."""
        try:
            began = trio.current_time()
            with trio.move_on_after(patience_s):
                draft = Draft(text, author=self.author, idempotency_key=key_of(post))
                try:
                    ack = await process.engine.conversation(room).post(draft)
                except EngineError as error:
                    if process.alive:
                        answers.append(Refused(error.code))
                else:
                    if process.alive:
                        answers.append(Acked(ack.message.offset, ack.message.id))
            if answers:
                self._timely(post, "embedder", began, answers[0])
        finally:
            done.set()


def key_of(post: str) -> str:
    """Its idempotency key: authors choose the same ones, which are theirs alone all the same."""
    return f"key-{post.partition('-')[2]}"


def _code_of(error: dict[str, Any]) -> str:
    return _CENTRIFUGAL.get(error["code"], str(error["code"]))
