"""The contract of blocks, in memory and on Postgres, and what a database keeps of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hubbub.engine import Author, Draft, Engine, Forbidden, Principal
from hubbub.engine.block_store import BlockStore
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.principals import ServerRole
from hubbub.engine.identity.records import User
from hubbub.storage import MemoryBlocks, PostgresStore
from hubbub.testing.rows import AT_MS, record
from hubbub.testing.store_contract import BlockStoreContract
from hubbub.testing.store_contract.blocks import block

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
async def test_a_deleted_account_leaves_no_blocks(postgres: PostgresServer, database: str) -> None:
    """Whom it blocked, and what it hid, is forgotten; who blocked it goes on blocking an id without its name."""
    async with PostgresStore.open(postgres.url(database)) as store:
        ada = User(id="ada", name="Ada Lovelace", role=ServerRole.MEMBER, created_at_ms=AT_MS, username="ada")
        await store.accounts.add_user(ada, now_ms=AT_MS)
        await store.create(record("room"))
        for one in (block("ada", "bob"), block("bob", "ada"), block("bob", "eve")):
            await store.blocks.add(one, most=9)
        await store.hide(ConversationId("room"), "ada", upto=0)
        await store.accounts.delete_user("ada", now_ms=AT_MS)
        assert await store.blocks.list_of("ada", after=None, limit=9) == []
        [gone, eve] = await store.blocks.list_of("bob", after=None, limit=9)
        assert (gone.user.id, eve.user.name) == ("ada", "Eve")
        assert "ada" not in gone.user.name.lower()
        assert len(await store.list_conversations("ada", after=None, limit=9)) == 1


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
