"""Rows, batches and a running store: what a test of a store hands in and waits for. `store_contract` is made of these.

A `Row` is one durable event to be, as a conversation hands it to the store; a `Batch` holds rows of one conversation and is
settled with one result per row. Rows made here have ids that no other row of the process has.

    async with rows.running(store):
        await store.create(rows.record("room"))
        assert await rows.commit(store, rows.message("room")) == [Committed(1)]
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from ..actors import RestartIntensity, Supervisor
from ..engine import Author, Record, Store, Visibility
from ..engine.core.batch import Batch, Result, Row
from ..engine.core.ids import ConversationId, uuid7
from ..engine.core.kinds import EventType
from ..engine.core.members import Member, Role
from ..engine.core.messages import ConversationChange

_numbers = itertools.count(1)

ADA = Author("ada", "Ada")
BOB = Author("bob", "Bob", "bot")
ROOM = ConversationId("room")
OTHER = ConversationId("other")
AT_MS = 1_700_000_000_123
"""When rows and records say that they were made; milliseconds, because a store must keep them."""


def fresh_id() -> str:
    """A UUIDv7 that no other row of the process has; ids rise."""
    return uuid7(1_700_000_000_000, next(_numbers))


def record(name: str = ROOM, *, owner: str = "ada", visibility: Visibility = Visibility.PUBLIC) -> Record:
    """A new conversation, for `Store.create`."""
    members = {owner: Member(Author(owner, owner), Role.OWNER, AT_MS)}
    return Record(
        ConversationId(name), f"title of {name}", visibility, owner, f"epoch-{name}", 0, AT_MS, members=members
    )


def message(
    conversation: str = ROOM,
    text: str = "hi",
    *,
    author: Author = ADA,
    key: str | None = None,
    digest: bytes = b"",
    reply_to: str | None = None,
    meta_json: bytes | None = None,
    at_ms: int = AT_MS,
    request_id: str | None = None,
) -> Row:
    """A message with an id of its own.

    Args:
        key: idempotency key; rows with the same author and key in one conversation are one post.
        digest: of the request, kept beside the key.
        meta_json: an encoded JSON object, to come back byte for byte.
        request_id: of the request that it came by.
    """
    return Row(
        conversation=ConversationId(conversation),
        type=EventType.MESSAGE_CREATED.value,
        id=fresh_id(),
        actor=author,
        at_ms=at_ms,
        text=text,
        reply_to=reply_to,
        meta_json=meta_json,
        key=key,
        digest=digest,
        request_id=request_id,
    )


def update(conversation: str = ROOM, *, author: Author = ADA, change: ConversationChange) -> Row:
    """An event about the conversation itself."""
    kind = EventType.CONVERSATION_ARCHIVED if change.archived else EventType.CONVERSATION_UPDATED
    return Row(
        conversation=ConversationId(conversation),
        type=kind.value,
        id=fresh_id(),
        actor=author,
        at_ms=AT_MS + 333,
        change=change,
    )


def membership(conversation: str = ROOM, *, kind: EventType = EventType.MEMBER_JOINED, member: Member) -> Row:
    """An event about one membership: the row as it becomes."""
    return Row(
        conversation=ConversationId(conversation),
        type=kind.value,
        id=fresh_id(),
        actor=ADA,
        at_ms=AT_MS + 444,
        member=member,
    )


class Post:
    """One batch on its way and its results.

    Attributes:
        batch: what was handed in.
        done: set when it is settled.
        settlings: how often it was settled; a store that settles twice, or from inside `submit`, shows here.
    """

    def __init__(self, batch_rows: Sequence[Row]) -> None:
        self.done = trio.Event()
        self.settlings = 0
        self.batch = Batch(batch_rows[0].conversation, batch_rows, self._settled)

    def _settled(self, batch: Batch, results: Sequence[Result]) -> None:
        self.settlings += 1
        self.done.set()

    @property
    def results(self) -> Sequence[Result]:
        """What became of its rows, once they are settled."""
        assert self.batch.results is not None, "not settled yet"
        return self.batch.results


def hand_in(store: Store, *batch_rows: Row) -> Post:
    """Submit one batch of rows of one conversation, without waiting.

    Raises:
        Overloaded, EngineClosed: nothing was kept.
    """
    post = Post(batch_rows)
    store.submit(post.batch)
    return post


async def commit(store: Store, *batch_rows: Row, within_s: float = 20.0) -> Sequence[Result]:
    """Submit one batch and wait for its results.

    Raises:
        trio.TooSlowError: it was not settled in time.
    """
    post = hand_in(store, *batch_rows)
    with trio.fail_after(within_s):
        await post.done.wait()
    return post.results


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[None]:
    """The store's actor runs during the block, under a supervisor as in an engine, and drains at its end.

    Raises:
        RestartsExceeded: the actor crashed; `__cause__` says how. An engine would restart it, a test should not.
    """
    never = RestartIntensity(max_restarts=0)
    async with Supervisor("store under test", children=[store.actor()], intensity=never).open():
        yield
