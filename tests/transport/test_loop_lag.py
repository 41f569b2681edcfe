"""How late the loop is."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from hubbub.transport.loop_lag import PERIOD_S, WINDOW_S, LoopLag


async def test_a_loop_that_is_not_held_up_is_not_late(autojump_clock: MockClock) -> None:
    """One waking a period, none of them late."""
    lag = LoopLag()
    with trio.move_on_after(PERIOD_S * 10.5):
        await lag.run()
    found = lag.statistics()
    assert (found.wakings.count, found.wakings.counts[0], found.worst_s) == (10, 10, 0.0)


async def test_a_block_is_seen_in_full(mock_clock: MockClock) -> None:
    """Time that passes while nobody can run is the lag of the next waking."""
    lag = LoopLag()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lag.run)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(PERIOD_S + 0.3)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    found = lag.statistics()
    assert abs(found.last_s - 0.3) < 1e-6
    assert found.worst_s == found.last_s == found.wakings.total


def test_the_worst_is_forgotten_after_a_while() -> None:
    """It stays for one window at least and two at most."""
    now = 0.0
    lag = LoopLag(lambda: now)
    lag.note(2.0)
    for now in (WINDOW_S - 1, WINDOW_S + 1):  # noqa: B007  the clock reads it
        lag.note(0.0)
        assert lag.statistics().worst_s == 2.0
    for now in (2 * WINDOW_S + 2, 3 * WINDOW_S + 3):  # noqa: B007
        lag.note(0.0)
    assert lag.statistics().worst_s == 0.0
