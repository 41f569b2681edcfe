"""The contract of the identities that open accounts, in memory and on Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hubbub.engine.identity.ports import AccountStore
from hubbub.storage import MemoryStore, PostgresStore
from hubbub.testing.store_contract import IdentityStoreContract

from ..postgres_server import PostgresServer


class TestMemoryIdentities(IdentityStoreContract):
    """In memory."""

    @asynccontextmanager
    async def open_accounts(self) -> AsyncIterator[AccountStore]:
        """Empty."""
        yield MemoryStore().accounts


@pytest.mark.postgres
class TestPostgresIdentities(IdentityStoreContract):
    """On Postgres."""

    @pytest.fixture(autouse=True)
    def _fresh(self, postgres: PostgresServer, database: str) -> None:
        self.url = postgres.url(database)

    @asynccontextmanager
    async def open_accounts(self) -> AsyncIterator[AccountStore]:
        """The test's own database."""
        async with PostgresStore.open(self.url) as store:
            yield store.accounts
