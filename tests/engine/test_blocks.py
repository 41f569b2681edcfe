"""Blocks in a running engine: what they keep from happening, from when on, and what is left when a step fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hubbub.engine import (
    Author,
    Conflict,
    Conversation,
    Draft,
    Engine,
    Forbidden,
    LimitExceeded,
    Principal,
    Role,
    StoreUnavailable,
    Unprocessable,
)
from hubbub.engine.core.blocks import MAX_BLOCKS

from .world import ADA, BOB, ROOM, FaultyStore, is_error, poison, post

EVE = Principal(Author("eve", "Eve"))
DIRECT = {"kind": "direct"}


@attrs.define
class World:
    """The direct conversation of Ada and Bob, and Bob's room."""

    engine: Engine
    store: FaultyStore
    pair: Conversation
    room: Conversation

    async def say(self, by: Principal, text: str = "hi") -> None:
        """Post into the direct conversation, with one's own rights."""
        await self.pair.post(Draft(text, author=by.author), by=by)

    async def refused(self, by: Principal) -> str:
        """What somebody is told who posts there."""
        with pytest.raises(Forbidden) as caught:
            await self.say(by)
        return str(caught.value)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    store = FaultyStore()
    async with Engine.open(store=store) as engine:
        pair = await engine.direct(ADA.author, BOB.author)
        yield World(engine, store, pair, await engine.create(ROOM, owner=BOB.author))


async def test_a_block_silences_both_and_hides_nothing(autojump_clock: MockClock) -> None:
    """From when it is made until it is ended; who is blocked is told no more than anybody who may not post."""
    async with world() as there:
        await there.say(BOB)
        await there.engine.blocks.put(BOB.author, by=ADA)
        assert await there.refused(BOB) == "you may not post here"
        assert "end the block" in await there.refused(ADA)
        with pytest.raises(Forbidden):
            await there.pair.signal("knock", actor=BOB)
        assert [message.text for message in (await there.pair.history()).messages] == ["hi"]
        await there.engine.blocks.remove("bob", by=ADA)
        await there.say(BOB)
        await there.say(ADA)


async def test_each_of_two_ends_the_own_block(autojump_clock: MockClock) -> None:
    """Ending one's own does not end the other's."""
    async with world() as there:
        await there.say(BOB)
        await there.engine.blocks.put(BOB.author, by=ADA)
        await there.engine.blocks.put(ADA.author, by=BOB)
        await there.engine.blocks.remove("ada", by=BOB)
        assert await there.refused(BOB) == "you may not post here"
        await there.engine.blocks.remove("bob", by=ADA)
        await there.say(BOB)


async def test_a_post_that_waits_is_judged_by_the_block(autojump_clock: MockClock) -> None:
    """It was accepted before, and is stored only after: it is not stored. What has left for the store is."""
    async with world() as there:
        await there.say(BOB, "first")
        held = there.store.backend.hold()
        flying = post(there.engine, "flies", by=BOB, name=there.pair.id)
        await wait_all_tasks_blocked()
        waiting = post(there.engine, "waits", by=BOB, name=there.pair.id)
        keyed = post(there.engine, "waits with a key", by=BOB, key="k", name=there.pair.id)
        await wait_all_tasks_blocked()
        await there.engine.blocks.put(BOB.author, by=ADA)
        held.set()
        assert not is_error(await flying.wait())
        for refused in (waiting, keyed):
            assert isinstance(await refused.wait(), Forbidden)
        assert there.store.texts(there.pair.id) == ["first", "flies"]


async def test_a_conversation_that_is_loaded_knows_its_blocks(autojump_clock: MockClock) -> None:
    """Blocked before it was live, and again after a crash, without anybody telling it."""
    async with world() as there:
        await there.engine.blocks.put(BOB.author, by=ADA)
        assert not there.engine.is_live(there.pair.id)
        assert await there.refused(BOB)
        assert is_error(await poison(there.engine, name=there.pair.id).wait())
        assert await there.refused(BOB)


async def test_nobody_begins_anything_with_who_blocked_them(autojump_clock: MockClock) -> None:
    """No new direct conversation, by either; the one that they have is found."""
    async with world() as there:
        await there.engine.blocks.put(BOB.author, by=ADA)
        await there.engine.blocks.put(EVE.author, by=ADA)
        for one, other in ((EVE, ADA), (ADA, EVE)):
            with pytest.raises(Forbidden):
                await there.engine.create_record(DIRECT, one, other=other.author)
        found = await there.engine.create_record(DIRECT, BOB, other=ADA.author, exist_ok=True)
        assert found.id == there.pair.id
        assert await there.engine.direct("ada", "eve"), "the embedding program is not restrained"


async def test_nobody_is_brought_in_by_who_they_blocked(autojump_clock: MockClock) -> None:
    """Nor the other way round; who belongs already may be given another role, and comes and goes freely."""
    async with world() as there:
        await there.engine.blocks.put(BOB.author, by=ADA)
        with pytest.raises(Forbidden) as caught:
            await there.room.members.put(ADA.author, by=BOB)
        assert "block" not in str(caught.value)
        await there.room.members.join(ADA)
        members = await there.room.members.put(ADA.author, Role.MODERATOR, by=BOB)
        assert members["ada"].role is Role.MODERATOR
        mine = await there.engine.create("mine", owner=ADA.author)
        with pytest.raises(Forbidden, match="end the block"):
            await mine.members.put(BOB.author, by=ADA)


async def test_an_invite_of_somebody_whom_one_blocked_brings_nobody_in(autojump_clock: MockClock) -> None:
    """It is kept, and is good when the block has ended."""

    async def names(principal: Principal) -> frozenset[str]:
        return frozenset({principal.id})

    async with world() as there:
        await there.engine.blocks.put(BOB.author, by=ADA)
        token = (await there.engine.invites.make(ROOM, by=BOB)).token
        with pytest.raises(Forbidden, match="end the block"):
            await there.engine.invites.accept(token, by=ADA, names=names)
        await there.engine.blocks.remove("bob", by=ADA)
        await there.engine.invites.accept(token, by=ADA, names=names)


async def test_a_block_that_failed_is_made_by_a_second_try(autojump_clock: MockClock) -> None:
    """The store is away: nothing of it holds; then it comes back."""
    async with world() as there:
        await there.say(BOB)
        there.store.away = True
        with pytest.raises(StoreUnavailable):
            await there.engine.blocks.put(BOB.author, by=ADA)
        there.store.away = False
        await there.say(BOB)
        for _ in range(2):
            await there.engine.blocks.put(BOB.author, by=ADA)
        assert await there.refused(BOB)


async def test_of_blocking_and_ending_at_once_the_last_holds(autojump_clock: MockClock) -> None:
    """However long the store takes for each: what the conversation was told is what the store has."""
    async with world() as there:
        await there.say(BOB)
        there.store.read_s = 0.01
        for _ in range(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: there.engine.blocks.put(BOB.author, by=ADA))
                nursery.start_soon(lambda: there.engine.blocks.remove("bob", by=ADA))
            if await there.engine.blocks.between("ada", "bob"):
                assert await there.refused(BOB)
            else:
                await there.say(BOB)


async def test_blocks_are_bounded_and_sane(autojump_clock: MockClock) -> None:
    """So many for one person, nobody oneself, and nobody who cannot be stored."""
    async with world() as there:
        for number in range(MAX_BLOCKS):
            await there.engine.blocks.put(f"p{number}", by=EVE)
        with pytest.raises(LimitExceeded):
            await there.engine.blocks.put("one.more", by=EVE)
        with pytest.raises(Conflict):
            await there.engine.blocks.put(EVE.author, by=EVE)
        for bad in ("", "\x00", "x" * 2000):
            with pytest.raises(Unprocessable):
                await there.engine.blocks.put(bad, by=ADA)
            with pytest.raises(Unprocessable):
                await there.engine.blocks.remove(bad, by=ADA)
        page = await there.engine.blocks.list_of(by=EVE, after="p0", limit=2)
        assert [block.user.id for block in page] == ["p1", "p10"]
