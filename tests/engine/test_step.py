"""Steps of an actor: how many, and how long."""

from hubbub.engine._step import STEP_ITEMS, STEP_S, Step


def test_a_step_ends_after_so_many_items_where_the_clock_stands_still() -> None:
    """Each begins with a count of its own."""
    step = Step(lambda: 5.0)
    for _ in range(2):
        assert [step.over() for _ in range(STEP_ITEMS)] == [False] * (STEP_ITEMS - 1) + [True]
        step.begin()


def test_a_step_ends_when_its_time_is_over() -> None:
    """One slow item is enough; the time is counted from where the step began."""
    now_s = 1.0
    step = Step(lambda: now_s)
    assert not step.over()
    now_s += STEP_S * 1.01
    assert step.over()
    step.begin()
    assert not step.over()
