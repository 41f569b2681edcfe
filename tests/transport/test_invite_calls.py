"""Calls on invites, as REST clients see them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import Role
from hubbub.transport.http_message import Response

from .town import Town, body, person, town

INVITES = "/api/v1/conversations/den/invites"


@pytest.fixture
async def there(autojump_clock: MockClock) -> AsyncIterator[Town]:
    """The private room `den`: Ada owns it, Max moderates, Bob is a member."""
    async with town() as found:
        await found.room("den", max=Role.MODERATOR, bob=Role.MEMBER)
        yield found


async def make(there: Town, **fields: object) -> str:
    """The token of a fresh invite of Max's."""
    made = await there.call("max", "POST", INVITES, fields)
    assert made.status == 201
    return str(body(made)["token"])


async def accept(there: Town, who: str, token: str) -> Response:
    return await there.call(who, "POST", f"/api/v1/invites/{token}/accept")


async def test_an_invite_from_making_to_accepting(there: Town) -> None:
    """The token is shown once; its bearer sees title, role, who invites and until when, and becomes a member."""
    made = body(await there.call("max", "POST", INVITES, {"role": "viewer", "ttl_s": 3600}))
    token = made.pop("token")
    assert (made["state"], made["role"], made["made_by"]["id"]) == ("open", "viewer", "max")
    assert body(await there.call("ada", "GET", INVITES)) == {"invites": [made], "next": None}
    seen = body(await there.call("eve", "GET", f"/api/v1/invites/{token}"))
    assert seen == {"title": "den", "role": "viewer", "invited_by": "Max", "expires_at": made["expires_at"]}
    accepted = await accept(there, "eve", token)
    assert (accepted.status, body(accepted)["conversation"]) == (200, "den")
    assert body(accepted)["member"] == body(await there.call("eve", "GET", "/api/v1/conversations/den/members/eve"))
    for who in ("eve", "root"):
        for answer in (await accept(there, who, token), await there.call(who, "GET", f"/api/v1/invites/{token}")):
            assert (answer.status, body(answer)["code"]) == (410, "no_longer_valid")
    [row] = body(await there.call("ada", "GET", INVITES))["invites"]
    assert (row["state"], row["accepted_by"]) == ("accepted", "eve")


async def test_of_fifty_who_accept_at_once_one_gets_in(there: Town) -> None:
    """The others are told 409 or 410."""
    there.has(*(person(f"p{number}") for number in range(50)))
    for number in range(50):
        await there.call(f"p{number}", "GET", "/api/v1/auth/me")  # so many tokens are not looked up at once
    token, answers = await make(there), []

    async def one(who: str) -> None:
        answers.append((await accept(there, who, token)).status)

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(one, f"p{number}")
    assert (answers.count(200), len(answers)) == (1, 50)
    assert set(answers) <= {200, 409, 410}


async def test_an_invite_bound_to_an_account(there: Town) -> None:
    """By user name or e-mail address, whatever its case; others get 403 and learn nothing."""
    there.people.e_mails["eve"] = "eve@example.org"
    for bound_to in ("EVE", "Eve@Example.org"):
        token = await make(there, bound_to=bound_to)
        for answer in (await accept(there, "root", token), await there.call("root", "GET", f"/api/v1/invites/{token}")):
            assert (answer.status, b'"den"' in answer.body) == (403, False)
        assert (await accept(there, "eve", token)).status == 200
        await there.call("eve", "POST", "/api/v1/conversations/den/leave")


async def test_who_may_handle_invites(there: Town) -> None:
    """Those in office; a member gets 403, a stranger 404."""
    token = await make(there)
    [row] = body(await there.call("max", "GET", INVITES))["invites"]
    for who, expected in (("bob", 403), ("eve", 404)):
        for method, path, sent in (
            ("GET", "", None),
            ("POST", "", {}),
            ("DELETE", "/" + row["id"], None),
        ):
            assert (await there.call(who, method, INVITES + path, sent)).status == expected
    assert (await there.call("ada", "DELETE", INVITES + "/" + row["id"])).status == 204
    assert (await there.call("ada", "DELETE", INVITES + "/" + row["id"])).status == 204
    assert (await accept(there, "eve", token)).status == 410
    [row] = body(await there.call("max", "GET", INVITES))["invites"]
    assert row["state"] == "revoked"


async def test_bad_input(there: Town) -> None:
    """Each bound has its refusal."""
    for sent, expected in (
        ({"role": "owner"}, 400),
        ({"role": 1}, 400),
        ({"role": "moderator"}, 403),
        ({"ttl_s": 59}, 422),
        ({"ttl_s": 2_592_001}, 422),
        ({"ttl_s": "60"}, 400),
        ({"ttl_s": True}, 400),
        ({"bound_to": ""}, 422),
        ({"bound_to": "a\x00"}, 422),
        ({"bound_to": ["eve"]}, 400),
    ):
        assert (await there.call("max", "POST", INVITES, sent)).status == expected, sent
    for query in ("?limit=0", "?limit=501", "?after=x"):
        assert (await there.call("max", "GET", INVITES + query)).status == 400
    assert (await there.call("max", "DELETE", INVITES + "/x")).status == 400
    for token in ("x", "hbi_unknown", "%20", "x" * 300):
        assert (await accept(there, "eve", token)).status == 404
    assert (await accept(there, "bob", await make(there))).status == 409


async def test_pages_of_invites(there: Town) -> None:
    """By age; `next` leads on."""
    for _ in range(3):
        there.house.wall.ahead_ms += 1
        await make(there)
    first = body(await there.call("max", "GET", INVITES + "?limit=2"))
    rest = body(await there.call("max", "GET", f"{INVITES}?limit=2&after={first['next']}"))
    assert [len(page["invites"]) for page in (first, rest)] == [2, 1]
    assert rest["next"] is None
