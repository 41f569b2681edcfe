"""What one reader saw, in the order in which it saw it, and waiting for it with a deadline."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from .tables import Seen


async def until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    """Wait for the world outside to become so. The poll is short and the deadline says what was missing."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110  it may be another process's doing
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {what}") from None


class Journal:
    """The messages that a reader was shown.

    Attributes:
        name: for the failure message.
        seen: all of them, doubles included, in order of arrival.
        resumed: how often the reader came back and was told that nothing is missing.
        resets: how often it was told that something may be missing.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[Seen] = []
        self.ready = asyncio.Event()
        self.resumed = 0
        self.resets = 0

    def take(self, event: dict[str, Any]) -> None:
        """Note an event if it is a durable one."""
        if event["type"] == "message.created":
            message = event["message"]
            assert message["offset"] == event["offset"], f"{self.name}: the message and its event disagree"
            self.seen.append(Seen(message["id"], message["offset"], message["text"]))

    @property
    def offset(self) -> int:
        """The last offset seen; 0 before the first."""
        return self.seen[-1].offset if self.seen else 0

    async def reach(self, offset: int, within_s: float) -> None:
        """Wait until an offset has been seen."""
        await until(lambda: self.offset >= offset, within_s, f"{self.name} at {offset}, it stands at {self.offset}")

    def check(self, expected: Sequence[Seen]) -> None:
        """What was seen is exactly this: nothing missing, nothing twice, nothing out of order, the same texts."""
        if self.seen == list(expected):
            return
        offsets = [row.offset for row in self.seen]
        missing = sorted({row.offset for row in expected} - set(offsets))
        doubled = [offset for offset, times in Counter(offsets).items() if times > 1]
        turned = [(a, b) for a, b in itertools.pairwise(offsets) if b <= a]
        raise AssertionError(
            f"{self.name} saw {len(self.seen)} of {len(expected)}: {len(missing)} missing {missing[:10]},"
            f" {len(doubled)} doubled {doubled[:10]}, {len(turned)} out of order {turned[:10]}"
        )
