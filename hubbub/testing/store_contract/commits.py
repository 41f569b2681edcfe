"""What `submit` and the storage actor promise: order, offsets, repeats, refusals, and one settling for each batch."""

from __future__ import annotations

import pytest
import trio

from ...engine import Author, EngineClosed, NotFound, Overloaded, Store, StoreUnavailable, Visibility
from ...engine.core.batch import Committed, Rejected, Repeat
from ...engine.core.ids import ConversationId
from ...engine.core.messages import ConversationChange
from ..rows import ADA, BOB, OTHER, ROOM, Post, commit, hand_in, message, record, running, update
from .opening import PLENTY, OpensStore


class CommitPromises(OpensStore):
    """Tests of what is handed in."""

    async def test_offsets_are_consecutive_from_one_in_order_of_submission(self, store: Store) -> None:
        """Each conversation counts for itself, over batches and commits."""
        await store.create(record(ROOM))
        await store.create(record(OTHER))
        posts = [hand_in(store, *(message(room) for _ in range(3))) for room in (ROOM, OTHER, ROOM, OTHER, ROOM)]
        for post in posts:
            await post.done.wait()
        assert [post.results for post in posts] == [
            [Committed(1), Committed(2), Committed(3)],
            [Committed(1), Committed(2), Committed(3)],
            [Committed(4), Committed(5), Committed(6)],
            [Committed(4), Committed(5), Committed(6)],
            [Committed(7), Committed(8), Committed(9)],
        ]
        events = await store.events(ROOM, after=0, limit=100, max_bytes=PLENTY)
        rows = [row for post in posts[::2] for row in post.batch.rows]
        assert [(event.offset, event.message.id) for event in events if event.message] == [
            (place, row.id) for place, row in enumerate(rows, 1)
        ]

    async def test_a_known_key_gives_the_first_ack(self, store: Store) -> None:
        """Offset, id, time, digest and author of the first post come back, also for another body and for another name."""
        await store.create(record())
        first = message(text="first", key="k", digest=b"d" * 32, at_ms=1_700_000_000_001)
        renamed = Author(ADA.id, "Ada Lovelace")
        again = message(text="second", author=renamed, key="k", digest=b"e" * 32, at_ms=1_700_000_009_999)
        assert await commit(store, message(), first) == [Committed(1), Committed(2)]
        repeat = Repeat(2, first.id, first.at_ms, first.digest, first.actor)
        assert await commit(store, again, message(), again) == [repeat, Committed(3), repeat]
        loaded = await store.load(ROOM)
        assert loaded is not None
        assert loaded.offset == 3
        assert await store.message_offset(ROOM, again.id) is None

    async def test_the_oldest_of_many_keys_is_still_known(self, store: Store) -> None:
        """A key is kept as long as its message, not as long as a memory lasts."""
        await store.create(record())
        rows = [message(key=f"{number}", digest=number.to_bytes(2)) for number in range(2000)]
        for start in range(0, len(rows), 500):
            await commit(store, *rows[start : start + 500])
        old = [0, 1, 999, 1999]
        known = [Repeat(place + 1, rows[place].id, rows[place].at_ms, rows[place].digest, ADA) for place in old]
        assert await commit(store, *(message(key=f"{place}") for place in old)) == known
        assert [await store.find_key(ROOM, ADA.id, f"{place}") for place in old] == known

    async def test_a_key_twice_in_one_commit_is_stored_once(self, store: Store) -> None:
        """The second row is a repeat of the first, in one batch and over two batches of one commit."""
        await store.create(record())
        rows = [message(key="k", digest=bytes([n])) for n in range(4)]
        posts = [hand_in(store, message(), rows[0], rows[1]), hand_in(store, rows[2], message(), rows[3])]
        for post in posts:
            await post.done.wait()
        repeat = Repeat(2, rows[0].id, rows[0].at_ms, rows[0].digest, rows[0].actor)
        assert posts[0].results == [Committed(1), Committed(2), repeat]
        assert posts[1].results == [repeat, Committed(3), repeat]

    async def test_a_key_belongs_to_author_and_conversation(self, store: Store) -> None:
        """The same key elsewhere, or by somebody else, is another key."""
        await store.create(record(ROOM))
        await store.create(record(OTHER))
        posts = [
            hand_in(store, message(ROOM, key="k"), message(ROOM, key="k", author=BOB), message(ROOM, key="K")),
            hand_in(store, message(OTHER, key="k")),
        ]
        for post in posts:
            await post.done.wait()
        assert [post.results for post in posts] == [[Committed(1), Committed(2), Committed(3)], [Committed(1)]]

    async def test_rows_of_an_unknown_conversation_are_rejected_alone(self, store: Store) -> None:
        """NotFound for them; their neighbours in the commit are stored."""
        await store.create(record())
        posts = [hand_in(store, message()), hand_in(store, message("nowhere", key="k")), hand_in(store, message())]
        for post in posts:
            await post.done.wait()
        assert [posts[0].results, posts[2].results] == [[Committed(1)], [Committed(2)]]
        (rejected,) = posts[1].results
        assert isinstance(rejected, Rejected)
        assert isinstance(rejected.error, NotFound)
        assert await store.load(ConversationId("nowhere")) is None

    async def test_a_change_changes_the_record_in_its_commit(self, store: Store) -> None:
        """The last value of each field wins; fields that no change names stay."""
        await store.create(record(ROOM))
        await store.create(record(OTHER))
        post = hand_in(
            store,
            update(change=ConversationChange(title="one", visibility=Visibility.PRIVATE)),
            message(),
            update(change=ConversationChange(title="two")),
        )
        assert await commit(store, message(OTHER)) == [Committed(1)]
        assert post.results == [Committed(1), Committed(2), Committed(3)]
        loaded = await store.load(ROOM)
        assert loaded is not None
        assert (loaded.title, loaded.visibility, loaded.archived, loaded.offset) == ("two", "private", False, 3)
        await commit(store, update(change=ConversationChange(archived=True)))
        loaded = await store.load(ROOM)
        assert loaded is not None
        assert (loaded.title, loaded.visibility, loaded.archived, loaded.offset) == ("two", "private", True, 4)
        other = await store.load(OTHER)
        assert other is not None
        assert (other.title, other.archived, other.offset) == ("title of other", False, 1)

    async def test_withdrawn_rows_are_never_stored(self, store: Store) -> None:
        """They are refused as unavailable; the rest of their batch is stored."""
        await store.create(record())
        rows = [message(text=str(n)) for n in range(4)]
        posts = [hand_in(store, *rows), hand_in(store, message())]
        assert not posts[0].batch.sent
        for row in (rows[0], rows[2], posts[1].batch.rows[0]):
            row.withdrawn = True
        for post in posts:
            await post.done.wait()
        unavailable, one, also, two = posts[0].results
        assert [one, two] == [Committed(1), Committed(2)]
        for result in (unavailable, also, *posts[1].results):
            assert isinstance(result, Rejected)
            assert isinstance(result.error, StoreUnavailable)
        events = await store.events(ROOM, after=0, limit=10, max_bytes=PLENTY)
        assert [event.message.text for event in events if event.message] == ["1", "3"]

    async def test_many_conversations_in_parallel(self, store: Store) -> None:
        """Thirty conversations with one batch in flight each keep their order."""
        rooms = [ConversationId(f"room-{n}") for n in range(30)]
        for room in rooms:
            await store.create(record(room))

        async def talk(room: ConversationId) -> None:
            offset = 0
            for size in (1, 3, 1, 5, 2, 1):
                results = await commit(store, *(message(room, key=f"{offset + n}") for n in range(size)))
                assert results == [Committed(offset + n) for n in range(1, size + 1)]
                offset += size

        async with trio.open_nursery() as nursery:
            for room in rooms:
                nursery.start_soon(talk, room)

    async def test_a_batch_is_settled_once_and_never_inside_submit(self, store: Store) -> None:
        """A conversation hands in from the middle of its work, and is told later, once, with `sent` set before."""
        await store.create(record())
        posts = []
        for size in (1, 5, 1, 2):
            posts.append(hand_in(store, *(message() for _ in range(size))))
            assert posts[-1].batch.results is None
        for post in posts:
            await post.done.wait()
        await commit(store, message())
        assert [post.settlings for post in posts] == [1, 1, 1, 1]
        assert all(post.batch.sent for post in posts)

    async def test_a_batch_of_many_rows_keeps_its_order(self, store: Store) -> None:
        """Also when it is more than the store likes to put into one transaction."""
        await store.create(record())
        rows = [message(text=str(number)) for number in range(1, 501)]
        assert await commit(store, *rows) == [Committed(offset) for offset in range(1, 501)]
        events = await store.events(ROOM, after=0, limit=1000, max_bytes=PLENTY)
        assert [event.message.text for event in events if event.message] == [row.text for row in rows]

    async def test_too_many_rows_are_refused_whole(self, store: Store) -> None:
        """Nothing of the refused batch is kept, and the store takes rows again when there is room."""
        await store.create(record())
        kept: list[Post] = []
        refused: Post | None = None
        for _ in range(self.queue_rows // 1000 + 1):
            refused = Post([message() for _ in range(1000)])
            try:
                store.submit(refused.batch)
            except Overloaded:
                break
            kept.append(refused)
        else:
            pytest.fail(f"more than {self.queue_rows} rows wait for the store, and none was refused")
        for row in (row for post in kept for row in post.batch.rows):
            row.withdrawn = True
        for post in kept:
            await post.done.wait()
        assert await commit(store, message()) == [Committed(1)]
        assert (refused.settlings, refused.batch.results) == (0, None)

    async def test_stopping_the_actor_commits_what_was_accepted(self) -> None:
        """It drains; afterwards the store takes nothing more, and says that it is not ready."""
        async with self.open_store() as store:
            await store.create(record())
            async with running(store):
                assert store.health().ready
                posts = [hand_in(store, message(), message()) for _ in range(10)]
            assert [post.results for post in posts] == [[Committed(2 * n + 1), Committed(2 * n + 2)] for n in range(10)]
            with pytest.raises(EngineClosed):
                hand_in(store, message())
            assert not store.health().ready
            assert store.health().problems

    async def test_a_stopped_actor_may_be_started_again(self) -> None:
        """A supervisor restarts it; offsets and keys go on."""
        async with self.open_store() as store:
            await store.create(record())
            first = message(key="k")
            async with running(store):
                assert await commit(store, first) == [Committed(1)]
            async with running(store):
                repeat = Repeat(1, first.id, first.at_ms, first.digest, first.actor)
                assert await commit(store, message(key="k"), message()) == [repeat, Committed(2)]
