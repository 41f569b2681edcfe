"""What a store of invites promises: one suite for every implementation of `engine.invite_store.InviteStore`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import pytest
import trio

from ...engine import Invite, Role
from ...engine.core.invites import CLAIM_S
from ...engine.invite_store import InviteStore
from ..rows import ADA, AT_MS, OTHER, ROOM, fresh_id

HOUR_MS = 3_600_000


def invite(**changes: Any) -> Invite:
    """An open invite with an id and a digest of its own, good for an hour."""
    name = fresh_id()
    plain = Invite(
        id=name,
        digest=name.encode()[-32:],
        conversation=ROOM,
        role=Role.MEMBER,
        made_by=ADA,
        made_as=Role.OWNER,
        created_at_ms=AT_MS,
        expires_at_ms=AT_MS + HOUR_MS,
    )
    return attrs.evolve(plain, **changes)


@pytest.mark.trio
class InviteStoreContract:
    """Subclass it, define `open_invites`, and pytest runs it."""

    def open_invites(self) -> AbstractAsyncContextManager[InviteStore]:
        """Open an empty store of invites; for the subclass to define."""
        raise NotImplementedError("a contract suite needs open_invites")

    @pytest.fixture
    async def invites(self, request: pytest.FixtureRequest) -> AsyncIterator[InviteStore]:
        """The store under test."""
        suite: InviteStoreContract = request.instance  # as in `opening`
        async with suite.open_invites() as invites:
            yield invites

    async def test_an_invite_comes_back_as_it_was_kept(self, invites: InviteStore) -> None:
        """All of it, by its digest; unknown digests are nobody's, and keeping it twice keeps it once."""
        plain = invite()
        full = invite(role=Role.VIEWER, made_as=None, bound_to="ädä@example.org")
        for one in (plain, full, plain):
            assert await invites.add(one, most=2)
        assert await invites.find(plain.digest) == plain
        assert await invites.find(full.digest) == full
        assert await invites.find(b"\x00" * 32) is None

    async def test_a_conversation_has_so_many_open_invites(self, invites: InviteStore) -> None:
        """Used, revoked and expired ones do not count, nor do those of other conversations."""
        used, revoked, over = invite(), invite(), invite(expires_at_ms=AT_MS)
        for one in (used, revoked, over):
            assert await invites.add(one, most=3)
        assert await invites.claim(used.digest, "bob", now_ms=AT_MS)
        await invites.revoke(ROOM, revoked.id, now_ms=AT_MS)
        assert await invites.add(invite(conversation=OTHER), most=1)
        last = invite()
        assert await invites.add(last, most=1)
        refused = invite()
        assert not await invites.add(refused, most=1)
        assert await invites.find(refused.digest) is None
        assert await invites.add(last, most=1), "a second try of one that was kept"

    async def test_a_conversation_lists_its_invites(self, invites: InviteStore) -> None:
        """By id, in pages, whatever became of them; none of another conversation."""
        kept = [invite() for _ in range(5)]
        for one in (*reversed(kept), invite(conversation=OTHER)):
            await invites.add(one, most=9)
        assert await invites.list_of(ROOM, after=None, limit=9) == kept
        assert await invites.list_of(ROOM, after=None, limit=2) == kept[:2]
        assert await invites.list_of(ROOM, after=kept[1].id, limit=2) == kept[2:4]
        assert await invites.list_of(ROOM, after=kept[4].id, limit=2) == []

    async def test_of_many_claims_one_wins(self, invites: InviteStore) -> None:
        """Fifty users at once."""
        one = invite()
        await invites.add(one, most=1)
        won: list[str] = []

        async def claim(user_id: str) -> None:
            if await invites.claim(one.digest, user_id, now_ms=AT_MS + 1):
                won.append(user_id)

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(claim, f"user-{number}")
        [winner] = won
        found = await invites.find(one.digest)
        assert found == attrs.evolve(one, accepted_by=winner, accepted_at_ms=AT_MS + 1)

    async def test_a_claim_may_be_completed_by_its_user_for_a_while(self, invites: InviteStore) -> None:
        """Also past the invite's end; not by others, not for ever, and not once it is settled."""
        one = invite()
        await invites.add(one, most=1)
        start, end = one.expires_at_ms - 1, one.expires_at_ms - 1 + 1000 * CLAIM_S
        assert await invites.claim(one.digest, "bob", now_ms=start)
        assert await invites.claim(one.digest, "bob", now_ms=end - 1)
        assert not await invites.claim(one.digest, "eve", now_ms=start)
        assert not await invites.claim(one.digest, "bob", now_ms=end)
        found = await invites.find(one.digest)
        assert found is not None
        assert found.accepted_at_ms == start, "the second try does not prolong it"
        await invites.settle(one.digest, "bob")
        assert not await invites.claim(one.digest, "bob", now_ms=start)
        assert await invites.find(one.digest) == attrs.evolve(found, joined=True)

    async def test_a_claim_is_given_back(self, invites: InviteStore) -> None:
        """By its user and before it is settled; then somebody else may have it."""
        one = invite()
        await invites.add(one, most=1)
        await invites.claim(one.digest, "bob", now_ms=AT_MS)
        await invites.give_back(one.digest, "eve")
        assert not await invites.claim(one.digest, "eve", now_ms=AT_MS)
        for _ in range(2):
            await invites.give_back(one.digest, "bob")
        assert await invites.find(one.digest) == one
        assert await invites.claim(one.digest, "eve", now_ms=AT_MS)
        await invites.settle(one.digest, "bob")
        await invites.settle(one.digest, "eve")
        await invites.give_back(one.digest, "eve")
        found = await invites.find(one.digest)
        assert found is not None
        assert (found.accepted_by, found.joined) == ("eve", True)

    async def test_what_is_over_cannot_be_claimed(self, invites: InviteStore) -> None:
        """Expired to the millisecond, revoked, or unknown."""
        over, revoked = invite(), invite()
        for one in (over, revoked):
            await invites.add(one, most=9)
        await invites.revoke(ROOM, revoked.id, now_ms=AT_MS)
        assert not await invites.claim(over.digest, "bob", now_ms=over.expires_at_ms)
        assert not await invites.claim(revoked.digest, "bob", now_ms=AT_MS)
        assert not await invites.claim(b"\x00" * 32, "bob", now_ms=AT_MS)
        assert await invites.claim(over.digest, "bob", now_ms=over.expires_at_ms - 1)

    async def test_an_invite_is_revoked(self, invites: InviteStore) -> None:
        """Once, also while it is claimed; not once somebody has joined by it, and not from another conversation."""
        one, claimed, used = invite(), invite(), invite()
        for each in (one, claimed, used):
            await invites.add(each, most=9)
        assert await invites.revoke(OTHER, one.id, now_ms=AT_MS) is None
        assert await invites.revoke(ROOM, fresh_id(), now_ms=AT_MS) is None
        for now_ms in (AT_MS + 5, AT_MS + 6):
            assert await invites.revoke(ROOM, one.id, now_ms=now_ms) == attrs.evolve(one, revoked_at_ms=AT_MS + 5)
        for each in (claimed, used):
            await invites.claim(each.digest, "bob", now_ms=AT_MS)
        await invites.settle(used.digest, "bob")
        found = await invites.revoke(ROOM, claimed.id, now_ms=AT_MS + 5)
        assert found is not None
        assert found.revoked_at_ms == AT_MS + 5
        assert not await invites.claim(claimed.digest, "bob", now_ms=AT_MS + 6)
        found = await invites.revoke(ROOM, used.id, now_ms=AT_MS + 5)
        assert found is not None
        assert found.revoked_at_ms == 0

    async def test_old_invites_are_forgotten(self, invites: InviteStore) -> None:
        """Those that ended before a time."""
        old, young = invite(), invite(expires_at_ms=AT_MS + HOUR_MS + 1)
        for one in (old, young):
            await invites.add(one, most=9)
        assert await invites.prune(AT_MS + HOUR_MS) == 0
        assert await invites.prune(AT_MS + HOUR_MS + 1) == 1
        assert await invites.list_of(ROOM, after=None, limit=9) == [young]
