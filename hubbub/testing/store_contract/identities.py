"""What a store promises of identities that open accounts: one suite for every `engine.identity.external.IdentityStore`."""

from __future__ import annotations

from itertools import count
from typing import Any

import attrs
import pytest
import trio

from ...engine import Conflict, EngineError, NotFound
from ...engine.identity.external import ExternalIdentity
from ...engine.identity.ports import AccountStore
from ...engine.identity.records import User, UserChange
from .opening_accounts import NOW_MS, OpensAccounts, token, user

_numbers = count(1)


def identity(of: User, **fields: Any) -> ExternalIdentity:
    """An identity with a fresh id and subject."""
    number = next(_numbers)
    known = ExternalIdentity(
        id=f"identity-{number:06}",
        issuer="https://login.example",
        subject=f"subject-{number}",
        user=of.id,
        created_at_ms=NOW_MS + number,
    )
    return attrs.evolve(known, **fields)


def newcomer(name: str) -> User:
    """Somebody without a password."""
    return user(name, password_hash=None)


class IdentityStoreContract(OpensAccounts):
    """Subclass it, define `open_accounts`, and pytest runs it."""

    async def test_an_account_that_an_identity_opens(self, accounts: AccountStore) -> None:
        """Made in one step, which may be repeated; it has no password."""
        ada = newcomer("ada")
        known = identity(ada)
        for _ in range(2):
            await accounts.identities.add_with_user(ada, known)
        assert await accounts.identities.find(known.issuer, known.subject) == ada
        assert await accounts.find_username("ada") == ada
        assert await accounts.identities.of(ada.id) == [known]

    async def test_issuer_and_subject_together_are_the_identity(self, accounts: AccountStore) -> None:
        """The same subject elsewhere, another case, a blank more: somebody else."""
        ada = newcomer("ada")
        known = identity(ada, subject="Ada")
        await accounts.identities.add_with_user(ada, known)
        others = [(known.issuer, "ada"), (known.issuer, "Ada "), (known.issuer + "/", "Ada"), ("Ada", known.issuer)]
        for issuer, subject in others:
            assert await accounts.identities.find(issuer, subject) is None

    async def test_of_many_first_logins_at_once_one_makes_the_account(self, accounts: AccountStore) -> None:
        """The others make nothing; nor does one whose user name is taken."""
        made: list[User] = []

        async def come(one: User) -> None:
            try:
                await accounts.identities.add_with_user(one, identity(one, subject="same"))
            except Conflict:
                return
            made.append(one)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(come, newcomer(f"eve{number}"))
        [eve] = made
        assert await accounts.list_users(after=None, limit=9, guests=True, matching=None) == [eve]
        other = newcomer(eve.username or "")
        with pytest.raises(Conflict):
            await accounts.identities.add_with_user(other, identity(other, subject="other"))
        assert await accounts.identities.find("https://login.example", "other") is None

    async def test_a_guest_becomes_an_account(self, accounts: AccountStore) -> None:
        """Under its id, once; nobody else does."""
        guest, ada = user(), newcomer("ada")
        await accounts.add_guest(guest, token(guest))
        await accounts.add_user(ada, now_ms=NOW_MS)
        eve = attrs.evolve(newcomer("eve"), id=guest.id)
        known = identity(eve)
        taken = attrs.evolve(eve, username="ada")
        with pytest.raises(Conflict):
            await accounts.identities.add_to_guest(taken, identity(eve))
        for _ in range(2):
            await accounts.identities.add_to_guest(eve, known)
        expected = attrs.evolve(eve, created_at_ms=guest.created_at_ms)
        assert await accounts.identities.find(known.issuer, known.subject) == expected
        for one in (attrs.evolve(newcomer("x"), id=eve.id), attrs.evolve(newcomer("x"), id=ada.id), newcomer("x")):
            with pytest.raises(Conflict):
                await accounts.identities.add_to_guest(one, identity(one))
        assert await accounts.find_user(ada.id) == ada

    async def test_an_account_gets_another_way_in(self, accounts: AccountStore) -> None:
        """Repeating it changes nothing; an identity that opens another account stays with that one."""
        ada, eve = user("ada"), user("eve")
        for one in (ada, eve):
            await accounts.add_user(one, now_ms=NOW_MS)
        known = identity(ada)
        await accounts.identities.add(known)
        await accounts.identities.add(attrs.evolve(known, id="again"))
        assert await accounts.identities.of(ada.id) == [known]
        with pytest.raises(Conflict):
            await accounts.identities.add(attrs.evolve(known, id="other", user=eve.id))
        assert await accounts.identities.find(known.issuer, known.subject) == ada

    async def test_who_may_not_act_gets_no_way_in(self, accounts: AccountStore) -> None:
        """Nobody, a guest, a disabled account, a deleted one."""
        guest, disabled, deleted = user(), user("eve"), user("fay")
        await accounts.add_guest(guest, token(guest))
        for one in (disabled, deleted):
            await accounts.add_user(one, now_ms=NOW_MS)
        await accounts.change_user(disabled.id, UserChange(disabled=True), now_ms=NOW_MS)
        await accounts.delete_user(deleted.id, now_ms=NOW_MS)
        for one in (guest, disabled, deleted, user("nobody")):
            with pytest.raises(NotFound):
                await accounts.identities.add(identity(one))

    async def test_the_last_way_in_stays(self, accounts: AccountStore) -> None:
        """Of two who end one another at once one stays; with a password both may go."""
        ada, eve = newcomer("ada"), user("eve")
        first, second = identity(ada), identity(ada)
        await accounts.identities.add_with_user(ada, first)
        await accounts.identities.add(second)
        assert not await accounts.identities.end(ada.id, "nothing")
        assert not await accounts.identities.end(eve.id, first.id)
        ended: list[bool | EngineError] = []

        async def end(one: ExternalIdentity) -> None:
            try:
                ended.append(await accounts.identities.end(ada.id, one.id))
            except Conflict as error:
                ended.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(end, first)
            nursery.start_soon(end, second)
        assert sorted(map(type, ended), key=str) == sorted((bool, Conflict), key=str)
        [last] = await accounts.identities.of(ada.id)
        with pytest.raises(Conflict):
            await accounts.identities.end(ada.id, last.id)
        await accounts.add_user(eve, now_ms=NOW_MS)
        with_password = identity(eve)
        await accounts.identities.add(with_password)
        assert await accounts.identities.end(eve.id, with_password.id)
        assert await accounts.identities.find(with_password.issuer, with_password.subject) is None

    async def test_identities_go_with_their_account(self, accounts: AccountStore) -> None:
        """Who it was is forgotten, and may come back as somebody new."""
        ada = newcomer("ada")
        known = identity(ada)
        await accounts.identities.add_with_user(ada, known)
        await accounts.delete_user(ada.id, now_ms=NOW_MS)
        assert await accounts.identities.find(known.issuer, known.subject) is None
        assert await accounts.identities.of(ada.id) == []
        again = newcomer("ada")
        await accounts.identities.add_with_user(again, identity(again, subject=known.subject))
