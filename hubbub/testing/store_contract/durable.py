"""What a durable store promises besides: a commit that was settled is there after the program has ended."""

from __future__ import annotations

from ...engine import Record, Store, Visibility
from ...engine.core.batch import Committed, Repeat
from ...engine.core.messages import ConversationChange
from ..rows import OTHER, ROOM, commit, message, record, running, update
from .audit import AuditPromises
from .commits import CommitPromises
from .members import MemberContract
from .opening import PLENTY
from .reads import ReadPromises
from .stopping import StopPromises, check_outcomes, stopped_at_work, stored_offsets


class StoreContract(CommitPromises, ReadPromises, StopPromises, MemberContract, AuditPromises):
    """Every promise of `engine/ports.py` but durability. Subclass it, define `open_store`, and pytest runs it."""


class DurableStoreContract(StoreContract):
    """The same, and durability: `open_store` gives, when it is used again in one test, what was there at the end of the
    first use."""

    async def test_everything_is_there_after_a_restart(self) -> None:
        """Records with their changes, events byte for byte, and keys; offsets go on."""
        first = message(key="k", digest=b"d", meta_json=b'{"a":1.0}')
        async with self.open_store() as store, running(store):
            await store.create(record(ROOM))
            await store.create(record(OTHER, visibility=Visibility.PRIVATE))
            change = ConversationChange(title="new")
            assert await commit(store, message(), first, update(change=change)) == [Committed(n) for n in (1, 2, 3)]
            before = await _everything(store)
        async with self.open_store() as store, running(store):
            assert await _everything(store) == before
            results = await commit(store, message(key="k", digest=b"e"), message())
            assert results == [Repeat(2, first.id, first.at_ms, b"d", first.actor), Committed(4)]

    async def test_an_ack_outlives_any_number_of_restarts(self) -> None:
        """Offsets stay consecutive, and a key keeps its first answer."""
        rows = [message(text=str(number), key=f"k{number}") for number in range(5)]
        for number, row in enumerate(rows):
            async with self.open_store() as store, running(store):
                if number == 0:
                    await store.create(record())
                assert await commit(store, row) == [Committed(number + 1)]
                known = [
                    Repeat(place, old.id, old.at_ms, old.digest, old.actor)
                    for place, old in enumerate(rows[:number], 1)
                ]
                retries = [message(key=old.key) for old in rows[:number]]
                assert await commit(store, *retries, message(key=row.key)) == [
                    *known,
                    Repeat(number + 1, row.id, row.at_ms, row.digest, row.actor),
                ]

    async def test_what_a_stop_refused_is_not_there_after_a_restart(self) -> None:
        """Nothing of it is stored while the store closes or opens, and what was acked is there."""
        async with self.open_store() as store:
            posts = await stopped_at_work(store)
        async with self.open_store() as store, running(store):
            check_outcomes(posts, await stored_offsets(store))


async def _everything(store: Store) -> tuple[object, list[Record], list[object]]:
    events = await store.events(ROOM, after=0, limit=100, max_bytes=PLENTY)
    messages = await store.messages(ROOM, after=None, before=None, limit=100, max_bytes=PLENTY)
    return await store.load(ROOM), await store.list_conversations(None, after=None, limit=10), [*events, *messages]
