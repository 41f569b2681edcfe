"""The stock SDKs' token flows against a real server: fetch, refresh, expire, come back, and miss nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from . import node
from .embedder import WRITER
from .journal import until
from .processes import Server
from .token_clients import WITHIN_S, OpenClient, Shop, node_client, python_client

pytestmark = pytest.mark.server

EMBEDDER = (sys.executable, str(Path(__file__).with_name("embedder.py")))

SDKS = [
    pytest.param(python_client, id="python"),
    pytest.param(
        node_client,
        id="npm",
        marks=[
            pytest.mark.node,
            pytest.mark.skipif(not node.INSTALLED, reason="npm ci in tests/node has not been run"),
        ],
    ),
]


@pytest.fixture
def embedder() -> Iterator[Server]:
    """A server of an embedder who signs tokens."""
    found = Server(program=EMBEDDER)
    try:
        found.start()
        yield found
        found.check_log()
    finally:
        found.discard()


async def post(server: Server, room: str, text: str) -> None:
    """Post by REST, with a token of the rooms' owner as the bearer."""
    token = Shop(user=WRITER).mint("")
    async with httpx.AsyncClient(base_url=server.url, headers={"authorization": f"Bearer {token}"}) as http:
        answer = await http.post(f"/api/v1/conversations/{room}/messages", json={"text": text})
        assert answer.status_code == 201, answer.text
        assert answer.json()["author"] == {"id": "jwt:writer", "name": "writer", "kind": "user"}


def run(scenario: Callable[[Server, OpenClient], Awaitable[None]], server: Server, sdk: OpenClient) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(90.0):
            await scenario(server, sdk)

    asyncio.run(bounded())


@pytest.mark.parametrize("sdk", SDKS)
def test_a_connection_is_refreshed(embedder: Server, sdk: OpenClient) -> None:
    """Tokens of a second and a half carry one connection on and on."""
    run(_refreshed, embedder, sdk)


async def _refreshed(server: Server, sdk: OpenClient) -> None:
    shop = Shop(connection_s=1.5, channels=("news",))
    async with sdk(server.websocket_url, shop) as told:
        await until(lambda: shop.minted[""] >= 4, WITHIN_S, "four tokens")
        await post(server, "news", "still there")
        await told.wait("publication", channel="news", text="still there")
        assert (told.count("connected"), told.count("connecting")) == (1, 1)


@pytest.mark.parametrize("sdk", SDKS)
def test_an_expired_token_is_replaced(embedder: Server, sdk: OpenClient) -> None:
    """A first token that has ended already: the SDK is told, fetches another, and is in."""
    run(_replaced, embedder, sdk)


async def _replaced(server: Server, sdk: OpenClient) -> None:
    shop = Shop(late_s=700.0)
    async with sdk(server.websocket_url, shop) as told:
        await told.wait("connected")
        assert shop.minted[""] == 2
        assert told.count("disconnected") == 0


@pytest.mark.parametrize("sdk", SDKS)
def test_a_connection_that_is_not_refreshed_ends_and_comes_back(embedder: Server, sdk: OpenClient) -> None:
    """3005; when there are tokens again it connects, and what its token subscribes it to has lost nothing."""
    run(_ends, embedder, sdk)


async def _ends(server: Server, sdk: OpenClient) -> None:
    shop = Shop(connection_s=1.0, channels=("news", "desk"))
    async with sdk(server.websocket_url, shop) as told:
        await told.wait("server subscribed", 2)
        shop.is_open = False
        await told.wait("connecting", code=3005)
        for number in range(3):
            await post(server, "news", f"missed {number}")
        shop.connection_s, shop.is_open = 600.0, True
        await told.wait("connected", 2)
        await told.wait("server subscribed", channel="news", recovered=True)
        await told.wait("publication", 3)
        await post(server, "news", "live")
        await told.wait("publication", 4)
        texts = [event["text"] for event in told.events if event["event"] == "publication"]
        assert texts == ["missed 0", "missed 1", "missed 2", "live"]


@pytest.mark.parametrize("sdk", SDKS)
def test_a_subscription_is_refreshed(embedder: Server, sdk: OpenClient) -> None:
    """Subscription tokens of a second and a half carry one subscription on."""
    run(_sub_refreshed, embedder, sdk)


async def _sub_refreshed(server: Server, sdk: OpenClient) -> None:
    shop = Shop(channel_s=1.5)
    async with sdk(server.websocket_url, shop, "desk") as told:
        await until(lambda: shop.minted["desk"] >= 4, WITHIN_S, "four tokens")
        await post(server, "desk", "hello")
        await told.wait("publication", channel="desk", text="hello")
        assert (told.count("subscribed"), told.count("subscribing"), told.count("connected")) == (1, 1, 1)
        assert shop.minted[""] == 1


@pytest.mark.parametrize("sdk", SDKS)
def test_a_subscription_that_is_not_refreshed_ends_and_comes_back(embedder: Server, sdk: OpenClient) -> None:
    """2501, the connection stays; with a new token it is taken up where it was left."""
    run(_sub_ends, embedder, sdk)


async def _sub_ends(server: Server, sdk: OpenClient) -> None:
    shop = Shop(channel_s=1.0)
    async with sdk(server.websocket_url, shop, "desk") as told:
        await told.wait("subscribed")
        shop.is_open = False
        await told.wait("subscribing", code=2501)
        await post(server, "desk", "missed")
        shop.channel_s, shop.is_open = 600.0, True
        await told.wait("publication", channel="desk", text="missed")
        assert told.count("subscribed", recovered=True) == 1
        assert (told.count("connected"), told.count("unsubscribed")) == (1, 0)


@pytest.mark.parametrize("sdk", SDKS)
def test_a_forged_token_ends_for_good(embedder: Server, sdk: OpenClient) -> None:
    """3500: the SDK does not come again."""
    run(_forged, embedder, sdk)


async def _forged(server: Server, sdk: OpenClient) -> None:
    shop = Shop(user="a b")
    async with sdk(server.websocket_url, shop) as told:
        await told.wait("disconnected", code=3500)
        assert shop.minted[""] == 1


@pytest.mark.parametrize("sdk", SDKS)
def test_a_token_of_another_channel_is_refused(embedder: Server, sdk: OpenClient) -> None:
    """103: the subscription ends for good, the connection stays."""
    run(_other_channel, embedder, sdk)


async def _other_channel(server: Server, sdk: OpenClient) -> None:
    class Swapped(Shop):
        def mint(self, channel: str) -> str | None:
            return Shop.mint(self, "news" if channel else "")

    async with sdk(server.websocket_url, Swapped(), "desk") as told:
        await told.wait("unsubscribed", channel="desk", code=103)
        assert told.count("disconnected") == 0
