"""Accounts over a store in memory: the first administrator, signing up, logging in, changing, closing."""

from __future__ import annotations

import attrs
import pytest
import trio

from hubbub.engine import (
    Conflict,
    Forbidden,
    LimitExceeded,
    NotFound,
    StoreUnavailable,
    Unauthenticated,
    Unprocessable,
)
from hubbub.engine.core.errors import CredentialChanged
from hubbub.engine.core.principals import Scope, ServerRole
from hubbub.engine.identity.records import DELETED_NAME, TokenKind, UserChange
from hubbub.transport.auth import Credential
from hubbub.transport.identity.accounts import Application
from hubbub.transport.identity.settings import IdentitySettings, SignUp
from hubbub.transport.identity.setup import Setup
from hubbub.transport.identity.tokens import Issued

from .desk import Desk

PASSWORD = "correct horse"
SETTINGS = IdentitySettings()


def asked(username: str = "ada", **fields: str) -> Application:
    """What somebody asks for who signs up."""
    return attrs.evolve(Application(username=username, password=PASSWORD), **fields)  # type: ignore[arg-type]


async def signed_up(desk: Desk, username: str = "ada") -> Issued:
    """A fresh account."""
    return await desk.people.sign_up(asked(username), SignUp.OPEN, SETTINGS)


async def test_there_is_one_way_to_the_first_administrator(nursery: trio.Nursery) -> None:
    """The token of the link, once; a wrong one, a second try and a try beside the first are refused."""
    desk = Desk(nursery)
    token = desk.setup.token
    assert token is not None
    assert desk.setup.link("http://h") == f"http://h/setup#{token}"
    with pytest.raises(Forbidden):
        await desk.people.make_first_admin("hbu_wrong", asked(), SETTINGS)
    with pytest.raises(Unprocessable):
        await desk.people.make_first_admin(token, asked(password="short"), SETTINGS)
    outcomes: list[object] = []

    async def ask(username: str) -> None:
        try:
            outcomes.append(await desk.people.make_first_admin(token, asked(username), SETTINGS))
        except Conflict as error:
            outcomes.append(error)

    async with trio.open_nursery() as two:
        two.start_soon(ask, "ada")
        two.start_soon(ask, "eve")
    [made] = [outcome for outcome in outcomes if isinstance(outcome, Issued)]
    assert made.credential.principal.role is ServerRole.ADMIN
    assert desk.setup.link("http://h") is None
    for late in (token, "hbu_wrong"):
        with pytest.raises(Conflict):
            await desk.people.make_first_admin(late, asked("bob"), SETTINGS)
    with pytest.raises(Conflict):
        await Desk(nursery, setup=Setup(needed=False)).people.make_first_admin(token, asked(), SETTINGS)


async def test_a_setup_that_failed_may_be_tried_again(nursery: trio.Nursery) -> None:
    """The store was away: the printed link is still good."""
    desk = Desk(nursery)
    token = desk.setup.token or ""
    desk.accounts.error = StoreUnavailable()
    with pytest.raises(StoreUnavailable):
        await desk.people.make_first_admin(token, asked(), SETTINGS)
    desk.accounts.error = None
    assert await desk.people.make_first_admin(token, asked(), SETTINGS)


async def test_who_may_sign_up(nursery: trio.Nursery) -> None:
    """Anybody, the invited, or nobody; each invitation once, with the role that it gives."""
    desk = Desk(nursery)
    for policy in (SignUp.INVITE, SignUp.OFF):
        with pytest.raises(Forbidden, match="no administrator yet"):
            await desk.people.sign_up(asked("bob"), policy, SETTINGS)
    admin = await desk.people.make_first_admin(desk.setup.token or "", asked("root"), SETTINGS)
    member = await desk.people.sign_up(asked("Ada", name="Ada L."), SignUp.OPEN, SETTINGS)
    principal = member.credential.principal
    assert (principal.role, principal.author.name, member.credential.username) == (ServerRole.MEMBER, "Ada L.", "ada")
    for policy, why in ((SignUp.INVITE, "for the invited"), (SignUp.OFF, "nobody")):
        with pytest.raises(Forbidden, match=why):
            await desk.people.sign_up(asked("bob"), policy, SETTINGS)
    secret, _ = await desk.people.invite(admin.credential, ServerRole.ADMIN, "for Bob", SETTINGS)
    with pytest.raises(Forbidden):
        await desk.people.sign_up(asked("bob", invitation=secret), SignUp.OFF, SETTINGS)
    with pytest.raises(NotFound):
        await desk.people.sign_up(asked("bob", invitation=secret + "x"), SignUp.INVITE, SETTINGS)
    with pytest.raises(Conflict):
        await desk.people.sign_up(asked("ada", invitation=secret), SignUp.INVITE, SETTINGS)
    bob = await desk.people.sign_up(asked("bob", invitation=secret), SignUp.INVITE, SETTINGS)
    assert bob.credential.principal.role is ServerRole.ADMIN
    with pytest.raises(NotFound):
        await desk.people.sign_up(asked("carl", invitation=secret), SignUp.INVITE, SETTINGS)
    late, _ = await desk.people.invite(admin.credential, ServerRole.MEMBER, "", SETTINGS)
    desk.now_ms += 7 * 86_400_000
    with pytest.raises(NotFound):
        await desk.people.sign_up(asked("carl", invitation=late), SignUp.INVITE, SETTINGS)


async def test_a_login_that_fails_says_the_same_whatever_is_wrong(nursery: trio.Nursery) -> None:
    """An unknown name, one that cannot be, a wrong password, a disabled and a closed account."""
    desk = Desk(nursery)
    for username in ("ada", "off", "gone"):
        await signed_up(desk, username)
    off, gone = [await desk.accounts.find_username(username) for username in ("off", "gone")]
    assert off is not None
    assert gone is not None
    await desk.people.change(off.id, UserChange(disabled=True))
    await desk.people.delete(gone.id)
    said = set()
    for username, password in (
        ("ada", "wrong horse"),
        ("nobody", PASSWORD),
        ("no such\x00name", PASSWORD),
        ("off", PASSWORD),
        ("gone", PASSWORD),
        ("x" * 10_000, "y" * 10_000),
    ):
        with pytest.raises(Unauthenticated) as refused:
            await desk.people.log_in(username, password, "")
        said.add((type(refused.value), str(refused.value)))
    assert len(said) == 1
    desk.now_ms += 1
    issued = await desk.people.log_in(" ADA ", PASSWORD, "Firefox")
    [newest, _] = await desk.accounts.list_tokens(issued.credential.principal.id, TokenKind.SESSION)
    assert (newest.id, newest.label) == (issued.credential.token_id, "Firefox")


async def test_a_dated_hash_is_made_anew_at_a_login(nursery: trio.Nursery) -> None:
    """Old parameters do not stay for ever; the password is the same."""
    import argon2

    desk = Desk(nursery)
    ada = (await signed_up(desk)).credential.principal.id
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    await desk.accounts.change_user(ada, UserChange(password_hash=weak), now_ms=0)
    await desk.people.log_in("ada", PASSWORD, "")
    user = await desk.accounts.find_user(ada)
    assert user is not None
    assert user.password_hash != weak
    assert await desk.people.log_in("ada", PASSWORD, "")


async def test_a_guest_becomes_an_account_and_keeps_its_id(nursery: trio.Nursery) -> None:
    """What was opened as a guest is opened anew; the guest's token is good for moments; nobody does it twice."""
    desk = Desk(nursery)
    guest = await desk.tokens.issue_guest("Eve")
    told = desk.open(guest.credential)
    with pytest.raises(Forbidden):
        await desk.people.upgrade(guest.credential, guest.token, asked("eve"), SignUp.OFF, SETTINGS)
    account = await desk.people.upgrade(guest.credential, guest.token, asked("eve"), SignUp.OPEN, SETTINGS)
    before, after = guest.credential.principal, account.credential.principal
    assert (after.id, after.author.name, after.author.kind) == (before.id, "Eve", "user")
    assert after.role is ServerRole.MEMBER
    assert account.credential.expires_at_ms == desk.now_ms + round(SETTINGS.session_s * 1000)
    assert [type(error) for error in told] == [CredentialChanged]
    seen = await desk.check(guest.token)
    assert isinstance(seen, Credential)
    assert seen.principal.role is ServerRole.MEMBER
    desk.now_ms += 30_000
    assert isinstance(await desk.check(guest.token), Unauthenticated)
    with pytest.raises(Forbidden):
        await desk.people.upgrade(account.credential, account.token, asked("eve2"), SignUp.OPEN, SETTINGS)
    assert await desk.people.log_in("eve", PASSWORD, "")


async def test_another_password_ends_the_other_sessions(nursery: trio.Nursery) -> None:
    """With what they have open; one's own session and the keys stay; the old password opens nothing."""
    desk = Desk(nursery)
    here = await signed_up(desk)
    there = await desk.people.log_in("ada", PASSWORD, "")
    key = await desk.people.make_key(here.credential, "", frozenset({Scope.READ}), None, SETTINGS)
    told = desk.open(there.credential)
    for present, new, error in (
        ("wrong horse", "another horse", Forbidden),
        (PASSWORD, "short", Unprocessable),
        (PASSWORD, "password1", Unprocessable),
    ):
        with pytest.raises(error):
            await desk.people.change_password(here.credential, present, new, SETTINGS)
    assert told == []
    await desk.people.change_password(here.credential, PASSWORD, "another horse", SETTINGS)
    assert [type(error) for error in told] == [Unauthenticated]
    found = [isinstance(await desk.check(one.token), Credential) for one in (here, there, key)]
    assert found == [True, False, True]
    with pytest.raises(Unauthenticated):
        await desk.people.log_in("ada", PASSWORD, "")
    assert await desk.people.log_in("ada", "another horse", "")


async def test_a_closed_account_is_gone_with_all_that_stood_for_it(nursery: trio.Nursery) -> None:
    """Names, password, sessions and keys; the id stays, so that what it owned has an owner. Its password must be shown."""
    desk = Desk(nursery)
    here = await signed_up(desk)
    key = await desk.people.make_key(here.credential, "", frozenset({Scope.READ}), None, SETTINGS)
    told = desk.open(key.credential)
    with pytest.raises(Forbidden):
        await desk.people.close_own(here.credential, "wrong horse")
    await desk.people.close_own(here.credential, PASSWORD)
    assert [type(error) for error in told] == [Unauthenticated]
    for one in (here, key):
        assert isinstance(await desk.check(one.token), Unauthenticated)
    user = await desk.accounts.find_user(here.credential.principal.id)
    assert user is not None
    assert (user.name, user.username, user.password_hash) == (DELETED_NAME, None, None)
    assert await signed_up(desk)  # the name is free again


async def test_no_more_keys_than_one_may_have(nursery: trio.Nursery) -> None:
    """A key that is over makes room; a guest and a stranger's credential get none."""
    desk = Desk(nursery)
    here = await signed_up(desk)
    few = attrs.evolve(SETTINGS, keys_per_user=2)
    scopes = frozenset({Scope.READ})
    await desk.people.make_key(here.credential, "a", scopes, desk.now_ms + 1_000, few)
    await desk.people.make_key(here.credential, "b", scopes, None, few)
    with pytest.raises(LimitExceeded):
        await desk.people.make_key(here.credential, "c", scopes, None, few)
    desk.now_ms += 1_000
    await desk.people.make_key(here.credential, "c", scopes, None, few)
    stranger = Credential(here.credential.principal, here.credential.expires_at_ms)
    with pytest.raises(Forbidden):
        await desk.people.make_key(stranger, "", scopes, None, few)


async def test_a_key_cannot_rotate_one_that_may_do_more(nursery: trio.Nursery) -> None:
    """Else a leaked key that only manages keys would become one that does everything."""
    desk = Desk(nursery)
    here = await signed_up(desk)
    strong = await desk.people.make_key(here.credential, "", frozenset(Scope), None, SETTINGS)
    weak = await desk.people.make_key(here.credential, "", frozenset({Scope.ACCOUNT}), None, SETTINGS)
    with pytest.raises(Forbidden):
        await desk.people.rotate_key(weak.credential, strong.credential.token_id, overlap_ms=0)
    with pytest.raises(NotFound):
        await desk.people.rotate_key(here.credential, here.credential.token_id, overlap_ms=0)
    assert (
        await desk.people.rotate_key(weak.credential, weak.credential.token_id, overlap_ms=0)
    ).credential == weak.credential


async def test_a_guest_gets_no_role(nursery: trio.Nursery) -> None:
    """It has nothing to log in with: it becomes an account first."""
    desk = Desk(nursery)
    guest = await desk.tokens.issue_guest("Eve")
    with pytest.raises(Conflict):
        await desk.people.change(guest.credential.principal.id, UserChange(role=ServerRole.ADMIN))
    await desk.people.change(guest.credential.principal.id, UserChange(disabled=True))
    assert isinstance(await desk.check(guest.token), Unauthenticated)
