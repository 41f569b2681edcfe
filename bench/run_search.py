"""Carries a search out: the highest rate of posts at which a service level is kept, each rate with rooms of its own."""

from __future__ import annotations

import time

import attrs

from .arrange import Options
from .errors import BenchError
from .report import Figure, Result
from .report.live import Live
from .report.result import Condition
from .report.slo import Objective, judge
from .run import fell_behind, run_traffic
from .scenarios import OpenLoop, Searched
from .search import Search
from .server import Server


def run_search(
    server: Server, *, scenario: Searched, objectives: tuple[Objective, ...], options: Options, live: Live
) -> Result:
    """Try rates until the highest one that keeps the service level is known.

    A rate is kept when every condition holds, every invariant holds, and at least 98 % of the rate, less one post, was
    acknowledged: a server that falls behind does not keep it, whatever its latency so far.

    Args:
        server: Where to; not stopped. It gets fresh rooms and connections for each rate.
        scenario: The shape, and where to begin.
        objectives: What must be kept.
        options: How.
        live: Gets told how it goes.

    Raises:
        BenchError: A run could not be made, or not even the lowest rate was kept.
    """
    search = Search(scenario.first_per_s, scenario.precision)
    started_at = time.time()
    notes: list[str] = []
    best: Result | None = None
    limited: tuple[str, ...] = ()
    while (rate := search.rate_per_s) is not None:
        live.say(f"trying {rate:,.1f} posts/s")
        traffic = attrs.evolve(scenario.traffic, load=OpenLoop(rate))
        result = run_traffic(server, scenario=traffic, options=options, live=live)
        conditions = judge(objectives, result)
        kept = _kept(result, conditions, rate, traffic.seconds)
        notes.append(
            f"{rate:,.1f} posts/s {'kept' if kept else 'not kept'}: {_why(result, conditions, rate, traffic.seconds)}"
        )
        if kept:
            best = result
        search.tried(kept=kept)
        if result.generator_bound and not kept:
            limited = (f"a generator was at its limit at {rate:,.1f} posts/s: the server may keep more",)
            break  # a higher rate would measure the generator
    if best is None:
        raise BenchError("not even the lowest rate was kept:\n" + "\n".join(notes))
    figures = [
        Figure("highest_rate_per_s", search.kept or 0.0, "1/s"),
        *([] if search.failed is None else [Figure("lowest_rate_not_kept_per_s", search.failed, "1/s")]),
        *best.figures,
    ]
    return Result.of(
        scenario=scenario,
        options=attrs.asdict(options),
        server=server,
        started_at=started_at,
        figures=figures,
        verdict=best.verdict,
        generators=best.generators,
        notes=(*best.notes, *notes),
        series=best.series,
        curves=best.curves,
        invalid_because=(*limited, *(text for text in best.invalid_because if not text.startswith("generator "))),
    )


def _kept(result: Result, conditions: list[Condition], rate: float, seconds: float) -> bool:
    if result.broken or not all(condition.kept for condition in conditions):
        return False
    return not fell_behind(_posts_per_s(result), rate, seconds)


def _posts_per_s(result: Result) -> float:
    found = result.figure("posts_per_s")
    return 0.0 if found is None else found.value


def _why(result: Result, conditions: list[Condition], rate: float, seconds: float) -> str:
    told = [f"{c.text} ({'?' if c.value is None else f'{c.value:,.4g}'})" for c in conditions]
    if result.broken:
        told.append(f"broken: {', '.join(result.broken)}")
    if fell_behind(_posts_per_s(result), rate, seconds):
        told.append(f"only {_posts_per_s(result):,.1f}/s acknowledged")
    return ", ".join(told)
