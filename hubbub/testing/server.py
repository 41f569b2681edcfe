"""A real server for a test: the engine of the test served on a free port of the loopback, for real clients.

Sockets live in real time: use trio's own clock here, not a `MockClock`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from ..engine import Engine

if TYPE_CHECKING:
    from ..transport.auth import TokenResolver


@asynccontextmanager
async def open_test_server(
    engine: Engine, *, guests: bool = True, authenticate: TokenResolver | None = None
) -> AsyncIterator[str]:
    """Serve an engine for the length of the block.

    Args:
        engine: an open engine; it stays open, but takes no more commands afterwards.
        guests: anyone may become a guest; the conversation `lobby` exists.
        authenticate: the authenticator under test; see `serve`.

    Yields:
        The server's URL, for example ``http://127.0.0.1:43210``.

    Nobody is refused for asking too often: a test asks as fast as it can.

    Leaving the block drains and returns when the port is closed.
    """
    from ..transport.limit_settings import LimitSettings  # as below
    from ..transport.live import AccessSettings, LiveSettings  # as below
    from ..transport.serve import ServeSettings, serve  # only those who serve load the server

    live = LiveSettings(access=AccessSettings(guests=guests), limits=LimitSettings(on=False))
    settings = ServeSettings(port=0, live=live, drain_s=5.0)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        serving = await nursery.start(partial(serve, authenticate=authenticate), engine, settings)
        try:
            yield serving.url
        except Exception as error:  # noqa: BLE001  raised below, without the nursery's group around it
            failure = error
        serving.stop.set()
    if failure is not None:
        raise failure
