"""The stock Python SDK (PyPI `centrifuge-python`) as a reader and a poster."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from centrifuge import Client, SubscriptionEventHandler
from centrifuge.contexts import PublicationContext, SubscribedContext
from centrifuge.exceptions import CentrifugeError, ReplyError

from .journal import Journal
from .rest import GIVE_UP_S, RETRY_S, Ack


class _Follow(SubscriptionEventHandler):
    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def on_subscribed(self, ctx: SubscribedContext) -> None:
        if ctx.was_recovering and ctx.recovered:
            self._journal.resumed += 1
        elif ctx.was_recovering:
            self._journal.resets += 1
        self._journal.ready.set()

    async def on_publication(self, ctx: PublicationContext) -> None:
        if ctx.pub.offset:
            assert ctx.pub.offset == ctx.pub.data["offset"], "the publication and its event disagree"
        self._journal.take(ctx.pub.data)


@asynccontextmanager
async def sdk(websocket_url: str, token: str, trusting: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """A connected client that comes back soon after it was cut."""
    client = Client(
        websocket_url,
        token=token,
        proxy=None,
        ssl_context=trusting,
        min_reconnect_delay=0.05,
        max_reconnect_delay=0.5,
        timeout=15.0,
    )
    await client.connect()
    try:
        await client.ready()
        yield client
    finally:
        await client.disconnect()
        if client._background_tasks:  # it closes its sockets there, and would leave that to the end of the loop
            await asyncio.wait(client._background_tasks, timeout=5.0)


async def follow(client: Client, conversation: str, journal: Journal, within_s: float = 10.0) -> None:
    """Subscribe, and let the SDK do the rest."""
    await client.new_subscription(conversation, events=_Follow(journal)).subscribe()
    async with asyncio.timeout(within_s):
        await journal.ready.wait()


async def post(client: Client, conversation: str, key: str, text: str) -> Ack:
    """Call `post`, again and again with the same key, until it is acknowledged.

    Raises:
        ReplyError: a refusal that is not temporary.
        TimeoutError: no answer within `GIVE_UP_S`.
    """
    tries = 0
    async with asyncio.timeout(GIVE_UP_S):
        while True:
            tries += 1
            try:
                answer = await client.rpc(
                    "post", {"conversation": conversation, "text": text, "idempotency_key": key}, timeout=15.0
                )
            except ReplyError as error:
                if not error.temporary:
                    raise
            except CentrifugeError:  # disconnected, or no answer in time
                pass
            else:
                return Ack(key, answer.data["id"], answer.data["offset"], tries)
            await asyncio.sleep(RETRY_S)
