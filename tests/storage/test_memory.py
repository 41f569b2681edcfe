"""The store in memory keeps the promises of every store, except durability."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hubbub.engine.core.batch import Committed
from hubbub.storage import MemoryBackend, MemoryStore
from hubbub.testing.rows import commit, message, record, running
from hubbub.testing.store_contract import BackendContract, StoreContract


class TestMemoryStore(StoreContract):
    """The contract, in memory."""

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[MemoryStore]:
        """An empty store."""
        yield MemoryStore()


class TestMemoryBackend(BackendContract):
    """What the writer is promised, in memory."""

    @asynccontextmanager
    async def open_backend(self) -> AsyncIterator[MemoryBackend]:
        """An empty backend."""
        yield MemoryBackend()


async def test_an_idle_store_counts_what_was_done() -> None:
    """Two rows in one commit, and nothing waits."""
    store = MemoryStore()
    async with running(store):
        await store.create(record())
        await commit(store, message(), message())
        statistics = store.statistics()
    assert (statistics.rows, statistics.commits, statistics.queued_rows) == (2, 1, 0)


async def test_each_question_about_a_conversation_is_counted_as_a_read() -> None:
    """So that an operator, and the bench, can see that a tail has answered."""
    store = MemoryStore()
    async with running(store):
        await store.create(record())
        [result] = await commit(store, message())
        assert (result, store.reads) == (Committed(1), 0)
        name = record().id
        await store.load(name)
        await store.events(name, after=0, limit=1, max_bytes=1)
        await store.latest(name, limit=1, max_bytes=1)
        await store.messages(name, after=None, before=None, limit=1, max_bytes=1)
        await store.find_key(name, "ada", "key")
        await store.message_offset(name, "id")
        await store.list_conversations(None, after=None, limit=1)
    assert store.reads == 7
