"""Invites in a running engine: who may make and accept them, and what is left when a step fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import (
    SYSTEM,
    Author,
    Conflict,
    Conversation,
    Engine,
    Forbidden,
    InvalidCommand,
    Invite,
    LimitExceeded,
    NoLongerValid,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Principal,
    Role,
    StoreUnavailable,
    Visibility,
)
from hubbub.engine.core.invites import MAX_OPEN
from hubbub.storage import MemoryInvites
from hubbub.testing import Fault

from .world import ADA, BOB, ROOM, FaultyStore

EVE = Principal(Author("eve", "Eve"))


async def ids(principal: Principal) -> frozenset[str]:
    """Everybody is known by the id."""
    return frozenset({principal.id})


@attrs.define
class World:
    """A private room of Ada's, and a wall clock."""

    engine: Engine
    store: FaultyStore
    room: Conversation
    wall_ms: list[int]

    async def token(self, by: Principal = ADA, **fields: object) -> str:
        """The token of a fresh invite; ids rise with the time."""
        self.wall_ms[0] += 1
        return (await self.engine.invites.make(ROOM, by=by, **fields)).token  # type: ignore[arg-type]

    async def accept(self, token: str, by: Principal = BOB) -> Role:
        """Accept, and give the role that comes of it."""
        _, member = await self.engine.invites.accept(token, by=by, names=ids)
        return member.role

    async def only(self) -> Invite:
        """The one invite of the room."""
        [found] = await self.engine.invites.list_of(ROOM, by=ADA)
        return found


@asynccontextmanager
async def world(*script: Fault) -> AsyncIterator[World]:
    """A running engine on a store that fails when it is told to."""
    store, wall_ms = FaultyStore(script), [1_700_000_000_000]
    async with Engine.open(store=store, wall=lambda: wall_ms[0]) as engine:
        room = await engine.create(ROOM, title="The room", owner=ADA.author, visibility=Visibility.PRIVATE)
        yield World(engine, store, room, wall_ms)


async def test_an_invite_brings_a_stranger_in(autojump_clock: MockClock) -> None:
    """Into a private conversation, with the role it gives, by an event of its own; once."""
    async with world() as there, there.room.subscribe() as events:
        token = await there.token(role=Role.VIEWER)
        offer = await there.engine.invites.look(token, by=BOB, names=ids)
        assert (offer.record.title, offer.invite.role, offer.invite.made_by) == ("The room", Role.VIEWER, ADA.author)
        assert await there.accept(token) is Role.VIEWER
        event = await anext(events)
        assert (event.type, event.actor.id) == ("member.joined", "bob")
        invite = await there.only()
        assert (invite.accepted_by, invite.joined) == ("bob", True)
        for who in (BOB, EVE):
            with pytest.raises(NoLongerValid):
                await there.accept(token, who)
        assert (await there.room.describe()).offset == 1
        assert token not in repr(invite)


async def test_of_fifty_who_accept_at_once_one_wins(autojump_clock: MockClock) -> None:
    """Fifty accounts, or one account fifty times."""
    async with world() as there:
        for users in ([f"user-{number}" for number in range(50)], ["bob"] * 50):
            before = len(await there.room.members.all())
            token, won, lost = await there.token(), [], 0

            async def accept(user: str, token: str = token, won: list[str] = won) -> None:
                nonlocal lost
                try:
                    await there.accept(token, Principal(Author(user, user)))
                    won.append(user)
                except (Conflict, NoLongerValid):
                    lost += 1

            async with trio.open_nursery() as nursery:
                for user in users:
                    nursery.start_soon(accept, user)
            assert (len(won), lost) == (1, 49)
            assert len(await there.room.members.all()) == before + 1
        assert (await there.room.describe()).offset == 2


async def test_who_may_make_invites(autojump_clock: MockClock) -> None:
    """Owners and moderators, for roles below their own; strangers do not even learn that the room is there."""
    async with world() as there:
        await there.room.members.put(BOB.author, Role.MODERATOR)
        await there.token(BOB, role=Role.MEMBER)
        with pytest.raises(Forbidden):
            await there.token(BOB, role=Role.MODERATOR)
        await there.room.members.put(BOB.author, Role.MEMBER)
        with pytest.raises(Forbidden):
            await there.token(BOB)
        with pytest.raises(Forbidden):
            await there.engine.invites.list_of(ROOM, by=BOB)
        invites = await there.engine.invites.list_of(ROOM, by=ADA)
        with pytest.raises(Forbidden):
            await there.engine.invites.revoke(ROOM, invites[0].id, by=BOB)
        for verb in (there.engine.invites.list_of, there.engine.invites.make):
            with pytest.raises(NotFound):
                await verb(ROOM, by=EVE)
        direct = await there.engine.direct(ADA.author, BOB.author)
        with pytest.raises(Forbidden):
            await there.engine.invites.make(direct.id, by=ADA)


async def test_a_bound_invite_is_for_one_account(autojump_clock: MockClock) -> None:
    """Others learn nothing from it, and leave it as it is."""
    async with world() as there:
        token = await there.token(bound_to=" BOB ")
        for verb in (there.engine.invites.look, there.engine.invites.accept):
            with pytest.raises(Forbidden, match="another account"):
                await verb(token, by=EVE, names=ids)
        assert await there.accept(token) is Role.MEMBER


async def test_an_invite_ends(autojump_clock: MockClock) -> None:
    """With its time, or when it is revoked; then, and once it is pruned, nobody comes in."""
    async with world() as there:
        over, revoked = await there.token(ttl_s=60), await there.token()
        _, open_one = await there.engine.invites.list_of(ROOM, by=ADA)
        for _ in range(2):
            await there.engine.invites.revoke(ROOM, open_one.id, by=ADA)
        there.wall_ms[0] += 60_000
        for token in (over, revoked):
            with pytest.raises(NoLongerValid):
                await there.accept(token)
        with pytest.raises(NotFound):
            await there.engine.invites.revoke(ROOM, there.engine.fresh_id(), by=ADA)
        with pytest.raises(InvalidCommand):
            await there.engine.invites.revoke(ROOM, "no id", by=ADA)
        there.wall_ms[0] += 86_400_001
        await there.token()
        with pytest.raises(NotFound):
            await there.accept(over)


async def test_an_invite_that_was_used_cannot_be_revoked(autojump_clock: MockClock) -> None:
    """The member can be removed instead, and does not come back by it."""
    async with world() as there:
        token = await there.token()
        await there.accept(token)
        with pytest.raises(Conflict):
            await there.engine.invites.revoke(ROOM, (await there.only()).id, by=ADA)
        await there.room.members.remove(BOB.author)
        with pytest.raises(NoLongerValid):
            await there.accept(token)


async def test_an_invite_gives_nobody_another_role(autojump_clock: MockClock) -> None:
    """Who belongs keeps the role, who is banned stays out, and the invite is left for somebody else."""
    async with world() as there:
        token = await there.token()
        with pytest.raises(Conflict):
            await there.accept(token, ADA)
        await there.room.members.ban(BOB.author)
        with pytest.raises(Forbidden):
            await there.accept(token)
        assert (await there.only()).state(there.wall_ms[0]) == "open"
        assert await there.accept(token, EVE) is Role.MEMBER


async def test_a_moderator_who_was_removed_does_not_come_back_by_an_invite_made_before(
    autojump_clock: MockClock,
) -> None:
    """Nor does anybody else come in by it."""
    async with world() as there:
        await there.room.members.put(BOB.author, Role.MODERATOR)
        token = await there.token(BOB)
        await there.room.members.remove(BOB.author)
        for who in (BOB, EVE):
            with pytest.raises(NoLongerValid):
                await there.accept(token, who)


async def test_an_invite_falls_with_its_maker_at_the_last_moment(autojump_clock: MockClock) -> None:
    """The removal is committed while the invited person is on the way in: nobody comes in behind it."""
    async with world() as there:
        await there.room.members.put(BOB.author, Role.MODERATOR)
        token = await there.token(BOB)
        held = there.store.backend.hold()
        caught: list[str] = []

        async def accept() -> None:
            with pytest.raises(NoLongerValid):
                await there.accept(token, EVE)
            caught.append("eve")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(there.room.members.remove, BOB.author)
            await trio.sleep(0.1)
            nursery.start_soon(accept)
            await trio.sleep(0.1)
            held.set()
        assert caught == ["eve"]
        assert set(await there.room.members.all()) == {"ada"}
        assert (await there.only()).accepted_by is None


async def test_what_is_being_accepted_cannot_be_revoked(autojump_clock: MockClock) -> None:
    """Nobody is told that an invite is revoked by which somebody comes in afterwards."""
    async with world() as there:
        token = await there.token()
        held = there.store.backend.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(there.accept, token)
            await trio.sleep(0.1)
            with pytest.raises(Conflict):
                await there.engine.invites.revoke(ROOM, (await there.only()).id, by=ADA)
            held.set()
        assert (await there.only()).state(there.wall_ms[0]) == "accepted"
        assert "bob" in await there.room.members.all()


async def test_open_invites_are_bounded(autojump_clock: MockClock) -> None:
    """Of one conversation; revoking makes room."""
    async with world() as there:
        for _ in range(MAX_OPEN):
            await there.token()
        with pytest.raises(LimitExceeded):
            await there.token()
        first = (await there.engine.invites.list_of(ROOM, by=ADA, limit=1))[0]
        await there.engine.invites.revoke(ROOM, first.id, by=ADA)
        await there.token()


async def test_a_refused_membership_gives_the_invite_back(autojump_clock: MockClock) -> None:
    """The store does not take the event: nobody joined, and the invite is open for whoever comes next."""
    async with world() as there:
        token = await there.token()
        there.store.submit_errors.append(Overloaded())
        with pytest.raises(Overloaded):
            await there.accept(token)
        assert (await there.only()).state(there.wall_ms[0]) == "open"
        assert await there.accept(token, EVE) is Role.MEMBER


async def test_an_unknown_outcome_keeps_the_claim(autojump_clock: MockClock) -> None:
    """Nobody else gets in by the invite; the same account accepts again, and is a member then."""
    async with world() as there:
        token = await there.token()
        there.store.submit_errors.append(OutcomeUnknown())
        with pytest.raises(OutcomeUnknown):
            await there.accept(token)
        assert (await there.only()).joined is False
        with pytest.raises(NoLongerValid):
            await there.accept(token, EVE)
        assert await there.accept(token) is Role.MEMBER
        assert (await there.only()).joined is True
        with pytest.raises(NoLongerValid):
            await there.accept(token)


async def test_a_claim_whose_end_cannot_be_noted_stays(autojump_clock: MockClock) -> None:
    """The membership counts; the same account may accept again, which changes nothing but the note."""
    async with world() as there:
        token = await there.token()
        invites = there.store.backend.invites
        there.store.backend.invites = _Failing(invites, "settle")
        assert await there.accept(token) is Role.MEMBER
        there.store.backend.invites = invites
        assert (await there.only()).joined is False
        assert await there.accept(token) is Role.MEMBER
        assert (await there.only()).joined is True
        assert (await there.room.describe()).offset == 1


async def test_a_claim_that_cannot_be_given_back_stays(autojump_clock: MockClock) -> None:
    """The refusal is what is answered; the same account may try again."""
    async with world() as there:
        token = await there.token()
        invites = there.store.backend.invites
        there.store.backend.invites = _Failing(invites, "give_back")
        there.store.submit_errors.append(Overloaded())
        with pytest.raises(Overloaded):
            await there.accept(token)
        with pytest.raises(NoLongerValid):
            await there.accept(token, EVE)
        assert await there.accept(token) is Role.MEMBER


async def test_who_is_cancelled_while_accepting_may_try_again(autojump_clock: MockClock) -> None:
    """The claim stands, and is not in its own way."""
    async with world() as there:
        token = await there.token()
        held = there.store.backend.hold()
        with trio.move_on_after(1):
            await there.accept(token)
        held.set()
        assert await there.accept(token) is Role.MEMBER
        assert (await there.room.describe()).offset == 1


async def test_invites_while_the_store_is_away(autojump_clock: MockClock) -> None:
    """Nothing is made and nobody is let in; what could not be pruned is made up for later."""
    async with world() as there:
        token = await there.token()
        there.wall_ms[0] += 3_600_000
        there.store.backend.invites = _Failing(there.store.backend.invites, "prune")
        await there.token()
        there.store.away = True
        for verb in (lambda: there.token(), lambda: there.accept(token)):
            with pytest.raises(StoreUnavailable):
                await verb()


async def test_tokens_that_are_none(autojump_clock: MockClock) -> None:
    """Unknown, too long, or not even text that can be encoded."""
    async with world() as there:
        for token in ("hbi_nothing", "x" * 10_000, "\ud800"):
            with pytest.raises(NotFound):
                await there.accept(token)


async def test_an_embedder_invites(autojump_clock: MockClock) -> None:
    """The program itself has no office that it could lose."""
    async with world() as there:
        token = await there.token(SYSTEM, role=Role.MODERATOR)
        assert await there.accept(token) is Role.MODERATOR


class _Failing:
    """A store of invites whose one step cannot be reached."""

    def __init__(self, invites: MemoryInvites, step: str) -> None:
        self._invites, self._step = invites, step

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        async def refuse(*_: object, **__: object) -> None:
            raise StoreUnavailable

        return refuse if name == self._step else getattr(self._invites, name)
