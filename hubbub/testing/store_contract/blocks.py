"""What a store of blocks promises: one suite for every implementation of `engine.block_store.BlockStore`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
import trio

from ...engine import Author, Block
from ...engine.block_store import BlockStore
from ..rows import AT_MS


def block(blocker: str = "ada", blocked: str = "bob", at_ms: int = AT_MS) -> Block:
    """One person blocks another."""
    return Block(blocker, Author(blocked, blocked.title(), "guest"), at_ms)


@pytest.mark.trio
class BlockStoreContract:
    """Subclass it, define `open_blocks`, and pytest runs it."""

    def open_blocks(self) -> AbstractAsyncContextManager[BlockStore]:
        """Open an empty store of blocks; for the subclass to define."""
        raise NotImplementedError("a contract suite needs open_blocks")

    @pytest.fixture
    async def blocks(self, request: pytest.FixtureRequest) -> AsyncIterator[BlockStore]:
        """The store under test."""
        suite: BlockStoreContract = request.instance  # as in `opening`
        async with suite.open_blocks() as blocks:
            yield blocks

    async def test_a_block_has_a_direction(self, blocks: BlockStore) -> None:
        """Whichever way the two are named, the answer is who blocks; others, and oneself, are not concerned."""
        assert await blocks.between("ada", "bob") == frozenset()
        assert await blocks.add(block(), most=1) == block()
        for pair in (("ada", "bob"), ("bob", "ada")):
            assert await blocks.between(*pair) == {"ada"}
        await blocks.add(block("bob", "ada"), most=1)
        assert await blocks.between("ada", "bob") == {"ada", "bob"}
        for pair in (("ada", "eve"), ("eve", "bob"), ("ada", "ada")):
            assert await blocks.between(*pair) == frozenset()

    async def test_keeping_and_forgetting_are_repeatable(self, blocks: BlockStore) -> None:
        """A second block is the first, and forgetting what is not there is fine."""
        assert await blocks.add(block(), most=1) == block()
        assert await blocks.add(block(at_ms=AT_MS + 1), most=1) == block()
        for _ in range(2):
            await blocks.remove("ada", "bob")
            assert await blocks.between("ada", "bob") == frozenset()
        assert await blocks.add(block(at_ms=AT_MS + 1), most=1) == block(at_ms=AT_MS + 1)

    async def test_one_person_has_so_many(self, blocks: BlockStore) -> None:
        """One more is not kept, until one is forgotten; those of others do not count, nor does one that is there."""
        assert await blocks.add(block("eve", "bob"), most=2)
        for name in ("bob", "max"):
            assert await blocks.add(block(blocked=name), most=2)
        assert await blocks.add(block(blocked="eve"), most=2) is None
        assert await blocks.between("ada", "eve") == frozenset()
        assert await blocks.add(block(), most=2) == block()
        await blocks.remove("ada", "max")
        assert await blocks.add(block(blocked="eve"), most=2)

    async def test_a_person_lists_the_own_blocks(self, blocks: BlockStore) -> None:
        """By id in code point order, in pages; none of anybody else's."""
        names = ["Zoe", "bob", "bob.2", "eve", "ömer", "\U0001f600"]
        for name in reversed(names):
            await blocks.add(block(blocked=name), most=10)
        await blocks.add(block("eve", "dan"), most=10)
        found: list[Block] = []
        while page := await blocks.list_of("ada", after=found[-1].user.id if found else None, limit=4):
            found += page
        assert found == [block(blocked=name) for name in names]
        assert await blocks.list_of("bob", after=None, limit=4) == []

    async def test_the_same_block_by_many_at_once_is_one(self, blocks: BlockStore) -> None:
        """All are given a block of these two, and one stands."""
        found: list[Block | None] = []

        async def add() -> None:
            found.append(await blocks.add(block(), most=1))

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(add)
        assert await blocks.list_of("ada", after=None, limit=10) == [block()]
        assert set(found) == {block()}
