"""What tests of the engine's shell are made of: the public kit's outlets and faulty store, and replies that count.

Nothing here replaces a part of the engine; they stand where transports, callers and databases stand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import trio

from hubbub.engine import (
    SYSTEM,
    Author,
    Draft,
    Engine,
    EngineError,
    Principal,
)
from hubbub.engine.core.batch import Row
from hubbub.engine.core.commands import Command, Describe, History, Join, Presence, Replay, Signal, Submit
from hubbub.engine.core.compose import compose_post
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.permissions import Verb
from hubbub.engine.core.recovery import Since
from hubbub.engine.core.subscriber import Subscriber
from hubbub.storage.store import WriterStore
from hubbub.testing import OFFSETS, FaultyStore, OffsetFormat
from hubbub.testing import ScriptedOutlet as Outlet
from hubbub.testing import engine_settings as settings
from hubbub.testing import wait_until as until

ROOM = ConversationId("room")
ADA = Principal(Author("ada", "Ada"))
BOB = Principal(Author("bob", "Bob"))
ANSWERED_WITHIN_S = 600.0  # of the test's own time: longer than any deadline


class Replies:
    """Keeps the answer to one command and when it came. A second answer is kept too, for `answer` to complain about."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.at = 0.0
        self._event = trio.Event()

    def __call__(self, answer: Any) -> None:
        self.answers.append(answer)
        self.at = trio.current_time()
        self._event.set()

    @property
    def answer(self) -> Any:
        assert len(self.answers) == 1, f"answered {len(self.answers)} times"
        return self.answers[0]

    async def wait(self) -> Any:
        """The answer; an engine that never answers fails the test instead of hanging it."""
        with trio.fail_after(ANSWERED_WITHIN_S):
            await self._event.wait()
        return self.answer


def subscriber_of(outlet: Outlet, client: str, principal: Principal = ADA, wire: OffsetFormat = OFFSETS) -> Subscriber:
    """A push subscriber."""
    return Subscriber(outlet, wire, principal, client)


def join(
    engine: Engine, subscriber: Subscriber, since: int | None = None, *, page_bytes: int = 0, name: str = ROOM
) -> Replies:
    """Send a join; the answer is a Joined or an error."""
    replies = Replies()
    where = None if since is None else Since(since)
    engine.send(ConversationId(name), Join(replies, subscriber.principal, subscriber, where, page_bytes))
    return replies


def post(
    engine: Engine,
    text: str,
    *,
    by: Principal = ADA,
    key: str | None = None,
    timeout_s: float | None = None,
    name: str = ROOM,
) -> Replies:
    """Send a post; the answer is an Ack or an error."""
    replies = Replies()
    draft = Draft(text, author=by.author, idempotency_key=key)
    stamp = engine.stamp(timeout_s)
    conversation, command = compose_post(engine.settings.conversation, by, name, draft, stamp, replies)
    engine.send(conversation, command)
    return replies


def poison(engine: Engine, *, name: str = ROOM) -> Replies:
    """Send a command that crashes the actor that handles it: a row without any field."""
    replies = Replies()
    engine.send(ConversationId(name), Submit(replies, ADA, Verb.POST, cast("Row", object()), 1e9))
    return replies


Query = Callable[[Replies], Command]
QUERIES: dict[str, Query] = {
    "describe": lambda reply: Describe(reply, ADA),
    "newest": lambda reply: History(reply, ADA, None, None, None, 10),
    "from start": lambda reply: History(reply, ADA, 0, None, None, 10),
    "replay": lambda reply: Replay(reply, ADA, None, 10, reverse=False),
    "replay backwards": lambda reply: Replay(reply, ADA, None, 10, reverse=True),
    "typing": lambda reply: Signal(reply, ADA, "typing", 0, None),
    "roster": lambda reply: Presence(reply, ADA, 10),
}


def query(engine: Engine, make: Query, *, name: str = ROOM) -> Replies:
    """Send a question."""
    replies = Replies()
    engine.send(ConversationId(name), make(replies))
    return replies


@asynccontextmanager
async def world(store: WriterStore, **bounds: Any) -> AsyncIterator[Engine]:
    """An engine with one public conversation, `ROOM`."""
    async with Engine.open(store=store, settings=settings(**bounds)) as engine:
        await engine.create(ROOM, exist_ok=True)
        yield engine


def is_error(answer: Any) -> bool:
    """Whether an answer is an error."""
    return isinstance(answer, EngineError)


__all__ = [
    "ADA", "BOB", "OFFSETS", "QUERIES", "ROOM", "SYSTEM", "FaultyStore", "OffsetFormat", "Outlet", "Replies",
    "is_error", "join", "poison", "post", "query", "settings", "subscriber_of", "until", "world",
]  # fmt: skip
