"""The store in memory keeps the promises of every store, except durability."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
