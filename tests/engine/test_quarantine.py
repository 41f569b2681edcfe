"""Quarantine: what is still served by cause of the crash, what operators see, release, and the others that notice nothing."""

import random
from typing import cast

import msgspec
import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import (
    Ack,
    Author,
    ConversationQuarantined,
    Draft,
    Engine,
    EngineBroken,
    Event,
    Forbidden,
    Message,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Record,
    Roster,
    StoreUnavailable,
    Visibility,
)
from hubbub.engine.core.commands import Describe, Presence, Replayed, Signal
from hubbub.engine.core.compose import compose_post
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.subscriber import Joined, Subscriber
from hubbub.testing import Fault

from ..logs import capture_logs
from .world import (
    ADA,
    BOB,
    QUERIES,
    ROOM,
    FaultyStore,
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


class SpoiledStore(FaultyStore):
    """A store that gives out some events with a content that cannot be encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.spoiled: set[int] = set()

    async def latest(self, conversation: ConversationId, *, limit: int, max_bytes: int) -> list[Event]:
        return self._spoil(await super().latest(conversation, limit=limit, max_bytes=max_bytes))

    async def events(self, conversation: ConversationId, *, after: int, limit: int, max_bytes: int) -> list[Event]:
        return self._spoil(await super().events(conversation, after=after, limit=limit, max_bytes=max_bytes))

    def _spoil(self, events: list[Event]) -> list[Event]:
        broken = cast("Message", object())
        return [
            msgspec.structs.replace(event, message=broken) if event.offset in self.spoiled else event
            for event in events
        ]


async def attach(engine: Engine, client: str, since: int | None = None, name: str = ROOM) -> tuple[Outlet, Subscriber]:
    outlet = Outlet()
    subscriber = subscriber_of(outlet, client)
    answer = await join(engine, subscriber, since, name=name).wait()
    assert isinstance(answer, Joined), answer
    return outlet, subscriber


async def quarantine(engine: Engine, name: str = ROOM) -> None:
    """Crash a conversation until it is given up, and wait until its keeper serves it."""
    while engine.statistics().quarantined == 0 or name not in {known.conversation for known in engine.quarantined()}:
        assert isinstance(await poison(engine, name=name).wait(), Overloaded)
    await query(engine, lambda reply: Describe(reply, ADA), name=name).wait()


# -- what is served, by cause ----------------------------------------------------------------------------------------------


async def test_after_poison_commands_everything_but_writing_works(autojump_clock: MockClock) -> None:
    """Subscribers stay attached; questions, joins and resumes are answered; posts, changes and signals are refused."""
    store = FaultyStore()
    async with world(store, tail_load_items=2) as engine:
        outlet, _ = await attach(engine, "old")
        for text in "abcd":
            await post(engine, text).wait()
        await quarantine(engine)
        assert isinstance(await post(engine, "e").wait(), ConversationQuarantined)
        assert isinstance(await query(engine, QUERIES["typing"]).wait(), ConversationQuarantined)
        assert isinstance(await poison(engine).wait(), ConversationQuarantined)
        room = engine.conversation(ROOM)
        with pytest.raises(ConversationQuarantined) as caught:
            await room.update(title="x")
        assert caught.value.retry_after_s == 30.0
        assert (await room.describe()).offset == 4
        assert [message.text for message in (await room.history()).messages] == ["a", "b", "c", "d"]
        assert [message.text for message in (await room.history(before=3)).messages] == ["a", "b"]
        replayed = await query(engine, QUERIES["replay"]).wait()
        assert isinstance(replayed, Replayed)
        assert [event.offset for event in replayed.events] == [1, 2, 3, 4]
        assert [(await attach(engine, f"new{since}", since))[0].offsets for since in (0, 3)] == [[1, 2, 3, 4], [4]]
        assert isinstance(roster := await query(engine, QUERIES["roster"]).wait(), Roster)
        assert roster.clients == 3
        async with room.subscribe(since=2) as events:
            assert [(await anext(events)).offset for _ in range(2)] == [3, 4]
        assert (outlet.offsets, outlet.cut) == ([1, 2, 3, 4], [])
        assert store.texts() == ["a", "b", "c", "d"]


async def test_a_mute_that_is_over_is_over_in_a_quarantine(autojump_clock: MockClock) -> None:
    """Whoever was muted once is told to try again later, as everybody is; whoever is muted now is told that."""
    wall = [1_000_000]
    async with Engine.open(store=FaultyStore(), wall=lambda: wall[0]) as engine:
        room = await engine.create(ROOM, owner=ADA.author)
        await room.members.mute(BOB.author, until_ms=wall[0] + 5_000)
        await quarantine(engine)
        assert isinstance(await post(engine, "x", by=BOB).wait(), Forbidden)
        wall[0] += 5_000
        assert isinstance(await post(engine, "x", by=BOB).wait(), ConversationQuarantined)
        typing = query(engine, lambda reply: Signal(reply, BOB, "typing", wall[0], None))
        assert isinstance(await typing.wait(), ConversationQuarantined)


async def test_a_hidden_conversation_stays_hidden(autojump_clock: MockClock) -> None:
    """Who may not know of a private conversation does not learn of it from its quarantine."""
    async with Engine.open(store=FaultyStore()) as engine:
        await engine.create(ROOM, owner=ADA.author, visibility=Visibility.PRIVATE)
        await quarantine(engine)
        assert isinstance(await post(engine, "x", by=BOB).wait(), NotFound)
        assert isinstance(await query(engine, lambda reply: Describe(reply, BOB)).wait(), NotFound)
        assert isinstance(await post(engine, "x", by=ADA).wait(), ConversationQuarantined)


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_hidden_conversation_stays_hidden_when_it_cannot_be_loaded(
    is_known: bool, autojump_clock: MockClock
) -> None:
    """What was known of it before the crash decides who is told of the quarantine; without that everybody is."""
    store = FaultyStore()
    async with Engine.open(store=store) as engine:
        room = await engine.create(ROOM, owner=ADA.author, visibility=Visibility.PRIVATE)
        if is_known:
            await room.describe()
        store.load_errors.extend(RuntimeError("spoiled") for _ in range(100))
        if is_known:
            await poison(engine).wait()
        waiting = [post(engine, "x", by=who) for who in (ADA, BOB)]
        await until(lambda: bool(engine.quarantined()) and not engine.quarantined()[0].readable)
        told = [type(await replies.wait()) for replies in waiting]
        to_strangers = NotFound if is_known else ConversationQuarantined
        assert told == [ConversationQuarantined, to_strangers]
        for who, expected in ((ADA, ConversationQuarantined), (BOB, to_strangers)):
            with pytest.raises(expected):
                post(engine, "x", by=who)


async def test_an_event_that_cannot_be_loaded_hides_no_other(autojump_clock: MockClock) -> None:
    """With a spoiled event in the log the conversation is served from the store, without a tail; only its pages are refused."""
    store = SpoiledStore()
    async with world(store) as engine:
        outlet, _ = await attach(engine, "old")
        for text in "abc":
            await post(engine, text).wait()
        store.spoiled = {3}
        poison(engine)
        await until(lambda: engine.statistics().quarantined == 1)
        room = engine.conversation(ROOM)
        assert (await room.describe()).offset == 3
        assert [message.text for message in (await room.history()).messages] == ["a", "b", "c"]
        await attach(engine, "live")
        assert isinstance(await join(engine, subscriber_of(Outlet(), "past"), 0).wait(), EngineBroken)
        assert isinstance(await query(engine, QUERIES["replay"]).wait(), EngineBroken)
        assert (outlet.offsets, outlet.cut) == ([1, 2, 3], [])
        assert engine.quarantined()[0].readable
        assert engine.release(ROOM)
        await until(lambda: engine.statistics().quarantined == 1, within_s=10.0)
        store.spoiled = set()
        assert engine.release(ROOM)
        assert isinstance(await post(engine, "d").wait(), Ack)
        assert (outlet.offsets, outlet.cut) == ([1, 2, 3, 4], [])


async def test_who_would_read_past_a_spoiled_event_is_told(autojump_clock: MockClock) -> None:
    """An event that was committed and can never be shown ends the subscriptions it is due to: a gap is not hidden."""
    store = SpoiledStore()
    async with world(store) as engine:
        outlet, _ = await attach(engine, "slow")
        outlet.blocked = True
        store.spoiled = {1}
        assert isinstance(await post(engine, "a").wait(), Ack)
        poison(engine)
        await until(lambda: engine.statistics().quarantined == 1)
        await until(lambda: outlet.cut == ["internal"])
        assert outlet.offsets == []


async def test_a_conversation_that_cannot_be_loaded_refuses_everything(autojump_clock: MockClock) -> None:
    """Not even the record can be read: everybody is told, nobody waits, and nothing is tried again until the release."""
    store = FaultyStore()
    async with world(store) as engine:
        outlet, _ = await attach(engine, "old")
        store.load_errors.extend(RuntimeError("no such column 'body'") for _ in range(100))
        await poison(engine).wait()
        waiting = [post(engine, "a"), query(engine, QUERIES["describe"])]
        assert all([isinstance(await replies.wait(), ConversationQuarantined) for replies in waiting])
        assert outlet.cut == ["quarantined"]
        (known,) = engine.quarantined()
        assert not known.readable
        assert known.reason.startswith("RuntimeError: no such column '...' (")
        loads = store.loads
        await trio.sleep(600)
        for make in QUERIES.values():
            with pytest.raises(ConversationQuarantined):
                query(engine, make)
        assert store.loads == loads < 15
        assert engine.release(ROOM)
        await until(lambda: engine.statistics().quarantined == 1, within_s=10.0)
        store.load_errors.clear()
        assert engine.release(ROOM)
        assert isinstance(await post(engine, "b").wait(), Ack)


async def test_a_question_that_crashes_the_keeper_is_refused_alone(autojump_clock: MockClock) -> None:
    """The keeper goes on with the next question, also of the same batch, and a subscriber it failed is let go."""

    class Faulty(Subscriber):
        @property
        def pulls(self) -> bool:  # type: ignore[override]
            raise RuntimeError("bug in a transport")

    store = FaultyStore()
    async with world(store) as engine:
        for text in "ab":
            await post(engine, text).wait()
        outlet, _ = await attach(engine, "old")
        await quarantine(engine)
        crashes = engine.statistics().crashes
        before = query(engine, QUERIES["describe"])
        bad = query(engine, lambda reply: Presence(reply, ADA, cast("int", "many")))
        faulty = Faulty(Outlet(), subscriber_of(Outlet(), "x").format, ADA, "faulty")
        bad_join = join(engine, faulty, 1)
        after = query(engine, QUERIES["describe"])
        assert isinstance(await bad.wait(), ConversationQuarantined)
        assert isinstance(await before.wait(), Record)
        assert isinstance(await after.wait(), Record)
        assert not is_error(bad_join.answer) or isinstance(bad_join.answer, ConversationQuarantined)
        assert engine.statistics().crashes == crashes
        assert outlet.cut == []


# -- the batch in flight -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settles_after_s", [0.5, 5.0, 30.0])
async def test_a_batch_in_flight_at_the_quarantine_is_settled(
    settles_after_s: float, autojump_clock: MockClock
) -> None:
    """Its poster is told the truth, at its deadline at the latest, and what was committed reaches who is attached."""
    store = FaultyStore()
    async with world(store) as engine:
        outlet, _ = await attach(engine, "old")
        await crash_but_one(engine)
        release = store.backend.hold()
        flying = post(engine, "flying", timeout_s=10.0)
        await until(lambda: store.statistics().in_flight)
        await poison(engine).wait()
        assert engine.statistics().quarantined == 1
        assert not flying.answers
        await trio.sleep(settles_after_s)
        release.set()
        assert isinstance(await flying.wait(), Ack if settles_after_s < 10.0 else OutcomeUnknown)
        await until(lambda: outlet.offsets == [1])
        assert (await engine.conversation(ROOM).describe()).offset == 1
        assert engine.statistics().quarantined == 1
        assert outlet.cut == []


async def test_a_commit_that_crashes_its_settling_is_acked(autojump_clock: MockClock) -> None:
    """The event is durable and cannot be encoded: its poster is told the truth, and so is who would have to see it."""
    store = FaultyStore()
    async with world(store) as engine:
        outlet, _ = await attach(engine, "old")
        before, poisonous, after = post(engine, "before"), Replies(), Replies()
        draft = Draft("poisonous", author=ADA.author)
        _, command = compose_post(engine.settings.conversation, ADA, ROOM, draft, engine.stamp(), poisonous)
        command.row.actor = Author("ada", cast("str", object()))
        engine.send(ROOM, command)
        draft = Draft("after", author=ADA.author)
        engine.send(*compose_post(engine.settings.conversation, ADA, ROOM, draft, engine.stamp(), after))
        for offset, replies in enumerate((before, poisonous, after), 1):
            ack = await replies.wait()
            assert isinstance(ack, Ack)
            assert ack.cursor.offset == offset
        await until(lambda: outlet.cut == ["internal"])
        assert engine.statistics().quarantined == 1
        assert (await engine.conversation(ROOM).describe()).offset == 3
        late, _ = await attach(engine, "late", 2)
        await until(lambda: late.offsets == [3])


async def crash_but_one(engine: Engine) -> None:
    """As many crashes as are borne."""
    for _ in range(5):
        assert isinstance(await poison(engine).wait(), Overloaded)
        assert isinstance(await query(engine, QUERIES["describe"]).wait(), Record)


async def test_a_keeper_waits_for_a_store_that_is_away(autojump_clock: MockClock) -> None:
    """No store is no fault of the conversation: questions say so, and it is served, unasked, when the store is back."""
    store = FaultyStore()
    async with world(store) as engine:
        outlet, _ = await attach(engine, "old")
        outlet.blocked = True
        await post(engine, "a").wait()
        await crash_but_one(engine)
        store.away = True
        await poison(engine).wait()
        for _ in range(5):
            assert isinstance(await query(engine, QUERIES["describe"]).wait(), StoreUnavailable)
            await trio.sleep(1)
        outlet.blocked = False
        store.away = False
        await until(lambda: outlet.offsets == [1], within_s=2.0)
        assert engine.quarantined()[0].readable


# -- what operators see ------------------------------------------------------------------------------------------------------


async def test_a_quarantine_is_visible(autojump_clock: MockClock) -> None:
    """Values, tree, figures and log say which conversation, since when and why, and nothing of what was said in it."""
    async with world(FaultyStore()) as engine:
        assert engine.quarantined() == ()
        with capture_logs() as entries:
            before_ms = engine.now_ms()
            await quarantine(engine)
            (known,) = engine.quarantined()
            assert (known.conversation, known.crashes, known.readable) == (ROOM, 6, True)
            assert known.reason.startswith("AttributeError: '...' object has no attribute '...' (conversation.py:")
            assert before_ms <= known.since_ms <= engine.now_ms()
            node = next(node for node in engine.tree().walk() if node.name == ROOM)
            assert (node.state, node.reason) == ("quarantined", known.reason)
            assert known.reason in engine.tree().render()
            figures = engine.statistics()
            assert (figures.quarantined, figures.crashes) == (1, 6)
            assert engine.release(ROOM)
            assert not engine.release(ROOM)
        told = {entry["event"]: entry for entry in entries}
        assert told["conversation quarantined"]["conversation"] == ROOM
        assert told["conversation quarantined"]["reason"] == known.reason
        assert told["conversation released"]["crashes"] == 6
        assert engine.quarantined() == ()
        assert engine.statistics().crashes == 6


async def test_a_quarantine_is_not_forgotten_while_the_engine_lives(autojump_clock: MockClock) -> None:
    """Idleness and the want of room do not end it; it takes a place of its own until it is released, or the engine ends."""
    store = FaultyStore()
    async with world(store, idle_s=1.0, live_conversations=2) as engine:
        await quarantine(engine)
        await trio.sleep(600)
        assert isinstance(await post(engine, "x").wait(), ConversationQuarantined)
        await engine.create("other")
        await quarantine(engine, "other")
        await engine.create("third")
        for _ in range(3):
            with pytest.raises(Overloaded):
                post(engine, "x", name="third")
            await trio.sleep(5)
        assert engine.statistics().quarantined == 2
        assert engine.release("other")
        await trio.sleep(5)
        assert isinstance(await post(engine, "x", name="third").wait(), Ack)
    async with world(store) as engine:
        assert isinstance(await post(engine, "x").wait(), Ack)


# -- release -----------------------------------------------------------------------------------------------------------------


async def test_release_makes_it_writable_under_its_subscribers(autojump_clock: MockClock) -> None:
    """Who was attached stays attached through it, what waits for the keeper is answered, and the restarts begin anew."""
    async with world(FaultyStore()) as engine:
        outlet, _ = await attach(engine, "old")
        await quarantine(engine)
        late, _ = await attach(engine, "new")
        waiting = query(engine, QUERIES["describe"])
        assert engine.release(ROOM)
        acked = post(engine, "a")
        assert isinstance(await acked.wait(), Ack)
        assert isinstance(await waiting.wait(), Record)
        await crash_but_one(engine)
        assert engine.statistics().quarantined == 0
        assert isinstance(await post(engine, "b").wait(), Ack)
        await until(lambda: outlet.offsets == late.offsets == [1, 2])
        assert outlet.cut == late.cut == []


async def test_release_of_what_still_crashes_ends_in_quarantine_again(autojump_clock: MockClock) -> None:
    """It is tried as often as any other, then given up again and told so; nobody attached is cut off by it."""
    async with world(FaultyStore()) as engine:
        outlet, _ = await attach(engine, "old")
        with capture_logs() as entries:
            for times in (1, 2, 3):
                await quarantine(engine)
                assert engine.quarantined()[0].crashes == 6 * times
                assert engine.release(ROOM)
        told = [entry["event"] for entry in entries if entry["event"].startswith("conversation ")]
        assert told == [*["conversation crashed"] * 6, "conversation quarantined", "conversation released"] * 3
        assert outlet.cut == []


# -- the others --------------------------------------------------------------------------------------------------------------


async def test_the_other_conversations_notice_nothing(autojump_clock: MockClock) -> None:
    """One of 100 crashes again and again, is quarantined and released: no error, no delay, no restart among the other 99."""
    store = FaultyStore()
    names = [f"room:{number}" for number in range(100)]
    slowest_s, errors, posted = 0.0, [], 0
    async with Engine.open(store=store) as engine:
        for name in names:
            await engine.create(name)
        outlets = {name: (await attach(engine, name, name=name))[0] for name in names}

        async def chat(name: str) -> None:
            nonlocal slowest_s, posted
            for number in range(20):
                began = trio.current_time()
                answer = await post(engine, f"{number}", name=name).wait()
                slowest_s = max(slowest_s, trio.current_time() - began)
                if isinstance(answer, Ack):
                    posted += 1
                else:
                    errors.append(answer)
                await trio.sleep(0.25)

        async def crash(name: str) -> None:
            with trio.move_on_after(5.0):
                while True:
                    await poison(engine, name=name).wait()
                    await trio.sleep(0.01)
                    if len(engine.quarantined()):
                        engine.release(name)

        async with trio.open_nursery() as nursery:
            for name in names[1:]:
                nursery.start_soon(chat, name)
            nursery.start_soon(crash, names[0])
        assert engine.statistics().crashes > 6
        assert (errors, posted) == ([], 99 * 20)
        assert slowest_s < 0.05
        await until(lambda: all(outlets[name].offsets == list(range(1, 21)) for name in names[1:]))
        assert all(not outlet.cut for outlet in outlets.values())
        crashed = {node.name for node in engine.tree().walk() if node.restarts}
        assert crashed <= {names[0]}


async def test_leaving_the_engine_with_a_quarantine(autojump_clock: MockClock) -> None:
    """Keepers drain with the others: what they took is answered, and subscribers are told."""
    async with world(FaultyStore()) as engine:
        outlet, _ = await attach(engine, "old")
        await quarantine(engine)
        asked = [query(engine, QUERIES["describe"]) for _ in range(50)]
        assert engine.release(ROOM)
    assert all(len(replies.answers) == 1 for replies in asked)
    assert outlet.cut == ["closed"]


@pytest.mark.parametrize("seed", range(30))
async def test_any_mix_of_crashes_faults_and_releases(seed: int, autojump_clock: MockClock) -> None:
    """One answer for each command; acked posts are stored once; who is attached sees all that was committed, or is told."""
    chance = random.Random(seed)
    faults = [chance.choice([Fault.NONE] * 6 + [Fault.AWAY, Fault.LOST, Fault.STORED, Fault.LATE]) for _ in range(60)]
    store = FaultyStore(faults)
    sent: list[Replies] = []
    async with world(store, waiting_items=50, mailbox_items=60) as engine:
        outlet, _ = await attach(engine, "old")
        for number in range(200):
            dice = chance.random()
            try:
                if dice < 0.2:
                    sent.append(poison(engine))
                elif dice < 0.35:
                    sent.append(query(engine, chance.choice([*QUERIES.values()])))
                elif dice < 0.4:
                    sent.append(query(engine, lambda reply: Presence(reply, ADA, cast("int", "many"))))
                elif dice < 0.43:
                    engine.release(ROOM)
                elif dice < 0.45:
                    store.load_errors.extend(RuntimeError("bug") for _ in range(chance.choice([1, 2, 14])))
                else:
                    key = chance.choice([None, f"k{chance.randrange(20)}"])
                    sent.append(post(engine, key or f"t{number}", key=key, timeout_s=chance.choice([0.05, 5.0])))
            except (Overloaded, ConversationQuarantined):
                pass
            if chance.random() < 0.4:
                await trio.sleep(chance.choice([0.01, 0.1, 1.0]))
        store.load_errors.clear()
        if chance.random() < 0.5:
            engine.release(ROOM)
        if chance.random() < 0.7:
            for replies in sent:
                await replies.wait()
            await until(lambda: bool(outlet.cut) or outlet.offsets == list(range(1, len(store.texts()) + 1)))
    assert all(len(replies.answers) == 1 for replies in sent)
    log = store.backend.log(ROOM)
    for replies in sent:
        if isinstance(ack := replies.answer, Ack):
            assert log[ack.cursor.offset - 1].message == ack.message
    keyed = [text for text in store.texts() if text.startswith("k")]
    assert len(keyed) == len(set(keyed))
    assert outlet.offsets == list(range(1, len(outlet.offsets) + 1))
    assert outlet.cut in (["closed"], ["quarantined"])
