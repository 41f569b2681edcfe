"""The contract of invites, in memory and on Postgres, and what a database keeps of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hubbub.engine.invite_store import InviteStore
from hubbub.storage import MemoryInvites, PostgresStore
from hubbub.testing.rows import AT_MS
from hubbub.testing.store_contract import InviteStoreContract
from hubbub.testing.store_contract.invites import invite

from .postgres_server import PostgresServer


class TestMemoryInvites(InviteStoreContract):
    """In memory."""

    @asynccontextmanager
    async def open_invites(self) -> AsyncIterator[InviteStore]:
        """Empty."""
        yield MemoryInvites()


@pytest.mark.postgres
class TestPostgresInvites(InviteStoreContract):
    """On Postgres."""

    @pytest.fixture(autouse=True)
    def _fresh(self, postgres: PostgresServer, database: str) -> None:
        self.url = postgres.url(database)

    @asynccontextmanager
    async def open_invites(self) -> AsyncIterator[InviteStore]:
        """The test's own database."""
        async with PostgresStore.open(self.url) as store:
            yield store.invites


@pytest.mark.postgres
async def test_invites_outlive_a_restart(postgres: PostgresServer, database: str) -> None:
    """A claim, too."""
    one = invite(bound_to="bob")
    async with PostgresStore.open(postgres.url(database)) as store:
        await store.invites.add(one, most=1)
        await store.invites.claim(one.digest, "bob", now_ms=AT_MS)
        kept = await store.invites.find(one.digest)
    async with PostgresStore.open(postgres.url(database)) as store:
        assert await store.invites.find(one.digest) == kept
        assert not await store.invites.claim(one.digest, "eve", now_ms=AT_MS)
