"""Carries a scenario with posts out: connects, posts, reads the server's CPU and memory, sums up.

All processes agree on instants of the monotonic clock: the bench reads the server at the same instants at which the
generators take their counts. The warm-up before them has the same load and is not measured, its invariants are.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import attrs

from . import arrange, control, watch
from .arrange import Options, Part
from .fleet import Fleet, launched
from .invariants import Verdict
from .measure import Histogram
from .measured import Measured
from .report import Curve, Figure, GeneratorUse, Result
from .report.live import Live
from .scenarios import Acts, Load, OpenLoop, Sizes, Traffic, Transport
from .server import Server

DRAIN_S: Final = 15.0
KEPT_UP: Final = 0.98
"""Of a fixed rate must be acknowledged, or the server did not keep up with it."""
_LEAD_NS: Final = 300_000_000  # for the command to reach every generator
_DIALECTS: Final = {Transport.WEBSOCKET: "hubbub", Transport.SSE: "sse"}


@attrs.frozen
class Stage:
    """A run in progress: its generators, connected, and the server."""

    fleet: Fleet
    server: Server
    shares: Sequence[Part]
    options: Options
    live: Live

    def window(self, scenario: Traffic, loads: Sequence[Load | None] | None = None) -> Measured:
        """Post and measure for the time of the scenario, after its warm-up.

        Args:
            scenario: Its load is shared out to the processes.
            loads: One for each process, instead of these.
        """
        start_ns = time.monotonic_ns() + _LEAD_NS
        from_ns = start_ns + int(scenario.warm_up_s * 1e9)
        to_ns = from_ns + int(scenario.seconds * 1e9)
        count = len(self.shares)
        loads = arrange.shared_load(scenario.load, count) if loads is None else loads
        starts = arrange.starts_ns(scenario.load, start_ns, count)
        acts = Acts(scenario.acts.typing / count, scenario.acts.history / count, scenario.acts.turnover / count)
        self.fleet.send(
            [
                control.Post(at_ns, from_ns, to_ns, load, DRAIN_S, part.weights, acts)
                for at_ns, load, part in zip(starts, loads, self.shares, strict=True)
            ]
        )
        self.fleet.intervals.clear()
        looks = watch.watched(self.server, self.fleet, from_ns, to_ns, self.live)
        posted = self.fleet.gather(control.Posted, DRAIN_S + 10)
        return Measured(posted=posted, intervals=list(self.fleet.intervals), looks=looks)

    def finish(self, last_offsets: dict[str, int]) -> list[control.Finished]:
        """Wait for the last deliveries and let every generator account for the run."""
        self.fleet.send([control.Finish(last_offsets, DRAIN_S)] * len(self.shares))
        return self.fleet.gather(control.Finished, DRAIN_S + 10)

    def tell_all(self, command: control.Command) -> None:
        """Give every generator the same command and wait until it is carried out."""
        self.fleet.send([command] * len(self.shares))
        self.fleet.gather(control.Done, 10)


def run_traffic(server: Server, *, scenario: Traffic, options: Options, live: Live) -> Result:
    """Rooms with readers, one load; with stalled readers the load is measured once before and once after they stall.

    Args:
        server: Where to; not stopped.
        scenario: The load.
        options: How.
        live: Gets told how it goes.

    Raises:
        BenchError: The run could not be made.
    """
    started_at = time.time()
    rooms = arrange.open_rooms(server, scenario.rooms, options)
    weighted = scenario.sizes is Sizes.HEAVY_TAILED
    shares = arrange.parts(rooms, scenario.readers(), options.processes, weighted=weighted)
    arrange.must_be_read(shares)
    with launched(options.processes, live.say) as fleet:
        arrange.begin(
            fleet,
            server,
            rooms,
            shares,
            options,
            text_bytes=scenario.text_bytes,
            dialect=_DIALECTS[scenario.transport],
        )
        connected = arrange.connect(fleet, [part.readers for part in shares], options.posters)
        stage = Stage(fleet, server, shares, options, live)
        before = watch.counters(server)
        measured = stage.window(scenario)
        figures = connect_figures(connected) + measured.figures() + _batch_figures(before, watch.counters(server))
        paced = isinstance(scenario.load, OpenLoop)
        invalid_because, generators = measured.invalid_because(paced=paced), measured.generators()
        if scenario.stalled_percent:
            measured, figures = _stalled(stage, scenario, measured, figures)
            invalid_because = (*invalid_because, *measured.invalid_because(paced=paced))
            generators = tuple(map(_busier, generators, measured.generators()))
        finished = stage.finish(measured.last_offsets)
    return Result.of(
        scenario=scenario,
        options=attrs.asdict(options),
        server=server,
        started_at=started_at,
        figures=figures + _failed_figures(finished, measured.unanswered),
        verdict=verdict_of(finished),
        generators=generators,
        notes=notes_of(finished, measured.unanswered) + _overloaded(scenario, figures),
        series=measured.series(),
        curves=measured.curves(),
        invalid_because=invalid_because,
    )


def fell_behind(acked_per_s: float, rate_per_s: float, seconds: float) -> bool:
    """Whether too few posts were acknowledged; a window may begin just before one post and end just before another."""
    return acked_per_s + 1 / seconds < KEPT_UP * rate_per_s


def _overloaded(scenario: Traffic, figures: Sequence[Figure]) -> tuple[str, ...]:
    """Says so when the server did not keep up with a fixed rate: its latency is that of a queue that grows."""
    load = scenario.load
    acked_per_s = next((figure.value for figure in figures if figure.name == "posts_per_s"), 0.0)
    if isinstance(load, OpenLoop) and fell_behind(acked_per_s, load.rate_per_s, scenario.seconds):
        rates = f"only {acked_per_s:,.1f} of {load.rate_per_s:,.1f} posts/s were acknowledged"
        return (f"{rates}: the server did not keep up, and latency grew with the queue",)
    return ()


def _failed_figures(finished: Sequence[control.Finished], unanswered: int) -> list[Figure]:
    """What the percentiles of acks cannot show; of the whole run."""
    refused = sum(sum(report.refused.values()) for report in finished)
    return [Figure("refused", refused, ""), Figure("unanswered", unanswered, "")]


def _busier(one: GeneratorUse, other: GeneratorUse) -> GeneratorUse:
    """Of two windows."""
    return max(one, other, key=lambda use: use.cpu_percent)


def _stalled(stage: Stage, scenario: Traffic, before: Measured, figures: list[Figure]) -> tuple[Measured, list[Figure]]:
    """Measure again with stalled readers; the second window with the difference to the first."""
    count = max(1, round(scenario.subscribers * scenario.stalled_percent / 100))
    stage.fleet.send([control.Stall(n) for n in arrange.share(count, len(stage.shares))])
    stage.fleet.gather(control.Done, 10)
    after = stage.window(scenario)
    return after, [
        Figure("stalled_readers", count, ""),
        *_blocked_figures(watch.counters(stage.server)),
        *after.shifts(before),
        *(figure for figure in figures if figure.name.startswith("connect")),
        *after.figures(),
    ]


def _blocked_figures(found: dict[str, float]) -> list[Figure]:
    blocked = found.get("hubbub_connections_blocked")
    return [] if blocked is None else [Figure("blocked_readers", blocked, "")]


def _batch_figures(before: dict[str, float], after: dict[str, float]) -> list[Figure]:
    commits = watch.grown(before, after, "hubbub_writer_commits_total")
    rows = watch.grown(before, after, "hubbub_writer_rows_total")
    if not commits or rows is None:
        return []
    return [Figure("rows_per_commit", rows / commits, ""), Figure("commits", commits, "")]


def connect_figures(connected: Sequence[control.Connected]) -> list[Figure]:
    """How fast the connections of a run were made."""
    took = Histogram()
    for report in connected:
        took.merge(report.took)
    seconds = max(report.seconds for report in connected)
    return [
        Figure("connects_per_s", took.count / seconds, "1/s"),
        Figure("connect_p50_ms", took.percentile(50) / 1e6, "ms"),
        Figure("connect_p99_ms", took.percentile(99) / 1e6, "ms"),
    ]


def connect_curve(connected: Sequence[control.Connected]) -> Curve:
    """The whole distribution of the time that a connection took."""
    took = Histogram()
    for report in connected:
        took.merge(report.took)
    return Curve.of("connect", took)


def verdict_of(finished: Sequence[control.Finished]) -> Verdict:
    """The verdicts of all generators, added up."""
    verdict = Verdict()
    for report in finished:
        verdict = verdict.plus(report.verdict)
    return verdict


def notes_of(finished: Sequence[control.Finished], unanswered: int) -> tuple[str, ...]:
    """What a reader of the result should know of refusals and cuts."""
    refused: Counter[str] = Counter()
    cut_off: Counter[str] = Counter()
    for report in finished:
        refused.update(report.refused)
        cut_off.update(report.cut_off)
    notes = [f"{count} posts refused: {reason}" for reason, count in refused.most_common(5)]
    notes += [f"{count} connections cut off: {reason}" for reason, count in cut_off.most_common(5)]
    if unanswered:
        notes.append(f"{unanswered} posts without an answer {DRAIN_S:g} s after the last one")
    return tuple(notes)
