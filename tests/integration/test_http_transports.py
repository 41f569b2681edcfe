"""The stock npm SDK where WebSocket is blocked: the same room over plain HTTP, by its own fallback, and after kill and drain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from . import node
from .journal import Journal
from .node import node_client
from .processes import Server
from .rest import guest
from .tables import read_tables

pytestmark = [
    pytest.mark.server,
    pytest.mark.node,
    pytest.mark.skipif(not node.INSTALLED, reason="npm ci in tests/node has not been run"),
]

ROOM = "over:http"
POSTS = 100
WITHIN_S = 30.0


@pytest.mark.parametrize(
    ("transports", "used", "end"),
    [
        ("http_stream", "http_stream", Server.kill),
        ("sse", "sse", Server.stop),
        ("blocked,http_stream,sse", "http_stream", None),
        ("blocked,sse", "sse", None),
    ],
)
def test_the_sdk_works_where_websocket_is_blocked(
    server: Server, transports: str, used: str, end: Callable[[Server], object] | None
) -> None:
    """It connects, follows, posts, recovers what it missed while the server was away, and has seen what the tables hold."""
    asyncio.run(_scenario(server, transports, used, end))


async def _scenario(server: Server, transports: str, used: str, end: Callable[[Server], object] | None) -> None:
    journal = Journal(f"npm centrifuge over {used}")
    async with AsyncExitStack() as stack:
        who = await stack.enter_async_context(guest(server.url, "Ada"))
        await who.create(ROOM)
        client = await stack.enter_async_context(
            node_client(server.websocket_url, who.token, ROOM, journal, POSTS, transports)
        )
        acks = await client.post_all(WITHIN_S)
        if end is not None:
            await asyncio.to_thread(end, server)
            await asyncio.to_thread(server.start)
        acks += [await who.post(ROOM, f"later-{number}", "while nobody may be there") for number in range(20)]
        await journal.reach(max(ack.offset for ack in acks), WITHIN_S)
        tables = await read_tables(server, ROOM)
        tables.check()
        journal.check(tables.events)
        assert len(journal.seen) == POSTS + 20
        lives = 1 if end is None else 2
        assert client.transports == [used] * lives
        assert (journal.resumed, journal.resets) == (lives - 1, 0)


@pytest.mark.parametrize("transport", ["http_stream", "sse"])
def test_the_sdk_is_told_that_its_token_is_bad(server: Server, transport: str) -> None:
    """It ends with 3500 and does not come back."""

    async def scenario() -> None:
        with pytest.raises(AssertionError, match="disconnected 3500 invalid token"):
            async with node_client(server.websocket_url, "hbg_nobody", ROOM, Journal(transport), 0, transport):
                pass

    asyncio.run(scenario())
