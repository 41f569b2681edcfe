"""Looking people up by user name: the whole name, by those who have an account, and nothing but what everybody sees."""

from __future__ import annotations

import json

import attrs
import pytest
from trio.testing import MockClock

from .house import House, house

ASKED = "/api/v1/users/"


async def ask(there: House, name: str) -> tuple[int, dict[str, str]]:
    """Look a name up as Ada, who has an account."""
    there.token = (await there.log_in("ada")).token
    answer = await there.call("GET", ASKED + name)
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("name", ["bob", "BOB", "Bob"])
async def test_somebody_is_found_by_the_whole_name(name: str, autojump_clock: MockClock) -> None:
    """Upper case is folded, and what is shown is what everybody sees of an author."""
    async with house() as there:
        bob = await there.account("bob")
        assert await ask(there, name) == (200, {"id": bob.id, "name": "bob", "kind": "user"})


@pytest.mark.parametrize("name", ["bo", "bobb", "carl", "-", "B%C3%B6b", "x" * 300])
async def test_nobody_is_found_by_a_part_of_it(name: str, autojump_clock: MockClock) -> None:
    """What is no user name is answered as nobody's."""
    async with house() as there:
        await there.account("bob")
        status, problem = await ask(there, name)
        assert (status, problem["code"]) == (404, "not_found")


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"disabled": True}), ("DELETE", None)])
async def test_who_is_gone_is_not_found(method: str, body: object, autojump_clock: MockClock) -> None:
    """Disabled or deleted."""
    async with house() as there:
        bob = await there.account("bob")
        await there.operate(method, f"/api/v1/admin/users/{bob.id}", body)
        assert (await ask(there, "bob"))[0] == 404


async def test_a_guest_looks_nobody_up(autojump_clock: MockClock) -> None:
    """The answer is the same for somebody and for nobody."""
    async with house() as there:
        await there.account("bob")
        for name in ("bob", "nobody"):
            assert (await there.call("GET", ASKED + name)).status == 403


async def test_a_user_name_is_no_id(autojump_clock: MockClock) -> None:
    """A ban, a mute or a block by user name would be about an id that nobody has: it is refused, and by id it is made."""
    async with house() as there:
        bob = await there.account("bob")
        ada = attrs.evolve(there, token=(await there.log_in("ada")).token)
        room = "/api/v1/conversations/den"
        assert (await ada.call("POST", "/api/v1/conversations", {"id": "den"})).status == 201
        for path, sent in (
            (room + "/bans/{}", None),
            (room + "/members/{}/mute", {"seconds": 60}),
            ("/api/v1/blocks/{}", None),
        ):
            for name in ("bob", "BOB"):
                refused = await ada.call("PUT", path.format(name), sent)
                assert (refused.status, json.loads(refused.body)["code"]) == (422, "unprocessable")
            assert (await ada.call("PUT", path.format(bob.id), sent)).status == 200
            assert (await ada.call("PUT", path.format("somebody"), sent)).status == 200


async def test_a_guest_learns_no_user_name_by_banning(autojump_clock: MockClock) -> None:
    """It is answered as for an id that nobody has."""
    async with house() as there:
        await there.account("bob")
        for name in ("bob", "nobody"):
            assert (await there.call("PUT", f"/api/v1/blocks/{name}")).status == 200
