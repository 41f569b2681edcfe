"""What Postgres holds of a conversation, read past the server, and whether its tables agree with each other."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

import attrs
import trio

from ...engine import EngineError
from ...storage.driver import open_driver
from ..errors import BenchError
from .bans import Standing

_EVENTS: Final = """
select "offset", coalesce(id::text, ''), coalesce(body->>'text', type) from events where conversation = $1 order by "offset"
"""
_MESSAGES: Final = 'select "offset", id::text, text from messages where conversation = $1 order by "offset"'
_KEYS: Final = 'select "offset", id::text, key from keys where conversation = $1 order by "offset"'
_HEAD: Final = "select head from conversations where id = $1"
_CHANGES: Final = """
select body->'user'->>'id', coalesce((body->>'banned')::boolean, false) from events
where conversation = $1 and type like 'member.%' order by "offset"
"""
_BANNED: Final = "select user_id from members where conversation = $1 and banned"
_TIMEOUT_S: Final = 20.0
_TRIES_S: Final = 20.0

Where = Mapping[str, object]
"""Connect arguments of the driver."""
Row = tuple[int, str, str]
Fetch = Callable[..., Awaitable[Sequence[Any]]]
_T = TypeVar("_T")


@attrs.frozen
class Stored:
    """One conversation.

    Attributes:
        log: (offset, message id, text) of every event, in order.
        problems: where the tables contradict each other.
    """

    log: tuple[Row, ...]
    problems: tuple[str, ...]

    @property
    def head(self) -> int:
        """The last offset; 0 for an empty log."""
        return self.log[-1][0] if self.log else 0

    @property
    def digest(self) -> str:
        """The same for the same log."""
        return hashlib.sha256(repr(self.log).encode()).hexdigest()


async def read_stored(where: Where, conversation: str) -> Stored:
    """Read a conversation from the tables. Tries again for a while when Postgres is not ready.

    Raises:
        BenchError: it cannot be read.
    """

    async def read(fetch: Fetch) -> Stored:
        events, messages, keys = [
            [(int(row[0]), str(row[1]), str(row[2])) for row in await fetch(statement, conversation)]
            for statement in (_EVENTS, _MESSAGES, _KEYS)
        ]
        heads = await fetch(_HEAD, conversation)
        return compare(events, messages, keys, head=int(heads[0][0]) if heads else None)

    return await _insist(where, read)


async def read_standing(where: Where, conversation: str) -> Standing:
    """Read who is banned in a conversation, and how that came. As `read_stored`."""

    async def read(fetch: Fetch) -> Standing:
        changes = tuple((str(user), bool(banned)) for user, banned in await fetch(_CHANGES, conversation))
        return Standing(changes, frozenset(str(row[0]) for row in await fetch(_BANNED, conversation)))

    return await _insist(where, read)


async def _insist(where: Where, read: Callable[[Fetch], Awaitable[_T]]) -> _T:
    deadline = trio.current_time() + _TRIES_S
    while True:
        try:
            async with _snapshot(where) as fetch:
                return await read(fetch)
        except EngineError as exc:
            if trio.current_time() > deadline:
                raise BenchError(f"the tables cannot be read: {exc}") from exc
        await trio.sleep(0.1)


@asynccontextmanager
async def _snapshot(where: Where) -> AsyncIterator[Fetch]:
    """What runs statements on one state of the tables."""
    async with open_driver() as driver:
        session = await driver.connect(dict(where), {"application_name": "fault harness"})
        try:
            async with session.transaction(timeout_s=_TIMEOUT_S):
                await session.execute(
                    "set transaction isolation level repeatable read, read only", timeout_s=_TIMEOUT_S
                )
                yield partial(session.fetch, timeout_s=_TIMEOUT_S)
        finally:
            await session.aclose()


def compare(events: list[Row], messages: list[Row], keys: list[Row], *, head: int | None) -> Stored:
    """Compare the tables of a conversation in which every event is a message with its text as key. Pure."""
    problems = []
    if head is None:
        problems.append("the conversation is not stored")
    elif head != len(events):
        problems.append(f"the head is {head}, and there are {len(events)} events")
    if messages != events:
        problems.append(f"{len(set(events) ^ set(messages))} rows differ between events and messages")
    if [(offset, id_, text[:64]) for offset, id_, text in events] != keys:
        problems.append(f"{len(events)} events, {len(keys)} keys, and they do not name the same posts")
    return Stored(tuple(events), tuple(problems))
