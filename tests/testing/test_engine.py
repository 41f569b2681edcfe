"""The test engine: bounds by plain keywords, a store of the caller's, and time that passes with trio's clock."""

import pytest
import trio
from trio.testing import MockClock

from hubbub import Draft, EngineClosed, MemoryStore
from hubbub.testing import engine_settings, open_test_engine, wait_until


def test_bounds_find_their_place() -> None:
    """A name of the conversation's settings goes there, one of the engine's stays, the others keep their defaults."""
    settings = engine_settings(tail_items=3, idle_s=7.0)
    assert (settings.conversation.tail_items, settings.idle_s) == (3, 7.0)
    assert settings.conversation.write_bytes == engine_settings().conversation.write_bytes
    with pytest.raises(TypeError, match="nothing_of_the_kind"):
        engine_settings(nothing_of_the_kind=1)


async def test_conversations_are_there_and_the_store_is_the_callers(autojump_clock: MockClock) -> None:
    """What one engine stored, the next one over the same store finds; making them again changes nothing."""
    store = MemoryStore()
    for expected in (1, 2):
        async with open_test_engine(store, conversations=["a", "b"], post_deadline_s=5.0) as engine:
            assert engine.settings.conversation.post_deadline_s == 5.0
            ack = await engine.conversation("b").post(Draft("hi", author="ada"))
            assert ack.cursor.offset == expected
            assert (await engine.conversation("a").describe()).offset == 0
    with pytest.raises(EngineClosed):
        await engine.conversation("a").describe()


async def test_the_wall_clock_follows_the_mock_clock(autojump_clock: MockClock) -> None:
    """Ten minutes pass in no time for both."""
    async with open_test_engine() as engine:
        before = engine.now_ms()
        await trio.sleep(600)
        assert engine.now_ms() - before == 600_000


async def test_waiting_ends_when_the_condition_holds_or_is_late(autojump_clock: MockClock) -> None:
    """In the test's time."""
    started = trio.current_time()
    await wait_until(lambda: trio.current_time() >= started + 5)
    assert trio.current_time() - started == pytest.approx(5, abs=0.1)
    with pytest.raises(trio.TooSlowError):
        await wait_until(lambda: False, within_s=3)
