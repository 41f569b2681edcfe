"""How costs grow: the law, the report, the curves of both kinds of dimension; and what must not grow, counted in instructions."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner

from hubbub.bench.cli import bench
from hubbub.bench.fleet import Tell
from hubbub.bench.growth import cli, inside, served
from hubbub.bench.growth.dimension import Curve, Curves, Dimension
from hubbub.bench.growth.law import Law, exponent, law, slope
from hubbub.bench.micro import instructions, rooms, timers
from hubbub.bench.micro.benchmark import Call

SIZES = (10, 100, 1_000, 10_000)


def points(cost: Callable[[float], float]) -> list[tuple[float, float]]:
    return [(size, cost(size)) for size in SIZES]


@pytest.mark.parametrize("power", [-0.5, 0.0, 0.5, 1.0, 2.0])
def test_the_slope_of_a_power_law_is_its_power(power: float) -> None:
    """Whatever the factor."""
    assert slope(points(lambda size: 3.7 * size**power)) == pytest.approx(power)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        (lambda size: 0.0, Law.NOTHING),
        (lambda size: 5.0, Law.CONSTANT),
        (lambda size: 5.0 + 0.0001 * size, Law.CONSTANT),
        (lambda size: 1000 / size, Law.CONSTANT),
        (lambda size: 7.0 * size, Law.LINEAR),
        (lambda size: 5_000.0 + 7.0 * size, Law.LINEAR),
        (lambda size: size**0.5, Law.LINEAR),
        (lambda size: size * (1 + 0.1 * size), Law.WORSE),
        (lambda size: 1e5 + 0.1 * size**2, Law.WORSE),
        (lambda size: size**1.5, Law.WORSE),
    ],
)
def test_the_law_of_a_cost(cost: Callable[[float], float], expected: Law) -> None:
    """Fixed parts do not hide what grows at the end, and caches and noise do not make a constant cost grow."""
    assert law(points(cost), 1e-3) is expected


def test_one_noisy_size_at_the_end_does_not_make_a_law() -> None:
    """Where the last order of magnitude has three sizes, all of them count."""
    assert law([(10, 150), (1_000, 150), (10_000, 155), (30_000, 141), (100_000, 182)], 1e-3) is Law.CONSTANT


def test_what_is_below_the_floor_is_nothing() -> None:
    """Also when it has a slope, or is negative: memory that was given back."""
    assert exponent([(10, -5), (100, 30), (1_000, 90)], 100) is None
    assert law([(10, -5), (100, 30), (1_000, 90_000)], 100) is Law.WORSE


def test_laws_are_ordered_from_best_to_worst() -> None:
    """A cost may be better than allowed."""
    allowed = {one: [other for other in Law if other.within(one)] for one in Law}
    assert allowed[Law.NOTHING] == [Law.NOTHING]
    assert allowed[Law.LINEAR] == [Law.NOTHING, Law.CONSTANT, Law.LINEAR]
    assert allowed[Law.WORSE] == list(Law)


def test_a_curve_of_one_size_says_nothing() -> None:
    """It is left out."""
    curves = Curves(*(Curve(what=what, unit="us", allowed=Law.CONSTANT) for what in ("one", "two")))
    curves.add("one", 10, 1)
    curves.add("two", 10, 1)
    curves.add("two", 100, 1)
    assert [curve.what for curve in curves.measured()] == ["two"]


def of_power(power: float) -> Dimension:
    def run(sizes: Sequence[int], tell: Tell) -> tuple[Curve, ...]:
        curves = Curves(Curve(what="an [odd] thing", unit="us", allowed=Law.LINEAR))
        for size in sizes:
            tell(f"{size}")
            curves.add("an [odd] thing", size, size**power)
        return curves.measured()

    return Dimension(name="rooms", what="rooms", where="paper", sizes=SIZES, run=run)


def test_the_command_is_content_with_what_is_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A linear cost that may be linear: exit code 0, with JSON and Markdown that say so."""
    monkeypatch.setattr(cli, "DIMENSIONS", (of_power(1),))
    files = ("--json", str(tmp_path / "a.json"), "--markdown", str(tmp_path / "a.md"))
    done = CliRunner().invoke(bench, ("growth", *files))
    assert done.exit_code == 0, done.output
    [finding] = json.loads((tmp_path / "a.json").read_text())["findings"]
    [curve] = finding["curves"]
    assert (curve["verdict"], curve["broken"], curve["points"][-1]) == ("linear", False, [10_000, 10_000])
    assert curve["slope"] == pytest.approx(1)
    shown = (tmp_path / "a.md").read_text()
    assert "| an [odd] thing | 10 us | 100 us | 1,000 us | 10,000 us | +1.00 | linear |" in shown
    assert "`hubbub bench growth`" in shown


def test_what_grows_faster_than_it_may_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, with what is allowed."""
    monkeypatch.setattr(cli, "DIMENSIONS", (of_power(2),))
    done = CliRunner().invoke(bench, ("growth",))
    assert done.exit_code == 1
    assert "rooms: an [odd] thing is worse, allowed is linear" in done.output


def test_quick_takes_the_smaller_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never less than two, which have a slope."""
    monkeypatch.setattr(cli, "DIMENSIONS", (of_power(1),))
    done = CliRunner().invoke(bench, ("growth", "--quick", "--json", "-"))
    [finding] = json.loads(done.stdout)["findings"]
    assert [size for size, _ in finding["curves"][0]["points"]] == [10, 100, 1_000]
    assert attrs.evolve(of_power(1), sizes=(5_000, 10_000, 20_000)).upto(10) == (5_000, 10_000)


def quiet(_: str) -> None:
    pass


def test_members_are_measured_in_an_engine_of_this_process() -> None:
    """Each curve has a positive cost at each size."""
    found = inside.members((2, 8), quiet)
    assert len(found) == 6
    assert all(cost > 0 for curve in found for _, cost in curve.points)


def test_rooms_that_were_used_once_leave_nothing() -> None:
    """Memory of live rooms is seen, and what is left of them is below the floor."""
    live, _, waves = inside.passivated((20, 200), quiet)
    assert all(cost > 1_000 for _, cost in live.points)
    assert waves.found is Law.NOTHING


@pytest.mark.postgres
@pytest.mark.server
@pytest.mark.parametrize("run", [served.readers, served.connections, served.rooms, served.history])
def test_a_real_server_is_measured(
    run: Callable[[Sequence[int], Tell], tuple[Curve, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small sizes through the whole path; the laws are for larger ones, except what must be exact: reads inside the tail."""
    monkeypatch.setattr(served, "_IDLE_S", 0.05)
    found = run((20, 40), quiet)
    assert found
    assert all(
        cost > 0 for curve in found for _, cost in curve.points if curve.unit == "us" and "second" not in curve.what
    )
    assert [curve.found for curve in found if curve.allowed is Law.NOTHING] in ([], [Law.NOTHING])


# -- counted, not timed -----------------------------------------------------------------------------------------------


def steps(call: Call, calls: int = 1) -> int:
    for _ in range(2):
        call()
    return instructions.counted(call, calls)


def test_joining_and_leaving_takes_the_same_steps_however_many_are_there() -> None:
    """Instruction for instruction."""
    few, many = (steps(rooms.come_and_go(members)) for members in (4, 4_000))
    assert few == many


def test_asking_how_many_are_present_takes_the_same_steps_however_many_are_there() -> None:
    """Nobody is listed for a count."""
    few, many = (steps(rooms.count_present(members)) for members in (4, 4_000))
    assert few == many


def test_a_delivery_takes_the_same_steps_however_many_get_it() -> None:
    """A pass is linear: 900 readers more cost the same, whoever is there already."""
    few, more, many = (steps(rooms.deliver(readers)) for readers in (100, 1_000, 1_900))
    assert many - more == more - few > 900


def test_a_tick_takes_the_same_steps_however_many_wait_for_a_later_one() -> None:
    """Connections whose time has not come are not looked at."""
    few, many = (steps(timers.idle_tick(connections), 10) for connections in (4, 4_000))
    assert few == many
