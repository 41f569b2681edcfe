"""Carries a REST load out: makes users and rooms, commands the generator, reads the server's CPU, sums up.

The generator is one process of its own. Bench and generator agree on instants of the monotonic clock, so that the
server's CPU is read at the same two instants at which the generator takes its counts.
"""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import attrs

from .. import procfs
from ..arrange import open_named
from ..measure import Histogram
from ..measured import latency as percentiles
from ..report import Curve, Figure, GeneratorUse, Result, Series
from ..report.live import Live
from ..server import Server
from ..watch import readable
from . import control
from .process import Process, launched
from .scenario import Rest

DISTURBED_PERCENT: Final = 25.0
GENERATOR_BOUND: Final = 0.9
READY_S: Final = 90.0
DRAIN_S: Final = 15.0
AUDIT_S: Final = 90.0
_LEAD_NS: Final = 200_000_000  # for `Go` to reach the generator


@attrs.frozen(kw_only=True)
class Options:
    """How a scenario is run; none of it changes what is measured.

    Attributes:
        pin: Keep the server on the first core and the generator on another.
    """

    seed: int = 1
    pin: bool = False


def _job(server: Server, scenario: Rest, options: Options) -> control.Job:
    run = secrets.token_hex(4)
    rooms = [f"bench-{run}-{number}" for number in range(scenario.rooms)]
    tokens = open_named(server, rooms)
    cores = sorted(os.sched_getaffinity(0))
    if options.pin and server.pid is not None:
        procfs.pin(server.pid, cores[0])
    return control.Job(
        host=server.host,
        port=server.port,
        run=run,
        tokens=tokens,
        rooms=rooms,
        part=scenario.part,
        load=scenario.load,
        connections=scenario.connections,
        page_items=scenario.page_items,
        text_bytes=scenario.text_bytes,
        seed=options.seed,
        cpu=(cores[1:] or cores)[0] if options.pin else None,
    )


@attrs.frozen
class _Sample:
    """A look at the server and the machine; `cpu` is None where the bench may not look."""

    at_s: float
    cpu: procfs.Cpu | None
    rss_mib: float | None
    busy_s: float


def _look(server: Server) -> _Sample:
    at_s, busy_s = time.monotonic(), procfs.read_machine_busy_s()
    if server.pid is None:
        return _Sample(at_s, None, None, busy_s)
    with readable(server.pid):
        rss_mib = procfs.read_rss(server.pid) / 1024 / 1024
        return _Sample(at_s, procfs.read_cpu(server.pid, server.data), rss_mib, busy_s)


def _watch(generator: Process, server: Server, from_ns: int, to_ns: int) -> list[_Sample]:
    """Look at the start of the window, after every second, and at its end."""
    samples: list[_Sample] = []
    for instant_ns in (*range(from_ns, to_ns, 1_000_000_000), to_ns):
        generator.until(instant_ns)
        samples.append(_look(server))
    return samples


def run_rest(server: Server, *, scenario: Rest, options: Options, live: Live) -> Result:
    """One part of the REST load.

    Args:
        server: Where to; not stopped.
        scenario: The load.
        options: How.
        live: Gets told how it goes.

    Raises:
        BenchError: The run could not be made.
    """
    started_at = time.time()
    with launched(live.say) as generator:
        generator.send(_job(server, scenario, options))
        generator.wait(control.Ready, READY_S)
        start_ns = time.monotonic_ns() + _LEAD_NS
        from_ns = start_ns + int(scenario.warm_up_s * 1e9)
        to_ns = from_ns + int(scenario.seconds * 1e9)
        generator.send(control.Go(start_ns, from_ns, to_ns, DRAIN_S))
        samples = _watch(generator, server, from_ns, to_ns)
        done = generator.wait(control.Done, DRAIN_S + AUDIT_S)
    latency = Histogram()
    for second in done.latency:
        latency.merge(second)
    before, after = samples[0], samples[-1]
    figures = _figures(scenario, done, latency)
    disturbed: tuple[str, ...] = ()
    if before.cpu and after.cpu:
        used = after.cpu.since(before.cpu)
        figures += _cpu_figures(done, used)
        ours_s = used.server_s + used.postgres_s + done.cpu_s
        others = max(0.0, 100 * (after.busy_s - before.busy_s - ours_s) / scenario.seconds)
        figures.append(Figure("other_processes_percent", others, "%"))
        if others > DISTURBED_PERCENT:
            disturbed = (f"other processes used {others:.0f} % of a core",)
            scenario = attrs.evolve(scenario, budgets=())
    share = done.cpu_s / done.window_s
    return Result.of(
        scenario=scenario,
        options=attrs.asdict(options),
        server=server,
        started_at=started_at,
        figures=figures,
        verdict=done.verdict,
        generators=(GeneratorUse(100 * share, share > GENERATOR_BOUND),),
        notes=_notes(done),
        series=_series(scenario, done, samples),
        curves=(Curve.of(_latency_name(scenario), latency),),
        invalid_because=disturbed,
    )


def _latency_name(scenario: Rest) -> str:
    return "ack" if scenario.part == "posts" else "read"


def _figures(scenario: Rest, done: control.Done, latency: Histogram) -> list[Figure]:
    figures = [Figure(f"{scenario.part}_per_s", done.answered / done.window_s, "1/s")]
    if scenario.part == "reads":
        figures.append(Figure("pages_per_s", done.pages / done.window_s, "1/s"))
    return figures + percentiles(_latency_name(scenario), latency)


def _cpu_figures(done: control.Done, used: procfs.Cpu) -> list[Figure]:
    each_us = 1e6 / done.answered if done.answered else math.nan  # not measured then, and left out of the result
    return [
        Figure("cpu_per_request_us", used.server_s * each_us, "us"),
        Figure("cpu_all_per_request_us", (used.server_s + used.postgres_s) * each_us, "us"),
        Figure("server_user_percent", 100 * used.server_user_s / done.window_s, "%"),
        Figure("server_system_percent", 100 * used.server_system_s / done.window_s, "%"),
        Figure("postgres_percent", 100 * used.postgres_s / done.window_s, "%"),
    ]


def _series(scenario: Rest, done: control.Done, samples: Sequence[_Sample]) -> list[Series]:
    """The window second by second: latencies by the intended time, the rest by the clock."""
    name = _latency_name(scenario)
    seconds = [float(second) for second in range(len(done.latency))]
    lengths = [min(1.0, scenario.seconds - second) for second in seconds]
    found = [
        Series(
            f"{scenario.part}_per_s",
            "1/s",
            seconds,
            [each.count / s for each, s in zip(done.latency, lengths, strict=True)],
        ),
        *(
            Series(f"{name}_p{percent}_ms", "ms", seconds, [_ms(each, percent) for each in done.latency])
            for percent in (50, 99)
        ),
    ]
    server: list[float | None] = []
    postgres: list[float | None] = []
    for earlier, later in pairwise(samples):
        if earlier.cpu and later.cpu:
            used = later.cpu.since(earlier.cpu)
            server.append(100 * used.server_s / (later.at_s - earlier.at_s))
            postgres.append(100 * used.postgres_s / (later.at_s - earlier.at_s))
    if server:
        rss = [sample.rss_mib for sample in samples[1:]]
        found += [
            Series("server_cpu_percent", "%", seconds, server),
            Series("postgres_cpu_percent", "%", seconds, postgres),
            Series("server_rss_mib", "MiB", seconds, rss),
        ]
    return found


def _ms(histogram: Histogram, percent: float) -> float | None:
    return histogram.percentile(percent) / 1e6 if histogram.count else None


def _notes(done: control.Done) -> tuple[str, ...]:
    notes = [f"{count} requests refused: {reason}" for reason, count in done.refused.items()]
    notes += [f"{count} connections cut off: {reason}" for reason, count in done.cut_off.items()]
    if done.unanswered:
        notes.append(f"{done.unanswered} requests without an answer {DRAIN_S:g} s after the last one")
    return tuple(notes)
