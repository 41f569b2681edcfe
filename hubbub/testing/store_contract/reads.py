"""What reads and small writes promise: every settled commit is seen, pages keep their bounds, nothing changes on the way."""

from __future__ import annotations

from itertools import pairwise

import attrs
import pytest
import trio

from ...engine import Author, Conflict, Store, Visibility
from ...engine.core.batch import Committed, Repeat
from ...engine.core.codec import event_json
from ...engine.core.ids import ConversationId
from ...engine.core.messages import ConversationChange
from ...engine.core.outcomes import event_of
from ...engine.limit_store import LimitRecord
from ..rows import ADA, BOB, OTHER, ROOM, commit, hand_in, message, record, update
from .opening import PLENTY, OpensStore

TEXTS = [
    "",
    " \t\r\n",
    'quote " backslash \\ slash /',
    "line\u2028separator \x7f \x01",
    "emoji \U0001f9d1\u200d\U0001f680 and combining e\u0301",
    "right to left \u202eabc",
    "{}, $1, '; drop table events; --",
    "x" * 70_000,
]
METAS = [
    None,
    b"{}",
    b'{"b":1.0,"a":[1e400,-0,12345678901234567890]}',
    '{"ключ":"\\u0000 значение"}'.encode(),
]


class ReadPromises(OpensStore):
    """Tests of what is read."""

    async def test_a_settled_batch_is_read_at_once(self, store: Store) -> None:
        """Reads see every commit that was settled before."""
        await store.create(record())
        for offset in range(1, 20):
            await commit(store, message(text=str(offset)))
            loaded = await store.load(ROOM)
            assert loaded is not None
            assert loaded.offset == offset
            assert [e.offset for e in await store.latest(ROOM, limit=1, max_bytes=PLENTY)] == [offset]

    async def test_an_event_comes_back_byte_for_byte(self, store: Store) -> None:
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
        messages = await store.messages(ROOM, after=None, before=None, limit=100, max_bytes=PLENTY)
        assert messages == [event.message for event in expected if event.message is not None]

    async def test_by_which_request_it_came_is_kept_from_readers(self, store: Store) -> None:
        """A store may note the request ids of a row and of a new record, for its operator; what is read shows neither."""
        made = attrs.evolve(record(), request_id="made-1")
        await store.create(made)
        row = message(request_id="a" * 128)
        assert await commit(store, row, message(request_id="b/~@:+=._-9"), message()) == [
            Committed(n) for n in (1, 2, 3)
        ]
        [first, *_] = await store.events(ROOM, after=0, limit=10, max_bytes=PLENTY)
        assert first == event_of(row, 1)
        loaded = await store.load(ROOM)
        listed = await store.list_conversations(None, after=None, limit=10)
        assert loaded == attrs.evolve(made, offset=3)
        assert [loaded.request_id, *(each.request_id for each in listed)] == [None, None]

    async def test_pages_of_events(self, store: Store) -> None:
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

    async def test_the_newest_events(self, store: Store) -> None:
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

    async def test_the_newest_events_before_an_offset(self, store: Store) -> None:
        """The offset itself is left out; one past the head leaves nothing out."""
        await store.create(record())
        await commit(store, *(message() for _ in range(30)))

        async def offsets(before: int, limit: int) -> list[int | None]:
            page = await store.latest(ROOM, limit=limit, max_bytes=PLENTY, before=before)
            return [event.offset for event in page]

        assert await offsets(12, 4) == [8, 9, 10, 11]
        assert await offsets(3, 10) == [1, 2]
        assert await offsets(1, 10) == []
        assert await offsets(31, 2) == [29, 30]
        assert await offsets(1000, 2) == [29, 30]

    async def test_pages_of_messages(self, store: Store) -> None:
        """Bounds are exclusive; after gives the oldest, otherwise the newest; other events leave gaps."""
        await store.create(record())
        rows = [
            update(change=ConversationChange(title=str(n))) if n % 4 == 0 else message(text=str(n))
            for n in range(1, 21)
        ]
        await commit(store, *rows)

        async def offsets(after: int | None, before: int | None, limit: int) -> list[int]:
            page = await store.messages(ROOM, after=after, before=before, limit=limit, max_bytes=PLENTY)
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
        assert await store.messages(OTHER, after=None, before=None, limit=5, max_bytes=PLENTY) == []

    async def test_a_page_of_messages_stops_at_its_bytes(self, store: Store) -> None:
        """With the message that reaches them, texts and metas together; less than both bounds means that there are no more."""
        await store.create(record())
        await commit(store, *(message(text="ü" * 450, meta_json=b'"' + b"m" * 98 + b'"') for _ in range(10)))

        async def offsets(after: int | None, max_bytes: int) -> list[int]:
            page = await store.messages(ROOM, after=after, before=None, limit=8, max_bytes=max_bytes)
            return [one.offset for one in page]

        assert await offsets(0, 1) == [1]
        assert await offsets(0, 3000) == [1, 2, 3]
        assert await offsets(0, 3001) == [1, 2, 3, 4]
        assert await offsets(None, 1) == [10]
        assert await offsets(None, 3000) == [8, 9, 10]
        assert await offsets(None, 3001) == [7, 8, 9, 10]
        assert await offsets(0, PLENTY) == list(range(1, 9))

    async def test_the_message_of_a_key(self, store: Store) -> None:
        """Found by conversation, author and key together, with its digest and author; for ever the first one."""
        await store.create(record(ROOM))
        await store.create(record(OTHER))
        first = message(key="k", digest=b"d" * 32, at_ms=1_700_000_000_001)
        await commit(store, message(), first)
        await commit(store, message(author=Author(ADA.id, "Ada Lovelace"), key="k", digest=b"e" * 32))
        assert await store.find_key(ROOM, ADA.id, "k") == Repeat(2, first.id, first.at_ms, first.digest, first.actor)
        assert await store.find_key(ROOM, ADA.id, "K") is None
        assert await store.find_key(ROOM, BOB.id, "k") is None
        assert await store.find_key(OTHER, ADA.id, "k") is None

    async def test_the_offset_of_a_message(self, store: Store) -> None:
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

    async def test_a_conversation_is_made_once(self, store: Store) -> None:
        """Another one with its id is a conflict; the first is as it was made."""
        made = record(visibility=Visibility.PRIVATE)
        await store.create(made)
        assert await store.load(ROOM) == made
        with pytest.raises(Conflict):
            await store.create(attrs.evolve(record(owner="bob"), epoch="another"))
        assert await store.load(ROOM) == made
        assert await store.load(OTHER) is None

    async def test_conversations_are_listed(self, store: Store) -> None:
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

    async def test_rates_that_admins_set_are_kept(self, store: Store) -> None:
        """By name, the last one of each; one that is forgotten is gone."""
        first = LimitRecord(name="read", rate=5, period_s=60, burst=10, on=True)
        second = LimitRecord(name="post", rate=1_000_000, period_s=604_800, burst=1, on=False)
        assert await store.limits.profiles() == []
        for each in (first, second, attrs.evolve(first, burst=11), attrs.evolve(first, burst=11)):
            await store.limits.set_profile(each)
        assert await store.limits.profiles() == [second, attrs.evolve(first, burst=11)]
        assert await store.limits.unset_profile("read") is True
        assert await store.limits.unset_profile("read") is False
        assert await store.limits.profiles() == [second]

    async def test_what_nobody_made_is_empty(self, store: Store) -> None:
        """Reads of an unknown conversation find nothing, and raise nothing."""
        nowhere = ConversationId("nowhere")
        assert await store.load(nowhere) is None
        assert await store.events(nowhere, after=0, limit=10, max_bytes=PLENTY) == []
        assert await store.latest(nowhere, limit=10, max_bytes=PLENTY) == []
        assert await store.messages(nowhere, after=None, before=None, limit=10, max_bytes=PLENTY) == []
        assert await store.message_offset(nowhere, message().id) is None
        assert await store.find_key(nowhere, ADA.id, "k") is None
        assert await store.list_conversations(None, after=None, limit=10) == []

    async def test_a_list_shows_what_a_load_shows(self, store: Store) -> None:
        """Heads and changes included; about members it says nothing."""
        await store.create(record(ROOM))
        await store.create(record(OTHER))
        change = ConversationChange(title="new", archived=True)
        await commit(store, message(), message(), update(change=change))
        listed = await store.list_conversations(None, after=None, limit=10)
        loaded = [await store.load(OTHER), await store.load(ROOM)]
        assert listed == [attrs.evolve(each, members={}) for each in loaded if each is not None]
        assert (listed[1].offset, listed[1].title, listed[1].archived) == (3, "new", True)

    async def test_reads_during_commits_have_no_gap(self, store: Store) -> None:
        """Whatever is under way, a page is consecutive and the newest page ends at a head that a load has seen or passed."""
        await store.create(record())
        posts = [hand_in(store, *(message() for _ in range(4))) for _ in range(25)]
        last = 0
        while last < 100:
            before = await store.load(ROOM)
            page = await store.events(ROOM, after=0, limit=1000, max_bytes=PLENTY)
            newest = await store.latest(ROOM, limit=7, max_bytes=PLENTY)
            assert before is not None
            offsets = [event.offset for event in page]
            assert offsets == list(range(1, len(page) + 1))
            assert before.offset <= len(page)
            tail = [event.offset or 0 for event in newest]
            assert all(two == one + 1 for one, two in pairwise(tail))
            assert not page or tail[-1] >= len(page)
            assert last <= len(page)
            last = len(page)
        for post in posts:
            await post.done.wait()

    async def test_cancelled_reads_break_nothing(self, store: Store) -> None:
        """A reader that gives up at any point costs nobody else anything."""
        await store.create(record())
        await commit(store, *(message(text="x" * 1000) for _ in range(50)))
        for number in range(30):
            with trio.move_on_after(0.0001 * number):
                await store.events(ROOM, after=0, limit=100, max_bytes=PLENTY)
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(store.load, ROOM)
        assert await commit(store, message()) == [Committed(51)]
