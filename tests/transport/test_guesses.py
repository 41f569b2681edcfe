"""Attempts to get in, by address and by account: who is slowed down, and who is not."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import Forbidden, Unauthenticated
from hubbub.engine.core.errors import Overloaded, RateLimited, StoreUnavailable
from hubbub.transport.guesses import guessing_login, guessing_present
from hubbub.transport.http_message import Response
from hubbub.transport.identity.settings import SignUp
from hubbub.transport.limit_settings import LimitSettings, Profile
from hubbub.transport.limits import Limits

from .house import PASSWORD, House, head_of, house

FAST = Profile(rate=1000, burst=1000)
TWO = Profile(rate=1, period_s=60, burst=2)
HERE, THERE = "203.0.113.7", "198.51.100.1"


async def ask(there: House, peer: str, method: str, path: str, body: Any, *headers: str) -> Response:
    """One request from an address."""
    return await there.dispatch(head_of(method, path, *headers), json.dumps(body).encode(), peer)


async def log_in(there: House, peer: str, username: str = "ada", password: str = PASSWORD) -> Response:
    """One attempt to log in."""
    return await ask(there, peer, "POST", "/api/v1/auth/login", {"username": username, "password": password})


def limit(there: House, **profiles: Profile) -> None:
    """Set profiles."""
    now = there.api.live.current
    there.api.live.replace(attrs.evolve(now, limits=LimitSettings(**profiles)))


def told(answer: Response) -> int:
    """How long a refused one is told to wait, seconds."""
    assert (answer.status, json.loads(answer.body)["code"]) == (429, "rate_limited")
    return int(dict(answer.headers)["retry-after"])


# -- by address -------------------------------------------------------------------------------------------------------


async def test_the_eleventh_login_from_one_address(autojump_clock: MockClock) -> None:
    """429 with Retry-After, whoever is named; another address is let in; who waits as told is, too."""
    async with house() as there:
        await there.account()
        statuses = [(await log_in(there, HERE, f"user{number}")).status for number in range(10)]
        assert statuses == [401] * 10
        after_s = told(await log_in(there, HERE))
        assert (await log_in(there, THERE)).status == 200
        await trio.sleep(after_s)
        assert (await log_in(there, HERE)).status == 200


async def test_the_eleventh_try_of_the_setup_token(autojump_clock: MockClock) -> None:
    """It counts as logging in."""
    async with house() as there:
        body = {"token": "hbu_guessed", "username": "root", "password": PASSWORD}
        statuses = [(await ask(there, HERE, "POST", "/api/v1/setup", body)).status for _ in range(10)]
        assert statuses == [403] * 10
        told(await ask(there, HERE, "POST", "/api/v1/setup", body))
        body["token"] = there.setup.token or ""
        assert (await ask(there, THERE, "POST", "/api/v1/setup", body)).status == 201


async def test_new_accounts_of_one_address(autojump_clock: MockClock) -> None:
    """Signing up and a guest who becomes an account use up one limit."""
    async with house(sign_up=SignUp.OPEN) as there:
        limit(there, sign_up=TWO)

        def body(name: str) -> dict[str, str]:
            return {"username": name, "password": PASSWORD}

        bearer = f"Authorization: Bearer {there.token}"
        assert (await ask(there, HERE, "POST", "/api/v1/auth/signup", body("ada"))).status == 201
        assert (await ask(there, HERE, "POST", "/api/v1/auth/signup", body("bob"))).status == 201
        told(await ask(there, HERE, "POST", "/api/v1/auth/signup", body("carl")))
        told(await ask(there, HERE, "POST", "/api/v1/auth/upgrade", body("eve"), bearer))
        assert (await ask(there, THERE, "POST", "/api/v1/auth/upgrade", body("eve"), bearer)).status == 201


# -- by account -------------------------------------------------------------------------------------------------------


async def test_nobody_can_lock_somebody_else_out(autojump_clock: MockClock) -> None:
    """Wrong passwords for one account slow down the address that sends them: not the account, and not its other guests."""
    async with house() as there:
        limit(there, login=FAST)
        await there.account("bob")
        issued = await there.log_in("ada")
        statuses = [(await log_in(there, HERE, " ADA ", "wrong horse")).status for _ in range(10)]
        assert statuses == [401] * 10
        refused = await log_in(there, HERE)
        assert told(refused) == 90
        assert refused.quota == (10, 0, 900)
        assert (await log_in(there, THERE)).status == 200
        assert (await log_in(there, HERE, "bob")).status == 200
        there.token = issued.token
        assert (await there.call("GET", "/api/v1/auth/me")).status == 200
        await trio.sleep(90)
        assert (await log_in(there, HERE)).status == 200


async def test_right_passwords_use_nothing_up(autojump_clock: MockClock) -> None:
    """However often one logs in; wrong ones in between stay counted."""
    async with house() as there:
        limit(there, login=FAST, password=TWO)
        await there.account()
        tries = [PASSWORD, PASSWORD, PASSWORD, "wrong horse", PASSWORD, "wrong horse"]
        statuses = [(await log_in(there, HERE, password=each)).status for each in tries]
        assert statuses == [200, 200, 200, 401, 200, 401]
        told(await log_in(there, HERE))


async def test_names_that_nobody_has_are_slowed_down_alike(autojump_clock: MockClock) -> None:
    """Else the limit would tell who has an account; what cannot be a name is no key of it."""
    async with house() as there:
        limit(there, login=FAST, password=TWO)
        for _ in range(2):
            assert (await log_in(there, HERE, "nobody")).status == 401
        told(await log_in(there, HERE, "nobody"))
        for number in range(3):
            assert (await log_in(there, HERE, "x" * 1000 + str(number))).status == 401
        [status] = [each for each in there.api.admission.limits.status() if each.name == "password"]
        assert status.buckets == 1


@pytest.mark.parametrize(
    ("method", "body"),
    [("PATCH", {"password": "another horse", "present_password": "wrong"}), ("DELETE", {"password": "wrong"})],
)
async def test_the_present_password_cannot_be_found_out_with_a_stolen_session(
    method: str, body: dict[str, str], autojump_clock: MockClock
) -> None:
    """From whatever addresses it is tried; logging in is not affected, and a new name needs no password."""
    async with house() as there:
        limit(there, password=TWO)
        there.token = (await there.log_in()).token
        bearer = f"Authorization: Bearer {there.token}"
        path = "/api/v1/auth/me"
        statuses = [(await ask(there, peer, method, path, body, bearer)).status for peer in (HERE, THERE)]
        assert statuses == [403, 403]
        assert told(await ask(there, "192.0.2.1", method, path, body, bearer)) == 60
        assert (await ask(there, HERE, "PATCH", path, {"name": "Ada L."}, bearer)).status == 200
        assert (await log_in(there, HERE)).status == 200


def judge() -> Limits:
    """Limits of two wrong passwords."""
    return Limits(LimitSettings(password=TWO), lambda: 0)


@pytest.mark.parametrize("error", [StoreUnavailable(), Overloaded("too many passwords are being checked")])
def test_what_the_server_refuses_is_no_guess(error: Exception) -> None:
    """A store that is away must not keep people out once it is back."""
    limits = judge()
    for _ in range(3):
        with pytest.raises(type(error)), guessing_login(limits, "ada", HERE):
            raise error
    for _ in range(3):
        with guessing_present(limits, "ada"):
            pass


def test_tries_at_the_same_time_count_before_their_answer() -> None:
    """Else a thousand at once would all be let through; those that were right make room."""
    limits = judge()
    for _ in range(2):
        with ExitStack() as begun:
            for _ in range(2):
                begun.enter_context(guessing_login(limits, "ada", HERE))
            with pytest.raises(RateLimited):
                begun.enter_context(guessing_login(limits, "ada", HERE))


def test_whoever_has_no_address_is_not_limited_by_it() -> None:
    """A login from this machine, while no proxy is named; what is tried with a credential is limited all the same."""
    limits = judge()
    for _ in range(3):
        with pytest.raises(Unauthenticated), guessing_login(limits, "ada", None):
            raise Unauthenticated("wrong")
    for _ in range(2):
        with pytest.raises(Forbidden), guessing_present(limits, "ada"):
            raise Forbidden("wrong")
    with pytest.raises(RateLimited), guessing_present(limits, "ada"):
        pass
