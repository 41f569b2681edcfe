"""Service level objectives: reading and judging."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.invariants import Verdict
from hubbub.bench.report import Figure, merged
from hubbub.bench.report.figures import KNOWN
from hubbub.bench.report.slo import COUNTS, OPERATORS, SloError, judge, names, parse

from .results import make, make_runs

PLAIN = make({})


def verdict_of(text: str, **figures: float) -> list[bool]:
    return [condition.kept for condition in judge(parse(text), make(figures))]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("p99<50ms", [True]),
        ("p99<20ms", [False]),
        ("p99<=20ms", [True]),
        ("p99<0.05s", [True]),
        ("p99>=20000us", [True]),
        ("p99<21", [True]),
        ("p99=20ms", [True]),
        (" p99 < 50 ms , lost = 0 ", [True, True]),
        ("delivery.p99<30ms,delivery_p99_ms<30", [True, True]),
        ("p99.9<100ms", [True]),
        ("deliveries/s>=50_000", [True]),
        ("deliveries/s>5e4/s", [False]),
        ("cpu/delivery<0.009ms", [True]),
        ("server_rss_mib<1GiB,server_rss_mib<199MiB", [True, False]),
        ("readers>=1,lost=0,duplicated<1", [True, True, True]),
    ],
)
def test_conditions_are_judged(text: str, kept: list[bool]) -> None:
    """Names, operators and units mean what a reader takes them for."""
    figures = {"delivery_p99_ms": 20, "delivery_p999_ms": 80, "deliveries_per_s": 50_000, "server_rss_mib": 200}
    assert verdict_of(text, **figures, cpu_per_delivery_us=8.5) == kept


def test_a_bare_percentile_is_of_acks_where_nothing_is_delivered() -> None:
    """The condition says which figure it was about."""
    (condition,) = judge(parse("p99<50ms"), make({"ack_p99_ms": 12}))
    assert (condition.figure, condition.value, condition.kept) == ("ack_p99_ms", 12, True)
    (condition,) = judge(parse("p99<50ms"), make({"ack_p99_ms": 12, "delivery_p99_ms": 60}))
    assert (condition.figure, condition.kept) == ("delivery_p99_ms", False)


def test_a_figure_that_the_run_does_not_have_is_not_kept() -> None:
    """Nothing passes because it was not looked at; the reason names what is missing."""
    (condition,) = judge(parse("ack.p99<1s"), make({"deliveries_per_s": 1}))
    assert (condition.kept, condition.value) == (False, None)
    assert condition.because == "this run has no ack_p99_ms"


def test_a_figure_that_is_no_number_is_not_kept() -> None:
    """NaN compares false with everything, also where that would look like success."""
    (condition,) = judge(parse("p99>=0ms"), make({"delivery_p99_ms": float("nan")}))
    assert not condition.kept


def test_a_percentile_of_nothing_is_not_kept() -> None:
    """A run without a single delivery has no latency of deliveries, though its figure says 0."""
    nothing = make({"delivery_p99_ms": 0.0, "delivery_max_ms": 0.0, "ack_p99_ms": 3.0, "ack_max_ms": 4.0})
    assert [condition.kept for condition in judge(parse("delivery.p99<50ms,p99<50ms"), nothing)] == [False, True]


def test_counts_are_those_of_the_verdict() -> None:
    """A lost event is not kept, whatever the figures say."""
    result = make(verdict=Verdict(lost=3, readers=9))
    assert [(c.value, c.kept) for c in judge(parse("lost=0,lost<=3,readers=9"), result)] == [
        (3, False),
        (3, True),
        (9, True),
    ]


def test_of_repeats_the_median_is_judged() -> None:
    """One run out of three may be slow."""
    runs = merged(make_runs(*({"delivery_p99_ms": value} for value in (10, 90, 12))))
    assert [condition.kept for condition in judge(parse("p99<50ms"), runs)] == [True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no condition"),
        ("p99<50ms,", "no condition"),
        ("p99", "no condition"),
        ("p99<fast", "no condition"),
        ("p99==5ms", "no condition"),
        ("p99<-5ms", "no condition"),
        ("<5ms", "no condition"),
        ("p98<5ms", r"nothing is called 'p98'; do you mean .*p99"),
        ("delivery_p9_ms<5ms", r"do you mean .*delivery_p90_ms"),
        ("lots=0", r"do you mean lost"),
        ("qqqqqq<5ms", r"nothing is called 'qqqqqq'\. Known are p50, p90, .*deliveries/s.*, lost"),
        ("p99<5KiB", "not measured in 'KiB', but one of us, ms, s"),
        ("lost<5ms", "not measured in 'ms', but a number without a unit"),
        ("p99<1e400ms", "too great"),
        ("p99<\u0665ms", "no condition"),
    ],
)
def test_a_wrong_text_is_refused_with_help(text: str, said: str) -> None:
    """The message names the place, and what comes near."""
    with pytest.raises(SloError, match=said):
        parse(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but `SloError` comes out of foreign text."""
    try:
        parse(text)
    except SloError:
        return


@given(
    st.sampled_from(sorted(KNOWN)),
    st.sampled_from(sorted(OPERATORS)),
    st.floats(0, 1e12).map(lambda value: round(value, 3)),
    st.floats(1e-3, 1e12),
)
def test_a_condition_is_the_comparison_it_says(name: str, compares: str, bound: float, value: float) -> None:
    """For every figure and operator, in the figure's own unit."""
    result = attrs.evolve(PLAIN, figures=[Figure(name, value, KNOWN[name].unit)])
    (condition,) = judge(parse(f"{name}{compares}{bound!r}"), result)
    assert condition.kept == OPERATORS[compares](value, bound)


@given(st.sampled_from(["us", "ms", "s"]), st.integers(1, 10**6))
def test_units_of_a_time_are_the_same_length(unit: str, number: int) -> None:
    """A bound is the same in every unit that can say it."""
    factor = {"us": 1e-3, "ms": 1, "s": 1e3}[unit]
    (objective,) = parse(f"p99<{number}{unit}")
    assert objective.bound == pytest.approx(number * factor)


def test_every_name_that_help_tells_can_be_used() -> None:
    """The list of names holds nothing that is refused."""
    for name in names():
        (objective,) = parse(f"{name}>=1")
        assert all(figure in KNOWN or figure in COUNTS for figure in objective.figures)
    assert set(attrs.fields_dict(Verdict)) <= set(names())
