"""The REST endpoints on a real engine in memory, without HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import Draft, Visibility
from hubbub.engine.core.permissions import Access
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.http_message import Response

from .house import House, head_of, house, quarantine

ROOM = "/api/v1/conversations/lobby"


def body(answer: Response) -> Any:
    return json.loads(answer.body)


async def test_every_route_but_the_open_ones_needs_a_principal(autojump_clock: MockClock) -> None:
    """The table says which are open; all others answer 401 to nobody."""
    async with house() as there:
        seen_open = set()
        for route in ROUTES.routes:
            if route.stream:
                continue  # its machine is tested in test_sse
            answer = await there.dispatch(head_of(route.method, route.path.replace("{id}", "lobby")))
            assert (answer.status == 401) is (route.access is not Access.ANYONE), route.path
            if route.access is Access.ANYONE:
                seen_open.add(route.path)
        entrances = {f"/api/v1/auth/{name}" for name in ("guest", "login", "signup", "session")}
        described = {"/health", "/health/ready", "/api/v1/version", "/openapi.json", "/.well-known/security.txt"}
        providers = {f"/api/v1/auth/oidc{rest}" for rest in ("", "/{provider}/login", "/{provider}/callback")}
        assert seen_open == {*described, "/api/v1/setup", "/emulation", *entrances, *providers}


async def test_health_and_version(autojump_clock: MockClock) -> None:
    """Health stays 200 while the engine drains; readiness tells."""
    async with house() as there:
        assert body(await there.call("GET", "/health")) == {"status": "ok"}
        assert body(await there.call("GET", "/health/ready")) == {"status": "ready", "problems": []}
        said = body(await there.call("GET", "/api/v1/version"))
        assert said["name"] == "hubbub"
        assert (said["guests"], said["sign_up"], said["password_min_chars"]) == (True, "off", 8)
        assert said["set_up"] is False
        there.setup.close()
        assert body(await there.call("GET", "/api/v1/version"))["set_up"] is True
        there.engine.drain()
        assert (await there.call("GET", "/health")).status == 200
        answer = await there.call("GET", "/health/ready")
        assert (answer.status, body(answer)["status"]) == (503, "unavailable")
        assert (await there.call("POST", ROOM + "/messages", {"text": "late"})).status == 503


async def test_a_guest_is_made(autojump_clock: MockClock) -> None:
    """Token, user and end in the answer; the same token in a cookie that scripts cannot read."""
    async with house() as there:
        answer = await there.call("POST", "/api/v1/auth/guest", {"name": "Ada"})
        made = body(answer)
        assert (answer.status, made["user"]["name"], made["user"]["kind"]) == (201, "Ada", "guest")
        cookie = dict(answer.headers)["set-cookie"]
        assert cookie.startswith(f"hubbub_session={made['token']}; ")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        me = await there.dispatch(head_of("GET", "/api/v1/auth/me", f"Cookie: {cookie.partition(';')[0]}"))
        everything = ["read", "write", "manage", "account", "admin"]
        assert body(me) == {
            "user": made["user"],
            "scopes": everything,
            "expires_at": made["expires_at"],
            "csrf_token": made["csrf_token"],
        }


async def test_conversations(autojump_clock: MockClock) -> None:
    """Made private, listed to their owner in pages, changed by the owner alone, hidden from strangers."""
    async with house() as there:
        made = await there.call("POST", "/api/v1/conversations", {"id": "den", "title": "The den"})
        assert (made.status, body(made)["visibility"]) == (201, "private")
        assert dict(made.headers)["location"] == "/api/v1/conversations/den"
        assert (await there.call("POST", "/api/v1/conversations", {"id": "den"})).status == 409
        first = body(await there.call("GET", "/api/v1/conversations?limit=1"))
        assert ([row["id"] for row in first["conversations"]], first["next"]) == (["den"], "den")
        second = body(await there.call("GET", "/api/v1/conversations?after=den"))
        assert ([row["id"] for row in second["conversations"]], second["next"]) == (["lobby"], None)
        changed = await there.call("PATCH", "/api/v1/conversations/den", {"title": "Lair"})
        assert (changed.status, body(changed)["title"], body(changed)["offset"]) == (200, "Lair", 1)
        assert (await there.call("PATCH", ROOM, {"title": "Mine"})).status == 403
        await there.engine.create("secret", visibility=Visibility.PRIVATE)
        for method, path, sent in (
            ("GET", "", None),
            ("PATCH", "", {"title": "x"}),
            ("POST", "/messages", {"text": "x"}),
            ("GET", "/messages", None),
            ("GET", "/presence", None),
            ("POST", "/typing", None),
        ):
            assert (await there.call(method, "/api/v1/conversations/secret" + path, sent)).status == 404


async def test_a_change_is_conditional_on_the_version(autojump_clock: MockClock) -> None:
    """The ETag names what PATCH can change; a stale one is 412 and changes nothing; a post leaves it as it is."""
    async with house() as there:
        made = await there.call("POST", "/api/v1/conversations", {"id": "den"})
        den = "/api/v1/conversations/den"
        first = dict(made.headers)["etag"]
        await there.call("POST", den + "/messages", {"text": "hi"})
        assert dict((await there.call("GET", den)).headers)["etag"] == first
        changed = await there.call("PATCH", den, {"title": "Lair"}, f"If-Match: {first}")
        second = dict(changed.headers)["etag"]
        assert (changed.status, second != first) == (200, True)
        stale = await there.call("PATCH", den, {"title": "Cave"}, f"If-Match: {first}")
        assert (stale.status, body(stale)["code"], body(stale)["retry"]) == (412, "precondition_failed", "resync")
        assert body(await there.call("GET", den))["title"] == "Lair"
        for condition, status in ((f'"other", {second}', 200), ("*", 200), (f"W/{first}", 412), ("nonsense", 400)):
            assert (await there.call("PATCH", den, {"title": "Lair"}, f"If-Match: {condition}")).status == status
        back = await there.call("PATCH", den, {"title": "den"}, f"If-Match: {second}")
        assert dict(back.headers)["etag"] == first


async def test_of_many_changes_of_one_version_one_wins(autojump_clock: MockClock) -> None:
    """They are decided inside the conversation, also while another is on its way to the store."""
    async with house() as there:
        made = await there.call("POST", "/api/v1/conversations", {"id": "den"})
        etag = dict(made.headers)["etag"]
        answers: list[Response] = []

        async def change(number: int) -> None:
            path, condition = "/api/v1/conversations/den", f"If-Match: {etag}"
            answers.append(await there.call("PATCH", path, {"title": f"by {number}"}, condition))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(change, number)
        assert sorted(answer.status for answer in answers) == [200] + [412] * 19
        [winner] = [answer for answer in answers if answer.status == 200]
        now = await there.call("GET", "/api/v1/conversations/den")
        assert (body(now)["title"], body(now)["offset"]) == (body(winner)["title"], 1)
        assert dict(now.headers)["etag"] == dict(winner.headers)["etag"]


async def test_a_message_is_posted_once_however_often_it_is_sent(autojump_clock: MockClock) -> None:
    """The same key gives the same 201, marked; another body under it 422; the body may carry the key."""
    async with house() as there:
        first = await there.call("POST", ROOM + "/messages", {"text": "one"}, "Idempotency-Key: k")
        again = await there.call("POST", ROOM + "/messages", {"text": "one", "idempotency_key": "k"})
        other = await there.call("POST", ROOM + "/messages", {"text": "two"}, "Idempotency-Key: k")
        assert (first.status, again.status, other.status) == (201, 201, 422)
        assert body(first) == body(again)
        assert "idempotency-replayed" not in dict(first.headers)
        assert dict(again.headers)["idempotency-replayed"] == "true"
        assert body(await there.call("GET", ROOM))["offset"] == 1


async def test_pages_of_history(autojump_clock: MockClock) -> None:
    """The newest without parameters, older and newer ones by exclusive offsets, around an id; edges lead on."""
    async with house() as there:
        ids = [body(await there.call("POST", ROOM + "/messages", {"text": f"{n}"}))["id"] for n in range(1, 8)]
        for query, texts, following, previous in (
            ("", "1234567", None, None),
            ("?limit=3", "567", None, 5),
            ("?limit=3&before=5", "234", 4, 2),
            ("?limit=3&after=2", "345", 5, 3),
            ("?after=7", "", None, 8),
            (f"?around={ids[3]}&limit=3", "345", 5, 3),
        ):
            page = body(await there.call("GET", ROOM + "/messages" + query))
            assert "".join(message["text"] for message in page["messages"]) == texts, query
            assert (page["next"], page["previous"]) == (following, previous), query


@pytest.mark.parametrize("how", ["newest", "after", "around"])
async def test_a_page_of_long_messages_is_cut_and_leads_on(how: str, autojump_clock: MockClock) -> None:
    """About a megabyte is one answer; following the edges gives every message once, in order."""
    async with house() as there:
        room = there.engine.conversation("lobby")
        acks = [await room.post(Draft("x" * 60_000, author="bot")) for _ in range(40)]
        start = {"newest": "", "after": "&after=0", "around": f"&around={acks[20].message.id}"}[how]
        page = await _page(there, start)
        assert len(page["messages"]) < 20
        offsets = [message["offset"] for message in page["messages"]]
        if how == "around":
            assert 21 in offsets
        following, previous = page["next"], page["previous"]
        while previous is not None:
            page = await _page(there, f"&before={previous}")
            offsets = [message["offset"] for message in page["messages"]] + offsets
            previous = page["previous"]
        while following is not None:
            page = await _page(there, f"&after={following}")
            offsets += [message["offset"] for message in page["messages"]]
            following = page["next"]
        assert offsets == list(range(1, 41))


async def _page(there: House, query: str) -> Any:
    answer = await there.call("GET", ROOM + "/messages?limit=40" + query)
    assert len(answer.body) < 1_200_000
    return body(answer)


def _nobody(clients: Iterable[object], limit: int) -> Iterable[object]:
    assert limit == 0, "clients are listed that nobody sees"
    return ()


async def test_presence_and_typing(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of who follows, without a list of them; 204 for a typing signal."""
    async with house() as there:
        async with there.engine.conversation("lobby").subscribe():
            with monkeypatch.context() as patched:
                patched.setattr("hubbub.engine._following.islice", _nobody)
                assert body(await there.call("GET", ROOM + "/presence"))["clients"] == 1
            assert (await there.call("POST", ROOM + "/typing")).status == 204
        assert body(await there.call("GET", ROOM + "/presence")) == {"clients": 0, "users": 0}


async def test_a_quarantined_conversation_can_be_read(autojump_clock: MockClock) -> None:
    """Posts and changes get 503 with Retry-After; description, history and presence go on; after the release posts do, too."""
    async with house() as there:
        await there.engine.conversation("lobby").post(Draft("before", author="ada"))
        await quarantine(there.engine, "lobby")
        for method, path, sent in (("POST", "/messages", {"text": "x"}), ("POST", "/typing", None)):
            answer = await there.call(method, ROOM + path, sent)
            assert (answer.status, body(answer)["code"]) == (503, "quarantined")
            assert dict(answer.headers)["retry-after"] == "30"
        assert body(await there.call("GET", ROOM))["offset"] == 1
        page = body(await there.call("GET", ROOM + "/messages"))
        assert [message["text"] for message in page["messages"]] == ["before"]
        assert (await there.call("GET", ROOM + "/presence")).status == 200
        assert there.engine.release("lobby")
        assert (await there.call("POST", ROOM + "/messages", {"text": "after"})).status == 201
