"""What a measured window says of itself: nothing of what was not seen, and whether it proves anything."""

import attrs
import pytest

from hubbub.bench import control
from hubbub.bench.measure import Histogram
from hubbub.bench.measured import Measured
from hubbub.bench.procfs import Cpu
from hubbub.bench.watch import Look


def histogram(count: int, value_ns: int) -> Histogram:
    found = Histogram()
    for _ in range(count):
        found.record(value_ns)
    return found


def measured(posts: int = 0, delivery_ns: int = 10_000_000, cpu_s: tuple[float, ...] = (0.5, 0.5)) -> Measured:
    """A window of one generator, second by second."""
    posted = control.Posted(
        last_offsets={},
        unanswered=0,
        behind=0,
        sent=posts,
        kept=posts,
        window_s=float(len(cpu_s)),
        delivered=posts,
        acked=posts,
        cpu_s=sum(cpu_s),
        delivery=histogram(posts, delivery_ns),
        ack=histogram(posts, 1_000_000),
        joined=Histogram(),
        history=Histogram(),
    )
    intervals = [
        control.Interval(
            number=number,
            seconds=1.0,
            sent=0,
            delivered=0,
            acked=0,
            cpu_s=used,
            delivery=Histogram(),
            ack=Histogram(),
        )
        for number, used in enumerate(cpu_s)
    ]
    return Measured(
        posted=[posted], intervals=intervals, looks=[Look(0, None, None, 0.0), Look(10**9, None, None, 0.0)]
    )


def names(window: Measured) -> set[str]:
    return {figure.name for figure in window.figures()}


def test_what_was_not_seen_has_no_percentile() -> None:
    """A window without deliveries has no latency of them: 0 would keep every budget."""
    assert "delivery_p99_ms" not in names(measured(0))
    assert {"delivery_p99_ms", "ack_p99_ms"} <= names(measured(5))


@pytest.mark.parametrize(
    ("cpu_s", "because"),
    [
        ((0.5, 0.5, 0.5), ()),
        ((0.3, 0.95, 0.3), ("a generator was at its limit in 1 of 3 seconds",)),
        ((0.95, 0.95, 0.95), ()),  # told by the result, for each generator
    ],
)
def test_a_generator_at_its_limit_for_a_second_spoils_the_percentiles(cpu_s, because) -> None:
    """The mean of the window does not hide a second in which the generator was too slow."""
    assert measured(10, cpu_s=cpu_s).invalid_because() == because
    assert measured(10, cpu_s=cpu_s).invalid_because(paced=False) == ()


def test_shifts_need_posts() -> None:
    """A 99th percentile of fewer than 100 posts is that of a single one, and nothing at all has no shift."""

    def shifts(before: int, after: int) -> dict[str, float]:
        found = measured(after, 15_000_000).shifts(measured(before, 10_000_000))
        return {figure.name: figure.value for figure in found}

    assert shifts(200, 200)["p99_shift_percent"] == pytest.approx(50, abs=1)
    assert shifts(200, 99).keys() == {"p50_shift_percent", "healthy_p50_ms", "healthy_p99_ms"}
    assert shifts(0, 0) == {}
    assert shifts(200, 0).keys() == {"healthy_p50_ms", "healthy_p99_ms"}


def test_other_processes_are_told() -> None:
    """A machine that was busy with something else makes a window invalid."""
    looks = [Look(0, Cpu(0, 0, 0), 0, 0.0), Look(2 * 10**9, Cpu(0.5, 0, 0), 0, 2.5)]
    window = attrs.evolve(measured(10), looks=looks)
    assert window.invalid_because() == ("other processes used 50 % of a core: disturbed",)
