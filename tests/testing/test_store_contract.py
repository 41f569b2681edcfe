"""The contract of stores can fail: each wrong store or backend is caught by a test that speaks of its fault."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import msgspec
import pytest
import trio

from hubbub.engine import Event, Message, Record, Store, WriterSettings
from hubbub.engine.core.batch import Batch
from hubbub.storage import (
    Backend,
    Committed,
    MemoryBackend,
    MemoryStore,
    Rejected,
    Repeat,
    Result,
    Row,
    RowsRefused,
    WriterStore,
)
from hubbub.testing.rows import ROOM, message, record, running
from hubbub.testing.store_contract import BackendContract, DurableStoreContract, StoreContract


class CountsFromZero(MemoryBackend):
    """Its first offset is 0."""

    def apply(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        results = super().apply(rows, again=again)
        return [Committed(r.offset - 1) if isinstance(r, Committed) else r for r in results]


class ForgetsKeys(MemoryBackend):
    """Every post is new to it."""

    def apply(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        return super().apply([attrs.evolve(row, key=None) for row in rows], again=again)


class ForgetsOldKeys(MemoryBackend):
    """It knows the last forty keys of a conversation."""

    def apply(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        results = super().apply(rows, again=again)
        for log in self._logs.values():
            for key in list(log.keys)[:-40]:
                del log.keys[key]
        return results


class MixesAuthors(MemoryBackend):
    """A key belongs to nobody."""

    def apply(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        results: list[Result] = []
        for row in rows:
            known = self._logs[row.conversation].keys if row.conversation in self._logs else {}
            taken = next((repeat for (_, key), repeat in known.items() if key == row.key), None)
            results += [taken] if taken is not None else super().apply([row], again=again)
        return results


class OffByOne(MemoryBackend):
    """A page begins with the event that the reader has."""

    async def events(self, conversation: str, *, after: int, limit: int, max_bytes: int) -> list[Event]:
        return await super().events(conversation, after=max(0, after - 1), limit=limit, max_bytes=max_bytes)  # type: ignore[arg-type]


class Boundless(MemoryBackend):
    """Bytes do not matter to it."""

    async def latest(self, conversation: str, *, limit: int, max_bytes: int, before: int | None = None) -> list[Event]:
        return await super().latest(conversation, limit=limit, max_bytes=1 << 40, before=before)  # type: ignore[arg-type]


class Inclusive(MemoryBackend):
    """Bounds of its pages of messages belong to the page."""

    async def messages(
        self, conversation: str, *, after: int | None, before: int | None, limit: int, max_bytes: int
    ) -> list[Message]:
        before = None if before is None else before + 1
        return await super().messages(conversation, after=after, before=before, limit=limit, max_bytes=max_bytes)  # type: ignore[arg-type]


class IgnoresChanges(MemoryBackend):
    """A record is for ever."""

    async def load(self, conversation: str) -> Record | None:
        loaded = await super().load(conversation)  # type: ignore[arg-type]
        return None if loaded is None else attrs.evolve(loaded, title=f"title of {conversation}")


class Tidies(MemoryBackend):
    """A meta comes back as JSON, not as the bytes that were sent."""

    def apply(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        tidied = [row.meta_json and msgspec.json.format(row.meta_json, indent=1) for row in rows]
        rows = [attrs.evolve(row, meta_json=meta) for row, meta in zip(rows, tidied, strict=True)]
        return super().apply(rows, again=again)


class ListsAsMade(MemoryBackend):
    """Its lists have no order."""

    async def list_conversations(self, principal_id: str | None, *, after: str | None, limit: int) -> list[Record]:
        return (await super().list_conversations(principal_id, after=after, limit=limit))[::-1]


class KnowsNoKey(MemoryBackend):
    """It finds no key."""

    async def find_key(self, conversation: str, author_id: str, key: str) -> Repeat | None:
        return None


def over(backend: Callable[[], MemoryBackend]) -> Callable[[], WriterStore]:
    """A store over a backend."""
    return lambda: WriterStore(backend(), WriterSettings())


class SettlesAtOnce(MemoryStore):
    """It answers from inside `submit`."""

    def submit(self, batch: Batch) -> None:
        assert isinstance(self._backend, MemoryBackend)
        batch.sent = True
        batch.settle(self._backend.apply(batch.rows, again=False))


class StoresTheWithdrawn(MemoryStore):
    """It looks at its rows only when it is given them."""

    def submit(self, batch: Batch) -> None:
        rows = [attrs.evolve(row) for row in batch.rows]
        super().submit(Batch(batch.conversation, rows, lambda _, results: batch.settle(results)))


class StoresTheRefused(MemoryStore):
    """What it refuses while it stops, it stores."""

    def submit(self, batch: Batch) -> None:
        def settled(_: Batch, results: Sequence[Result]) -> None:
            store_refused(self._backend, batch.rows, results)
            batch.settle(results)

        super().submit(Batch(batch.conversation, batch.rows, settled))


def store_refused(backend: Backend, rows: Sequence[Row], results: Sequence[Result]) -> None:
    """Store the rows that were rejected as not stored."""
    assert isinstance(backend, MemoryBackend)
    backend.apply([row for row, result in zip(rows, results, strict=True) if isinstance(result, Rejected)], again=False)


class SettlesTwice(MemoryStore):
    """Posts that wait when it stops are told twice."""

    def submit(self, batch: Batch) -> None:
        def settled(_: Batch, results: Sequence[Result]) -> None:
            batch.settle(results)
            if isinstance(results[0], Rejected):
                batch.on_settled(batch, results)

        super().submit(Batch(batch.conversation, batch.rows, settled))


def unbounded() -> MemoryStore:
    """A store that takes any number of rows."""
    return MemoryStore(WriterSettings(queue_items=1 << 40))


async def fails(suite: StoreContract | BackendContract, name: str) -> bool:
    """Whether one test of a suite fails."""
    test, failed = getattr(suite, name), False
    try:
        with trio.fail_after(5):
            if "store" in inspect.signature(test).parameters:
                assert isinstance(suite, StoreContract)
                async with suite.open_store() as store, running(store):
                    await test(store)
            elif "backend" in inspect.signature(test).parameters:
                assert isinstance(suite, BackendContract)
                async with suite.open_backend() as backend:
                    for room in ("room", "other"):
                        await backend.create(record(room))
                    await test(backend)
            else:
                await test()
    except* (AssertionError, pytest.fail.Exception):
        failed = True
    return failed


def names(suite: type[StoreContract | BackendContract]) -> list[str]:
    """The tests of a suite."""
    return [name for name in dir(suite) if name.startswith("test_")]


def suite_of(make: Callable[[], Store]) -> StoreContract:
    """The contract over a way to make a store."""

    class Suite(DurableStoreContract):
        @asynccontextmanager
        async def open_store(self) -> AsyncIterator[Store]:
            yield make()

    return Suite()


@pytest.mark.parametrize(
    ("make", "test"),
    [
        (over(CountsFromZero), "test_offsets_are_consecutive_from_one_in_order_of_submission"),
        (over(ForgetsKeys), "test_a_known_key_gives_the_first_ack"),
        (over(ForgetsOldKeys), "test_the_oldest_of_many_keys_is_still_known"),
        (StoresTheRefused, "test_what_a_stop_refuses_is_not_stored"),
        (SettlesTwice, "test_what_a_stop_refuses_is_not_stored"),
        (over(MixesAuthors), "test_a_key_belongs_to_author_and_conversation"),
        (over(OffByOne), "test_pages_of_events"),
        (over(Boundless), "test_the_newest_events"),
        (over(Inclusive), "test_pages_of_messages"),
        (over(IgnoresChanges), "test_a_change_changes_the_record_in_its_commit"),
        (over(Tidies), "test_an_event_comes_back_byte_for_byte"),
        (over(ListsAsMade), "test_conversations_are_listed"),
        (over(KnowsNoKey), "test_the_message_of_a_key"),
        (SettlesAtOnce, "test_a_batch_is_settled_once_and_never_inside_submit"),
        (StoresTheWithdrawn, "test_withdrawn_rows_are_never_stored"),
        (unbounded, "test_too_many_rows_are_refused_whole"),
        (MemoryStore, "test_everything_is_there_after_a_restart"),
        (MemoryStore, "test_an_ack_outlives_any_number_of_restarts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_wrong_store_is_caught(make: Callable[[], Store], test: str) -> None:
    """By the test that speaks of its fault."""
    assert await fails(suite_of(make), test)


@pytest.mark.parametrize("test", names(StoreContract))
async def test_a_right_store_passes(test: str) -> None:
    """The way these tests run a suite finds no fault where there is none."""
    assert not await fails(suite_of(MemoryStore), test)


@pytest.mark.parametrize("lies", [False, True])
async def test_a_store_that_stores_the_refused_when_it_closes_is_caught(lies: bool) -> None:
    """By the test that opens it again; one that does not is none the worse."""
    backend = MemoryBackend()

    class Suite(DurableStoreContract):
        @asynccontextmanager
        async def open_store(self) -> AsyncIterator[Store]:
            posts: list[Batch] = []
            store = Notes(backend, posts)
            yield store
            store.close()
            for batch in posts if lies else ():
                assert batch.results is not None
                store_refused(backend, batch.rows, batch.results)

    assert await fails(Suite(), "test_what_a_stop_refused_is_not_there_after_a_restart") is lies


class Notes(WriterStore):
    """It keeps what it was given."""

    def __init__(self, backend: Backend, batches: list[Batch]) -> None:
        super().__init__(backend, WriterSettings())
        self._batches = batches

    def submit(self, batch: Batch) -> None:
        super().submit(batch)
        self._batches.append(batch)


class SendsTwice(MemoryBackend):
    """A second try is a new post to it."""

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        return await super().commit(rows, again=False)


class StoresHalf(MemoryBackend):
    """It stores what stands before the poison."""

    async def commit(self, rows: Sequence[Row], *, again: bool) -> list[Result]:
        for row in rows:
            if row.text == "poison":
                raise RowsRefused("poison")
            self.apply([row], again=again)
        return [Committed(1) for _ in rows]


class ProbesWithARow(MemoryBackend):
    """To see whether it can write, it writes a message."""

    async def probe(self, *, write: bool) -> None:
        await trio.lowlevel.checkpoint()
        self.apply([message()], again=False)


@pytest.mark.parametrize(
    ("make", "test"),
    [
        (SendsTwice, "test_a_second_try_finds_what_is_stored"),
        (SendsTwice, "test_a_commit_that_was_cancelled_is_settled_by_a_second_try"),
        (StoresHalf, "test_a_refused_commit_stores_nothing"),
        (ProbesWithARow, "test_a_probe_changes_nothing"),
        (CountsFromZero, "test_it_opens_without_a_problem"),
    ],
)
async def test_a_wrong_backend_is_caught(make: Callable[[], Backend], test: str) -> None:
    """By the test that speaks of its fault."""

    class Suite(BackendContract):
        poison = message(ROOM, "poison")

        @asynccontextmanager
        async def open_backend(self) -> AsyncIterator[Backend]:
            yield make()

    assert await fails(Suite(), test)
