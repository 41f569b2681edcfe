"""The scripted subscriber: it takes what its script says, and loses nothing that the engine promises it."""

import pytest
import trio
from trio.testing import MockClock

from hubbub import SYSTEM, Author, Conversation, Draft, NotFound, Principal, Visibility
from hubbub.engine.core.recovery import Reset
from hubbub.testing import OFFSETS, OffsetFormat, ScriptedSubscriber, open_test_engine


async def talk(room: Conversation, posts: int) -> None:
    """So many posts, one after another."""
    for number in range(posts):
        await room.post(Draft(f"{number}", author="ada"))


async def test_it_takes_so_many_pushes_and_goes_on_when_freed(autojump_clock: MockClock) -> None:
    """Between the two, and behind the tail in memory, nothing is lost and nothing comes twice."""
    async with open_test_engine(tail_items=3) as engine:
        room = engine.conversation("room")
        subscriber = ScriptedSubscriber(takes=2)
        joined = await subscriber.join(engine, "room")
        assert joined.record.id == "room"
        await talk(room, 5)
        assert subscriber.offsets == [1, 2]
        subscriber.free(takes=1)
        await trio.sleep(1)
        await talk(room, 1)
        assert subscriber.offsets == [1, 2, 3, 4, 5]
        subscriber.free()
        await talk(room, 7)
        await subscriber.wait_offset(13)
        assert subscriber.offsets == list(range(1, 14))


async def test_it_replays_and_pages_and_notes_ephemeral_events(autojump_clock: MockClock) -> None:
    """What the answer to its join carries counts as seen, before what is pushed."""
    async with open_test_engine() as engine:
        room = engine.conversation("room")
        await talk(room, 4)
        subscriber = ScriptedSubscriber()
        joined = await subscriber.join(engine, "room", since=1, page_bytes=1)
        assert joined.offset == 2
        await subscriber.wait_offset(4)
        await room.signal("cursor.moved", {"x": 1}, actor=SYSTEM)
        assert (subscriber.offsets, subscriber.signals) == ([2, 3, 4], ["cursor.moved"])


async def test_it_blocks_leaves_and_joins_again(autojump_clock: MockClock) -> None:
    """From its last offset, as a client would."""
    async with open_test_engine() as engine:
        room = engine.conversation("room")
        subscriber = ScriptedSubscriber(client="c1")
        subscriber.leave()
        subscriber.free()
        await subscriber.join(engine, "room")
        assert (await room.presence()).clients == 1
        subscriber.block()
        await talk(room, 2)
        subscriber.leave()
        assert (await room.presence()).clients == 0
        subscriber.outlet.blocked = False
        await subscriber.join(engine, "room", since=0)
        await subscriber.wait_offset(2)
        assert (subscriber.offsets, subscriber.cut) == ([1, 2], None)
        with pytest.raises(trio.TooSlowError):
            await subscriber.wait_offset(3, within_s=1)


async def test_it_is_cut_when_it_may_see_no_more(autojump_clock: MockClock) -> None:
    """It knows the code, and nothing comes afterwards."""
    async with open_test_engine() as engine:
        room = engine.conversation("room")
        stranger = ScriptedSubscriber(principal=Principal(Author("eve", "Eve")))
        await stranger.join(engine, "room")
        await room.update(visibility=Visibility.PRIVATE)
        await talk(room, 1)
        assert stranger.cut is not None
        assert 2 not in stranger.offsets
        with pytest.raises(NotFound):
            await stranger.join(engine, "room")
        assert stranger.cut is None


async def test_a_cursor_that_cannot_be_served_is_an_answer(autojump_clock: MockClock) -> None:
    """Joining ahead of the head is a reset, not an exception."""
    async with open_test_engine() as engine:
        joined = await ScriptedSubscriber().join(engine, "room", since=10)
        assert isinstance(joined.decision, Reset)


async def test_a_push_that_raises_is_the_transports_bug(autojump_clock: MockClock) -> None:
    """It costs this subscriber its subscription, and nobody else anything."""

    def crash() -> None:
        raise RuntimeError("a bug of a transport")

    async with open_test_engine() as engine:
        room = engine.conversation("room")
        bad, good = ScriptedSubscriber(client="bad"), ScriptedSubscriber(client="good")
        for subscriber in (bad, good):
            await subscriber.join(engine, "room")
        bad.outlet.on_push = crash
        await talk(room, 2)
        await good.wait_offset(2)
        assert (good.offsets, bad.offsets) == ([1, 2], [])
        assert bad.cut == "internal"


def test_formats_have_names() -> None:
    """Formats of one name share what is encoded."""
    assert (OFFSETS.name, OffsetFormat("other").name) == ("offsets", "other")
