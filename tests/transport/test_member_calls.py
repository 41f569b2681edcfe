"""Calls on members: REST and RPC are one operation, with one answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from trio.testing import MockClock

from hubbub.engine import Author, Role, Visibility
from hubbub.engine.core.compose import LATEST_MS
from hubbub.transport.member_calls import MUTE_S
from hubbub.transport.openapi.parameters import USER_ID_CHARS

from .centrifugal_client import Client
from .town import Town, body, person, town

DEN = "/api/v1/conversations/den"
PUBLIC = Visibility.PUBLIC


@pytest.fixture
async def there(autojump_clock: MockClock) -> AsyncIterator[Town]:
    """The private room `den`: Ada owns it, Max moderates, Bob is a member."""
    async with town() as found:
        await found.room("den", max=Role.MODERATOR, bob=Role.MEMBER)
        yield found


async def status(there: Town, who: str, method: str, path: str, sent: Any = None) -> int:
    return (await there.call(who, method, DEN + path, sent)).status


async def test_members_are_listed_to_those_who_may_read(there: Town) -> None:
    """By id, in pages; strangers learn nothing, mutes without a membership and bans are not listed."""
    room = there.house.engine.conversation("den")
    await room.members.ban("mallory")
    await room.members.mute("zoe", until_ms=LATEST_MS)
    listed = body(await there.call("bob", "GET", DEN + "/members"))
    assert [(row["user"]["id"], row["role"]) for row in listed["members"]] == [
        ("ada", "owner"),
        ("bob", "member"),
        ("max", "moderator"),
    ]
    assert listed["next"] is None
    first = body(await there.call("bob", "GET", DEN + "/members?limit=2"))
    assert ([row["user"]["id"] for row in first["members"]], first["next"]) == (["ada", "bob"], "bob")
    second = body(await there.call("bob", "GET", DEN + "/members?limit=2&after=bob"))
    assert ([row["user"]["id"] for row in second["members"]], second["next"]) == (["max"], None)
    assert (await status(there, "eve", "GET", "/members")) == 404
    for query in ("?limit=0", "?limit=501", "?limit=x"):
        assert (await status(there, "bob", "GET", "/members" + query)) == 400


async def test_one_membership(there: Town) -> None:
    """One's own or another's, to those who may read; a mute is shown, a ban is not."""
    room = there.house.engine.conversation("den")
    await room.members.mute(Author("zoe", "Zoe"), until_ms=LATEST_MS)
    await room.members.ban("mallory")
    row = body(await there.call("bob", "GET", DEN + "/members/bob"))
    assert row == {
        "user": {"id": "bob", "name": "Bob", "kind": "user"},
        "role": "member",
        "joined_at": row["joined_at"],
    }
    zoe = body(await there.call("bob", "GET", DEN + "/members/zoe"))
    assert set(zoe) == {"user", "muted_until"}
    for who, whom in (("bob", "nobody"), ("bob", "mallory"), ("eve", "bob")):
        assert (await status(there, who, "GET", f"/members/{whom}")) == 404


async def test_a_member_is_made_and_changed(there: Town) -> None:
    """By those above; the row shows the name that the account has today."""
    made = await there.call("max", "PUT", DEN + "/members/eve", {"role": "viewer"})
    assert (made.status, body(made)["role"], body(made)["user"]["name"]) == (200, "viewer", "Eve")
    there.people.known["eve"] = Author("eve", "Evelyn")
    changed = body(await there.call("ada", "PUT", DEN + "/members/eve", {"role": "moderator"}))
    assert (changed["role"], changed["user"]["name"]) == ("moderator", "Evelyn")
    for who, whom, role, expected in (
        ("max", "bob", "moderator", 403),
        ("max", "ada", "viewer", 403),
        ("bob", "eve", "viewer", 403),
        ("eve", "eve", "owner", 403),
        ("ada", "ada", "member", 409),
        ("ada", "nobody", "member", 404),
        ("ada", "bob", "king", 400),
        ("ada", "bob", None, 400),
        ("ada", "bob", 3, 400),
    ):
        assert (await status(there, who, "PUT", f"/members/{whom}", {"role": role})) == expected, (who, whom, role)


async def test_who_is_gone_from_the_accounts_can_still_be_changed(there: Town) -> None:
    """The conversation knows it; somebody whom neither knows cannot be made a member."""
    del there.people.known["bob"]
    assert (await status(there, "ada", "PUT", "/members/bob", {"role": "viewer"})) == 200
    assert (await status(there, "ada", "DELETE", "/members/bob")) == 204
    assert (await status(there, "ada", "PUT", "/members/bob", {"role": "viewer"})) == 404


async def test_who_may_not_bring_people_in_does_not_learn_who_there_is(there: Town) -> None:
    """The answer is the same for somebody and for nobody."""
    for who, expected in (("bob", 403), ("eve", 404)):
        for whom in ("root", "nobody"):
            assert (await status(there, who, "PUT", f"/members/{whom}", {"role": "member"})) == expected


async def test_members_leave_and_are_removed(there: Town) -> None:
    """Oneself, or by those above; the last owner stays."""
    assert (await status(there, "bob", "DELETE", "/members/max")) == 403
    assert (await status(there, "max", "DELETE", "/members/bob")) == 204
    assert (await status(there, "bob", "GET", "")) == 404
    assert (await status(there, "max", "DELETE", "/members/bob")) == 404
    assert (await status(there, "max", "POST", "/leave")) == 204
    assert (await status(there, "ada", "POST", "/leave")) == 409
    assert (await status(there, "ada", "DELETE", "/members/ada")) == 409


async def test_a_public_conversation_is_joined(there: Town) -> None:
    """By anybody but the banned; a private one by nobody."""
    await there.room("hall", PUBLIC)
    hall = "/api/v1/conversations/hall"
    joined = await there.call("eve", "POST", hall + "/join")
    assert (joined.status, body(joined)["role"]) == (200, "member")
    assert body(await there.call("eve", "POST", hall + "/join", {})) == body(joined)
    assert (await there.call("eve", "POST", hall + "/leave", {})).status == 204
    assert (await there.call("eve", "POST", hall + "/leave")).status == 403
    await there.call("ada", "PUT", hall + "/bans/eve")
    assert (await there.call("eve", "POST", hall + "/join")).status == 403
    assert (await status(there, "eve", "POST", "/join")) == 404


async def test_a_mute(there: Town) -> None:
    """For seconds or until a time, at most a year; it is seen in the row, and ends."""
    message = {"text": "hi"}
    muted = await there.call("max", "PUT", DEN + "/members/bob/mute", {"seconds": 60})
    assert (muted.status, "muted_until" in body(muted)) == (200, True)
    assert (await status(there, "bob", "POST", "/messages", message)) == 403
    assert (await status(there, "bob", "GET", "/messages")) == 200
    there.house.wall.ahead_ms += 60_000
    assert (await status(there, "bob", "POST", "/messages", message)) == 201
    until = {"until": "2999-01-01T00:00:00Z"}
    assert (await status(there, "max", "PUT", "/members/bob/mute", until)) == 422
    soon = body(await there.call("bob", "GET", DEN + "/members/bob"))["joined_at"].replace("Z", "+00:00")
    ended = await there.call("max", "PUT", DEN + "/members/bob/mute", {"until": soon})
    assert ended.status == 204, "a time that is over ends the mute"
    await there.call("max", "PUT", DEN + "/members/bob/mute", {"seconds": MUTE_S})
    assert (await status(there, "max", "DELETE", "/members/bob/mute")) == 204
    assert (await status(there, "bob", "POST", "/messages", message)) == 201
    for sent in ({}, {"seconds": 1, "until": soon}, {"seconds": -1}, {"seconds": "1"}, {"until": "soon"}):
        assert (await status(there, "max", "PUT", "/members/bob/mute", sent)) == 400
    assert (await status(there, "max", "PUT", "/members/bob/mute", {"until": "2026-01-01T00:00:00"})) == 400
    assert (await status(there, "max", "PUT", "/members/bob/mute", {"seconds": MUTE_S + 1})) == 422
    assert (await status(there, "max", "PUT", "/members/bob/mute", {"seconds": 2**62})) == 422
    assert (await status(there, "max", "PUT", "/members/ada/mute", {"seconds": 1})) == 403
    assert (await status(there, "bob", "PUT", "/members/max/mute", {"seconds": 1})) == 403


async def test_a_ban(there: Town) -> None:
    """Of members and of ids that nobody knows; listed to those in office alone, and ended without a membership."""
    for whom in ("bob", "eve", "of%20another%20program"):
        assert (await status(there, "max", "PUT", f"/bans/{whom}")) == 200
    assert (await status(there, "bob", "GET", "")) == 404
    listed = body(await there.call("max", "GET", DEN + "/bans?limit=2"))
    assert [(row["user"]["name"], row["banned"]) for row in listed["bans"]] == [("Bob", True), ("Eve", True)]
    rest = body(await there.call("max", "GET", f"{DEN}/bans?after={listed['next']}"))
    assert [row["user"]["name"] for row in rest["bans"]] == ["of another program"]
    assert (await status(there, "max", "PUT", "/members/bob", {"role": "member"})) == 409
    assert (await status(there, "max", "DELETE", "/bans/bob")) == 204
    assert (await status(there, "max", "DELETE", "/bans/bob")) == 204
    assert (await status(there, "bob", "GET", "")) == 404
    assert (await status(there, "max", "PUT", "/members/bob", {"role": "member"})) == 200
    for who in ("bob", "eve"):
        assert (await status(there, who, "GET", "/bans")) == (403 if who == "bob" else 404)
    assert (await status(there, "max", "PUT", "/bans/ada")) == 403
    assert (await status(there, "max", "PUT", "/bans/max")) == 409


@pytest.mark.parametrize(("method", "end"), [("PUT", "bans/{}"), ("DELETE", "bans/{}"), ("DELETE", "members/{}/mute")])
async def test_nobody_has_an_id_that_long(there: Town, method: str, end: str) -> None:
    """What an owner bans or mutes by an id that nobody knows is as long as ids are, or it would be kept at any length."""
    long = "x" * USER_ID_CHARS
    assert (await status(there, "ada", method, "/" + end.format(long))) in (200, 204)
    assert (await status(there, "ada", method, "/" + end.format(long + "x"))) == 400


async def test_direct_conversations(there: Town) -> None:
    """The same for both; the other must be somebody; nobody else finds it."""
    path = "/api/v1/conversations"
    made = await there.call("bob", "POST", path, {"kind": "direct", "with": "eve"})
    assert (made.status, body(made)["kind"], body(made)["visibility"]) == (201, "direct", "private")
    again = await there.call("eve", "POST", path, {"kind": "direct", "with": "bob"})
    assert (again.status, body(again)["id"]) == (200, body(made)["id"])
    assert dict(again.headers)["location"] == f"{path}/{body(made)['id']}"
    where = f"{path}/{body(made)['id']}"
    assert (await there.call("eve", "POST", where + "/messages", {"text": "hi"})).status == 201
    for who in ("ada", "root"):
        assert (await there.call(who, "GET", where)).status == 404
    for sent, expected in (
        ({"kind": "direct", "with": "nobody"}, 404),
        ({"kind": "direct", "with": "bob"}, 400),
        ({"kind": "direct"}, 400),
        ({"kind": "direct", "with": 3}, 400),
        ({"kind": "room", "with": "eve"}, 400),
        ({"kind": "direct", "with": "eve", "visibility": "public"}, 400),
        ({"kind": "direct", "with": "eve", "id": "mine"}, 400),
        ({"kind": "choir"}, 400),
    ):
        assert (await there.call("bob", "POST", path, sent)).status == expected, sent


async def test_announcements_and_slow_mode(there: Town) -> None:
    """An announcement is spoken in by its office; slow mode is set by an owner, and says how long to wait."""
    path = "/api/v1/conversations"
    sent = {"id": "news", "kind": "announcement", "visibility": "public"}
    assert body(await there.call("ada", "POST", path, sent))["kind"] == "announcement"
    for who, expected in (("bob", 403), ("ada", 201)):
        assert (await there.call(who, "POST", path + "/news/messages", {"text": "hi"})).status == expected
    assert (await status(there, "max", "PATCH", "", {"slow_s": 30})) == 403
    assert body(await there.call("ada", "PATCH", DEN, {"slow_s": 30}))["slow_s"] == 30
    assert (await status(there, "bob", "POST", "/messages", {"text": "hi"})) == 201
    refused = await there.call("bob", "POST", DEN + "/messages", {"text": "again"})
    assert (refused.status, 28 <= int(dict(refused.headers)["retry-after"]) <= 30) == (429, True)
    for slow_s, expected in ((86_401, 422), (-1, 400), ("30", 400)):
        assert (await status(there, "ada", "PATCH", "", {"slow_s": slow_s})) == expected


async def test_rpc_methods_answer_as_rest_does(there: Town) -> None:
    """Every method, its answer and its refusals."""
    max_ = await client(there, "max")
    row = await max_.rpc("member_put", user="eve", role="viewer")
    assert row == body(await there.call("max", "GET", DEN + "/members/eve"))
    assert await max_.rpc("members", limit=2) == body(await there.call("max", "GET", DEN + "/members?limit=2"))
    assert (await max_.rpc("mute", user="eve", seconds=60))["muted_until"]
    assert await max_.rpc("mute", user="eve", seconds=0) == {}
    assert await max_.rpc("member_remove", user="eve") == {}
    assert (await max_.rpc("ban", user="eve"))["banned"] is True
    assert await max_.rpc("bans") == body(await there.call("max", "GET", DEN + "/bans"))
    assert await max_.rpc("unban", user="eve") == {}
    assert await max_.rpc("leave") == {}
    assert await max_.error("members") == 102
    await there.room("hall", PUBLIC)
    assert (await max_.rpc("join", conversation="hall"))["role"] == "member"
    bob = await client(there, "bob")
    assert await bob.error("ban", user="ada") == 103
    assert await bob.error("member_put", user="eve", role="king") == 107
    assert await bob.error("member_put", role="member") == 107
    assert await bob.error("members", conversation=None) == 107


async def test_a_slow_look_up_of_a_user_leaves_the_others_waiting_for_nothing(there: Town) -> None:
    """Too many calls that wait are refused, over RPC as over REST."""
    there.house.api.waits.count = 256
    max_ = await client(there, "max")
    assert await max_.error("members") == 503
    assert (await status(there, "max", "GET", "/members")) == 503


async def test_a_conversation_of_many_members_is_paged(there: Town) -> None:
    """The largest page is bounded; all pages together are all members."""
    room = there.house.engine.conversation("den")
    for number in range(60):
        await room.members.put(f"user {number:03}")
    seen: list[str] = []
    path: str | None = f"{DEN}/members?limit=25"
    while path is not None:
        page = body(await there.call("bob", "GET", path))
        seen += [row["user"]["id"] for row in page["members"]]
        following = page["next"]
        path = following and f"{DEN}/members?limit=25&after={following.replace(' ', '%20')}"
    assert seen == sorted(member.user.id for member in (await room.members.all()).values() if member.belongs)


@pytest.mark.parametrize("after", ["", "x" * 256])
async def test_a_page_begins_behind_a_user(there: Town, after: str) -> None:
    """What can be no user's id is refused."""
    assert (await status(there, "bob", "GET", f"/members?after={after}")) == 400


class Caller:
    """A connected client that calls methods on the den."""

    def __init__(self, peer: Client) -> None:
        self.peer, self.number = peer, 10

    async def _reply(self, method: str, fields: dict[str, Any]) -> Any:
        self.number += 1
        data = {name: value for name, value in ({"conversation": "den"} | fields).items() if value is not None}
        [reply] = await self.peer.ask({"id": self.number, "rpc": {"method": method, "data": data}})
        assert reply["id"] == self.number
        return reply

    async def rpc(self, method: str, **fields: Any) -> Any:
        return (await self._reply(method, fields))["rpc"]["data"]

    async def error(self, method: str, **fields: Any) -> int:
        return int((await self._reply(method, fields))["error"]["code"])


async def client(there: Town, who: str) -> Caller:
    peer = Client(there.house)
    [reply] = await peer.ask({"id": 1, "connect": {"token": who}})
    assert reply["connect"]["client"]
    return Caller(peer)


async def test_a_guest_joins_and_leaves(there: Town) -> None:
    """Membership needs no account."""
    await there.room("hall", PUBLIC)
    there.has(person("Gus"))
    assert (await there.call("gus", "POST", "/api/v1/conversations/hall/join")).status == 200


async def test_a_direct_conversation_is_hidden_until_it_goes_on(there: Town) -> None:
    """From one's own list only, over REST and RPC; a room is not hidden, and nobody hides what is others'."""
    pair = body(await there.call("bob", "POST", "/api/v1/conversations", {"kind": "direct", "with": "ada"}))["id"]
    path = f"/api/v1/conversations/{pair}"

    async def listed(who: str) -> bool:
        page = body(await there.call(who, "GET", "/api/v1/conversations"))["conversations"]
        return pair in {row["id"] for row in page}

    hidden = await there.call("bob", "POST", path + "/hide")
    assert (hidden.status, await listed("bob"), await listed("ada")) == (204, False, True)
    assert (await there.call("bob", "GET", path)).status == 200
    assert (await there.call("ada", "POST", path + "/messages", {"text": "hi"})).status == 201
    assert await listed("bob")
    bob = await client(there, "bob")
    assert await bob.rpc("hide", conversation=pair) == {}
    assert not await listed("bob")
    assert await bob.error("hide", conversation="nobody-home") == 102
    assert (await status(there, "bob", "POST", "/hide")) == 409
    assert (await there.call("eve", "POST", path + "/hide")).status == 404
