"""Calls on one's own blocks, over REST and RPC, and what they keep others from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from trio.testing import MockClock

from hubbub.engine.core.blocks import MAX_BLOCKS
from hubbub.engine.core.principals import Scope

from .test_member_calls import client
from .town import Town, body, person, town

BLOCKS = "/api/v1/blocks"
CONVERSATIONS = "/api/v1/conversations"


@pytest.fixture
async def there(autojump_clock: MockClock) -> AsyncIterator[Town]:
    """Ada, Bob, Max and Eve."""
    async with town() as found:
        yield found


async def test_a_block_from_making_to_ending(there: Town) -> None:
    """It is listed to its maker alone, made and ended as often as one likes, and may be about an id that nobody has."""
    made = await there.call("ada", "PUT", BLOCKS + "/bob")
    assert (made.status, body(made)["user"]) == (200, {"id": "bob", "name": "Bob", "kind": "user"})
    assert body(await there.call("ada", "PUT", BLOCKS + "/bob")) == body(made)
    nobody = body(await there.call("ada", "PUT", BLOCKS + "/zoe"))
    assert body(await there.call("ada", "GET", BLOCKS)) == {"blocks": [body(made), nobody], "next": None}
    assert body(await there.call("ada", "GET", BLOCKS + "?limit=1")) == {"blocks": [body(made)], "next": "bob"}
    assert body(await there.call("ada", "GET", BLOCKS + "?after=bob"))["blocks"] == [nobody]
    assert body(await there.call("bob", "GET", BLOCKS))["blocks"] == []
    for _ in range(2):
        ended = await there.call("ada", "DELETE", BLOCKS + "/bob")
        assert (ended.status, ended.body) == (204, b"")
    assert body(await there.call("ada", "GET", BLOCKS))["blocks"] == [nobody]


async def test_who_is_blocked_is_refused_and_told_nothing(there: Town) -> None:
    """A new direct conversation, a post, a signal, a membership: 403 each, in words that are also said for other reasons."""
    pair = body(await there.call("bob", "POST", CONVERSATIONS, {"kind": "direct", "with": "ada"}))["id"]
    await there.room("den")
    await there.call("eve", "POST", CONVERSATIONS, {"id": "eves"})
    for who in ("bob", "eve"):
        await there.call("ada", "PUT", f"{BLOCKS}/{who}")
    for who, method, path, sent in (
        ("bob", "POST", f"{CONVERSATIONS}/{pair}/messages", {"text": "hi"}),
        ("bob", "POST", f"{CONVERSATIONS}/{pair}/typing", None),
        ("eve", "POST", CONVERSATIONS, {"kind": "direct", "with": "ada"}),
        ("eve", "PUT", f"{CONVERSATIONS}/eves/members/ada", {"role": "member"}),
    ):
        refused = await there.call(who, method, path, sent)
        assert (refused.status, body(refused)["code"]) == (403, "forbidden")
        assert "block" not in body(refused)["detail"]
    for method, path, sent in (
        ("POST", f"{CONVERSATIONS}/{pair}/messages", {"text": "hi"}),
        ("POST", CONVERSATIONS, {"kind": "direct", "with": "eve"}),
        ("PUT", f"{CONVERSATIONS}/den/members/eve", {"role": "member"}),
    ):
        assert "end the block" in body(await there.call("ada", method, path, sent))["detail"]
    found = await there.call("bob", "POST", CONVERSATIONS, {"kind": "direct", "with": "ada"})
    assert (found.status, body(found)["id"]) == (200, pair)
    assert (await there.call("bob", "GET", f"{CONVERSATIONS}/{pair}/messages")).status == 200


async def test_a_socket_that_is_open_is_refused_at_once(there: Town) -> None:
    """The subscription goes on; the next post over it is refused, until the block ends."""
    pair = body(await there.call("bob", "POST", CONVERSATIONS, {"kind": "direct", "with": "ada"}))["id"]
    bob = await client(there, "bob")
    assert await bob.rpc("post", conversation=pair, text="hi")
    await there.call("ada", "PUT", BLOCKS + "/bob")
    assert await bob.error("post", conversation=pair, text="hi") == 103
    assert len((await bob.rpc("history", conversation=pair))["messages"]) == 1
    await there.call("ada", "DELETE", BLOCKS + "/bob")
    assert await bob.rpc("post", conversation=pair, text="hi")


async def test_rpc_methods_answer_as_rest_does(there: Town) -> None:
    """Every method, its answer and its refusals; a key that only reads may use none."""
    ada = await client(there, "ada")
    row = await ada.rpc("block", user="bob")
    assert row == body(await there.call("ada", "PUT", BLOCKS + "/bob"))
    assert await ada.rpc("blocks", limit=5) == body(await there.call("ada", "GET", BLOCKS + "?limit=5"))
    assert await ada.rpc("unblock", user="bob") == {}
    assert await ada.error("block") == 107
    there.has(person("Kim", scopes=frozenset({Scope.READ})))
    kim = await client(there, "kim")
    for method in ("blocks", "block", "unblock"):
        assert await kim.error(method, user="bob") == 103


async def test_what_cannot_be_blocked(there: Town) -> None:
    """Oneself, an id that cannot be stored, and the thousand and first."""
    assert (await there.call("ada", "PUT", BLOCKS + "/ada")).status == 409
    for method in ("PUT", "DELETE"):
        assert (await there.call("ada", method, f"{BLOCKS}/{'x' * 256}")).status == 400
    for number in range(MAX_BLOCKS):
        await there.house.engine.blocks.put(f"p{number}", by=there.principals["ada"])
    refused = await there.call("ada", "PUT", BLOCKS + "/bob")
    assert body(refused)["code"] == "limit_exceeded"
    assert (await there.call("ada", "PUT", BLOCKS + "/p1")).status == 200
