"""Members in a running engine: what embedders do, what posters and readers meet at once, and what a crash leaves."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import (
    SYSTEM,
    Ack,
    Author,
    Conflict,
    ConversationKind,
    Draft,
    Engine,
    Forbidden,
    InvalidCommand,
    NotFound,
    Principal,
    RateLimited,
    Role,
    StoreUnavailable,
    Unprocessable,
    Visibility,
)
from hubbub.engine.core.codec import event_json
from hubbub.engine.core.compose import LATEST_MS
from hubbub.storage import MemoryStore

from .world import ADA, BOB, ROOM, FaultyStore, Outlet, join, poison, post, subscriber_of, until

EVE = Principal(Author("eve", "Eve"))
PRIVATE = Visibility.PRIVATE


async def test_an_embedder_makes_and_ends_memberships(autojump_clock: MockClock) -> None:
    """Each change is an event with the row as it became; what is so already is none."""
    async with Engine.open(store=MemoryStore()) as engine:
        room = await engine.create(ROOM, owner=ADA.author, visibility=PRIVATE)
        async with room.subscribe() as events:
            members = await room.members.put(BOB.author, Role.MODERATOR)
            assert members["bob"].role is Role.MODERATOR
            assert await room.members.put(BOB.author, Role.MODERATOR) == members
            await room.members.put(EVE.author, by=BOB)
            with pytest.raises(Forbidden):
                await room.members.put(EVE.author, Role.OWNER, by=BOB)
            assert (await room.members.get("eve")) is not None
            await room.members.remove("eve")
            with pytest.raises(NotFound):
                await room.members.remove("eve")
            with pytest.raises(Conflict, match="last owner"):
                await room.members.remove(ADA.author)
            seen = [await anext(events) for _ in range(3)]
        assert [(event.type, event.member and event.member.user.id, event.actor.id) for event in seen] == [
            ("member.joined", "bob", "hubbub"),
            ("member.joined", "eve", "bob"),
            ("member.left", "eve", "hubbub"),
        ]
        assert (await room.describe()).offset == 3


async def test_a_removed_member_sees_the_event_and_nothing_after_it(autojump_clock: MockClock) -> None:
    """The stream of a member that is removed, or banned, ends with that; others read on."""
    async with Engine.open(store=MemoryStore()) as engine:
        room = await engine.create(ROOM, owner=ADA.author, visibility=PRIVATE)
        await room.members.put(BOB.author)
        await room.members.put(EVE.author)
        ada, bob, eve = Outlet(), Outlet(), Outlet()
        for client, (outlet, who) in enumerate(((ada, ADA), (bob, BOB), (eve, EVE))):
            await join(engine, subscriber_of(outlet, f"c{client}", who)).wait()
        post(engine, "before")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: room.members.remove(BOB.author, by=ADA))
            nursery.start_soon(lambda: room.members.ban(EVE.author, by=ADA))
            for number in range(50):
                post(engine, f"secret {number}")
        tail = engine.tail_of(ROOM)
        assert tail is not None
        await until(lambda: tail.head == 55 and ada.offsets[-1:] == [55])
        left = {event.member.user.id: event.offset for event in tail.events(0, 100) if event.type == "member.left"}  # type: ignore[union-attr]
        assert bob.offsets[-1] == left["bob"]
        assert eve.offsets[-1] == left["eve"]
        assert bob.cut == eve.cut == ["not_found"]
        assert ada.cut == []
        for who in (BOB, EVE):
            assert isinstance(await join(engine, subscriber_of(Outlet(), "again", who)).wait(), NotFound)
            assert isinstance(await post(engine, "x", by=who).wait(), NotFound)


async def test_a_removed_member_whose_connection_broke_is_cut_once(autojump_clock: MockClock) -> None:
    """The event that it is to see before it goes meets a bug of its transport: that ends it, and nothing does so again."""

    def broken() -> None:
        raise RuntimeError("no transport")

    async with Engine.open(store=MemoryStore()) as engine:
        room = await engine.create(ROOM, owner=ADA.author, visibility=PRIVATE)
        await room.members.put(BOB.author)
        bob = Outlet()
        await join(engine, subscriber_of(bob, "c", BOB)).wait()
        bob.on_push = broken
        await room.members.remove(BOB.author, by=ADA)
        assert bob.cut == ["internal"]
        assert engine.statistics().cut_off == {"internal": 1}


async def test_a_ban_in_public_ends_streams_and_posts(autojump_clock: MockClock) -> None:
    """Somebody who never joined can be banned; it is told so, and after the ban's end it is a visitor again."""
    async with Engine.open(store=MemoryStore()) as engine:
        room = await engine.create(ROOM, owner=ADA.author)
        eve = Outlet()
        await join(engine, subscriber_of(eve, "c", EVE)).wait()
        await room.members.ban(EVE.author, by=ADA)
        assert (eve.offsets, eve.cut) == ([1], ["forbidden"])
        assert isinstance(await post(engine, "x", by=EVE).wait(), Forbidden)
        with pytest.raises(Conflict):
            await room.members.put(EVE.author)
        await room.members.unban(EVE.author, by=ADA)
        assert isinstance(await post(engine, "x", by=EVE).wait(), Ack)
        assert await room.members.get("eve") is None


async def test_what_waits_behind_a_ban_is_refused(autojump_clock: MockClock) -> None:
    """A post accepted before the ban was committed, but handed over after it, is not stored."""
    store = FaultyStore()
    async with Engine.open(store=store) as engine:
        room = await engine.create(ROOM, owner=ADA.author)
        held = store.backend.hold()
        first = post(engine, "on its way", by=EVE)
        await until(lambda: store.statistics().in_flight)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: room.members.ban(EVE.author))
            await trio.sleep(0.1)
            second = post(engine, "behind the ban", by=EVE)
            other = post(engine, "of another", by=BOB)
            await trio.sleep(0.1)
            held.set()
        assert isinstance(await first.wait(), Ack)
        assert isinstance(await second.wait(), Forbidden)
        assert isinstance(await other.wait(), Ack)


async def test_wishes_are_decided_one_after_the_other(autojump_clock: MockClock) -> None:
    """Two owners that leave at once: one does, the other is the last and stays."""
    async with Engine.open(store=MemoryStore()) as engine:
        room = await engine.create(ROOM, owner=ADA.author)
        await room.members.put(BOB.author, Role.OWNER)
        outcomes: list[object] = []

        async def leave(who: Principal) -> None:
            try:
                outcomes.append(await room.members.remove(who.author, by=who))
            except Conflict as error:
                outcomes.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave, ADA)
            nursery.start_soon(leave, BOB)
        assert sorted(isinstance(outcome, Conflict) for outcome in outcomes) == [False, True]
        assert len([row for row in (await room.members.all()).values() if row.role is Role.OWNER]) == 1


async def test_mute_and_slow_mode_hold_inside_the_actor(autojump_clock: MockClock) -> None:
    """Both refuse with what to wait for, end by themselves, and do not bind those in office or a retry of what is posted."""
    wall = [1_000_000]
    async with Engine.open(store=MemoryStore(), wall=lambda: wall[0]) as engine:
        room = await engine.create(ROOM, owner=ADA.author)
        await room.members.mute(BOB.author, until_ms=wall[0] + 5_000, by=ADA)
        assert isinstance(await post(engine, "x", by=BOB).wait(), Forbidden)
        wall[0] += 5_000
        assert isinstance(await post(engine, "before", by=BOB).wait(), Ack)
        await room.update(slow_s=30)
        wall[0] += 10_000
        refused = await post(engine, "too soon: it spoke before the slow mode began", by=BOB).wait()
        assert isinstance(refused, RateLimited)
        assert refused.retry_after_s == 20.0
        wall[0] += 20_000
        first = await post(engine, "x", by=BOB, key="k").wait()
        assert isinstance(first, Ack)
        again = await post(engine, "x", by=BOB, key="k").wait()
        assert (again.repeated, again.cursor) == (True, first.cursor)
        assert isinstance(await post(engine, "y", by=BOB, key="other").wait(), RateLimited)
        for _ in range(3):
            assert isinstance(await post(engine, "office", by=ADA).wait(), Ack)
        assert isinstance(await post(engine, "another author", by=EVE).wait(), Ack)
        await room.update(slow_s=0)
        assert isinstance(await post(engine, "free", by=BOB).wait(), Ack)


async def test_a_post_that_comes_to_nothing_uses_no_turn(autojump_clock: MockClock) -> None:
    """Slow mode counts what is stored: who was told to try again may, a day before the next turn."""
    store = FaultyStore()
    async with Engine.open(store=store, wall=lambda: 1_000_000) as engine:
        room = await engine.create(ROOM, owner=ADA.author)
        await room.update(slow_s=86_400)
        store.go_away()
        assert isinstance(await post(engine, "x", by=BOB, key="k", timeout_s=1).wait(), StoreUnavailable)
        store.come_back()
        assert isinstance(await post(engine, "poison", by=BOB).wait(), Unprocessable)
        await trio.sleep(5)
        assert isinstance(await post(engine, "x", by=BOB, key="k").wait(), Ack)
        assert isinstance(await post(engine, "y", by=BOB).wait(), RateLimited)


async def test_slow_mode_outlives_a_crash(autojump_clock: MockClock) -> None:
    """The next incarnation reads in the log who spoke lately."""
    wall = [1_000_000]
    async with Engine.open(store=FaultyStore(), wall=lambda: wall[0]) as engine:
        room = await engine.create(ROOM, owner=ADA.author)
        await room.update(slow_s=60)
        await post(engine, "x", by=BOB).wait()
        await poison(engine).wait()
        await trio.sleep(1)
        wall[0] += 10_000
        assert isinstance(await post(engine, "y", by=BOB).wait(), RateLimited)


async def test_members_outlive_a_crash(autojump_clock: MockClock) -> None:
    """A removal that is committed while no actor runs ends the subscription when the next one has loaded."""
    store = FaultyStore()
    async with Engine.open(store=store) as engine:
        room = await engine.create(ROOM, owner=ADA.author, visibility=PRIVATE)
        await room.members.put(BOB.author)
        bob = Outlet()
        await join(engine, subscriber_of(bob, "c", BOB)).wait()
        held = store.backend.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: room.members.remove(BOB.author))
            await until(lambda: store.statistics().in_flight)
            poison(engine)
            await trio.sleep(0.3)
            held.set()
        await until(lambda: bob.cut == ["not_found"])
        assert list(await room.members.all()) == ["ada"]


async def test_a_direct_conversation_has_its_two_members(autojump_clock: MockClock) -> None:
    """The same for both and for ever; nobody else makes one by its id, joins it or reads it."""
    async with Engine.open(store=MemoryStore()) as engine:
        room = await engine.direct(ADA.author, BOB.author)
        assert await engine.direct(BOB.author, ADA.author) == room
        record = await room.describe()
        assert (record.kind, record.visibility) == (ConversationKind.DIRECT, PRIVATE)
        assert {name: row.role for name, row in record.members.items()} == {"ada": Role.MEMBER, "bob": Role.MEMBER}
        admin = attrs.evolve(EVE, role=SYSTEM.role)
        for stranger in (EVE, admin):
            with pytest.raises(NotFound):
                await room.post(Draft("hi", author=stranger.author), by=stranger)
        with pytest.raises(Conflict):
            await room.members.remove(ADA.author, by=ADA)
        with pytest.raises(Forbidden):
            await room.members.put(EVE.author, by=ADA)
        with pytest.raises(Forbidden):
            await room.members.ban(BOB.author, by=ADA)
        with pytest.raises(InvalidCommand):
            await engine.create(room.id, owner=EVE.author)
        with pytest.raises(InvalidCommand):
            await engine.direct(ADA.author, ADA.author)


async def test_posting_with_rights(autojump_clock: MockClock) -> None:
    """`by` makes the rules count; without it the program itself speaks."""
    async with Engine.open(store=MemoryStore()) as engine:
        room = await engine.create(ROOM, kind=ConversationKind.ANNOUNCEMENT, owner=ADA.author)
        draft = Draft("hi", author=BOB.author)
        with pytest.raises(Forbidden):
            await room.post(draft, by=BOB)
        assert isinstance(await room.post(draft), Ack)
        with pytest.raises(TypeError, match="takes a Draft"):
            await room.post("hi")  # type: ignore[arg-type]


async def test_a_change_of_membership_while_the_store_is_away(autojump_clock: MockClock) -> None:
    """It is refused in time, as a post is, and the members stay."""
    store = FaultyStore()
    async with Engine.open(store=store) as engine:
        room = await engine.create(ROOM, owner=ADA.author)
        await room.describe()
        store.go_away()
        with pytest.raises(StoreUnavailable):
            await room.members.put(BOB.author)
        store.come_back()
        assert list(await room.members.put(EVE.author)) == ["ada", "eve"]


async def test_a_mute_ends_when_its_end_can_be_told(autojump_clock: MockClock) -> None:
    """A time that no clock shows is refused, and costs the conversation nothing."""
    async with Engine.open(store=MemoryStore()) as engine:
        room = await engine.create(ROOM, owner=ADA.author)
        for until_ms in (2**50, 2**80, LATEST_MS + 1, -1):
            with pytest.raises(Unprocessable):
                await room.members.mute(BOB.author, until_ms=until_ms)
        await room.members.mute(BOB.author, until_ms=LATEST_MS)
        async with room.subscribe(since=0) as events:
            assert b"9999-12-31T23:59:59.999Z" in event_json(await anext(events))
