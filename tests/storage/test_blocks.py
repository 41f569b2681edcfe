"""The contract of blocks, in memory and on Postgres, and what a database keeps of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hubbub.engine import Author, Draft, Engine, Forbidden, Principal
from hubbub.engine.block_store import BlockStore
from hubbub.storage import MemoryBlocks, PostgresStore
from hubbub.testing.store_contract import BlockStoreContract

from .postgres_server import PostgresServer

ADA, BOB = Principal(Author("ada", "Ada")), Principal(Author("bob", "Bob"))


class TestMemoryBlocks(BlockStoreContract):
    """In memory."""

    @asynccontextmanager
    async def open_blocks(self) -> AsyncIterator[BlockStore]:
        """Empty."""
        yield MemoryBlocks()


@pytest.mark.postgres
class TestPostgresBlocks(BlockStoreContract):
    """On Postgres."""

    @pytest.fixture(autouse=True)
    def _fresh(self, postgres: PostgresServer, database: str) -> None:
        self.url = postgres.url(database)

    @asynccontextmanager
    async def open_blocks(self) -> AsyncIterator[BlockStore]:
        """The test's own database."""
        async with PostgresStore.open(self.url) as store:
            yield store.blocks


@pytest.mark.postgres
async def test_a_block_outlives_a_restart(postgres: PostgresServer, database: str) -> None:
    """The next server refuses what this one refused; what was said can still be read."""
    async with PostgresStore.open(postgres.url(database)) as store, Engine.open(store=store) as engine:
        pair = await engine.direct(ADA.author, BOB.author)
        await pair.post(Draft("hi", author=BOB.author), by=BOB)
        await engine.blocks.put(BOB.author, by=ADA)
    async with PostgresStore.open(postgres.url(database)) as store, Engine.open(store=store) as engine:
        pair = engine.conversation(pair.id)
        with pytest.raises(Forbidden):
            await pair.post(Draft("again", author=BOB.author), by=BOB)
        assert [message.text for message in (await pair.history()).messages] == ["hi"]
        await engine.blocks.remove("bob", by=ADA)
        await pair.post(Draft("again", author=BOB.author), by=BOB)
