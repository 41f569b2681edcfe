"""Fan-out: whatever an outlet does, its subscriber gets exactly the events after its cursor, in order, once."""

import random

import attrs
import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import Ack, Draft, Engine, Event, Overloaded, SlowSubscriber
from hubbub.engine.core.commands import Join
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.recovery import Since
from hubbub.engine.core.subscriber import Joined, Stage, Subscriber

from .world import (
    BOB,
    QUERIES,
    ROOM,
    FaultyStore,
    OffsetFormat,
    Outlet,
    Replies,
    is_error,
    join,
    poison,
    post,
    query,
    subscriber_of,
    until,
    world,
)


@attrs.define(eq=False)
class Reader:
    """A subscriber, its outlet, and where it began."""

    subscriber: Subscriber
    outlet: Outlet
    start: int = -1
    left: bool = False

    def check(self, head: int | None) -> None:
        """What it has is consecutive from its start; all of it when `head` is given."""
        got = self.outlet.offsets
        assert got == list(range(self.start + 1, self.start + 1 + len(got)))
        if head is not None:
            assert self.start + len(got) == head


async def add(engine: Engine, client: str, since: int | None = None, *, page_bytes: int = 0, wire: str = "a") -> Reader:
    """Join; the start is what the answer says, and its entries count as taken."""
    outlet = Outlet()
    reader = Reader(subscriber_of(outlet, client, wire=OffsetFormat(wire)), outlet)
    answer = await join(engine, reader.subscriber, since, page_bytes=page_bytes).wait()
    assert isinstance(answer, Joined), answer
    reader.start = answer.offset - len(answer.entries)
    # The entries came with the answer, so before anything that was pushed.
    outlet.offsets[:0] = [entry.event.offset or 0 for entry in answer.entries]
    return reader


async def fill(engine: Engine, count: int, text: str = "x") -> None:
    """Post and wait for all acks."""
    for replies in [post(engine, text) for _ in range(count)]:
        assert isinstance(await replies.wait(), Ack)


@pytest.mark.parametrize("seed", range(150))
async def test_any_schedule_gives_each_reader_its_events_once(seed: int, autojump_clock: MockClock) -> None:
    """Readers that refuse, block for long, fall out of the tail, join and leave at any moment; crashes and store faults."""
    chance = random.Random(seed)
    store = FaultyStore()
    bounds = {
        "tail_items": chance.choice([4, 16, 200]),
        "write_bytes": chance.choice([1, 600, 100_000]),
        "pass_items": chance.choice([1, 2, 256]),
        "page_items": chance.choice([3, 500]),
        "batch_items": chance.choice([1, 8, 64]),
        "tail_load_items": chance.choice([1, 4]),
    }
    readers: list[Reader] = []
    crashes = 0
    async with world(store, **bounds) as engine, trio.open_nursery() as nursery:
        posts = []

        async def join_one(client: str) -> None:
            head = len(store.backend.log(ROOM))
            since = chance.choice([None, 0, chance.randint(0, head), head])
            outlet = Outlet()
            outlet.room_for = chance.choice([None, None, 0, 1, 5])
            reader = Reader(subscriber_of(outlet, client, wire=OffsetFormat(chance.choice("ab"))), outlet)
            page_bytes = chance.choice([0, 1, 5000])
            answer = await join(engine, reader.subscriber, since, page_bytes=page_bytes).wait()
            if is_error(answer):
                assert isinstance(answer, Overloaded)
                assert not outlet.offsets
                return
            # What was pushed before this task woke up came after the entries of the answer.
            reader.start = answer.offset - len(answer.entries)
            if since is not None:
                assert reader.start == since
            outlet.offsets[:0] = [entry.event.offset for entry in answer.entries]
            readers.append(reader)

        for step in range(120):
            dice = chance.random()
            if dice < 0.5:
                posts.extend(post(engine, "x" * chance.choice([1, 300])) for _ in range(chance.choice([1, 1, 5, 30])))
            elif dice < 0.65:
                nursery.start_soon(join_one, f"c{step}")
            elif dice < 0.68 and crashes < 4:
                crashes += 1
                poison(engine)
            elif readers:
                reader = chance.choice(readers)
                if dice < 0.75:
                    reader.subscriber.leave()
                    reader.left = True
                elif dice < 0.85:
                    reader.outlet.blocked = True
                else:
                    reader.outlet.free(reader.subscriber, chance.choice([None, 1, 3]))
            if chance.random() < 0.5:
                await trio.sleep(chance.choice([0.0, 0.001, 0.3]))
        await until(lambda: all(replies.answers for replies in posts))
        await trio.sleep(1.0)
        head = len(store.backend.log(ROOM))
        for reader in readers:
            reader.check(None)

        def done() -> bool:
            for reader in readers:
                reader.outlet.free(reader.subscriber)
            return all(reader.left or reader.start + len(reader.outlet.offsets) == head for reader in readers)

        await until(done)
        for reader in readers:
            reader.check(None if reader.left else head)
            assert not reader.outlet.cut
            reader.subscriber.leave()
        assert engine.statistics().paging_subscribers == 0
        assert (await engine.conversation(ROOM).presence()).clients == 0


async def test_what_is_in_the_tail_is_replayed_without_the_store(autojump_clock: MockClock) -> None:
    """A crowd that comes back within the tail costs no read; the counters say so, and count the reads of those beyond it."""
    async with world(FaultyStore(), tail_items=8) as engine:
        for number in range(8):
            await post(engine, f"post {number}").wait()
        for number in range(20):
            await add(engine, f"near {number}", number % 9)
        found = engine.statistics()
        assert (found.pages_read, found.tail_replays) == (0, 18)
        for number in range(8):
            await post(engine, f"later {number}").wait()
        far = await add(engine, "far", 1)
        await until(lambda: far.outlet.offsets == list(range(2, 17)))
        found = engine.statistics()
        assert found.pages_read > 0
        assert found.tail_replays == 18


async def test_who_comes_new_does_not_cost_those_who_come_back_their_page(autojump_clock: MockClock) -> None:
    """A join at the head is given no page, and the one that is remembered stays."""
    async with world(FaultyStore()) as engine:
        for number in range(4):
            await post(engine, f"post {number}").wait()

        async def joined(client: str, since: int | None) -> Joined:
            answer = await join(engine, subscriber_of(Outlet(), client), since, page_bytes=65_536).wait()
            assert isinstance(answer, Joined)
            return answer

        first = await joined("back", 1)
        assert (await joined("new", None)).entries == (await joined("near", 4)).entries == ()
        assert (await joined("back, too", 1)).page is first.page


async def test_joins_and_leaves_in_the_middle_of_a_pass(autojump_clock: MockClock) -> None:
    """A pass that yields after every subscriber: who leaves gets no more, who joins meanwhile gets everything after it."""
    async with world(FaultyStore(), pass_items=1) as engine:
        readers = [await add(engine, f"c{number}") for number in range(6)]
        late: list[Reader] = []

        def leave() -> None:
            readers[4].subscriber.leave()
            readers[1].outlet.on_push = None

        readers[1].outlet.on_push = leave
        posted = post(engine, "a")
        await posted.wait()
        late.append(await add(engine, "late", 0))
        await fill(engine, 3)
        await until(lambda: all(reader.outlet.offsets for reader in readers if reader is not readers[4]))
        for reader in [*readers[:4], readers[5], *late]:
            await until(lambda reader=reader: len(reader.outlet.offsets) == 4)
            reader.check(4)
        assert readers[4].outlet.offsets == []


async def test_a_tail_that_shrinks_in_the_middle_of_a_pass(autojump_clock: MockClock) -> None:
    """Housekeeping trims the tail while a pass yields: no crash, and both wire formats get everything."""
    async with world(FaultyStore(), pass_items=1, batch_items=64) as engine:
        readers = [await add(engine, f"{wire}{number}", wire=wire) for wire in "ab" for number in range(3)]

        def shrink() -> None:
            tail = engine.tail_of(ROOM)
            assert tail is not None
            tail.trim(1, 1)

        readers[0].outlet.on_push = shrink
        await fill(engine, 20)
        await until(lambda: all(len(reader.outlet.offsets) == 20 for reader in readers))
        for reader in readers:
            reader.check(20)
        assert "restarts" not in engine.tree().render()


async def test_a_commit_larger_than_the_tail(autojump_clock: MockClock) -> None:
    """So much settles at once that the tail forgets its beginning: readers at the old head get all of it from pages."""
    async with world(FaultyStore(), tail_items=8, batch_items=64) as engine:
        readers = [await add(engine, f"c{number}") for number in range(3)]
        await fill(engine, 64)
        await until(lambda: all(len(reader.outlet.offsets) == 64 for reader in readers))
        for reader in readers:
            reader.check(64)


async def test_a_broken_outlet_ends_its_own_subscription_only(autojump_clock: MockClock) -> None:
    """An outlet that raises is cut off; the conversation does not restart and the others get everything."""
    async with world(FaultyStore()) as engine:
        readers = [await add(engine, f"c{number}") for number in range(4)]

        def fail() -> None:
            raise RuntimeError("bug in a transport")

        readers[1].outlet.on_push = fail
        await fill(engine, 2)
        readers[2].outlet.on_push = fail
        await query(engine, QUERIES["typing"]).wait()
        readers[3].outlet.blocked = True
        await fill(engine, 1)
        readers[3].outlet.on_push = fail
        readers[3].outlet.free(readers[3].subscriber)
        assert [reader.outlet.cut for reader in readers] == [[], ["internal"], ["internal"], ["internal"]]
        await until(lambda: readers[0].outlet.offsets == [1, 2, 3])
        assert (await engine.conversation(ROOM).presence()).clients == 1
        assert "restarts" not in engine.tree().render()


class PickyFormat(OffsetFormat):
    """A format that cannot encode some events: those with these words."""

    def __init__(self, name: str, *words: str) -> None:
        super().__init__(name)
        self.words = words

    def encode(self, event: Event, body: bytes) -> bytes:
        data = super().encode(event, body)
        if data.decode()[:-1] in self.words:
            raise RuntimeError("bug in a format")
        return data


async def test_a_format_that_cannot_encode_an_event_ends_its_own_subscriptions(autojump_clock: MockClock) -> None:
    """Who is due the event in that format is cut off and told, however far it is; other formats and the room go on."""
    async with world(FaultyStore()) as engine:
        well = await add(engine, "well")
        live, behind = [await add_picky(engine, f"c{number}", "2") for number in range(2)]
        await fill(engine, 1)
        behind.outlet.blocked = True
        await fill(engine, 1)
        assert (live.outlet.offsets, live.outlet.cut) == ([1], ["internal"])
        behind.outlet.free(behind.subscriber)
        assert (behind.outlet.offsets, behind.outlet.cut) == ([1], ["internal"])
        again = await add_picky(engine, "again", "2")
        await fill(engine, 1)
        await until(lambda: again.outlet.offsets == [3])
        late = await add_picky(engine, "late", "2", since=0)
        await until(lambda: late.outlet.cut == ["internal"])
        assert well.outlet.offsets == [1, 2, 3]
        assert (await engine.conversation(ROOM).presence()).clients == 2
        assert "restarts" not in engine.tree().render()


async def test_a_format_that_cannot_encode_a_signal_goes_without(autojump_clock: MockClock) -> None:
    """Ephemeral events are promised to nobody: the subscription goes on, the others see the signal."""
    async with world(FaultyStore()) as engine:
        well, picky = await add(engine, "well"), await add_picky(engine, "picky", "typing")
        assert await query(engine, QUERIES["typing"]).wait() is None
        await fill(engine, 1)
        await until(lambda: well.outlet.offsets == picky.outlet.offsets == [1])
        assert (well.outlet.signals, picky.outlet.signals) == (["typing"], [])
        assert "restarts" not in engine.tree().render()


async def add_picky(engine: Engine, client: str, word: str, since: int | None = None) -> Reader:
    outlet = Outlet()
    reader = Reader(subscriber_of(outlet, client, wire=PickyFormat("picky", word)), outlet)
    assert isinstance(await join(engine, reader.subscriber, since).wait(), Joined)
    return reader


@pytest.mark.parametrize("tail_load_items", [1, 500])
async def test_a_join_whose_answer_cannot_be_given_is_undone(tail_load_items: int, autojump_clock: MockClock) -> None:
    """Whoever may not know that it joined gets no events; told from the tail or from pages, nobody else notices."""

    class Broken(Replies):
        def __call__(self, answer: object) -> None:
            super().__call__(answer)
            raise RuntimeError("bug in a transport")

    async with world(FaultyStore(), tail_load_items=tail_load_items, idle_s=1.0) as engine:
        await fill(engine, 3)
        await trio.sleep(10)  # passivated: what it loads is as much as the tail holds
        well = await add(engine, "well")
        outlet, replies = Outlet(), Broken()
        subscriber = subscriber_of(outlet, "broken")
        engine.send(ConversationId(ROOM), Join(replies, BOB, subscriber, Since(0), 0))
        assert isinstance(await replies.wait(), Joined)
        await fill(engine, 1)
        await until(lambda: well.outlet.offsets == [4])
        assert (outlet.offsets, outlet.cut) == ([], ["internal"])
        assert (await engine.conversation(ROOM).presence()).clients == 1
        assert "restarts" not in engine.tree().render()


async def test_an_outlet_that_cannot_even_be_cut_off(autojump_clock: MockClock) -> None:
    """Everything of it raises: it is let go all the same, in a pass, when it falls behind, and at the end of the engine."""

    class Hopeless(Outlet):
        def fell_behind(self, subscriber: Subscriber) -> None:
            raise RuntimeError("bug in a transport")

        def cut_off(self, subscriber: Subscriber, code: str) -> None:
            super().cut_off(subscriber, code)
            raise RuntimeError("bug in a transport")

    async with world(FaultyStore()) as engine:
        well = await add(engine, "well")
        pushed, blocked, quiet = Hopeless(), Hopeless(), Hopeless()
        for outlet in (pushed, blocked, quiet):
            assert isinstance(await join(engine, subscriber_of(outlet, f"c{id(outlet)}")).wait(), Joined)

        def fail() -> None:
            raise RuntimeError("bug in a transport")

        pushed.on_push = fail
        blocked.blocked = True
        await fill(engine, 1)
        await until(lambda: well.outlet.offsets == quiet.offsets == [1])
        assert (pushed.cut, blocked.cut) == (["internal"], ["internal"])
        assert (await engine.conversation(ROOM).presence()).clients == 2
        assert "restarts" not in engine.tree().render()
    assert quiet.cut == ["closed"]


async def test_ephemeral_events_reach_those_at_the_head(autojump_clock: MockClock) -> None:
    """A signal is shown to who stands at the head and can take it; who is behind never sees it, and loses nothing else."""
    async with world(FaultyStore()) as engine:
        here, busy, paging = [await add(engine, f"c{number}") for number in range(3)]
        busy.outlet.blocked = True
        paging.subscriber.stage = Stage.PAGING
        await query(engine, QUERIES["typing"]).wait()
        paging.subscriber.stage = Stage.LIVE
        busy.outlet.free(busy.subscriber)
        behind = busy
        behind.outlet.blocked = True
        await fill(engine, 1)
        await trio.sleep(2.0)  # sooner it would not be shown again
        await query(engine, QUERIES["typing"]).wait()
        behind.outlet.free(behind.subscriber)
        assert here.outlet.signals == ["typing", "typing"]
        assert busy.outlet.signals == []
        assert paging.outlet.signals == ["typing"]
        await until(lambda: busy.outlet.offsets == [1])


async def test_paging_is_bounded(autojump_clock: MockClock) -> None:
    """Past the bound a join is refused as overloaded, and a live reader that fell out is cut off as slow, resumable."""
    store = FaultyStore()
    async with world(store, tail_items=4, batch_items=1, paging_subscribers=2) as engine:
        slow = [await add(engine, f"slow{number}") for number in range(3)]
        for reader in slow:
            reader.outlet.blocked = True
        await fill(engine, 20)
        store.read_s = 5.0
        for reader in slow:
            reader.outlet.free(reader.subscriber)
        assert [reader.outlet.cut for reader in slow] == [[], [], [SlowSubscriber.code]]
        assert engine.statistics().paging_subscribers == 2
        refused = subscriber_of(Outlet(), "refused")
        assert isinstance(await join(engine, refused, 0).wait(), Overloaded)
        store.read_s = 0.0
        await until(lambda: all(len(reader.outlet.offsets) == 20 for reader in slow[:2]))
        again = await add(engine, "again", 0)
        await until(lambda: len(again.outlet.offsets) == 20)
        again.check(20)


async def test_a_reader_blocked_while_paging_holds_one_page(autojump_clock: MockClock) -> None:
    """A blocked pager reads no further page, goes on when there is room, and ends when its reader leaves."""
    store = FaultyStore()
    async with world(store, tail_items=4, page_items=5, write_bytes=1) as engine:
        await fill(engine, 40)
        reader, leaver = Outlet(), Outlet()
        reader.room_for = leaver.room_for = 2
        subscribers = [subscriber_of(reader, "c1"), subscriber_of(leaver, "c2")]
        for subscriber in subscribers:
            assert isinstance(await join(engine, subscriber, 0).wait(), Joined)
        await trio.sleep(100.0)
        assert reader.offsets == leaver.offsets == list(range(1, 11))
        subscribers[1].leave()
        await until(lambda: engine.statistics().paging_subscribers == 1)
        reader.free(subscribers[0])
        await until(lambda: reader.offsets == list(range(1, 41)))
        assert leaver.offsets == list(range(1, 11))
        assert engine.statistics().paging_subscribers == 0


async def test_paging_outlives_a_store_that_is_away(autojump_clock: MockClock) -> None:
    """A live reader that needs pages waits for the store; one that joins anew is told that it is away."""
    store = FaultyStore()
    async with world(store, tail_items=4, batch_items=1) as engine:
        reader = await add(engine, "c1")
        reader.outlet.blocked = True
        await fill(engine, 20)
        store.away = True
        reader.outlet.free(reader.subscriber)
        joined = await join(engine, subscriber_of(Outlet(), "c2"), 0).wait()
        assert joined.code == "store_unavailable"
        await trio.sleep(10.0)
        store.away = False
        await until(lambda: len(reader.outlet.offsets) == 20)
        reader.check(20)


async def test_a_bug_while_paging_ends_the_subscription(autojump_clock: MockClock) -> None:
    """A read that breaks does not leave a reader waiting for ever: it is cut off, or its join is refused."""
    store = FaultyStore()
    async with world(store, tail_items=4, batch_items=1) as engine:
        reader = await add(engine, "c1")
        reader.outlet.blocked = True
        await fill(engine, 20)
        store.event_errors.append(RuntimeError("bug"))
        reader.outlet.free(reader.subscriber)
        await until(lambda: reader.outlet.cut == ["internal"])
        store.event_errors.append(RuntimeError("bug"))
        assert (await join(engine, subscriber_of(Outlet(), "c2"), 0).wait()).code == "internal"
        assert engine.statistics().paging_subscribers == 0
        assert (await engine.conversation(ROOM).presence()).clients == 0


async def test_a_join_refused_by_a_crash_does_not_come_back(autojump_clock: MockClock) -> None:
    """A join that needs pages is answered by the crash of its batch; its reader is not attached behind the caller's back."""
    store = FaultyStore()
    async with world(store, tail_items=4) as engine:
        await fill(engine, 20)
        outlet = Outlet()
        joining = join(engine, subscriber_of(outlet, "c1"), 0)
        poison(engine)
        assert isinstance(await joining.wait(), Overloaded)
        await trio.sleep(5.0)
        assert outlet.offsets == []
        assert (await engine.conversation(ROOM).presence()).clients == 0


async def test_leaving_before_the_join_is_handled(autojump_clock: MockClock) -> None:
    """Who leaves while its join waits, in the mailbox or for a page, is not attached, and is answered."""
    store = FaultyStore()
    async with world(store, tail_items=4) as engine:
        await fill(engine, 20)
        for since in (None, 0):
            subscriber = subscriber_of(Outlet(), "c1")
            replies = join(engine, subscriber, since)
            subscriber.leave()
            assert (await replies.wait()).code == "conflict"
        subscriber = subscriber_of(Outlet(), "c1")
        store.read_s = 1.0
        replies = join(engine, subscriber, 0)
        await trio.sleep(0.5)
        subscriber.leave()
        assert (await replies.wait()).code == "conflict"
        assert (await engine.conversation(ROOM).presence()).clients == 0


async def test_presence_counts_exactly(autojump_clock: MockClock) -> None:
    """Clients and people are counted, the list is bounded, leaving twice counts once."""
    async with world(FaultyStore()) as engine:
        readers = [await add(engine, f"c{number}") for number in range(3)]
        other = Outlet()
        await join(engine, subscriber_of(other, "b", BOB)).wait()
        roster = await engine.conversation(ROOM).presence(limit=2)
        assert (roster.clients, roster.users, len(roster.listed)) == (4, 2, 2)
        for _ in range(2):
            readers[0].subscriber.leave()
        roster = await engine.conversation(ROOM).presence()
        assert (roster.clients, roster.users) == (3, 2)
        await engine.conversation(ROOM).post(Draft("x", author="ada"))
        assert readers[0].outlet.offsets == []


async def test_a_shared_page_is_let_go_of_in_a_quiet_room(autojump_clock: MockClock) -> None:
    """What a storm of returning readers shares is held for seconds: many quiet rooms would hold a page each for ever."""
    async with world(FaultyStore()) as engine:
        for number in range(5):
            await post(engine, f"post {number}").wait()
        await add(engine, "one", since=0, page_bytes=4096)
        tail = engine._rooms[ROOM].tail
        assert tail is not None
        kept = tail.page(0, 5)
        await trio.sleep(12)
        assert tail.page(0, 5) is not kept
