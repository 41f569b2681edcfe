"""The store in memory keeps the promises of every store, except durability."""

from collections.abc import AsyncIterator

import pytest

from hubbub.storage import MemoryStore

from .rows import running
from .store_contract import StoreContract


class TestMemoryStore(StoreContract):
    """The contract, in memory."""

    @pytest.fixture
    async def store(self) -> AsyncIterator[MemoryStore]:
        """A running, empty store."""
        store = MemoryStore()
        async with running(store):
            yield store
