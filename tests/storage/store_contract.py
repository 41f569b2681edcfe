"""What every store promises (`engine/ports.py`), as tests that each implementation inherits.

A subclass gives the fixture `store`: a store with its actor running and nothing in it.
"""

from itertools import pairwise

import attrs
import pytest
import trio

from hubbub.engine.core.batch import Committed, Rejected, Repeat
from hubbub.engine.core.codec import event_json
from hubbub.engine.core.conversation import event_of
from hubbub.engine.core.errors import Conflict, NotFound, StoreUnavailable
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.messages import ConversationChange, Visibility
from hubbub.engine.ports import TokenRecord
from hubbub.storage import WriterStore

from .rows import ADA, BOB, OTHER, ROOM, commit, hand_in, message, record, update

PLENTY = 1 << 20

TEXTS = [
    "",
    " \t\r\n",
    'quote " backslash \\ slash /',
    "line\u2028separator \x7f \x01",
    "emoji \U0001f9d1‍\U0001f680 and combining e\u0301",
    "right to left \u202eabc",
    "{}, $1, '; drop table events; --",
    "x" * 70_000,
]
METAS = [None, b"{}", b'{"b":1.0,"a":[1e400,-0,12345678901234567890]}', '{"ключ":"\\u0000 значение"}'.encode()]


class StoreContract:
    """The promises."""

    @pytest.fixture
    def store(self) -> WriterStore:
        """A running, empty store."""
        raise NotImplementedError

    async def test_offsets_are_consecutive_from_one_in_order_of_submission(self, store: WriterStore) -> None:
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

    async def test_a_settled_batch_is_read_at_once(self, store: WriterStore) -> None:
        """Reads see every commit that was settled before."""
        await store.create(record())
        for offset in range(1, 20):
            await commit(store, message(text=str(offset)))
            loaded = await store.load(ROOM)
            assert loaded is not None
            assert loaded.offset == offset
            assert [e.offset for e in await store.latest(ROOM, limit=1, max_bytes=PLENTY)] == [offset]

    async def test_an_event_comes_back_byte_for_byte(self, store: WriterStore) -> None:
        """A replay shows what was sent live, whatever is in texts, metas and names."""
        await store.create(record())
        rows = [
            message(text=text, meta_json=meta, author=author, reply_to=reply)
            for text, meta, author, reply in zip(
                TEXTS, METAS * 2, [ADA, BOB] * 4, [None, "not a uuid", None, message().id] * 2, strict=True
            )
        ]
        rows.append(update(change=ConversationChange(title='new "title"', visibility=Visibility.PRIVATE)))
        rows.append(update(change=ConversationChange(archived=True)))
        results = await commit(store, *rows)
        assert results == [Committed(offset) for offset in range(1, len(rows) + 1)]
        expected = [event_of(row, offset) for offset, row in enumerate(rows, 1)]
        events = await store.events(ROOM, after=0, limit=100, max_bytes=PLENTY)
        assert events == expected
        assert [event_json(event) for event in events] == [event_json(event) for event in expected]
        messages = await store.messages(ROOM, after=None, before=None, limit=100)
        assert messages == [event.message for event in expected if event.message is not None]

    async def test_a_known_key_gives_the_first_ack(self, store: WriterStore) -> None:
        """Offset, id, time and digest of the first post come back, also for another body."""
        await store.create(record())
        first = message(text="first", key="k", digest=b"d" * 32, at_ms=1_700_000_000_001)
        again = message(text="second", key="k", digest=b"e" * 32, at_ms=1_700_000_009_999)
        assert await commit(store, message(), first) == [Committed(1), Committed(2)]
        repeat = Repeat(2, first.id, first.at_ms, first.digest)
        assert await commit(store, again, message(), again) == [repeat, Committed(3), repeat]
        loaded = await store.load(ROOM)
        assert loaded is not None
        assert loaded.offset == 3
        assert await store.message_offset(ROOM, again.id) is None

    async def test_a_key_twice_in_one_commit_is_stored_once(self, store: WriterStore) -> None:
        """The second row is a repeat of the first, in one batch and over two batches of one commit."""
        await store.create(record())
        rows = [message(key="k", digest=bytes([n])) for n in range(4)]
        posts = [hand_in(store, message(), rows[0], rows[1]), hand_in(store, rows[2], message(), rows[3])]
        for post in posts:
            await post.done.wait()
        repeat = Repeat(2, rows[0].id, rows[0].at_ms, rows[0].digest)
        assert posts[0].results == [Committed(1), Committed(2), repeat]
        assert posts[1].results == [repeat, Committed(3), repeat]

    async def test_a_key_belongs_to_author_and_conversation(self, store: WriterStore) -> None:
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

    async def test_rows_of_an_unknown_conversation_are_rejected_alone(self, store: WriterStore) -> None:
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

    async def test_a_change_changes_the_record_in_its_commit(self, store: WriterStore) -> None:
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

    async def test_pages_of_events(self, store: WriterStore) -> None:
        """After an offset, oldest first, consecutive, at most `limit` and about `max_bytes` of text, at least one."""
        await store.create(record())
        await commit(store, *(message(text="x" * 1000) for _ in range(30)))

        async def offsets(after: int, limit: int, max_bytes: int = PLENTY) -> list[int | None]:
            return [e.offset for e in await store.events(ROOM, after=after, limit=limit, max_bytes=max_bytes)]

        assert await offsets(0, 10) == list(range(1, 11))
        assert await offsets(25, 10) == list(range(26, 31))
        assert await offsets(29, 1) == [30]
        assert await offsets(30, 10) == []
        assert await offsets(2**63 - 1, 10) == []
        assert await offsets(3, 10, 1) == [4]
        some = await offsets(3, 20, 5500)
        assert some == list(range(4, 4 + len(some)))
        assert 4 <= len(some) <= 5

    async def test_the_newest_events(self, store: WriterStore) -> None:
        """Oldest first, consecutive up to the head, bounded like a page."""
        await store.create(record())
        assert await store.latest(ROOM, limit=10, max_bytes=PLENTY) == []
        await commit(store, *(message(text="x" * 1000) for _ in range(30)))

        async def offsets(limit: int, max_bytes: int = PLENTY) -> list[int | None]:
            return [e.offset for e in await store.latest(ROOM, limit=limit, max_bytes=max_bytes)]

        assert await offsets(10) == list(range(21, 31))
        assert await offsets(500) == list(range(1, 31))
        assert await offsets(10, 1) == [30]
        some = await offsets(10, 5500)
        assert some == list(range(31 - len(some), 31))
        assert 4 <= len(some) <= 5

    async def test_pages_of_messages(self, store: WriterStore) -> None:
        """Bounds are exclusive; after gives the oldest, otherwise the newest; other events leave gaps."""
        await store.create(record())
        rows = [
            update(change=ConversationChange(title=str(n))) if n % 4 == 0 else message(text=str(n))
            for n in range(1, 21)
        ]
        await commit(store, *rows)

        async def offsets(after: int | None, before: int | None, limit: int) -> list[int]:
            page = await store.messages(ROOM, after=after, before=before, limit=limit)
            assert all(one.offset < two.offset for one, two in pairwise(page))
            assert all(one.text == str(one.offset) for one in page)
            return [one.offset for one in page]

        assert await offsets(None, None, 4) == [15, 17, 18, 19]
        assert await offsets(None, 15, 4) == [10, 11, 13, 14]
        assert await offsets(0, None, 4) == [1, 2, 3, 5]
        assert await offsets(3, 10, 100) == [5, 6, 7, 9]
        assert await offsets(3, 10, 2) == [5, 6]
        assert await offsets(19, None, 5) == []
        assert await offsets(None, 1, 5) == []
        assert await store.messages(OTHER, after=None, before=None, limit=5) == []

    async def test_the_offset_of_a_message(self, store: WriterStore) -> None:
        """Found in its own conversation only; an id that cannot be one is not found."""
        await store.create(record(ROOM))
        await store.create(record(OTHER))
        row, change = message(), update(change=ConversationChange(title="new"))
        await commit(store, change, row)
        assert await store.message_offset(ROOM, row.id) == 2
        assert await store.message_offset(OTHER, row.id) is None
        assert await store.message_offset(ROOM, change.id) is None
        assert await store.message_offset(ROOM, message().id) is None
        assert await store.message_offset(ROOM, "no id at all") is None

    async def test_a_conversation_is_made_once(self, store: WriterStore) -> None:
        """Another one with its id is a conflict; the first is as it was made."""
        made = record(visibility=Visibility.PRIVATE)
        await store.create(made)
        assert await store.load(ROOM) == made
        with pytest.raises(Conflict):
            await store.create(attrs.evolve(record(owner="bob"), epoch="another"))
        assert await store.load(ROOM) == made
        assert await store.load(OTHER) is None

    async def test_conversations_are_listed(self, store: WriterStore) -> None:
        """Public ones and one's own, by id in code point order, in pages."""
        names = ["b", "B", "a", "a.b", "a:b", "z", "a-b", "_"]
        for name in names:
            hidden = name in {"z", "a"}
            visibility = Visibility.PRIVATE if hidden else Visibility.PUBLIC
            await store.create(record(name, owner="ada" if name == "a" else "bob", visibility=visibility))

        async def listed(who: str | None, after: str | None = None, limit: int = 100) -> list[str]:
            return [r.id for r in await store.list_conversations(who, after=after, limit=limit)]

        assert await listed(None) == sorted(names)
        assert await listed("ada") == sorted(set(names) - {"z"})
        assert await listed("bob") == sorted(set(names) - {"a"})
        assert await listed("eve") == sorted(set(names) - {"a", "z"})
        assert await listed("ada", after="a", limit=2) == ["a-b", "a.b"]
        assert await listed("ada", after="zz") == []

    async def test_tokens_are_kept(self, store: WriterStore) -> None:
        """A token is found by its digest, expired or not."""
        token = TokenRecord(b"\x00\xff" * 16, BOB, 1_700_000_000_001, 1_700_000_000_002)
        assert await store.find_token(token.digest) is None
        await store.add_token(token)
        await store.add_token(token)
        assert await store.find_token(token.digest) == token
        assert await store.find_token(b"\x01" * 32) is None

    async def test_withdrawn_rows_are_never_stored(self, store: WriterStore) -> None:
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

    async def test_an_idle_store_is_ready(self, store: WriterStore) -> None:
        """Health says so, and counts what was done."""
        await store.create(record())
        await commit(store, message(), message())
        assert store.health().ready
        statistics = store.statistics()
        assert (statistics.rows, statistics.commits, statistics.queued_rows) == (2, 1, 0)

    async def test_many_conversations_in_parallel(self, store: WriterStore) -> None:
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
