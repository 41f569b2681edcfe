"""The schedule of faults: the same for the same seed, whatever else is chosen."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.faults.blows import BLOWS
from hubbub.bench.faults.kinds import BY_NAME, FAULTS, Scene
from hubbub.bench.faults.plan import ACKS, PAUSE_S, plan

some_faults = st.lists(st.sampled_from(FAULTS), min_size=1, max_size=8)
seeds = st.integers(-(2**40), 2**40)


@given(some_faults, st.integers(1, 12), seeds)
def test_every_fault_gets_its_rounds_within_its_bounds(faults, rounds, seed) -> None:
    """Each chosen fault is played exactly so often, lasts as long as it may, and comes at a moment within bounds."""
    schedule = plan(faults, rounds=rounds, seed=seed)
    for fault in set(faults):
        mine = [round_ for round_ in schedule if round_.fault is fault]
        assert [round_.number for round_ in mine] == list(range(1, rounds + 1))
    assert len(schedule) == rounds * len(set(faults))
    for round_ in schedule:
        spans = [span for span in (round_.fault.lasts, round_.fault.at_times) if span is not None]
        assert any(span.least_s <= round_.lasts_s <= span.most_s for span in spans)
        assert ACKS[0] <= round_.acks <= ACKS[1]
        assert 0 <= round_.pause_s <= PAUSE_S


@given(some_faults, some_faults, st.integers(1, 5), st.integers(1, 5), seeds)
def test_a_round_depends_on_nothing_else_that_is_chosen(one, other, few, many, seed) -> None:
    """The same seed, fault and number give the same round in every campaign."""
    first = {round_.name: round_ for round_ in plan(one, rounds=few, seed=seed)}
    second = {round_.name: round_ for round_ in plan(other, rounds=many, seed=seed)}
    for name in first.keys() & second.keys():
        assert first[name] == second[name]
        assert first[name].random("a").random() == second[name].random("a").random()


@given(some_faults, st.integers(1, 3), seeds)
def test_rounds_of_a_scene_stand_together(faults, rounds, seed) -> None:
    """A stage is opened once, however the faults were named."""
    scenes = [round_.fault.scene for round_ in plan(faults, rounds=rounds, seed=seed)]
    changes = sum(a is not b for a, b in itertools.pairwise(scenes))
    assert changes == len(set(scenes)) - 1


def test_other_seeds_give_other_moments() -> None:
    """The seed matters, and so does the number."""
    rounds = plan([BY_NAME["kill-server"]], rounds=20, seed=1) + plan([BY_NAME["kill-server"]], rounds=20, seed=2)
    assert len({round_.pause_s for round_ in rounds}) == 40


def test_every_fault_has_its_function_and_every_scene_is_used() -> None:
    """The registry of descriptions and that of functions name the same faults, once each."""
    assert [fault.name for fault in FAULTS] == list(BLOWS)
    assert {fault.scene for fault in FAULTS} == set(Scene)
