"""When posts are due."""

from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.pace import MAX_UNANSWERED, make_pace
from hubbub.bench.scenarios import ClosedLoop, OpenLoop

S = 1_000_000_000


@given(st.lists(st.integers(0, S // 5), max_size=60))
def test_an_open_loop_keeps_its_schedule_however_late_it_is_asked(waits: list[int]) -> None:
    """Stalls of the caller change no intended time and skip no post."""
    pace = make_pace(OpenLoop(25), 10 * S, 12 * S)
    now, times = 10 * S, []
    for wait in [*waits, 3 * S]:
        now += wait
        times += pace.due(now, 0)
    assert times == [10 * S + n * S // 25 for n in range(50)]
    assert pace.next_ns(0) is None


def test_an_open_loop_bounds_what_is_unanswered_and_keeps_the_time_of_what_waits() -> None:
    """A post held back by the bound is measured from when it was due."""
    pace = make_pace(OpenLoop(1000), 0, S)
    assert pace.due(5_000_000, MAX_UNANSWERED - 2) == [0, 1_000_000]
    assert pace.next_ns(MAX_UNANSWERED) is None
    assert pace.due(9_000_000, MAX_UNANSWERED - 1) == [2_000_000]


def test_a_closed_loop_fills_its_slots_between_start_and_stop() -> None:
    """Free slots are due now; before the start and from the stop on nothing is."""
    pace = make_pace(ClosedLoop(5), 10, 20)
    assert [pace.due(now, busy) for now, busy in ((9, 0), (10, 0), (15, 3), (15, 5), (20, 0))] == [
        [],
        [10] * 5,
        [15] * 2,
        [],
        [],
    ]
    assert (pace.next_ns(4), pace.next_ns(5)) == (10, None)
