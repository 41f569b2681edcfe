"""What tests of the engine's shell are made of: outlets that follow a script, a store that fails on demand, replies that count.

Nothing here replaces a part of the engine; they stand where transports, callers and databases stand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs
import trio

from hubbub.engine import (
    SYSTEM,
    Author,
    ConversationSettings,
    Draft,
    Engine,
    EngineError,
    EngineSettings,
    Event,
    Principal,
    Record,
    StoreUnavailable,
    WriterSettings,
)
from hubbub.engine.core.batch import Batch, Result, Row
from hubbub.engine.core.commands import Command, Describe, History, Join, Presence, Replay, Signal, Submit
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.permissions import Verb
from hubbub.engine.core.recovery import Since
from hubbub.engine.core.session import compose_post
from hubbub.engine.core.subscriber import Subscriber
from hubbub.storage.store import WriterStore

from ..storage.torn import Fault, TornBackend

ROOM = ConversationId("room")
ADA = Principal(Author("ada", "Ada"))
BOB = Principal(Author("bob", "Bob"))


class HeldBackend(TornBackend):
    """A torn backend whose commits can also be held back after they were sent."""

    def __init__(self, script: Sequence[Fault] = ()) -> None:
        super().__init__(script)
        self.held: trio.Event | None = None

    def hold(self) -> trio.Event:
        """Let commits hang until the returned event is set."""
        self.held = trio.Event()
        return self.held

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        if self.held is not None:
            await self.held.wait()
            self.held = None
        return await super().commit(rows, again=again)


class FaultyStore(WriterStore):
    """A store whose reads and `submit` fail on demand.

    Attributes:
        away: every read raises StoreUnavailable.
        load_errors, submit_errors: raised by the next calls, first to last.
        read_s: how long a read takes.
    """

    def __init__(self, script: Sequence[Fault] = (), *, settings: WriterSettings | None = None) -> None:
        self.backend = HeldBackend(script)
        super().__init__(self.backend, settings or WriterSettings(), drain_s=5.0)
        self.away = False
        self.load_errors: list[Exception] = []
        self.event_errors: list[Exception] = []
        self.submit_errors: list[Exception] = []
        self.read_s = 0.0
        self.loads = 0

    def submit(self, batch: Batch) -> None:
        if self.submit_errors:
            raise self.submit_errors.pop(0)
        super().submit(batch)

    async def load(self, conversation: ConversationId) -> Record | None:
        self.loads += 1
        await self._read()
        if self.load_errors:
            raise self.load_errors.pop(0)
        return await super().load(conversation)

    async def events(self, conversation: ConversationId, *, after: int, limit: int, max_bytes: int) -> list[Event]:
        await self._read()
        if self.event_errors:
            raise self.event_errors.pop(0)
        return await super().events(conversation, after=after, limit=limit, max_bytes=max_bytes)

    async def _read(self) -> None:
        await trio.sleep(self.read_s)
        if self.away:
            raise StoreUnavailable

    def texts(self, conversation: str = ROOM) -> list[str]:
        """The texts of the stored messages, in order."""
        return [event.message.text for event in self.backend.log(conversation) if event.message is not None]


class OffsetFormat:
    """A wire format that shows the offset only, or the type of an ephemeral event."""

    def __init__(self, name: str = "offsets") -> None:
        self.name = name

    def encode(self, event: Event, body: bytes) -> bytes:
        """``5;`` or ``typing;``."""
        return f"{event.type if event.offset is None else event.offset};".encode()


OFFSETS = OffsetFormat()


class Outlet:
    """An outlet that follows its owner.

    Attributes:
        offsets: durable events taken. `signals`: ephemeral ones.
        blocked: refuse pushes. `room_for`: take so many pushes, then block; None is no bound.
        on_push: called before a push is taken; what it raises comes out of the push.
    """

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.signals: list[str] = []
        self.blocked = False
        self.room_for: int | None = None
        self.behind = False
        self.cut: list[str] = []
        self.on_push: Callable[[], None] | None = None

    def push(self, data: bytes) -> bool:
        if self.room_for == 0:
            self.blocked = True
        if self.blocked:
            return False
        if self.on_push is not None:
            self.on_push()
        if self.room_for is not None:
            self.room_for -= 1
        for word in data.decode().split(";")[:-1]:
            if word.isdigit():
                self.offsets.append(int(word))
            else:
                self.signals.append(word)
        return True

    def fell_behind(self, subscriber: Subscriber) -> None:
        self.behind = True

    def cut_off(self, subscriber: Subscriber, code: str) -> None:
        self.cut.append(code)
        subscriber.leave()

    def free(self, subscriber: Subscriber, room_for: int | None = None) -> None:
        """There is room again."""
        self.blocked, self.room_for = False, room_for
        if self.behind:
            self.behind = False
            subscriber.resume()


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


QUERIES: tuple[Callable[[Replies], Command], ...] = (
    lambda reply: Describe(reply, ADA),
    lambda reply: History(reply, ADA, None, None, None, 10),
    lambda reply: History(reply, ADA, 0, None, None, 10),
    lambda reply: Replay(reply, ADA, None, 10, reverse=False),
    lambda reply: Replay(reply, ADA, None, 10, reverse=True),
    lambda reply: Signal(reply, ADA, "typing", 0, None),
    lambda reply: Presence(reply, ADA, 10),
)


def query(engine: Engine, make: Callable[[Replies], Command], *, name: str = ROOM) -> Replies:
    """Send a question."""
    replies = Replies()
    engine.send(ConversationId(name), make(replies))
    return replies


def settings(**bounds: Any) -> EngineSettings:
    """Engine settings; what ConversationSettings knows goes there."""
    inner = {field.name for field in attrs.fields(ConversationSettings)}
    conversation = ConversationSettings(**{name: value for name, value in bounds.items() if name in inner})
    outer = {name: value for name, value in bounds.items() if name not in inner}
    return EngineSettings(conversation=conversation, **outer)


@asynccontextmanager
async def world(store: WriterStore, **bounds: Any) -> AsyncIterator[Engine]:
    """An engine with one public conversation, `ROOM`."""
    async with Engine.open(store=store, settings=settings(**bounds)) as engine:
        await engine.create(ROOM, exist_ok=True)
        yield engine


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait, in the test's time, until a condition holds."""
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110  what is waited for lies inside the engine
            await trio.sleep(0.02)


def is_error(answer: Any) -> bool:
    """Whether an answer is an error."""
    return isinstance(answer, EngineError)


__all__ = [
    "ADA", "BOB", "OFFSETS", "QUERIES", "ROOM", "SYSTEM", "FaultyStore", "HeldBackend", "OffsetFormat", "Outlet", "Replies",
    "is_error", "join", "poison", "post", "query", "settings", "subscriber_of", "until", "world",
]  # fmt: skip
