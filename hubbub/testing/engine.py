"""An engine for a test: over memory or a given store, bounds by plain keywords, no sockets, and time as trio's clock says.

Under `trio.testing.MockClock(autojump_threshold=0)` (the fixture `autojump_clock` of pytest-trio) deadlines, idle times and
back-offs pass without waiting, and the engine's wall clock passes with them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from ..engine import ConversationSettings, Engine, EngineSettings, Store
from ..engine._engine import wall_ms
from ..storage import MemoryStore


def engine_settings(**bounds: float) -> EngineSettings:
    """Engine settings from plain keywords; a name that `ConversationSettings` knows goes there.

    Raises:
        TypeError: neither knows the name.
    """
    inner = {field.name for field in attrs.fields(ConversationSettings)}
    conversation: dict[str, Any] = {name: value for name, value in bounds.items() if name in inner}
    engine: dict[str, Any] = {name: value for name, value in bounds.items() if name not in inner}
    return EngineSettings(conversation=ConversationSettings(**conversation), **engine)


@asynccontextmanager
async def open_test_engine(
    store: Store | None = None, *, conversations: Iterable[str] = ("room",), **bounds: float
) -> AsyncIterator[Engine]:
    """Run an engine for the length of the block.

    Args:
        store: where conversations live; a fresh `MemoryStore` when left out. It stays the caller's.
        conversations: public conversations to make first; those that exist already stay as they are.
        bounds: settings by the names of `ConversationSettings` and `EngineSettings`, for example ``tail_items=4``.

    Leaving the block drains, as with every engine. The wall clock starts at the real time and follows trio's clock from there.
    """
    wall = _wall_clock()
    async with Engine.open(
        store=MemoryStore() if store is None else store, settings=engine_settings(**bounds), wall=wall
    ) as engine:
        for name in conversations:
            await engine.create(name, exist_ok=True)
        yield engine


def _wall_clock() -> Callable[[], int]:
    """Wall-clock milliseconds that pass as trio's clock does, so that a `MockClock` moves both."""
    start_ms, start = wall_ms(), trio.current_time()
    return lambda: start_ms + int((trio.current_time() - start) * 1000)


async def wait_until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait until a condition holds, looking every 20 ms of trio's clock: for what lies inside the engine and tells nobody.

    Raises:
        trio.TooSlowError: it did not hold in time.
    """
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110  what is waited for lies inside the engine
            await trio.sleep(0.02)
