"""The operator's endpoints on a real engine in memory: who gets in, and what is told."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import Draft, StoreHealth
from hubbub.transport.admin import ADMIN_ROUTES
from hubbub.transport.http_message import Response
from hubbub.transport.metrics import CONTENT_TYPE
from hubbub.transport.operator import OperatorKey

from ..engine.world import poison
from .house import OPERATOR_TOKEN, House, head_of, house, operator_access
from .world import serving

QUARANTINED = "/api/v1/admin/quarantined"
ASKED = [(route.method, route.path.replace("{id}", "lobby")) for route in ADMIN_ROUTES]


def body(answer: Response) -> Any:
    return json.loads(answer.body)


async def quarantine(there: House, name: str = "lobby") -> None:
    """Crash a conversation until it is quarantined."""
    with trio.fail_after(600):
        while not there.engine.quarantined():
            poison(there.engine, name=name)
            await trio.sleep(1)


@pytest.mark.parametrize(("method", "path"), ASKED)
async def test_only_the_operator_gets_in(method: str, path: str, autojump_clock: MockClock) -> None:
    """Nobody, a false token and a guest are refused as on other routes; the operator is not."""
    async with house() as there:
        assert (await there.dispatch(head_of(method, path))).status == 401
        assert (await there.dispatch(head_of(method, path, "Authorization: Bearer hbo_" + "f" * 43))).status == 401
        guest = await there.call(method, path)
        assert (guest.status, body(guest)["code"]) == (403, "forbidden")
        cookie = f"Cookie: hubbub_session={OPERATOR_TOKEN}"
        assert (await there.dispatch(head_of(method, path, cookie, "Origin: http://test"))).status == 401
        allowed = await there.operate(method, path)
        assert allowed.status == (404 if method == "DELETE" else 200)


@pytest.mark.parametrize(("method", "path"), ASKED)
async def test_a_server_without_a_key_knows_no_operator(method: str, path: str, autojump_clock: MockClock) -> None:
    """Without a kept token the same text is an unknown token like any other."""
    async with house() as there:
        there.api = attrs.evolve(there.api, operator=attrs.evolve(operator_access(), key=None))
        answer = await there.dispatch(head_of(method, path, f"Authorization: Bearer {OPERATOR_TOKEN}"))
        assert (answer.status, body(answer)["code"]) == (401, "unauthenticated")


async def test_the_token_opens_nothing_else(autojump_clock: MockClock) -> None:
    """It is no account: rooms do not know it."""
    async with house() as there:
        assert (await there.operate("GET", "/api/v1/conversations")).status == 401
        assert (await there.operate("GET", "/api/v1/auth/me")).status == 401


async def test_the_operator_is_admitted_while_the_store_is_away(autojump_clock: MockClock) -> None:
    """Its token needs no look-up."""
    async with house() as there:
        there.close_gate()
        assert (await there.operate("GET", "/metrics")).status == 200
        assert (await there.operate("GET", "/api/v1/admin/tree")).status == 200


async def test_the_tree(autojump_clock: MockClock) -> None:
    """The parts of the engine and the rooms in memory, with their mailboxes."""
    async with house() as there:
        await there.engine.conversation("lobby").post(Draft("hello", author="ada"))
        tree = body(await there.operate("GET", "/api/v1/admin/tree"))["tree"]
        parts = {part["name"]: part for part in tree["children"]}
        assert (tree["name"], set(parts)) == ("engine", {"storage", "reads", "housekeeping", "conversations"})
        rooms = parts["conversations"]
        assert (rooms["kind"], rooms["depth"]) == ("registry", 1)
        [room] = rooms["children"]
        assert (room["name"], room["state"], room["depth"]) == ("lobby", "running", 0)


async def test_the_tree_is_bounded(autojump_clock: MockClock) -> None:
    """Of many rooms a hundred are shown, and how many are not."""
    async with house() as there:
        for number in range(130):
            await (await there.engine.create(f"room-{number}")).post(Draft("hello", author="ada"))
        tree = body(await there.operate("GET", "/api/v1/admin/tree"))["tree"]
        rooms = tree["children"][-1]
        assert (len(rooms["children"]), rooms["omitted"]) == (100, 30)


async def test_the_loudest_rooms(autojump_clock: MockClock) -> None:
    """Most subscribers first, with what waits and how far the slowest is behind."""
    async with house() as there:
        loud = await there.engine.create("loud")
        await there.engine.conversation("lobby").post(Draft("hello", author="ada"))
        async with loud.subscribe(), loud.subscribe():
            for text in ("one", "two", "three"):
                await loud.post(Draft(text, author="ada"))
            found = body(await there.operate("GET", "/api/v1/admin/rooms"))
            assert (found["conversations"], found["subscribers"]) == (2, 2)
            first = found["rooms"][0]
            assert (first["conversation"], first["subscribers"], first["offset"]) == ("loud", 2, 3)
            assert first["tail_events"] == 3
            assert 0 < first["tail_bytes"] <= found["tail_bytes"]
            assert (first["mailbox"], first["waiting"]) == (0, 0)
            one = body(await there.operate("GET", "/api/v1/admin/rooms?limit=1"))
            assert [room["conversation"] for room in one["rooms"]] == ["loud"]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x"])
async def test_a_limit_has_bounds(limit: str, autojump_clock: MockClock) -> None:
    """From 1 to 100."""
    async with house() as there:
        answer = await there.operate("GET", f"/api/v1/admin/rooms?limit={limit}")
        assert (answer.status, body(answer)["code"]) == (400, "invalid_request")


async def test_a_quarantined_room_is_listed_and_released(autojump_clock: MockClock) -> None:
    """Its reason is in the list and in the tree; releasing it once is 204, twice 404."""
    async with house() as there:
        await quarantine(there)
        [found] = body(await there.operate("GET", QUARANTINED))["quarantined"]
        assert found["conversation"] == "lobby"
        assert found["crashes"] >= 5
        assert found["since"].endswith("Z")
        assert "object" in found["reason"]
        tree = body(await there.operate("GET", "/api/v1/admin/tree"))["tree"]
        [room] = tree["children"][-1]["children"]
        assert (room["state"], room["reason"]) == ("quarantined", found["reason"])
        released = await there.operate("DELETE", f"{QUARANTINED}/lobby")
        assert (released.status, released.body) == (204, b"")
        assert body(await there.operate("GET", QUARANTINED)) == {"quarantined": []}
        assert (await there.operate("DELETE", f"{QUARANTINED}/lobby")).status == 404
        await there.engine.conversation("lobby").post(Draft("well again", author="ada"))


async def test_a_name_that_cannot_be_one_is_refused(autojump_clock: MockClock) -> None:
    """400, as on other routes."""
    async with house() as there:
        assert (await there.operate("DELETE", f"{QUARANTINED}/a%20b")).status == 400


async def test_both_lanes_serve_the_operator(patient_clock: MockClock) -> None:
    """A connection that Hypercorn owns gets the same answers."""
    async with serving(api={"operator": operator_access()}) as world:
        await world.engine.conversation("lobby").post(Draft("hello", author="ada"))
        bearer = {"authorization": f"Bearer {OPERATOR_TOKEN}"}
        async with world.client() as hot, world.cold_client() as cold:
            for path in ("/api/v1/admin/tree", "/api/v1/admin/rooms", QUARANTINED):
                there, here = await hot.ask("GET", path, **bearer), await cold.ask("GET", path, **bearer)
                assert (there.status, there.json) == (here.status, here.json) == (200, here.json)
            for client in (hot, cold):
                page = await client.ask("GET", "/metrics", **bearer)
                assert (page.status, page.header("content-type")) == (200, CONTENT_TYPE)
                assert (await client.ask("HEAD", "/metrics", **bearer)).body == b""
                assert (await client.ask("GET", "/metrics")).status == 401
                assert (await client.ask("DELETE", f"{QUARANTINED}/lobby", **bearer)).status == 404


def test_a_key_does_not_show_itself() -> None:
    """Neither the token nor its digest is in what a log would print."""
    key = OperatorKey.of(OPERATOR_TOKEN)
    assert repr(key) == "OperatorKey()"
    assert key.admits(OPERATOR_TOKEN)
    assert not key.admits(OPERATOR_TOKEN + "t")


@pytest.mark.parametrize("token", ["", "short"])
def test_a_short_token_is_no_key(token: str) -> None:
    """What can be guessed is refused when the server is put together."""
    with pytest.raises(ValueError, match="at least 32"):
        OperatorKey.of(token)


def test_a_digest_has_its_length() -> None:
    """An embedder who passes the token itself is told."""
    with pytest.raises(ValueError, match="SHA-256"):
        OperatorKey(OPERATOR_TOKEN.encode())


async def test_loud_rooms_come_before_full_ones(autojump_clock: MockClock) -> None:
    """A room in which something was said just now is louder than one in which many are silent; after a while no more."""
    async with house() as there:
        full = await there.engine.create("full")
        async with full.subscribe(), full.subscribe():
            await there.engine.conversation("lobby").post(Draft("hello", author="ada"))
            rooms = body(await there.operate("GET", "/api/v1/admin/rooms"))["rooms"]
            assert [(room["conversation"], room["recent"], room["slow"]) for room in rooms] == [
                ("lobby", 1, 0),
                ("full", 0, 0),
            ]
            there.wall.ahead_ms += 11_000
            rooms = body(await there.operate("GET", "/api/v1/admin/rooms"))["rooms"]
            assert [(room["conversation"], room["recent"]) for room in rooms] == [("full", 0), ("lobby", 0)]


async def test_the_figures(autojump_clock: MockClock) -> None:
    """What was posted, asked and refused is counted; nothing is named."""
    async with house() as there:
        await there.engine.conversation("lobby").post(Draft("hello", author="ada"))
        await there.dispatch(head_of("GET", "/api/v1/auth/me"))
        found = body(await there.operate("GET", "/api/v1/admin/figures"))
        assert (found["ready"], found["problems"]) == (True, [])
        assert found["commits"]["rows"] == 1
        assert found["commits"]["seconds"]["counts"][-1] == found["commits"]["transactions"]
        assert found["refusals"] == [{"code": "unauthenticated", "count": 1}]
        assert found["rooms"]["conversations"] == 1
        assert "lobby" not in json.dumps(found)


async def test_a_store_that_is_away_is_told(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures and the tree say why nothing can be stored, and answer all the same."""
    async with house() as there:
        away = StoreHealth(ready=False, problems=("the database is away",))
        monkeypatch.setattr(there.store, "health", lambda: away)
        found = body(await there.operate("GET", "/api/v1/admin/figures"))
        assert (found["ready"], found["problems"]) == (False, ["the database is away"])
        tree = body(await there.operate("GET", "/api/v1/admin/tree"))["tree"]
        [storage] = [part for part in tree["children"] if "reason" in part]
        assert (storage["name"], storage["reason"]) == ("storage", "the database is away")
