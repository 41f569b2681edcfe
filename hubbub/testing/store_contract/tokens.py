"""What a store of accounts promises of tokens and invitations."""

from __future__ import annotations

import attrs
import pytest
import trio

from ...engine import Conflict, NotFound
from ...engine.core.principals import ALL_SCOPES, Scope
from ...engine.identity.ports import AccountStore
from ...engine.identity.records import Holder, TokenKind, TokenRecord, User, UserChange
from .opening_accounts import NOW_MS, OpensAccounts, invitation, token, user


class TokenPromises(OpensAccounts):
    """Tests of what opens a door: tokens to those who have an account, invitations to newcomers."""

    # -- tokens ---------------------------------------------------------------------------------------------------------

    async def test_a_token_comes_back_with_its_user(self, accounts: AccountStore) -> None:
        """Expired ones too, and those of users that may not act: judging is not the store's."""
        ada = user("ada")
        await accounts.add_user(ada, now_ms=NOW_MS)
        session = token(ada, label="Firefox", expires_at_ms=1)
        key = token(ada, kind=TokenKind.KEY, scopes=frozenset({Scope.READ}), expires_at_ms=None)
        for one in (session, session, key):
            await accounts.add_token(one)
        assert await accounts.find_token(session.digest) == Holder(session, ada)
        assert await accounts.find_token(key.digest) == Holder(key, ada)
        assert await accounts.find_token(b"\x01" * 32) is None
        assert session.scopes == ALL_SCOPES
        disabled = await accounts.change_user(ada.id, UserChange(disabled=True), now_ms=NOW_MS)
        assert await accounts.find_token(key.digest) == Holder(key, disabled)
        with pytest.raises(NotFound):
            await accounts.add_token(token(ada))

    async def test_tokens_are_listed_and_ended_by_kind_and_id(self, accounts: AccountStore) -> None:
        """Only those of the user that is named; ending again ends nothing."""
        ada, bob = user("ada"), user("bob")
        for one in (ada, bob):
            await accounts.add_user(one, now_ms=NOW_MS)
        sessions = [token(ada) for _ in range(3)]
        key, other = token(ada, kind=TokenKind.KEY), token(bob)
        for held in (*sessions, key, other):
            await accounts.add_token(held)
        assert await accounts.list_tokens(ada.id, TokenKind.SESSION) == sessions[::-1]
        assert await accounts.list_tokens(ada.id, TokenKind.KEY) == [key]
        assert await accounts.end_tokens(bob.id, only=key.id) == []
        assert await accounts.end_tokens(ada.id, kind=TokenKind.SESSION, only=key.id) == []
        assert await accounts.end_tokens(ada.id, only=sessions[0].id) == [sessions[0].id]
        assert await accounts.end_tokens(ada.id, only=sessions[0].id) == []
        assert await accounts.end_tokens(ada.id, kind=TokenKind.SESSION, keep=sessions[2].id) == [sessions[1].id]
        assert sorted(await accounts.end_tokens(ada.id)) == sorted([sessions[2].id, key.id])
        assert await accounts.list_tokens(bob.id, TokenKind.SESSION) == [other]

    async def test_the_oldest_tokens_are_evicted(self, accounts: AccountStore) -> None:
        """As many as are too many, of the one kind, and never the one that was made just now, whatever the clock says."""
        ada = user("ada")
        await accounts.add_user(ada, now_ms=NOW_MS)
        sessions = [token(ada) for _ in range(5)]
        key = token(ada, kind=TokenKind.KEY)
        for held in (*reversed(sessions), key):
            await accounts.add_token(held)
        ended = await accounts.evict_tokens(ada.id, TokenKind.SESSION, keep=3, newest=sessions[1].id)
        assert sorted(ended) == [sessions[0].id, sessions[2].id]
        assert await accounts.evict_tokens(ada.id, TokenKind.SESSION, keep=3, newest="gone") == []
        assert await accounts.list_tokens(ada.id, TokenKind.KEY) == [key]

    async def test_a_rotated_token_keeps_its_id_and_knows_its_former_digest(self, accounts: AccountStore) -> None:
        """One former digest, the last; of two that rotate the same one, one does; the same step again changes nothing."""
        ada = user("ada")
        await accounts.add_user(ada, now_ms=NOW_MS)
        held = token(ada)
        await accounts.add_token(held)
        fresh = b"\x02" * 32

        async def rotate(digest: bytes, former: bytes | None, owner: str = ada.id) -> TokenRecord | None:
            return await accounts.rotate_token(
                owner,
                held.id,
                digest,
                former=former,
                now_ms=NOW_MS + 50_000,
                former_until_ms=NOW_MS + 60_000,
                expires_at_ms=None,
            )

        rotated = attrs.evolve(
            held,
            digest=fresh,
            former_digest=held.digest,
            former_until_ms=NOW_MS + 60_000,
            last_used_at_ms=NOW_MS + 50_000,
            expires_at_ms=None,
        )
        for _ in range(2):
            assert await rotate(fresh, held.digest) == rotated
        for digest in (fresh, held.digest):
            assert await accounts.find_token(digest) == Holder(rotated, ada)
        assert await rotate(b"\x03" * 32, held.digest) is None
        assert await rotate(b"\x03" * 32, None, "somebody else") is None
        again = await rotate(b"\x04" * 32, None)
        assert again is not None
        assert again.former_digest == fresh
        assert await accounts.find_token(held.digest) is None
        await accounts.end_tokens(ada.id)
        assert await rotate(b"\x05" * 32, None) is None

    async def test_rotating_a_key_is_no_use_of_it(self, accounts: AccountStore) -> None:
        """Whoever manages keys rotates them; that of a session is by who is there."""
        ada = user("ada")
        await accounts.add_user(ada, now_ms=NOW_MS)
        held = attrs.evolve(token(ada), kind=TokenKind.KEY, last_used_at_ms=NOW_MS, created_at_ms=NOW_MS)
        await accounts.add_token(held)
        rotated = await accounts.rotate_token(
            ada.id,
            held.id,
            b"\x02" * 32,
            former=None,
            now_ms=NOW_MS + 50_000,
            former_until_ms=NOW_MS,
            expires_at_ms=None,
        )
        assert rotated is not None
        assert (rotated.used, rotated.last_used_at_ms) == (False, NOW_MS)

    async def test_touching_says_which_tokens_exist(self, accounts: AccountStore) -> None:
        """And moves the time of their last use, never back."""
        ada = user("ada")
        await accounts.add_user(ada, now_ms=NOW_MS)
        held = token(ada)
        await accounts.add_token(held)
        later = held.last_used_at_ms + 10
        assert await accounts.touch_tokens({held.id, "gone"}, now_ms=later) == {held.id}
        assert await accounts.touch_tokens([held.id], now_ms=1) == {held.id}
        [found] = await accounts.list_tokens(ada.id, TokenKind.SESSION)
        assert found.last_used_at_ms == later
        assert await accounts.touch_tokens([], now_ms=later) == set()

    async def test_tokens_that_ended_long_ago_are_pruned(self, accounts: AccountStore) -> None:
        """With guests that have no other; accounts stay, and so do tokens that never end."""
        ada, guest, stays = user("ada"), user(), user()
        await accounts.add_user(ada, now_ms=NOW_MS)
        over = token(ada, expires_at_ms=1_000)
        good = [token(ada, expires_at_ms=1_001), token(ada, kind=TokenKind.KEY, expires_at_ms=None)]
        for held in (over, *good):
            await accounts.add_token(held)
        await accounts.add_guest(attrs.evolve(guest, created_at_ms=1), token(guest, expires_at_ms=1_000))
        await accounts.add_guest(attrs.evolve(stays, created_at_ms=1), token(stays, expires_at_ms=1_001))
        pruned = 0
        while count := await accounts.prune_tokens(1_001):
            pruned += count
        assert pruned == 2
        assert await accounts.find_token(over.digest) is None
        for held in good:
            assert await accounts.find_token(held.digest) == Holder(held, ada)
        assert await accounts.find_user(guest.id) is None
        assert await accounts.find_user(stays.id) is not None

    # -- invitations ----------------------------------------------------------------------------------------------------

    async def test_an_invitation_is_used_once(self, accounts: AccountStore) -> None:
        """Of many who come with it at once one gets in; a name that is taken does not use it up."""
        invited = invitation()
        await accounts.add_invitation(invited)
        await accounts.add_invitation(invited)
        assert await accounts.find_invitation(invited.digest) == invited
        await accounts.add_user(user("taken"), now_ms=NOW_MS)
        with pytest.raises(Conflict):
            await accounts.add_user(user("taken"), invited.digest, now_ms=NOW_MS)
        made: list[User] = []

        async def come(one: User) -> None:
            try:
                await accounts.add_user(one, invited.digest, now_ms=NOW_MS)
            except NotFound:
                return
            made.append(one)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(come, user(f"eve{number}"))
        [eve] = made
        await accounts.add_user(eve, invited.digest, now_ms=NOW_MS)
        assert await accounts.list_invitations(limit=9) == [attrs.evolve(invited, used_by=eve.id)]
        assert await accounts.find_user(eve.id) == eve
        assert not await accounts.end_invitation(invited.id)

    async def test_an_invitation_that_is_over_or_withdrawn_lets_nobody_in(self, accounts: AccountStore) -> None:
        """Neither a newcomer nor a guest; a good one upgrades a guest."""
        late, withdrawn, good = invitation(expires_at_ms=NOW_MS), invitation(), invitation()
        for one in (late, withdrawn, good):
            await accounts.add_invitation(one)
        assert await accounts.end_invitation(withdrawn.id)
        assert not await accounts.end_invitation(withdrawn.id)
        assert await accounts.find_invitation(withdrawn.digest) is None
        guest = user()
        await accounts.add_guest(guest, token(guest))
        account = attrs.evolve(user("eve"), id=guest.id)
        for refused in (late.digest, withdrawn.digest, b"\x09" * 32):
            with pytest.raises(NotFound):
                await accounts.add_user(user("dora"), refused, now_ms=NOW_MS)
            with pytest.raises(NotFound):
                await accounts.upgrade_guest(account, refused, now_ms=NOW_MS)
        assert await accounts.find_username("dora") is None
        await accounts.upgrade_guest(account, good.digest, now_ms=NOW_MS)
        assert await accounts.find_username("eve") == attrs.evolve(account, created_at_ms=guest.created_at_ms)
        assert [one.id for one in await accounts.list_invitations(limit=1)] == [good.id]
