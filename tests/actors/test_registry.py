"""The registry: activation, passivation without loss, one key's crashes, quarantine, bounds, shutdown."""

import gc
import random
from collections import defaultdict
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
    Exit,
    MailboxClosed,
    MailboxFull,
    Quarantined,
    Registry,
    RegistryFull,
    Reply,
    RestartIntensity,
    RestartsExceeded,
    Slot,
    Supervisor,
)

Message = str | Reply[str]
PATIENT = RestartIntensity(max_restarts=20, within_s=10, backoff_first_s=0.1, backoff_factor=1)


class BoomError(Exception):
    """The crash of these tests."""


@attrs.define
class World:
    """What the actors of one test saw and did."""

    log: list[tuple[str, str]] = attrs.Factory(list)
    running: dict[str, int] = attrs.Factory(lambda: defaultdict(int))
    lost: list[tuple[str, list[Message]]] = attrs.Factory(list)
    refused: list[tuple[str, list[Message]]] = attrs.Factory(list)
    errors: list[Exception] = attrs.Factory(list)
    stop_s: float = 0.0
    start_s: float = 0.0
    busy: set[str] = attrs.Factory(set)

    def of(self, key: str) -> list[str]:
        return [what for name, what in self.log if name == key]

    def crashed(self, slot: Slot[str, Message], error: Exception, lost: list[Message]) -> None:
        self.errors.append(error)
        self.lost.append((slot.key, lost))

    def quarantined(self, slot: Slot[str, Message], reason: Exception, refused: list[Message]) -> None:
        self.errors.append(reason)
        self.refused.append((slot.key, refused))


class Keyed(Actor[Message]):
    """Notes its messages; checks that it is the only one of its key."""

    def __init__(self, slot: Slot[str, Message], world: World) -> None:
        self.key = slot.key
        self.world = world

    @property
    def idle(self) -> bool:
        return self.key not in self.world.busy

    async def on_start(self) -> None:
        self.world.running[self.key] += 1
        assert self.world.running[self.key] == 1
        self.world.log.append((self.key, "start"))
        await trio.sleep(self.world.start_s)

    async def on_batch(self, batch: list[Message]) -> None:
        for message in batch:
            if isinstance(message, Reply):
                message.set(self.key)
                continue
            self.world.log.append((self.key, message))
            if message == "crash":
                self.world.running[self.key] -= 1
                raise BoomError(self.key)
            if message == "slow":
                await trio.sleep(1)
            if message == "for ever":
                await trio.sleep_forever()

    async def on_stop(self) -> None:
        await trio.sleep(self.world.stop_s)
        self.world.log.append((self.key, "stop"))
        self.world.running[self.key] -= 1


@asynccontextmanager
async def opened(world: World, **options: Any) -> AsyncIterator[Registry[str, Message]]:
    registry: Registry[str, Message] = Registry(
        lambda slot: Keyed(slot, world),
        on_crash=world.crashed,
        on_quarantine=world.quarantined,
        name="keys",
        **{"idle_s": 10.0, "intensity": PATIENT, **options},
    )
    async with Supervisor("root", children=[ChildSpec("keys", lambda: registry)]).open():
        yield registry


async def test_the_first_message_starts_the_actor(autojump_clock: trio.testing.MockClock) -> None:
    """A slot starts nothing by itself; its first message does, and messages come in order."""
    world = World()
    async with opened(world) as registry:
        slot = registry.slot("a")
        assert (slot.state, registry.statistics().live) == ("idle", 0)
        for number in range(3):
            slot.put(str(number))
        states = [slot.state]
        await trio.sleep(0.1)
        assert [*states, slot.state] == ["starting", "running"]
        assert registry.slot("a") is slot
        assert world.of("a") == ["start", "0", "1", "2"]
        assert await slot.ref.call(lambda reply: reply, timeout_s=1) == "a"


async def test_an_idle_key_is_passivated_and_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    """After `idle_s`, and before half as much again, the actor is stopped in order and the slot leaves the table."""
    world = World()
    async with opened(world) as registry:
        registry.slot("a").put("x")
        await trio.sleep(9.9)
        assert registry.statistics().active == 1
        await trio.sleep(5.2)
        assert world.of("a") == ["start", "x", "stop"]
        assert (registry.statistics().live, registry.statistics().passivations) == (0, 1)
        registry.slot("a").put("y")
        await trio.sleep(1)
        assert world.of("a")[3:] == ["start", "y"]


@pytest.mark.parametrize("why", ["pinned", "busy", "in hand", "active"])
async def test_what_keeps_a_key_from_passivation(why: str, autojump_clock: trio.testing.MockClock) -> None:
    """A pin, an actor that says so, a batch in hand, or messages now and then keep it running."""
    world = World(busy={"a"} if why == "busy" else set())
    async with opened(world, shutdown_s=1) as registry:
        slot = registry.slot("a")
        slot.put("for ever" if why == "in hand" else "x")
        if why == "pinned":
            slot.pin()
        for _ in range(20):
            await trio.sleep(5)
            if why == "active":
                slot.put("y")
        assert slot.state == "running"
        assert world.of("a").count("start") == 1
        if why == "pinned":
            slot.unpin()
            await trio.sleep(20)
            assert registry.statistics().live == 0


async def test_a_pin_keeps_a_slot_that_does_not_run(autojump_clock: trio.testing.MockClock) -> None:
    """A pinned slot stays in the table without an actor, and leaves with its last pin."""
    async with opened(World()) as registry:
        slot = registry.slot("a")
        slot.pin()
        slot.pin()
        assert (registry.statistics().live, slot.state) == (1, "idle")
        slot.unpin()
        assert registry.statistics().live == 1
        slot.unpin()
        assert registry.statistics().live == 0
        with pytest.raises(ValueError, match="not pinned"):
            slot.unpin()


async def test_a_message_during_on_stop_reactivates(autojump_clock: trio.testing.MockClock) -> None:
    """A message that arrives while the actor stops is read by the next incarnation, after the first has ended."""
    world = World(stop_s=3)
    async with opened(world) as registry:
        slot = registry.slot("a")
        slot.put("x")
        await trio.sleep(14)
        assert slot.state == "stopping"
        slot.put("y")
        await trio.sleep(4)
        assert world.of("a") == ["start", "x", "stop", "start", "y"]


@pytest.mark.parametrize("seed", range(40))
async def test_no_message_is_lost_or_reordered_by_passivation(
    seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Random puts around the idle time, slow starts and stops, stale and fresh handles, pins: each message once, in order."""
    rng = random.Random(seed)
    world = World(stop_s=rng.choice([0, 0.3, 2]), start_s=rng.choice([0, 0.3]))
    sent: dict[str, list[str]] = {key: [] for key in "abc"}
    async with opened(world, idle_s=1.0) as registry:

        async def send(key: str) -> None:
            kept: Slot[str, Message] | None = None
            for number in range(60):
                slot = kept if kept is not None and rng.random() < 0.5 else registry.slot(key)
                kept = rng.choice([slot, None])
                slot.put(str(number))
                sent[key].append(str(number))
                pinned = rng.random() < 0.1
                if pinned:
                    slot.pin()
                await trio.sleep(rng.choice([0, 0, 0.1, 0.99, 1, 1.01, 1.25, 1.26, 1.5, 2, 3]))
                if pinned:
                    slot.unpin()

        async with trio.open_nursery() as nursery:
            for key in sent:
                nursery.start_soon(send, key)
    for key, messages in sent.items():
        assert [what for what in world.of(key) if what.isdigit()] == messages
    assert registry.statistics().passivations > 0
    assert world.lost == []


async def test_a_crash_stays_with_its_key(autojump_clock: trio.testing.MockClock) -> None:
    """The batch in hand is reported, the rest of the mailbox waits for the restart, other keys notice nothing."""
    world = World()
    async with opened(world) as registry:
        slot, other = registry.slot("a"), registry.slot("b")
        other.put("x")
        for message in ("1", "crash", "2"):
            slot.put(message)
        await trio.testing.wait_all_tasks_blocked()
        assert slot.state == "backoff"
        slot.put("3")
        await trio.sleep(1)
        assert world.lost == [("a", ["1", "crash", "2"])]
        assert isinstance(world.errors[0], BoomError)
        assert world.of("a") == ["start", "1", "crash", "start", "3"]
        assert world.of("b") == ["start", "x"]
        assert (slot.restarts, other.restarts) == (1, 0)


@pytest.mark.parametrize("where", ["factory", "on_start", "on_stop"])
async def test_crashes_outside_of_a_batch(where: str, autojump_clock: trio.testing.MockClock) -> None:
    """A crash while making, starting or stopping an actor restarts it; its messages are kept."""
    attempts = 0
    read: list[str] = []

    class Frail(Actor[str]):
        async def on_start(self) -> None:
            if where == "on_start" and attempts == 1:
                raise BoomError

        async def on_batch(self, batch: list[str]) -> None:
            read.extend(batch)

        async def on_stop(self) -> None:
            if where == "on_stop" and attempts == 1:
                raise BoomError

    def make(slot: Slot[str, str]) -> Frail:
        nonlocal attempts
        attempts += 1
        if where == "factory" and attempts == 1:
            raise BoomError
        return Frail()

    registry: Registry[str, str] = Registry(make, idle_s=1)
    async with Supervisor("root", children=[ChildSpec("keys", lambda: registry)]).open():
        registry.slot("a").put("x")
        await trio.sleep(5)
        assert (read, attempts) == (["x"], 2)
        assert (registry.statistics().crashes, registry.statistics().live) == (1, 0)


async def test_too_many_crashes_quarantine_the_key(autojump_clock: trio.testing.MockClock) -> None:
    """Giving up refuses what waits and what comes, with the reason, until released; other keys go on."""
    world = World()
    async with opened(world, intensity=RestartIntensity(max_restarts=1)) as registry:
        slot = registry.slot("a")
        registry.slot("b").put("x")
        slot.put("crash")
        await trio.sleep(1)
        ended = slot.ref.monitor()

        async def call() -> None:
            with pytest.raises(Quarantined):
                await slot.ref.call(lambda reply: reply, timeout_s=100)

        slot.put("slow")
        slot.put("crash")
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            slot.put("waits")
        assert trio.current_time() == 2
        assert isinstance(slot.reason, RestartsExceeded)
        assert isinstance(slot.reason.__cause__, BoomError)
        assert ended.exit == Exit("crashed", slot.reason)
        assert world.lost == [("a", ["crash"]), ("a", ["slow", "crash"])]
        assert world.refused[0][1][1:] == ["waits"]
        with pytest.raises(Quarantined) as caught:
            slot.put("y")
        assert caught.value.reason is slot.reason
        await call()
        assert registry.quarantined() == [slot]
        assert registry.tree().children[0].state == "quarantined"
        assert world.of("b") == ["start", "x"]


async def test_release_ends_a_quarantine(autojump_clock: trio.testing.MockClock) -> None:
    """After `release` the next message starts the actor, with a fresh intensity."""
    world = World()
    async with opened(world, intensity=RestartIntensity(max_restarts=1)) as registry:
        slot = registry.slot("a")
        for message in ("crash", "crash"):
            slot.put(message)
            await trio.sleep(1)
        assert (slot.state, registry.statistics().live) == ("quarantined", 1)
        slot.release()
        assert (registry.quarantined(), slot.reason, registry.statistics().live) == ([], None, 0)
        for message in ("crash", "after"):
            slot.put(message)
            await trio.sleep(1)
        assert world.of("a")[-2:] == ["start", "after"]


async def test_messages_of_an_actor_that_never_starts_are_refused(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing was in hand, so everything goes to `on_quarantine`."""
    world = World()

    class NeverStarts(Keyed):
        async def on_start(self) -> None:
            await trio.sleep(1)
            raise BoomError

    registry: Registry[str, Message] = Registry(
        lambda slot: NeverStarts(slot, world),
        intensity=RestartIntensity(max_restarts=0),
        on_crash=world.crashed,
        on_quarantine=world.quarantined,
    )
    async with Supervisor("root", children=[ChildSpec("keys", lambda: registry)]).open():
        registry.slot("c").put("1")
        registry.slot("c").put("2")
        await trio.sleep(2)
    assert world.lost == [("c", [])]
    assert world.refused == [("c", ["1", "2"])]


async def test_a_callback_that_fails_harms_nobody(autojump_clock: trio.testing.MockClock) -> None:
    """A bug in a callback is logged; the key restarts and the registry lives."""
    world = World()

    def broken(*_: object) -> None:
        raise BoomError("in the callback")

    registry: Registry[str, Message] = Registry(lambda slot: Keyed(slot, world), on_crash=broken)
    async with Supervisor("root", children=[ChildSpec("keys", lambda: registry)]).open() as root:
        registry.slot("a").put("crash")
        await trio.sleep(1)
        registry.slot("a").put("x")
        await trio.sleep(1)
        assert root.tree().restarts == 0
    assert world.of("a") == ["start", "crash", "start", "x", "stop"]


async def test_an_actor_that_stops_without_reading_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    """Stopping oneself with messages waiting and none read is a crash, not an endless loop."""

    class Lazy(Actor[str]):
        async def on_start(self) -> None:
            self.stop()

        async def on_batch(self, batch: list[str]) -> None:
            raise AssertionError

    registry: Registry[str, str] = Registry(lambda slot: Lazy())
    async with Supervisor("root", children=[ChildSpec("keys", lambda: registry)]).open():
        slot = registry.slot("a")
        slot.put("x")
        await trio.sleep(5)
        assert slot.state == "quarantined"


async def test_the_registry_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    """Past its capacity a new key is refused; wanting room passivates idle keys early, never pinned or busy ones."""
    world = World(busy={"k1"})
    async with opened(world, capacity=3, mailbox_capacity=2) as registry:
        slots = [registry.slot(f"k{number}") for number in range(4)]
        for slot in slots[:3]:
            slot.put("x")
        slots[0].pin()
        await trio.sleep(0.1)
        with pytest.raises(RegistryFull):
            registry.slot("new")
        with pytest.raises(RegistryFull):
            slots[3].put("x")
        with pytest.raises(RegistryFull):
            slots[3].pin()
        assert registry.slot("k1") is slots[1]
        await trio.sleep(0.1)
        assert [slot.state for slot in slots] == ["running", "running", "idle", "idle"]
        registry.slot("new").put("x")
        full = registry.slot("new")
        full.put("y")
        with pytest.raises(MailboxFull):
            full.put("z")
        assert registry.statistics().refused == 3


async def test_wanting_room_does_not_disturb_a_batch_in_hand(autojump_clock: trio.testing.MockClock) -> None:
    """A key that handles a batch is no candidate for early passivation."""
    async with opened(World(), capacity=1) as registry:
        slot = registry.slot("a")
        slot.put("slow")
        await trio.sleep(0.1)
        with pytest.raises(RegistryFull):
            registry.slot("new")
        await trio.sleep(0.1)
        assert (slot.state, registry.statistics().passivations) == ("running", 0)


async def test_asking_for_slots_takes_no_room(autojump_clock: trio.testing.MockClock) -> None:
    """Slots that were only looked at are not live, and nothing keeps them in memory."""
    async with opened(World(), capacity=2) as registry:
        for number in range(100):
            assert registry.slot(str(number)).state == "idle"
        assert registry.statistics().live == 0


async def test_shutdown_drains_all_in_parallel(autojump_clock: trio.testing.MockClock) -> None:
    """Every running actor reads its mailbox and stops, at the same time; new messages are refused meanwhile."""
    world = World(stop_s=1)
    async with opened(world) as registry:
        slots = [registry.slot(str(number)) for number in range(50)]
        for slot in slots:
            slot.put("slow")
        await trio.sleep(0.5)
        for slot in slots:
            slot.put("last words")
        ended = slots[0].ref.monitor()
        began_s = trio.current_time()
    assert trio.current_time() - began_s == 1.5
    for slot in slots:
        assert world.of(slot.key) == ["start", "slow", "last words", "stop"]
    with pytest.raises(MailboxClosed):
        slots[0].put("too late")
    with pytest.raises(MailboxClosed):
        registry.slot("new").put("too late")
    with pytest.raises(ActorDied):
        await slots[0].ref.call(lambda reply: reply, timeout_s=1)
    assert ended.exit == Exit("shutdown")
    assert (world.lost, registry.tree().state) == ([], "stopped")


async def test_shutdown_has_a_deadline_and_reports_what_it_cuts_off(autojump_clock: trio.testing.MockClock) -> None:
    """Past the deadline actors are cancelled; what they held and what waited is reported, callers get ActorDied."""
    world = World()
    async with opened(world, shutdown_s=3) as registry, trio.open_nursery() as nursery:
        slot = registry.slot("a")
        slot.put("for ever")
        await trio.sleep(0.5)
        slot.put("waits")

        async def call() -> None:
            with pytest.raises(ActorDied):
                await slot.ref.call(lambda reply: reply, timeout_s=100)

        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.deadline = 50
        nursery.start_soon(registry_is_left, nursery)
    assert trio.current_time() == 4.5
    assert world.lost[0] == ("a", ["for ever"])
    assert world.lost[1][1][0] == "waits"


async def registry_is_left(nursery: trio.Nursery) -> None:
    await trio.sleep(1)
    nursery.cancel_scope.cancel()


async def test_a_key_in_backoff_drains_at_shutdown(autojump_clock: trio.testing.MockClock) -> None:
    """What waits for a restart is read before the end, without waiting for the backoff; a second crash is the end."""
    world = World()
    slow = RestartIntensity(max_restarts=1, within_s=1000, backoff_first_s=100, backoff_max_s=100)
    async with opened(world, intensity=slow) as registry:
        for key in "ab":
            registry.slot(key).put("crash")
        await trio.testing.wait_all_tasks_blocked()
        registry.slot("a").put("kept")
        registry.slot("b").put("crash")
        registry.slot("c").put("crash")
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == 0
    assert world.of("a") == ["start", "crash", "start", "kept", "stop"]
    assert world.of("b") == ["start", "crash", "start", "crash"]
    assert world.of("c") == ["start", "crash"]


async def test_ten_thousand_keys_come_and_go(autojump_clock: trio.testing.MockClock) -> None:
    """Ten thousand live keys work, the tree stays bounded, and passivated they leave nothing behind."""
    world = World()
    async with opened(world, capacity=10_000) as registry:
        for number in range(10_000):
            registry.slot(str(number)).put("x")
        await trio.sleep(1)
        assert registry.statistics().active == 10_000
        tree = registry.tree()
        assert (len(tree.children), tree.omitted, tree.depth) == (100, 9_900, 10_000)
        with pytest.raises(RegistryFull):
            registry.slot("one more")
        await trio.sleep(20)
        assert (registry.statistics().live, registry.statistics().active) == (0, 0)
        del tree
        gc.collect()
        assert not [slot for slot in gc.get_objects() if isinstance(slot, Slot)]
    assert len(world.log) == 30_000


async def test_a_restarted_registry_serves_again(autojump_clock: trio.testing.MockClock) -> None:
    """Under one_for_all the registry is drained and run anew; new slots work, slots of the earlier run stay closed."""
    world = World()
    registry: Registry[str, Message] = Registry(lambda slot: Keyed(slot, world))

    class Bomb(Actor[str]):
        async def on_batch(self, batch: list[str]) -> None:
            raise BoomError

    children: list[ChildSpec[Any]] = [ChildSpec("keys", lambda: registry), ChildSpec("bomb", Bomb)]
    async with Supervisor("root", "one_for_all", children=children).open() as root:
        old = registry.slot("a")
        old.put("x")
        await trio.sleep(1)
        root.ref("bomb").cast("now")
        await trio.sleep(1)
        with pytest.raises(MailboxClosed):
            old.put("y")
        with pytest.raises(MailboxClosed):
            old.pin()
        registry.slot("a").put("z")
        await trio.sleep(1)
        assert world.of("a") == ["start", "x", "stop", "start", "z"]


@pytest.mark.parametrize("seed", range(40))
async def test_cancelled_anywhere_it_leaves_nothing_unanswered(
    seed: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Cancelled at a random moment amid crashes, every accepted message was read or reported, every call answered."""
    rng = random.Random(seed)
    world = World(stop_s=rng.choice([0, 0.2]), start_s=rng.choice([0, 0.2]))
    accepted: list[str] = []
    answered: list[bool] = []
    before = trio.lowlevel.current_statistics().tasks_living
    with trio.fail_after(200):
        async with trio.open_nursery() as outer, opened(world, idle_s=0.5, shutdown_s=rng.choice([0.1, 5])) as registry:

            async def call(slot: Slot[str, Message]) -> None:
                with suppress(ActorDied, Quarantined, MailboxFull):
                    await slot.ref.call(lambda reply: reply, timeout_s=100)
                answered.append(trio.current_time() < 100)

            calls = 0
            with trio.move_on_after(rng.uniform(0, 6)):
                for number in range(400):
                    slot = registry.slot(rng.choice("abcdef"))
                    message = f"{number}" if rng.random() < 0.9 else rng.choice(["crash", "slow"])
                    try:
                        slot.put(message)
                    except (Quarantined, MailboxFull):
                        slot.release()
                    else:
                        accepted.append(message)
                    if rng.random() < 0.2:
                        calls += 1
                        outer.start_soon(call, slot)
                    await trio.sleep(rng.choice([0, 0, 0.01, 0.05, 0.6]))
    assert trio.lowlevel.current_statistics().tasks_living == before
    assert answered == [True] * calls
    read = {what for _, what in world.log}
    told = {what for _, batch in world.lost + world.refused for what in batch if isinstance(what, str)}
    assert {message for message in accepted if message.isdigit()} <= read | told
