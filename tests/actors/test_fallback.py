"""The fallback of a registry: what a quarantined key is served by, its crashes, release, and what nobody may lose by it."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from hubbub.actors import (
    Actor,
    ActorDied,
    ChildSpec,
    MailboxFull,
    Quarantined,
    Registry,
    Reply,
    RestartIntensity,
    Slot,
    Supervisor,
    summary_of,
)

Message = str | Reply[str]
ONE = RestartIntensity(max_restarts=1)


class BoomError(Exception):
    """The crash of these tests."""


@attrs.define
class World:
    """What happened, in order."""

    log: list[str] = attrs.Factory(list)
    lost: list[str] = attrs.Factory(list)
    refused: list[tuple[bool, list[Message]]] = attrs.Factory(list)
    crash_at_start: set[str] = attrs.Factory(set)

    def crashed(self, slot: Slot[str, Message], error: Exception, lost: list[Message]) -> None:
        self.lost.extend(message for message in lost if isinstance(message, str))

    def quarantined(self, slot: Slot[str, Message], reason: Exception, refused: list[Message]) -> None:
        self.refused.append((slot.served, refused))


class Worker(Actor[Message]):
    """Notes its messages under its name, one at a time; "crash" crashes an actor, "crash both" a fallback too."""

    max_batch = 1

    def __init__(self, world: World, name: str, *deadly: str) -> None:
        self.world = world
        self.name = name
        self.deadly = deadly

    async def on_start(self) -> None:
        if self.name in self.world.crash_at_start:
            raise BoomError(self.name)

    async def on_batch(self, batch: list[Message]) -> None:
        (message,) = batch
        if isinstance(message, Reply):
            message.set(self.name)
            return
        if message in self.deadly:
            raise BoomError(f"cannot do {message!r}")
        if message == "stop":
            self.stop()
        await trio.lowlevel.checkpoint()
        self.world.log.append(f"{self.name} {message}")


@asynccontextmanager
async def opened(world: World, **options: Any) -> AsyncIterator[Registry[str, Message]]:
    registry: Registry[str, Message] = Registry(
        lambda slot: Worker(world, "actor", "crash", "crash both"),
        fallback=lambda slot: Worker(world, "fallback", "crash both"),
        on_crash=world.crashed,
        on_quarantine=world.quarantined,
        name="keys",
        **{"intensity": ONE, **options},
    )
    async with Supervisor("root", children=[ChildSpec("keys", lambda: registry)]).open():
        yield registry


async def quarantined(registry: Registry[str, Message]) -> Slot[str, Message]:
    slot = registry.slot("a")
    slot.put("crash")
    await trio.sleep(1)
    slot.put("crash")
    await trio.sleep(1)
    assert slot.state == "quarantined"
    return slot


async def test_the_fallback_takes_what_waits_and_what_comes(autojump_clock: trio.testing.MockClock) -> None:
    """Messages and calls behind the last crash are not refused; the quarantine shows, with its reason."""
    world = World()
    async with opened(world) as registry:
        slot = registry.slot("a")
        for message in ("crash", "x", "crash", "y"):
            slot.put(message)
        assert await slot.ref.call(lambda reply: reply, timeout_s=10) == "fallback"
        slot.put("crash")
        await trio.sleep(1)
        assert world.log == ["actor x", "fallback y", "fallback crash"]
        assert world.refused == [(True, [])]
        assert (slot.state, slot.served, slot.crashes) == ("quarantined", True, 2)
        (node,) = registry.tree().children
        assert node.reason.startswith("BoomError: cannot do '...' (test_fallback.py:")
        assert registry.statistics().quarantined == 1


async def test_a_fallback_is_never_passivated(autojump_clock: trio.testing.MockClock) -> None:
    """A quarantine outlasts idleness and the want of room."""
    world = World()
    async with opened(world, idle_s=0.1, capacity=1) as registry:
        slot = await quarantined(registry)
        await trio.sleep(100)
        with pytest.raises(Exception, match="takes no more"):
            registry.slot("b")
        await trio.sleep(100)
        assert (slot.state, registry.quarantined()) == ("quarantined", [slot])


async def test_release_hands_over_without_loss(autojump_clock: trio.testing.MockClock) -> None:
    """What the fallback had not read waits for the actor, which has all its restarts again."""
    world = World()
    async with opened(world) as registry:
        slot = await quarantined(registry)
        slot.pin()
        slot.put("x")
        slot.release()
        assert (slot.state, slot.reason, registry.quarantined()) == ("stopping", None, [])
        slot.put("y")
        assert await slot.ref.call(lambda reply: reply, timeout_s=10) == "actor"
        assert world.log == ["actor x", "actor y"]
        slot.put("crash")
        assert await slot.ref.call(lambda reply: reply, timeout_s=10) == "actor"
        slot.put("crash")
        assert await slot.ref.call(lambda reply: reply, timeout_s=10) == "fallback"
        assert (slot.pins, slot.crashes) == (1, 4)


async def test_release_of_an_idle_fallback_frees_the_key(autojump_clock: trio.testing.MockClock) -> None:
    """Without a message nothing is started, and the slot leaves the table."""
    async with opened(World()) as registry:
        slot = await quarantined(registry)
        slot.release()
        await trio.sleep(1)
        assert (slot.state, registry.statistics().live) == ("idle", 0)


async def test_a_fallback_is_restarted_and_then_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """Its crashes count on their own; past the intensity everything is refused, until the release."""
    world = World()
    async with opened(world) as registry:
        slot = await quarantined(registry)
        slot.put("crash both")
        assert await slot.ref.call(lambda reply: reply, timeout_s=10) == "fallback"
        slot.put("crash both")
        slot.put("x")
        with pytest.raises(Quarantined):
            await slot.ref.call(lambda reply: reply, timeout_s=10)
        assert world.refused[1][0] is False
        assert world.refused[1][1][0] == "x"
        with pytest.raises(Quarantined):
            slot.put("y")
        slot.release()
        assert await slot.ref.call(lambda reply: reply, timeout_s=10) == "actor"


async def test_crashing_at_every_start_is_no_loop(autojump_clock: trio.testing.MockClock) -> None:
    """An actor and a fallback that cannot start are tried a bounded number of times."""
    world = World(crash_at_start={"actor", "fallback"})
    async with opened(world) as registry:
        slot = registry.slot("a")
        slot.put("x")
        await trio.sleep(1000)
        assert (slot.crashes, slot.served, world.refused) == (4, False, [(True, []), (False, ["x"])])


async def test_a_fallback_that_stops_itself_comes_back(autojump_clock: trio.testing.MockClock) -> None:
    """The next message starts it again: the key is quarantined all the time."""
    world = World()
    async with opened(world) as registry:
        slot = await quarantined(registry)
        slot.put("stop")
        await trio.sleep(1)
        assert (slot.state, registry.statistics().active) == ("quarantined", 0)
        assert await slot.ref.call(lambda reply: reply, timeout_s=10) == "fallback"
        slot.put("stop")
        await trio.sleep(1)
        slot.release()
        assert (slot.state, registry.statistics().live) == ("idle", 0)


async def test_shutdown_drains_a_fallback(autojump_clock: trio.testing.MockClock) -> None:
    """What it accepted is handled before the registry ends."""
    world = World()
    async with opened(world) as registry:
        slot = await quarantined(registry)
        for number in range(5):
            slot.put(str(number))
    assert world.log == [f"fallback {number}" for number in range(5)]


@pytest.mark.parametrize("seed", range(20))
async def test_any_order_of_crashes_and_releases_loses_nothing(
    seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Every message is handled once, in order, or reported; every call is answered."""
    rng = random.Random(seed)
    world = World()
    accepted: list[str] = []
    async with opened(world, mailbox_capacity=8) as registry, trio.open_nursery() as nursery:
        slot = registry.slot("a")

        async def call() -> None:
            with suppress(ActorDied, Quarantined, MailboxFull):
                assert await slot.ref.call(lambda reply: reply, timeout_s=1000) in ("actor", "fallback")

        for number in range(300):
            what = rng.choice(["put", "put", "put", "call", "crash", "crash both", "release", "stop", "wait"])
            if what == "release":
                slot.release()
            elif what == "call":
                nursery.start_soon(call)
            elif what == "wait":
                await trio.sleep(rng.choice([0, 0, 0.05, 1]))
            else:
                with suppress(Quarantined, MailboxFull):
                    slot.put(what if what != "put" else f"{number}")
                    if what == "put":
                        accepted.append(f"{number}")
        slot.release()
    handled = [entry.split()[1] for entry in world.log if entry.split()[1].isdigit()]
    refused = [message for _, messages in world.refused for message in messages if isinstance(message, str)]
    reported = [message for message in world.lost + refused if message.isdigit()]
    assert sorted(handled + reported, key=int) == accepted
    assert handled == sorted(handled, key=int)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("bad 'it's' secret"), "ValueError: bad '...' secret"),
        (KeyError("what was said"), "KeyError: '...'"),
        (RuntimeError('said: "and never closed'), "RuntimeError: said: '...'"),
        (RuntimeError("don't know\nwhy it isn't"), "RuntimeError: don't know why it isn't"),
        (ValueError(f"{'a b'!r} and {b'x'!r}"), "ValueError: '...' and '...'"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 500), f"ValueError: {'x' * 157}..."),
    ],
)
def test_a_summary_leaves_out_what_was_quoted(error: Exception, line: str) -> None:
    """One bounded line that tells what went wrong, and not on what."""
    assert summary_of(error) == line


def test_a_summary_says_where() -> None:
    """The place is where the error was raised."""
    try:
        int("said")
    except ValueError as error:
        summary = summary_of(error)
    assert summary.startswith("ValueError: invalid literal for int() with base 10: '...' (test_fallback.py:")
    assert summary.endswith(" in test_a_summary_says_where)")
