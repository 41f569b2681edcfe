"""What a store of accounts promises: one suite for every implementation of `engine.identity.ports.AccountStore`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Any

import attrs
import pytest
import trio

from ...engine import Conflict, NotFound
from ...engine.core.principals import ALL_SCOPES, Scope, ServerRole
from ...engine.identity.ports import AccountStore
from ...engine.identity.records import DELETED_NAME, Holder, Invitation, TokenKind, TokenRecord, User, UserChange

NOW_MS = 1_800_000_000_123
HASH = "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"
_numbers = count(1)


def user(username: str | None = None, *, role: ServerRole = ServerRole.MEMBER, **fields: Any) -> User:
    """A user with a fresh id; without a user name a guest."""
    number = next(_numbers)
    known = User(
        id=f"user-{number:06}",
        username=username,
        name=f"Name {number}",
        role=role if username is not None else ServerRole.GUEST,
        password_hash=None if username is None else HASH,
        created_at_ms=NOW_MS,
    )
    return attrs.evolve(known, **fields)


def token(owner: User, *, kind: TokenKind = TokenKind.SESSION, **fields: Any) -> TokenRecord:
    """A token with a fresh id and digest."""
    number = next(_numbers)
    known = TokenRecord(
        digest=number.to_bytes(32),
        id=f"token-{number:06}",
        user=owner.id,
        kind=kind,
        created_at_ms=NOW_MS + number,
        last_used_at_ms=NOW_MS + number,
        expires_at_ms=NOW_MS + 1_000_000,
        former_until_ms=NOW_MS + number,
    )
    return attrs.evolve(known, **fields)


def invitation(**fields: Any) -> Invitation:
    """An invitation with a fresh id and digest."""
    number = next(_numbers)
    known = Invitation(
        digest=number.to_bytes(32),
        id=f"invitation-{number:06}",
        role=ServerRole.MEMBER,
        created_by="admin",
        created_at_ms=NOW_MS + number,
        expires_at_ms=NOW_MS + 1_000_000,
        label="for Eve",
    )
    return attrs.evolve(known, **fields)


@pytest.mark.trio
class AccountStoreContract:
    """Subclass it, define `open_accounts`, and pytest runs it."""

    def open_accounts(self) -> AbstractAsyncContextManager[AccountStore]:
        """Open an empty store of accounts; for the subclass to define."""
        raise NotImplementedError("a contract suite needs open_accounts")

    @pytest.fixture
    async def accounts(self, request: pytest.FixtureRequest) -> AsyncIterator[AccountStore]:
        """The store under test."""
        suite: AccountStoreContract = request.instance  # as in `opening`
        async with suite.open_accounts() as accounts:
            yield accounts

    # -- users ----------------------------------------------------------------------------------------------------------

    async def test_a_user_comes_back_as_it_was_made(self, accounts: AccountStore) -> None:
        """By id and by user name; nobody else does."""
        ada = user("ada", name="Ada Lovelace \u00fc\U0001f600")
        await accounts.add_user(ada, now_ms=NOW_MS)
        assert await accounts.find_user(ada.id) == ada
        assert await accounts.find_username("ada") == ada
        assert await accounts.find_user("nobody") is None
        assert await accounts.find_username("Ada") is None

    async def test_users_are_called_by_names_that_nobody_can_copy(self, accounts: AccountStore) -> None:
        """Accounts by their user names, guests by what they call themselves, told from them; deleted ones by nothing."""
        ada, gone, guest = user("ada", name="root"), user("gone"), user(name="ada")
        for one in (ada, gone):
            await accounts.add_user(one, now_ms=NOW_MS)
        await accounts.add_guest(guest, token(guest))
        await accounts.add_user(user("admin2", role=ServerRole.ADMIN), now_ms=NOW_MS)
        await accounts.delete_user(gone.id, now_ms=NOW_MS)
        asked = {ada.id, gone.id, guest.id, "operator", "x' or ''='"}
        assert await accounts.names(asked) == {ada.id: "ada", guest.id: "ada (guest)"}
        assert await accounts.names(set()) == {}

    async def test_a_user_name_is_taken_once(self, accounts: AccountStore) -> None:
        """Also when many ask for it at once; the same step again is no conflict."""
        wanted = [user("ada") for _ in range(8)]
        made: list[User] = []

        async def ask(one: User) -> None:
            try:
                await accounts.add_user(one, now_ms=NOW_MS)
            except Conflict:
                return
            made.append(one)

        async with trio.open_nursery() as nursery:
            for one in wanted:
                nursery.start_soon(ask, one)
        [ada] = made
        await accounts.add_user(ada, now_ms=NOW_MS)
        assert await accounts.find_username("ada") == ada

    async def test_there_is_one_first_administrator(self, accounts: AccountStore) -> None:
        """Of many that try at once; a second one is refused for ever."""
        assert not await accounts.has_admin()
        tries = [user(f"admin{number}", role=ServerRole.ADMIN) for number in range(6)]
        made: list[User] = []

        async def ask(one: User) -> None:
            try:
                await accounts.add_first_admin(one)
            except Conflict:
                return
            made.append(one)

        async with trio.open_nursery() as nursery:
            for one in tries:
                nursery.start_soon(ask, one)
        [admin] = made
        assert await accounts.has_admin()
        await accounts.add_first_admin(admin)
        assert [one.id for one in await accounts.list_users(after=None, limit=9, guests=True, matching=None)] == [
            admin.id
        ]

    async def test_a_change_changes_what_it_names(self, accounts: AccountStore) -> None:
        """And says how the user is then; disabling keeps its first time."""
        ada = user("ada")
        await accounts.add_user(ada, now_ms=NOW_MS)
        assert await accounts.change_user(ada.id, UserChange(), now_ms=NOW_MS) == ada
        other = HASH[:-1] + "B"
        change = UserChange(name="Countess", role=ServerRole.ADMIN, password_hash=other)
        changed = attrs.evolve(ada, name="Countess", role=ServerRole.ADMIN, password_hash=other)
        assert await accounts.change_user(ada.id, change, now_ms=NOW_MS) == changed
        await accounts.add_user(user("root", role=ServerRole.ADMIN), now_ms=NOW_MS)
        disabled = attrs.evolve(changed, disabled_at_ms=NOW_MS + 5)
        for now_ms in (NOW_MS + 5, NOW_MS + 9):
            assert await accounts.change_user(ada.id, UserChange(disabled=True), now_ms=now_ms) == disabled
        assert await accounts.change_user(ada.id, UserChange(disabled=False), now_ms=NOW_MS) == changed
        with pytest.raises(NotFound):
            await accounts.change_user("nobody", change, now_ms=NOW_MS)

    @pytest.mark.parametrize("change", [UserChange(role=ServerRole.MEMBER), UserChange(disabled=True), None])
    async def test_the_last_administrator_stays(self, accounts: AccountStore, change: UserChange | None) -> None:
        """Not demoted, not disabled, not deleted, not even by two that do it to one another at the same moment."""
        first, second = (user(name, role=ServerRole.ADMIN) for name in ("ada", "bob"))
        for one in (first, second):
            await accounts.add_user(one, now_ms=NOW_MS)
        refused = []

        async def lose(one: User) -> None:
            try:
                if change is None:
                    await accounts.delete_user(one.id, now_ms=NOW_MS)
                else:
                    await accounts.change_user(one.id, change, now_ms=NOW_MS)
            except Conflict:
                refused.append(one)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lose, first)
            nursery.start_soon(lose, second)
        [left] = refused
        assert await accounts.find_user(left.id) == left
        stays = await accounts.change_user(left.id, UserChange(name="Still here"), now_ms=NOW_MS)
        assert (stays.role, stays.disabled_at_ms, stays.name) == (ServerRole.ADMIN, None, "Still here")

    async def test_users_are_listed_by_id_in_pages(self, accounts: AccountStore) -> None:
        """Guests when asked for, deleted ones never; a text is looked for in both names."""
        people = [user("ada"), user("bob", name="Robert Ada"), user("carl", name="100%_sure"), user("dora")]
        guest = user()
        for one in people:
            await accounts.add_user(one, now_ms=NOW_MS)
        await accounts.add_guest(guest, token(guest))
        await accounts.delete_user(people[3].id, now_ms=NOW_MS)

        async def ids(
            after: str | None = None, limit: int = 9, *, guests: bool = False, matching: str | None = None
        ) -> list[str]:
            found = await accounts.list_users(after=after, limit=limit, guests=guests, matching=matching)
            return [one.id for one in found]

        there = [one.id for one in people[:3]]
        assert await ids() == there
        assert await ids(guests=True) == [*there, guest.id]
        assert await ids(limit=2) == there[:2]
        assert await ids(after=there[1]) == there[2:]
        assert await ids(matching="ADA") == there[:2]
        assert await ids(matching="%_") == there[2:]

    async def test_a_deleted_user_is_forgotten_and_its_id_is_not(self, accounts: AccountStore) -> None:
        """Names, password and tokens go, the user name is free again, and nothing brings it back."""
        ada = user("ada")
        await accounts.add_user(ada, now_ms=NOW_MS)
        held = token(ada)
        await accounts.add_token(held)
        for _ in range(2):
            await accounts.delete_user(ada.id, now_ms=NOW_MS + 7)
        gone = await accounts.find_user(ada.id)
        assert gone is not None
        assert (gone.name, gone.username, gone.password_hash, gone.deleted_at_ms) == (
            DELETED_NAME,
            None,
            None,
            NOW_MS + 7,
        )
        assert await accounts.find_token(held.digest) is None
        await accounts.add_user(user("ada"), now_ms=NOW_MS)
        for refused in (
            accounts.change_user(ada.id, UserChange(name="x"), now_ms=NOW_MS),
            accounts.add_token(token(ada)),
        ):
            with pytest.raises(NotFound):
                await refused
        with pytest.raises(Conflict):
            await accounts.upgrade_guest(attrs.evolve(ada, username="ada2"), now_ms=NOW_MS)
        with pytest.raises(NotFound):
            await accounts.delete_user("nobody", now_ms=NOW_MS)

    async def test_a_guest_becomes_an_account_once(self, accounts: AccountStore) -> None:
        """With the same id and the same tokens; an account does not become one again."""
        guest = user(created_at_ms=NOW_MS - 5)
        held = token(guest)
        await accounts.add_guest(guest, held)
        await accounts.add_guest(guest, held)
        assert await accounts.find_token(held.digest) == Holder(held, guest)
        await accounts.add_user(user("taken"), now_ms=NOW_MS)
        account = attrs.evolve(user("eve"), id=guest.id)
        with pytest.raises(Conflict):
            await accounts.upgrade_guest(attrs.evolve(account, username="taken"), now_ms=NOW_MS)
        for _ in range(2):
            await accounts.upgrade_guest(account, now_ms=NOW_MS)
        upgraded = attrs.evolve(account, created_at_ms=NOW_MS - 5)
        assert await accounts.find_token(held.digest) == Holder(held, upgraded)
        with pytest.raises(Conflict):
            await accounts.upgrade_guest(attrs.evolve(account, username="again"), now_ms=NOW_MS)

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
