"""Changes of membership reach what is open: real sockets, the stock SDK, httpx-sse, a real server on a real Postgres."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import asyncpg
import attrs
import httpx
import httpx_sse
import pytest
from centrifuge import SubscriptionEventHandler, SubscriptionState
from centrifuge.contexts import PublicationContext, SubscribedContext, UnsubscribedContext

from .journal import Journal
from .processes import Server
from .protocol import Peer, peer
from .rest import Guest, guest
from .sdk import sdk
from .streams import path_of

pytestmark = pytest.mark.server

_INVITE = "select *, i::text as everything from invites i where conversation = 'raffle'"

AT_ONCE_S = 1.0
"""What the design promises, from the answer to the call that made the change."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all tests of this module: each has its own conversations and guests."""
    found = Server()
    try:
        found.start()
        yield found
        found.check_log()
    finally:
        found.discard()


class Everything(Journal):
    """Notes all durable events, and the end."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.events: list[dict[str, Any]] = []
        self.end: Any = None

    def take(self, event: dict[str, Any]) -> None:
        if "offset" in event:
            self.events.append(event)

    def last(self) -> tuple[str, str]:
        """Type of the last event and whom it is about."""
        return self.events[-1]["type"], self.events[-1]["member"]["user"]["name"]


class Follow(SubscriptionEventHandler):
    """The SDK's view of one subscription."""

    def __init__(self, journal: Everything) -> None:
        self._journal = journal

    async def on_subscribed(self, ctx: SubscribedContext) -> None:
        self._journal.ready.set()

    async def on_publication(self, ctx: PublicationContext) -> None:
        self._journal.take(ctx.pub.data)

    async def on_unsubscribed(self, ctx: UnsubscribedContext) -> None:
        self._journal.end = (ctx.code, ctx.reason)


@attrs.frozen
class Readers:
    """One person's streams of one conversation, by three clients."""

    who: Guest
    socket: Peer
    sdk_state: Callable[[], SubscriptionState]
    journals: tuple[Everything, Everything, Everything]

    async def ended(self) -> None:
        """All three have seen their end."""
        async with asyncio.timeout(AT_ONCE_S):
            while not (self.socket.unsubscribed and self.journals[1].end and self.journals[2].end):  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@asynccontextmanager
async def reading(server: Server, who: Guest, conversation: str) -> AsyncIterator[Readers]:
    """Follow by the protocol written by hand, by the stock SDK and by httpx-sse."""
    by_hand, by_sdk, by_sse = (Everything(name) for name in ("by hand", "sdk", "sse"))
    async with (
        peer(server.websocket_url, who.token, by_hand) as socket,
        sdk(server.websocket_url, who.token) as client,
        asyncio.TaskGroup() as group,
    ):
        assert "subscribe" in await socket.subscribe(conversation)
        subscription = client.new_subscription(conversation, events=Follow(by_sdk))
        await subscription.subscribe()
        stream = group.create_task(follow_sse(who, conversation, by_sse))
        async with asyncio.timeout(10.0):
            await by_sdk.ready.wait()
            await by_sse.ready.wait()
        yield Readers(who, socket, lambda: subscription.state, (by_hand, by_sdk, by_sse))
        stream.cancel()


async def follow_sse(who: Guest, conversation: str, journal: Everything) -> None:
    """Read until the server ends it."""
    async with httpx_sse.aconnect_sse(who.http, "GET", path_of(conversation), headers=who.authorization) as source:
        assert source.response.status_code == 200
        async for sse in source.aiter_sse():
            if not sse.data:
                continue
            if sse.event == "stream.open":
                journal.ready.set()
            elif sse.event == "stream.end":
                journal.end = json.loads(sse.data)["code"]
            else:
                journal.take(json.loads(sse.data))


@attrs.frozen
class People:
    """Ada, who owns what she makes, and Bob."""

    server: Server
    ada: Guest
    bob: Guest
    ids: dict[str, str]

    async def call(self, who: Guest, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await who.http.request(
            method, "/api/v1/conversations" + path, json=body, headers=who.authorization | headers
        )

    async def room(self, name: str, visibility: str) -> None:
        """Ada's, with Bob as a member, by an invite."""
        made = await self.call(self.ada, "POST", "", {"id": name, "visibility": visibility})
        assert made.status_code == 201, made.text
        invite = await self.call(self.ada, "POST", f"/{name}/invites", {})
        token = invite.json()["token"]
        accepted = await self.bob.http.post(f"/api/v1/invites/{token}/accept", headers=self.bob.authorization)
        assert accepted.status_code == 200, accepted.text


async def me(who: Guest) -> str:
    answer = await who.http.get("/api/v1/auth/me", headers=who.authorization)
    return str(answer.json()["user"]["id"])


@asynccontextmanager
async def people(server: Server) -> AsyncIterator[People]:
    """Two guests."""
    async with guest(server.url, "Ada") as ada, guest(server.url, "Bob") as bob:
        yield People(server, ada, bob, {"ada": await me(ada), "bob": await me(bob)})


@pytest.mark.parametrize(
    ("visibility", "how", "code", "status", "reply"),
    [
        ("private", "members", "not_found", 404, 102),
        ("private", "bans", "not_found", 404, 102),
        ("public", "bans", "forbidden", 403, 103),
    ],
)
def test_open_streams_end_with_the_membership(
    server: Server, visibility: str, how: str, code: str, status: int, reply: int
) -> None:
    """Within a second each has the event, then an end after which its client stays away; coming back is refused."""

    async def run() -> None:
        async with people(server) as there:
            den = f"{visibility}-{how}"
            await there.room(den, visibility)
            bob = there.ids["bob"]
            async with reading(server, there.bob, den) as bobs, reading(server, there.ada, den) as adas:
                method = "DELETE" if how == "members" else "PUT"
                answer = await there.call(there.ada, method, f"/{den}/{how}/{bob}")
                assert answer.is_success, answer.text
                await bobs.ended()
                posted = await there.call(there.ada, "POST", f"/{den}/messages", {"text": "he is gone"})
                assert posted.status_code == 201
                async with asyncio.timeout(10.0):
                    while any(each.events[-1]["type"] != "message.created" for each in adas.journals):  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                assert [each.last() for each in bobs.journals] == [("member.left", "Bob")] * 3
                assert bobs.socket.unsubscribed == [{"code": 2000, "reason": code}]
                assert (bobs.journals[1].end, bobs.journals[2].end) == ((2000, code), code)
                assert bobs.sdk_state() is SubscriptionState.UNSUBSCRIBED
                assert (await bobs.socket.subscribe(den))["error"]["code"] == reply
                assert "subscribe" in await bobs.socket.subscribe("lobby"), "the connection itself goes on"
            for path in ("/events", "", "/messages", "/members"):
                assert (await there.call(there.bob, "GET", f"/{den}{path}")).status_code == status, path

    asyncio.run(run())


def test_a_visitor_who_is_removed_from_a_public_conversation_reads_on(server: Server) -> None:
    """It ends the membership and nothing else: everybody may read there."""

    async def run() -> None:
        async with people(server) as there:
            await there.room("hall", "public")
            async with reading(server, there.bob, "hall") as bobs:
                await there.call(there.ada, "DELETE", f"/hall/members/{there.ids['bob']}")
                await there.call(there.ada, "POST", "/hall/messages", {"text": "still here?"})
                async with asyncio.timeout(10.0):
                    while any(each.events[-1:] == [] or len(each.events) < 2 for each in bobs.journals):  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                for each in bobs.journals:
                    assert [event["type"] for event in each.events] == ["member.left", "message.created"]
                assert bobs.socket.unsubscribed == []

    asyncio.run(run())


def test_a_role_counts_from_the_next_post(server: Server) -> None:
    """Down to viewer: refused over WebSocket and REST, and the streams go on; up again: taken."""

    async def run() -> None:
        async with people(server) as there:
            await there.room("roles", "private")
            bob = there.ids["bob"]
            async with reading(server, there.bob, "roles") as bobs:
                for role, reply, status in (("viewer", "error", 403), ("member", "rpc", 201)):
                    changed = await there.call(there.ada, "PUT", f"/roles/members/{bob}", {"role": role})
                    assert changed.status_code == 200
                    said = await bobs.socket.ask(
                        rpc={"method": "post", "data": {"conversation": "roles", "text": role}}
                    )
                    assert reply in said
                    answer = await there.call(there.bob, "POST", "/roles/messages", {"text": role})
                    assert answer.status_code == status
                assert bobs.socket.unsubscribed == []

    asyncio.run(run())


def test_a_retry_of_somebody_who_was_removed_tells_nothing_new(server: Server) -> None:
    """The ack of its own post, as promised for ever; any other post, or another text, gets what a stranger gets."""

    async def run() -> None:
        async with people(server) as there:
            await there.room("retry", "private")
            key = {"idempotency-key": "k"}
            first = await there.call(there.bob, "POST", "/retry/messages", {"text": "hi"}, **key)
            secret = await there.call(
                there.ada, "POST", "/retry/messages", {"text": "secret"}, **{"idempotency-key": "s"}
            )
            assert (first.status_code, secret.status_code) == (201, 201)
            await there.call(there.ada, "DELETE", f"/retry/members/{there.ids['bob']}")
            again = await there.call(there.bob, "POST", "/retry/messages", {"text": "hi"}, **key)
            assert (again.status_code, again.json()) == (201, first.json())
            assert again.headers["idempotency-replayed"] == "true"
            for text, headers, expected in (
                ("new", {}, 404),
                ("new", {"idempotency-key": "another"}, 404),
                ("secret", {"idempotency-key": "s"}, 404),
                ("other text", key, 422),
            ):
                answer = await there.call(there.bob, "POST", "/retry/messages", {"text": text}, **headers)
                assert (answer.status_code, "secret" in answer.text) == (expected, False), text

    asyncio.run(run())


def test_a_conversation_that_becomes_private_ends_the_streams_of_visitors(server: Server) -> None:
    """They are not told what it has become."""

    async def run() -> None:
        async with people(server) as there:
            made = await there.call(there.ada, "POST", "", {"id": "closing", "visibility": "public"})
            assert made.status_code == 201
            async with reading(server, there.bob, "closing") as bobs:
                await there.call(there.ada, "PATCH", "/closing", {"visibility": "private", "title": "Secret"})
                await bobs.ended()
                assert [each.events for each in bobs.journals] == [[]] * 3
                assert bobs.socket.unsubscribed == [{"code": 2000, "reason": "not_found"}]

    asyncio.run(run())


def test_fifty_accept_one_invite_at_once(server: Server) -> None:
    """One gets in; the database says who, once, and holds no token."""

    async def run() -> None:
        async with people(server) as there:
            await there.call(there.ada, "POST", "", {"id": "raffle"})
            token = (await there.call(there.ada, "POST", "/raffle/invites", {})).json()["token"]
            tokens: list[str] = []
            for number in range(50):
                answer = await there.ada.http.post("/api/v1/auth/guest", json={"name": f"Guest {number}"})
                tokens.append(answer.json()["token"])

            async def accept(bearer: str) -> int:
                answer = await there.ada.http.post(
                    f"/api/v1/invites/{token}/accept", headers={"authorization": f"Bearer {bearer}"}
                )
                return answer.status_code

            answers = await asyncio.gather(*map(accept, tokens))
            assert answers.count(200) == 1
            assert set(answers) <= {200, 409, 410}
            members = (await there.call(there.ada, "GET", "/raffle/members")).json()["members"]
            assert len(members) == 2
            connection = await asyncpg.connect(
                host=server.socket_directory, port=5432, user="hubbub", database="hubbub", timeout=10
            )
            try:
                row = await connection.fetchrow(_INVITE)
            finally:
                await connection.close()
            assert row["accepted_by"] in {member["user"]["id"] for member in members}
            assert row["joined"] is True
            assert token not in row["everything"]
            assert row["digest"] == sha256(token.encode()).digest()

    asyncio.run(run())
