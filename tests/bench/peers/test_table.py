"""The tables of a comparison: ratios, spread, remarks, who is missing."""

import io

import attrs
import pytest
from rich.console import Console

from hubbub.bench.invariants import Verdict
from hubbub.bench.peers.rounds import Comparison, Standing
from hubbub.bench.peers.table import CAVEATS, ratio, remarks, rows, show
from hubbub.bench.report import Result
from hubbub.bench.report.result import Spread
from hubbub.bench.scenarios import FANOUT_B

from ..report.results import make

FIGURES = (
    "deliveries_per_s",
    "cpu_per_delivery_us",
    "cpu_all_per_delivery_us",
    "delivery_p50_ms",
    "delivery_p99_ms",
)


def result(*values: float) -> Result:
    return make(dict(zip(FIGURES, values, strict=True)))


def standing(name: str, found: Result | None, **more) -> Standing:
    more = {"durable": False, "failed": {}, **more}
    results = {"A": found} if found else {}
    return Standing(name=name, title=f"the {name}", versions="1.0", settings="fast", results=results, **more)


STANDINGS = [
    standing("hubbub", result(1_000_000, 0.5, 0.75, 10, 20), durable=True),
    standing("epoll-c", result(2_000_000, 0.25, 0.25, 5, 6)),
    standing("ws", result(60_000, 9, 9, 700, 900.5)),
]


def test_rows_set_everyone_against_hubbub_and_the_floor() -> None:
    """Postgres is shown where it adds something, and only hubbub stores."""
    assert rows(STANDINGS, "A") == [
        ["hubbub", "1,000,000", "1.00x", "0.50x", "0.5 (0.75)", "10 / 20", "yes"],
        ["epoll-c", "2,000,000", "2.00x", "1.00x", "0.25", "5 / 6", "no"],
        ["ws", "60,000", "0.06x", "0.03x", "9", "700 / 900", "no"],
    ]
    assert rows(STANDINGS, "D") == []


def test_without_the_floor_its_ratios_are_empty() -> None:
    """A machine without a compiler still gets the table."""
    assert [row[2:4] for row in rows([STANDINGS[0], STANDINGS[2]], "A")] == [["1.00x", ""], ["0.06x", ""]]


def test_rounds_show_their_spread() -> None:
    """Half of what lies between the least and the greatest, in percent of the median."""
    found = result(100, 1, 1, 1, 1)
    figure = attrs.evolve(found.figures[0], spread=Spread.of([90, 100, 130]))
    found = attrs.evolve(found, figures=[figure, *found.figures[1:]])
    assert rows([standing("ws", found)], "A")[0][1] == "100 ±20%"


@pytest.mark.parametrize(
    ("value", "base", "shown"), [(1, 3, "0.33x"), (1500, 1, "1,500x"), (None, 1, ""), (1, None, ""), (1, 0, "")]
)
def test_ratios(value: float | None, base: float | None, shown: str) -> None:
    """Two places below ten, none above; nothing without both."""
    assert ratio(value, base) == shown


@pytest.mark.parametrize(("acked", "told"), [(24.0, []), (9.5, ["does not keep up: answered 9.5 of 25 posts/s"])])
def test_a_server_that_falls_behind_is_named(acked: float, told: list[str]) -> None:
    """At a fixed rate its CPU per delivery alone would look fine."""
    assert remarks(make({"posts_per_s": acked}, scenario=FANOUT_B)) == told


def test_what_is_printed_fits_a_terminal_and_hides_nothing() -> None:
    """Remarks, failures, absences, settings and every caveat are there; no line of a table is cut."""
    behind = attrs.evolve(result(1, 1, 1, 1, 1), verdict=Verdict(lost=1234), broken=("lost",), valid=False)
    behind = attrs.evolve(behind, invalid_because=("a generator used 95 % of a core",))
    standings = [*STANDINGS, standing("socket.io", behind), standing("starlette", None, failed={"A": "ended"})]
    text = io.StringIO()
    comparison = Comparison(command="c", rounds=3, standings=standings, unavailable={"uws": "not there"})
    show(comparison, Console(file=text, width=80))
    printed = text.getvalue()
    assert "\u2026" not in printed
    flat = " ".join(printed.split())
    for wanted in (
        "A, socket.io: 1,234 deliveries missing at the end",
        "A, socket.io: a generator used 95 % of a core",
        "A, starlette: failed: ended",
        "not available: uws: not there",
        "ws: the ws. 1.0. fast",
        "median of 3 rounds",
        *CAVEATS,
    ):
        assert wanted in flat
