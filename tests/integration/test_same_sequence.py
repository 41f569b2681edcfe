"""Every client sees the same room: stock SDKs, a hand-written client, curl, httpx-sse, REST pages, and the tables."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from . import node, sdk
from .journal import Journal
from .node import node_client
from .processes import Server
from .protocol import peer
from .rest import Ack, guest
from .streams import follow_curl, follow_httpx
from .tables import read_tables

pytestmark = pytest.mark.server

POSTS = 2_000
WITHIN_S = 60.0
ROOM = "same:sequence"

NODE = pytest.param(
    True,
    id="with-node",
    marks=[pytest.mark.node, pytest.mark.skipif(not node.INSTALLED, reason="npm ci in tests/node has not been run")],
)


@pytest.mark.parametrize("with_node", [pytest.param(False, id="python"), NODE])
def test_all_clients_see_one_sequence(server: Server, with_node: bool) -> None:
    """2,000 posts by REST and WebSocket posters show the same ids, offsets and texts in every client and in the tables."""
    asyncio.run(_scenario(server, with_node=with_node))


async def _scenario(server: Server, *, with_node: bool) -> None:
    journals = {name: Journal(name) for name in ("centrifuge-python", "websockets", "curl", "httpx-sse")}
    async with AsyncExitStack() as stack:
        who = await stack.enter_async_context(guest(server.url, "Ada"))
        await who.create(ROOM)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        client = await stack.enter_async_context(sdk.sdk(server.websocket_url, who.token))
        await sdk.follow(client, ROOM, journals["centrifuge-python"])
        hand = await stack.enter_async_context(peer(server.websocket_url, who.token, journals["websockets"]))
        assert "subscribe" in await hand.subscribe(ROOM)
        await stack.enter_async_context(follow_curl(who, server.url, ROOM, journals["curl"]))
        stream = group.create_task(follow_httpx(who, ROOM, journals["httpx-sse"]))
        share = POSTS // 5
        posters = [
            _post_rest(server, share),
            _post_sdk(server, share),
            _pipeline(server, share, "rpc"),
            _pipeline(server, share, "publish"),
        ]
        if with_node:
            journals["npm centrifuge"] = Journal("npm centrifuge")
            script = await stack.enter_async_context(
                node_client(server.websocket_url, who.token, ROOM, journals["npm centrifuge"], share)
            )
            posters.append(script.post_all(WITHIN_S))
        else:
            posters.append(_post_rest(server, share, "more"))
        for name in ("curl", "httpx-sse"):
            async with asyncio.timeout(10.0):
                await journals[name].ready.wait()
        began = time.monotonic()
        acks = [ack for found in await asyncio.gather(*posters) for ack in found]
        for journal in journals.values():
            await journal.reach(POSTS, WITHIN_S)
        print(f"{POSTS} posts to {len(journals)} readers in {time.monotonic() - began:.2f} s")

        tables = await read_tables(server, ROOM)
        tables.check()
        assert len(tables.events) == POSTS
        for journal in journals.values():
            journal.check(tables.events)
        assert await who.pages(ROOM) == tables.messages
        assert {ack.key: (ack.id, ack.offset) for ack in acks}.items() <= tables.keys.items()
        stream.cancel()


async def _post_rest(server: Server, count: int, name: str = "rest") -> list[Ack]:
    """Posts by REST; every tenth is sent twice at the same time, and has one ack."""
    async with guest(server.url, name) as who:

        async def post_some(numbers: range) -> list[Ack]:
            acks = []
            for number in numbers:
                key = f"{name}-{number}"
                twice = 2 if number % 10 == 0 else 1
                found = await asyncio.gather(
                    *[who.post(ROOM, key, f"from {key} \u00e9\U0001f389") for _ in range(twice)]
                )
                assert len({(ack.id, ack.offset) for ack in found}) == 1, "one key, two acks"
                acks += found
            return acks

        lanes = 4
        parts = await asyncio.gather(*[post_some(range(lane, count, lanes)) for lane in range(lanes)])
    return [ack for part in parts for ack in part]


async def _post_sdk(server: Server, count: int) -> list[Ack]:
    async with guest(server.url, "Sid") as who, sdk.sdk(server.websocket_url, who.token) as client:
        return [await sdk.post(client, ROOM, f"sdk-{number}", f"from sdk {number}") for number in range(count)]


async def _pipeline(server: Server, count: int, how: str) -> list[Ack]:
    """Posts on one connection, eight on their way at a time."""
    async with (
        guest(server.url, how) as who,
        peer(server.websocket_url, who.token, Journal(how)) as hand,
    ):

        async def post_some(numbers: range) -> list[Ack]:
            acks = []
            for number in numbers:
                key, text = f"{how}-{number}", f'from {how} {number} "quoted" \\ \u2028 end'
                if how == "rpc":
                    acks.append(await hand.post(ROOM, key, text))
                else:
                    await hand.publish(ROOM, key, text)
            return acks

        lanes = 8
        parts = await asyncio.gather(*[post_some(range(lane, count, lanes)) for lane in range(lanes)])
    return [ack for part in parts for ack in part]
