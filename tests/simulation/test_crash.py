"""Crashes are thrown in at checkpoints, exactly where they were ordered."""

import pytest
import trio

from .crash import Crashes, InjectedCrash


async def three_steps(trace):
    """Pass two checkpoints of trio."""
    trace.append("one")
    await trio.lowlevel.checkpoint()
    trace.append("two")
    await trio.lowlevel.checkpoint()
    trace.append("three")
    return "done"


@pytest.mark.parametrize(("after", "seen"), [(0, ["one"]), (1, ["one", "two"]), (2, ["one", "two", "three"])])
async def test_a_crash_comes_at_its_checkpoint(after, seen):
    """The coroutine is ended where it waits, or after its last line."""
    crashes, trace = Crashes(), []
    crashes.arm("part", after)
    with pytest.raises(InjectedCrash):
        await crashes.exposed("part", three_steps)(trace)
    assert trace == seen
    assert crashes.done == 1
    assert await crashes.exposed("part", three_steps)([]) == "done"


async def test_others_are_left_alone_and_a_loop_goes_on():
    """A crash is one part's; a loop crashes it again until it is calmed."""
    crashes = Crashes()
    crashes.loop("part", 1)
    assert await crashes.exposed("other", three_steps)([]) == "done"
    for _ in range(3):
        with pytest.raises(InjectedCrash):
            await crashes.exposed("part", three_steps)([])
    crashes.calm()
    assert await crashes.exposed("part", three_steps)([]) == "done"


async def test_cancellation_and_errors_pass_through(autojump_clock):
    """What trio throws in reaches the coroutine, and what it raises comes out."""
    crashes, cleaned = Crashes(), []

    async def waits():
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append(True)

    with trio.move_on_after(1) as scope:
        await crashes.exposed("part", waits)()
    assert scope.cancelled_caught
    assert cleaned == [True]
