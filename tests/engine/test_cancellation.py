"""Leaving the engine by cancellation at any point: no task, no descriptor, no owed answer is left, and no ack was a lie."""

import random
from pathlib import Path

import trio
from trio.testing import MockClock

from hubbub.engine import Ack, Draft, Engine, EngineError
from hubbub.engine.core.ids import ConversationId
from hubbub.storage import MemoryStore

from .world import QUERIES, Outlet, Replies, join, poison, post, query, subscriber_of


class Run:
    """One program that embeds the engine, to be cancelled somewhere."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.store = MemoryStore()
        self.acks: list[Ack] = []
        self.replies: list[Replies] = []
        self.outlets: list[Outlet] = []
        self.seen: dict[int, list[int | None]] = {}

    async def main(self) -> None:
        async with Engine.open(store=self.store) as engine, trio.open_nursery() as nursery:
            for number in range(3):
                await engine.create(f"r{number}")
            for number in range(6):
                nursery.start_soon(self.write, engine, number)
                nursery.start_soon(self.follow, engine, number)
            nursery.start_soon(self.push, engine)
            await trio.sleep_forever()

    async def write(self, engine: Engine, number: int) -> None:
        room = engine.conversation(f"r{number % 3}")
        for count in range(100):
            try:
                self.acks.append(
                    await room.post(Draft(f"{number}:{count}", author="ada", idempotency_key=f"{number}:{count}"))
                )
            except EngineError:
                await trio.lowlevel.checkpoint()

    async def follow(self, engine: Engine, number: int) -> None:
        seen = self.seen[number] = []
        while True:
            try:
                async with engine.conversation(f"r{number % 3}").subscribe(since=len(seen)) as events:
                    async for event in events:
                        seen.append(event.offset)
            except EngineError:
                await trio.lowlevel.checkpoint()

    async def push(self, engine: Engine) -> None:
        crashes = 0
        while True:
            name = f"r{self.chance.randrange(3)}"
            try:
                if self.chance.random() < 0.05 and crashes < 4:
                    crashes += 1
                    self.replies.append(poison(engine, name=name))
                self.replies.append(post(engine, "pushed", name=name))
                self.replies.append(query(engine, self.chance.choice([*QUERIES.values()]), name=name))
                outlet = Outlet()
                outlet.room_for = self.chance.choice([None, 1])
                self.outlets.append(outlet)
                self.replies.append(join(engine, subscriber_of(outlet, f"c{len(self.outlets)}"), 0, name=name))
            except EngineError:
                pass
            await trio.sleep(0.001)

    async def check(self) -> None:
        """What was promised, against the store."""
        logs = {}
        for number in range(3):
            name = ConversationId(f"r{number}")
            logs[name] = await self.store.events(name, after=0, limit=10_000, max_bytes=10**9)
        acks = self.acks + [reply.answer for reply in self.replies if isinstance(reply.answer, Ack)]
        for ack in acks:
            assert logs[ack.message.conversation][ack.cursor.offset - 1].message == ack.message
        for seen in [*self.seen.values(), *(outlet.offsets for outlet in self.outlets)]:
            assert seen == list(range(1, len(seen) + 1))


def open_descriptors() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_cancelled_at_random_points(autojump_clock: MockClock) -> None:
    """500 programs, each cancelled at another point."""
    descriptors = open_descriptors()
    tasks = trio.lowlevel.current_statistics().tasks_living
    acks = answers = 0
    for seed in range(500):
        chance = random.Random(seed)
        run = Run(chance)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.main)
            if chance.random() < 0.2:
                await trio.sleep(chance.random() * 0.02)
            for _ in range(chance.randrange(chance.choice([10, 100, 400]))):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        assert all(reply.answers for reply in run.replies)
        await run.check()
        acks += len(run.acks)
        answers += len(run.replies)
    assert open_descriptors() == descriptors
    assert acks > 1_000
    assert answers > 1_000
