"""Rows, batches and a running store for the tests of the storage folder."""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from hubbub.engine.core.batch import Batch, Result, Row
from hubbub.engine.core.ids import ConversationId, uuid7
from hubbub.engine.core.messages import Author, ConversationChange, Record, Visibility
from hubbub.storage import WriterStore

_numbers = itertools.count(1)

ADA = Author("ada", "Ada")
BOB = Author("bob", "Bob", "bot")
ROOM = ConversationId("room")
OTHER = ConversationId("other")


def fresh_id() -> str:
    """An id that no other row of the test run has."""
    return uuid7(1_700_000_000_000, next(_numbers))


def record(name: str = ROOM, *, owner: str = "ada", visibility: Visibility = Visibility.PUBLIC) -> Record:
    """A new conversation."""
    return Record(ConversationId(name), f"title of {name}", visibility, owner, f"epoch-{name}", 0, 1_700_000_000_123)


def message(
    conversation: str = ROOM,
    text: str = "hi",
    *,
    author: Author = ADA,
    key: str | None = None,
    digest: bytes = b"",
    reply_to: str | None = None,
    meta_json: bytes | None = None,
    at_ms: int = 1_700_000_000_123,
) -> Row:
    """A message with an id of its own."""
    return Row(
        conversation=ConversationId(conversation),
        type="message.created",
        id=fresh_id(),
        actor=author,
        at_ms=at_ms,
        text=text,
        reply_to=reply_to,
        meta_json=meta_json,
        key=key,
        digest=digest,
    )


def update(conversation: str = ROOM, *, author: Author = ADA, change: ConversationChange) -> Row:
    """An event about the conversation itself."""
    kind = "conversation.archived" if change.archived else "conversation.updated"
    return Row(
        conversation=ConversationId(conversation),
        type=kind,
        id=fresh_id(),
        actor=author,
        at_ms=1_700_000_000_456,
        change=change,
    )


class Post:
    """One batch on its way and its results."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.done = trio.Event()
        self.batch = Batch(rows[0].conversation, rows, self._settled)

    def _settled(self, batch: Batch, results: Sequence[Result]) -> None:
        self.done.set()

    @property
    def results(self) -> Sequence[Result]:
        """What became of its rows, once they are settled."""
        assert self.batch.results is not None
        return self.batch.results


def hand_in(store: WriterStore, *rows: Row) -> Post:
    """Submit one batch of rows of one conversation."""
    post = Post(rows)
    store.submit(post.batch)
    return post


async def commit(store: WriterStore, *rows: Row) -> Sequence[Result]:
    """Submit one batch and wait for its results."""
    post = hand_in(store, *rows)
    with trio.fail_after(20):
        await post.done.wait()
    return post.results


@asynccontextmanager
async def running(store: WriterStore) -> AsyncIterator[None]:
    """The store's actor runs during the block and drains at its end."""
    async with trio.open_nursery() as nursery:
        await nursery.start(store.actor().start)
        yield
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait for something that a database or another thread does, which tells nobody."""
    with trio.fail_after(within_s):
        while not await trio.to_thread.run_sync(condition):  # noqa: ASYNC110  there is no event to wait for
            await trio.sleep(0.01)
