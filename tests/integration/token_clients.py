"""The stock SDKs with tokens that they fetch from the test: from npm under Node.js (`tests/node/tokens.mjs`), and from PyPI.

Both tell what happens in the same words, so that a test is written once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from ..transport.tokens import hs256
from .embedder import AUDIENCE, SECRET
from .journal import until
from .node import HERE

WITHIN_S = 20.0


@attrs.define(eq=False)
class Shop:
    """Where the SDKs fetch tokens.

    Attributes:
        user: for whom.
        connection_s, channel_s: how long a token is good.
        channels: the claim of that name.
        is_open: without it, fetching fails.
        minted: how many, by channel; "" for connections.
        late_s: what the next token's life is short of.
    """

    user: str = "ada"
    connection_s: float = 600.0
    channel_s: float = 600.0
    channels: tuple[str, ...] = ()
    is_open: bool = True
    late_s: float = 0.0
    minted: Counter[str] = attrs.Factory(Counter)

    def mint(self, channel: str) -> str | None:
        """A token for a connection, or for a channel; None while closed."""
        if not self.is_open:
            return None
        self.minted[channel] += 1
        good_s = (self.channel_s if channel else self.connection_s) - self.late_s
        self.late_s = 0.0
        more: dict[str, Any] = {"channel": channel} if channel else {"channels": list(self.channels)}
        return hs256({"sub": self.user, "aud": AUDIENCE, "exp": time.time() + good_s, **more}, SECRET)


@attrs.define(eq=False)
class Told:
    """What an SDK said, in order.

    Attributes:
        client: the one from PyPI, to call; None for the other.
    """

    events: list[dict[str, Any]] = attrs.Factory(list)
    client: Client | None = None

    def take(self, event: str, **more: Any) -> None:
        self.events.append({"event": event, **{name: value for name, value in more.items() if value is not None}})

    def count(self, event: str, **more: Any) -> int:
        """How often something happened."""
        wanted = {"event": event, **more}
        return sum(wanted.items() <= found.items() for found in self.events)

    async def wait(self, event: str, times: int = 1, **more: Any) -> None:
        """Wait until it has happened so often."""
        what = f"{times} x {event} {more}"
        try:
            await until(lambda: self.count(event, **more) >= times, WITHIN_S, what)
        except AssertionError:
            raise AssertionError(f"{what}, but {self.events}") from None


# -- PyPI -------------------------------------------------------------------------------------------------------------


class _Connection(ClientEventHandler):
    def __init__(self, told: Told) -> None:
        self._told = told

    async def on_connecting(self, ctx: Any) -> None:
        self._told.take("connecting", code=ctx.code)

    async def on_connected(self, ctx: Any) -> None:
        self._told.take("connected")

    async def on_disconnected(self, ctx: Any) -> None:
        self._told.take("disconnected", code=ctx.code)

    async def on_subscribed(self, ctx: Any) -> None:
        self._told.take("server subscribed", channel=ctx.channel, recovered=ctx.was_recovering and ctx.recovered)

    async def on_unsubscribed(self, ctx: Any) -> None:
        self._told.take("server unsubscribed", channel=ctx.channel)

    async def on_publication(self, ctx: Any) -> None:
        self._told.take("publication", channel=ctx.channel, text=ctx.pub.data["message"]["text"])


class _Subscription(SubscriptionEventHandler):
    def __init__(self, told: Told, channel: str) -> None:
        self._told = told
        self._channel = channel

    async def on_subscribing(self, ctx: Any) -> None:
        self._told.take("subscribing", channel=self._channel, code=ctx.code)

    async def on_subscribed(self, ctx: Any) -> None:
        self._told.take("subscribed", channel=self._channel, recovered=ctx.was_recovering and ctx.recovered)

    async def on_unsubscribed(self, ctx: Any) -> None:
        self._told.take("unsubscribed", channel=self._channel, code=ctx.code)

    async def on_publication(self, ctx: Any) -> None:
        self._told.take("publication", channel=self._channel, text=ctx.pub.data["message"]["text"])


@asynccontextmanager
async def python_client(url: str, shop: Shop, channel: str = "") -> AsyncIterator[Told]:
    """The SDK from PyPI, connecting; with a channel it subscribes there."""
    told = Told()

    async def fetch(name: str = "") -> str:
        token = shop.mint(name)
        if token is None:
            raise OSError("no token just now")
        return token

    client = Client(
        url,
        events=_Connection(told),
        get_token=fetch,
        proxy=None,
        min_reconnect_delay=0.05,
        max_reconnect_delay=0.2,
    )
    told.client = client
    if channel:
        subscription = client.new_subscription(
            channel,
            events=_Subscription(told, channel),
            get_token=fetch,
            min_resubscribe_delay=0.05,
            max_resubscribe_delay=0.2,
        )
        await subscription.subscribe()
    await client.connect()
    try:
        yield told
    finally:
        await client.disconnect()
        if client._background_tasks:
            await asyncio.wait(client._background_tasks, timeout=5.0)


# -- npm --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def node_client(url: str, shop: Shop, channel: str = "") -> AsyncIterator[Told]:
    """The SDK from npm, as `python_client`."""
    told = Told()
    arguments = [url, channel] if channel else [url]
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / "tokens.mjs"), *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    reading = asyncio.create_task(_serve(process, shop, told))
    try:
        yield told
    finally:
        process.kill()
        await process.wait()
        await reading


async def _serve(process: asyncio.subprocess.Process, shop: Shop, told: Told) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    async for line in process.stdout:
        document = json.loads(line)
        if "want" in document:
            answer = {"want": document["want"], "token": shop.mint(document["channel"])}
            process.stdin.write(json.dumps(answer).encode() + b"\n")
        else:
            told.take(**document)


OpenClient = Callable[..., Any]
