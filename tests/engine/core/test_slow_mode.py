"""Slow mode: whose turn it is, with a clock that is set back, and bounded."""

from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.slow_mode import SPEAKERS, SlowMode

TIMES = st.integers(0, 100_000)


def test_a_turn_comes_back_after_its_time() -> None:
    """To the millisecond, for each author alone."""
    mode = SlowMode()
    assert mode.take("ann", 1_000, 5) == 0
    assert mode.take("ann", 1_000, 5) == 5_000
    assert mode.take("bob", 1_000, 5) == 0
    assert mode.take("ann", 5_999, 5) == 1
    assert mode.take("ann", 6_000, 5) == 0


def test_what_comes_to_nothing_gives_its_turn_back() -> None:
    """And nothing but that turn."""
    mode = SlowMode()
    assert mode.take("ann", 1_000, 5) == 0
    mode.give_back("ann", 999)
    assert mode.take("ann", 1_001, 5) == 4_999
    mode.give_back("ann", 1_000)
    assert mode.take("ann", 1_001, 5) == 0
    mode.give_back("nobody", 1)


@given(st.lists(TIMES, min_size=1), st.integers(1, 20))
def test_nobody_waits_longer_than_the_mode_says(times: list[int], slow_s: int) -> None:
    """Wherever the clock jumps to: who waits as long as it was told is let through."""
    mode = SlowMode()
    for at_ms in times:
        left_ms = mode.take("ann", at_ms, slow_s)
        assert 0 <= left_ms <= 1000 * slow_s
        if left_ms:
            assert mode.take("ann", at_ms + left_ms, slow_s) == 0


def test_speakers_are_bounded() -> None:
    """The one that spoke longest ago is forgotten."""
    mode = SlowMode()
    mode.recall((f"a{number}", 1) for number in range(SPEAKERS))
    assert mode.take("a0", 2, 5) == 4_999
    assert mode.take("one more", 2, 5) == 0
    assert mode.take("a0", 3, 5) == 0
    assert mode.take("a2", 3, 5) == 4_998
