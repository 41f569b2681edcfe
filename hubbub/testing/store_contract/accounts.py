"""What a store of accounts promises: one suite for every implementation of `engine.identity.ports.AccountStore`."""

from __future__ import annotations

import attrs
import pytest
import trio

from ...engine import Conflict, NotFound
from ...engine.core.principals import ServerRole
from ...engine.identity.ports import AccountStore
from ...engine.identity.records import DELETED_NAME, Holder, User, UserChange
from .opening_accounts import HASH, NOW_MS, token, user
from .tokens import TokenPromises


class AccountStoreContract(TokenPromises):
    """Subclass it, define `open_accounts`, and pytest runs it."""

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
