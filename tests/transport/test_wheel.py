"""Tests of transport/wheel.py: a property test against a dict of deadlines, and the costs it promises."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from hubbub.transport.wheel import Timed, Wheel

TICK_S = 0.25
STEPS = st.one_of(
    st.tuples(st.just("arm"), st.integers(0, 5), st.floats(0, 8)),
    st.tuples(st.just("shorten"), st.integers(0, 5), st.floats(0, 8)),
    st.tuples(st.just("clear"), st.integers(0, 5), st.just(0.0)),
    st.tuples(st.just("forget"), st.integers(0, 5), st.just(0.0)),
    st.tuples(st.just("take"), st.integers(1, 4), st.floats(0, 4)),
)


@given(st.lists(STEPS, max_size=80), st.floats(0, 1000))
def test_every_deadline_is_taken_once_never_early_and_at_most_a_tick_late(steps, start_s):
    """The wheel agrees with a dict of deadlines, up to one tick of lateness."""
    wheel, items, now_s = Wheel(TICK_S), [Timed() for _ in range(6)], start_s
    wheel.take(now_s, 100)
    model: dict[Timed, float] = {}
    for verb, number, seconds in steps:
        item = items[number]
        match verb:
            case "arm":
                wheel.arm(item, now_s + seconds)
                model[item] = now_s + seconds
            case "shorten":
                wheel.shorten(item, now_s + seconds)
                model[item] = min(model.get(item, now_s + seconds), now_s + seconds)
            case "clear" | "forget":
                getattr(wheel, verb)(item)
                model.pop(item, None)
            case _:
                now_s += seconds
                more = True
                while more:
                    taken, more = wheel.take(now_s, number)
                    for due in taken:
                        assert model.pop(due) <= now_s
                assert all(at_s > now_s - TICK_S for at_s in model.values())
    assert set(wheel.take(now_s + 20, 100)[0]) == set(model)


def test_moving_a_deadline_later_leaves_the_item_where_it_is():
    """Arming again with every message touches no tick."""
    wheel, item = Wheel(TICK_S), Timed()
    wheel.arm(item, 1.0)
    place = item.bucket_tick
    for message in range(1000):
        wheel.arm(item, 1.0 + message / 1000)
    assert item.bucket_tick == place
    assert wheel.take(1.1, 10) == ([], False)
    assert wheel.take(2.0, 10) == ([item], False)


def test_a_forgotten_item_is_not_kept_alive():
    """The wheel has no reference left to a closed connection."""
    wheel, item = Wheel(TICK_S), Timed()
    before = sys.getrefcount(item)
    wheel.arm(item, 9.0)
    wheel.arm(item, 2.0)
    wheel.arm(item, 7.0)
    assert sys.getrefcount(item) > before
    wheel.forget(item)
    assert sys.getrefcount(item) == before


def test_a_call_looks_at_no_more_items_than_its_limit():
    """A thousand items due at once are handed out in slices."""
    wheel, items = Wheel(TICK_S), [Timed() for _ in range(1000)]
    for item in items:
        wheel.arm(item, 1.0)
    sizes, more = [], True
    while more:
        taken, more = wheel.take(1.0, 300)
        sizes.append(len(taken))
    assert sizes == [300, 300, 300, 100]


def test_a_leap_of_the_clock_costs_no_walk_over_the_ticks_between():
    """A suspended machine wakes up at once: a leap of a thousand years is one call."""
    wheel, item = Wheel(TICK_S), Timed()
    wheel.arm(item, 1.0)
    assert wheel.take(3e10, 10) == ([item], False)
    wheel.arm(item, 0.0)
    assert wheel.take(3e10 + TICK_S, 10) == ([item], False)
