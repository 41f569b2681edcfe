"""How a contract suite gets at the store under test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Final

import pytest

from ...engine import Store, WriterSettings
from ..rows import running

PLENTY: Final = 1 << 20
"""Bytes that no page of these tests reaches."""


@pytest.mark.trio
class OpensStore:
    """Gives each test the fixture `store`: open, empty, its actor running.

    Attributes:
        queue_rows: rows that may wait for the store before `submit` refuses more.
    """

    queue_rows: ClassVar[int] = WriterSettings().queue_items

    def open_store(self) -> AbstractAsyncContextManager[Store]:
        """Open the store; for the subclass to define, usually as an async generator under `asynccontextmanager`.

        Its actor must not run yet. The first opening in a test gives an empty store. A durable store gives what is there when
        it is opened again in the same test.
        """
        raise NotImplementedError("a contract suite needs open_store")

    @pytest.fixture
    async def store(self, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
        """The store under test, running."""
        # pytest-trio gives an async fixture another instance than the test's, which autouse fixtures have prepared.
        suite: OpensStore = request.instance
        async with suite.open_store() as store, running(store):
            yield store
