"""The restart rule against a naive model."""

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hubbub.actors import GiveUp, Restart, RestartIntensity, RestartWindow


def naive(intensity: RestartIntensity, restarts: list[float], now: float) -> Restart | GiveUp:
    """Judge by counting all restarts ever made."""
    recent = sum(1 for at in restarts if now - intensity.within_s <= at)
    if recent >= intensity.max_restarts:
        return GiveUp(recent)
    return Restart(min(intensity.backoff_first_s * intensity.backoff_factor**recent, intensity.backoff_max_s))


@given(
    max_restarts=st.integers(0, 8),
    within_s=st.floats(1, 100),
    first_s=st.sampled_from([0.0, 0.01, 0.05]),
    factor=st.sampled_from([1.0, 1.5, 2.0]),
    gaps=st.lists(st.floats(0, 60), max_size=60),
)
def test_it_judges_as_the_naive_model(
    max_restarts: int, within_s: float, first_s: float, factor: float, gaps: list[float]
) -> None:
    """Every verdict equals that of counting all restarts ever made."""
    intensity = RestartIntensity(
        max_restarts=max_restarts, within_s=within_s, backoff_first_s=first_s, backoff_factor=factor, backoff_max_s=0.1
    )
    window = RestartWindow(intensity)
    restarts: list[float] = []
    for now in itertools.accumulate(gaps):
        expected = naive(intensity, restarts, now)
        verdict = window.crashed(now)
        if isinstance(expected, Restart):
            restarts.append(now)
            assert isinstance(verdict, Restart)
            assert verdict.after_s == pytest.approx(expected.after_s)
        else:
            assert verdict == expected


@given(
    max_restarts=st.integers(0, 20),
    within_s=st.floats(0.1, 20),
    first_s=st.floats(0, 2),
    factor=st.floats(1, 4),
    max_s=st.floats(0, 2),
)
def test_a_child_that_always_crashes_at_once_is_given_up(
    max_restarts: int, within_s: float, first_s: float, factor: float, max_s: float
) -> None:
    """Whatever is accepted as an intensity gives up after exactly its number of restarts, backoff included."""
    try:
        intensity = RestartIntensity(
            max_restarts=max_restarts,
            within_s=within_s,
            backoff_first_s=first_s,
            backoff_factor=factor,
            backoff_max_s=max_s,
        )
    except ValueError:
        assume(False)
    window = RestartWindow(intensity)
    now = 0.0
    for restarts in range(max_restarts + 1):
        verdict = window.crashed(now)
        if isinstance(verdict, GiveUp):
            assert restarts == max_restarts
            return
        now += verdict.after_s
    pytest.fail("never gave up")


def test_an_intensity_that_cannot_be_exceeded_is_refused() -> None:
    """Waits longer than the window would hide a crash loop for ever."""
    with pytest.raises(ValueError, match="never give up"):
        RestartIntensity(max_restarts=5, within_s=1, backoff_first_s=0.5, backoff_max_s=0.5)
