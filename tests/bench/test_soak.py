"""Short soaks: of the real server, where every check holds, and of a server that leaks, which is found out."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import click
import pytest
import trio
from click.testing import CliRunner
from rich.console import Console

from hubbub.bench.errors import BenchError
from hubbub.bench.server import Server, started
from hubbub.bench.soak import leave, token_of
from hubbub.bench.soak import soak as command
from hubbub.bench.soak_ledger import Checks
from hubbub.bench.soak_load import LoadPlan
from hubbub.bench.soak_report import SoakResult, show, sum_up, to_json
from hubbub.bench.soak_run import SoakPlan, soak
from hubbub.bench.soak_trend import Trend
from hubbub.bench.soak_watch import SERIES, Sample, watching

LEAKY = (sys.executable, str(Path(__file__).with_name("leaky.py")))
SHORT = SoakPlan(
    minutes=0.2,
    warm_up_s=2.0,
    interval_s=0.5,
    load=LoadPlan(rate_per_s=40, readers=24, fill_items=100, life_s=0.2),
    least_judged_s=0.0,
)


def soaked(plan: SoakPlan, program: Sequence[str] | None = None) -> SoakResult:
    """A soak of a server of its own."""

    async def run(server: Server) -> SoakResult:
        with trio.fail_after(120):
            return await soak(server, token_of(server), plan, lambda _: None)

    with started(command=program) as server:
        return trio.run(run, server)


@pytest.mark.server
def test_a_short_soak_of_the_real_server() -> None:
    """Every delivery is checked and in order; what must not move with rooms and readers does not rise."""
    result = soaked(SHORT)
    assert (result.broken, result.checks.notes) == ((), ())
    checks = result.checks
    assert checks.acked == checks.posted > 700
    assert checks.delivered > 2 * checks.acked
    for what in ("reconnects with missed events", "pages of history", "typing", "new rooms", "new guests"):
        assert result.happened[what] > 0, result.happened
    watched = {series.name: series for series in result.series}
    for name in ("descriptors", "other_tasks", "connections", "mailbox_max", "writer_queue", "calls_waiting"):
        judged = watched[name].judged
        assert judged is not None, name
        assert judged.trend is not Trend.LEAKS, watched[name]
    assert {"rss", "pss", "delivery_p99", "ack_p99", "postgres_pss", "loop_lag_mean"} <= watched.keys()
    told = json.loads(to_json(result))
    assert len(told["samples"]["at_s"]) == len(told["samples"]["rss"]) >= 20


@pytest.mark.server
def test_a_server_that_leaks_is_found_out() -> None:
    """Memory, tasks and descriptors that rise beside a sound engine are named; its checks hold all the same."""
    result = soaked(SHORT, LEAKY)
    assert {"rss", "other_tasks", "descriptors"} <= set(result.leaks), result.series
    assert result.broken == ()
    assert not result.ok


def samples(per_h: float) -> list[Sample]:
    """Ten minutes of a server that grows."""
    return [
        Sample(at, {"rss": 60 + per_h * at / 3600, "postgres_pss": 30 + 900 * at / 3600}) for at in range(0, 600, 5)
    ]


def judged(found: list[Sample], checks: Checks | None = None) -> SoakResult:
    return sum_up(
        started_at=0.0,
        plan={},
        server="http://h",
        samples=found,
        warm_up_s=100.0,
        checks=checks or Checks(),
        happened={},
    )


def last_line(result: SoakResult) -> str:
    """What a person reads at the end."""
    out = io.StringIO()
    show(result, Console(file=out, width=400))
    return out.getvalue().splitlines()[-1]


def ended(result: SoakResult) -> int:
    """The exit code."""
    try:
        leave(result)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    return 0


def test_growth_of_the_server_is_judged_and_of_postgres_shown() -> None:
    """History grows by nature; the server must not."""
    result = judged(samples(60.0))
    assert result.leaks == ("rss",)
    assert [series.name for series in result.series if series.judged is None] == ["postgres_pss"]
    assert judged(samples(0.0)).ok


@pytest.mark.parametrize(
    ("length_s", "interval_s", "minutes"),
    [(120, 5, 2.0), (275, 5, 4.6), (590, 100, 10.0)],
    ids=["warm-up only", "short", "few"],
)
def test_too_little_is_no_verdict(length_s: int, interval_s: int, minutes: float) -> None:
    """Neither a leak nor its absence: three minutes and eight samples are needed, and the last line says so."""
    found = [Sample(at, {"rss": 60 + at}) for at in range(interval_s, length_s + 1, interval_s)]
    result = judged(found)
    assert (result.too_short, result.ok, result.leaks, result.unclear) == (True, False, (), ())
    assert "too little was seen for a verdict" in last_line(result)
    assert SoakPlan(minutes=minutes, warm_up_s=100.0, interval_s=interval_s).too_short
    assert ended(result) == 3


def test_what_is_unclear_is_said() -> None:
    """Noise that could hide a leak is no leak, and no clean bill either."""
    rng = Random(3)
    result = judged([Sample(at, {"rss": 60.0 + rng.gauss(0, 20), "pss": 50.0}) for at in range(0, 600, 5)])
    assert (result.unclear, result.ok) == (("rss",), True)
    assert last_line(result) == "nothing leaks for certain; 1 series unclear: rss"
    assert ended(result) == 0


def test_a_series_seen_too_seldom_is_unclear() -> None:
    """It is not counted among those that do not leak."""
    found = [Sample(at, {"rss": 60.0} | ({"ack_p99": 5.0} if at < 130 else {})) for at in range(0, 600, 5)]
    assert judged(found).unclear == ("ack_p99",)


def test_a_verdict_is_the_last_line() -> None:
    """With the exit code of what was found; what was broken counts also where leaks could not be judged."""
    assert (last_line(judged(samples(0.0))), ended(judged(samples(0.0)))) == ("nothing leaks", 0)
    assert (last_line(judged(samples(60.0))), ended(judged(samples(60.0)))) == ("leaks: rss", 1)
    assert ended(judged([], Checks(lost=1))) == 1


def test_a_default_soak_is_long_enough() -> None:
    """The command's own default gives a verdict, a minute does not."""
    assert not SoakPlan().too_short
    assert not SoakPlan(minutes=6).too_short
    assert SoakPlan(minutes=1).too_short


def test_the_warm_up_is_not_judged() -> None:
    """What rises before it is over is forgiven."""
    early = [Sample(at, {"rss": 40.0 + min(at, 100)}) for at in range(0, 600, 5)]
    result = judged(early)
    assert result.ok
    assert (result.judged_s, len(result.samples["rss"])) == (495, 120)


def test_a_small_rise_in_a_short_run_is_no_leak() -> None:
    """One descriptor more in eight minutes is eight an hour, and one descriptor."""
    found = [Sample(at, {"descriptors": 50.0 + at / 500}) for at in range(0, 600, 5)]
    assert judged(found).leaks == ()


def test_a_broken_check_is_no_success() -> None:
    """However flat everything is."""
    result = judged(samples(0.0), Checks(lost=1))
    assert (result.broken, result.ok) == (("lost",), False)


def test_every_series_is_named_once() -> None:
    """Names are keys of the report."""
    assert len({series.name for series in SERIES}) == len(SERIES)


@pytest.mark.parametrize(("minutes", "left_out_s"), [(1, 30), (10, 150), (30, 360), (60, 600), (600, 600)])
def test_the_warm_up_fits_the_run(minutes: float, left_out_s: float) -> None:
    """A fifth, long enough for rooms to leave memory, never more than half."""
    assert SoakPlan(minutes=minutes).left_out_s == left_out_s


async def test_a_server_that_is_away_cannot_be_watched() -> None:
    """The soak ends with a reason, not with a verdict."""
    with pytest.raises(BenchError, match="does not tell"):
        async with watching(Server(url="http://127.0.0.1:1"), "token"):
            pass


def test_a_running_server_needs_its_token() -> None:
    """Wrong usage is 2, a server that is not there 3."""
    alone = CliRunner().invoke(command, ["--url", "http://127.0.0.1:1"], env={"HUBBUB_OPERATOR_TOKEN": None})
    assert (alone.exit_code, "--token" in alone.output) == (2, True)
