"""The store on Postgres: the contract on a real server."""

from collections.abc import AsyncIterator

import pytest

from hubbub.storage import PostgresStore

from .postgres_server import PostgresServer
from .rows import running
from .store_contract import StoreContract

pytestmark = pytest.mark.postgres


class TestPostgresStore(StoreContract):
    """The contract, on Postgres."""

    @pytest.fixture
    async def store(self, postgres: PostgresServer, database: str) -> AsyncIterator[PostgresStore]:
        """A running, empty store."""
        async with PostgresStore.open(postgres.url(database)) as store, running(store):
            yield store
