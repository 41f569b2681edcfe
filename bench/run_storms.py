"""Carries the scenarios of connections out: idle ones, a storm of new ones, a storm of returning ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import attrs

from . import arrange, control, watch
from .arrange import Options
from .errors import BenchError
from .fleet import launched
from .measure import Histogram
from .measured import Measured, disturbed
from .report import Curve, Figure, GeneratorUse, Result
from .report.live import Live
from .run import Stage, connect_curve, connect_figures, notes_of, verdict_of
from .scenarios import ClosedLoop, Idle, Reconnect, Storm, Traffic
from .server import Server

_SETTLE_S: Final = 1.0
_RETURN_S: Final = 120.0
_BOUND: Final = 0.9
_FILL_IN_FLIGHT: Final = 200
_FILL_S: Final = 3.0


def run_idle(server: Server, *, scenario: Idle, options: Options, live: Live) -> Result:
    """Many subscribed connections and no posts. Arguments and errors as for `run.run_traffic`.

    The first tenth, at most 100, is connected before the first look at the memory, so that what the server loads on
    first use is not charged to the connections.
    """
    started_at = time.time()
    first = max(1, min(100, scenario.connections // 10))
    added = scenario.connections - first
    rooms = arrange.open_rooms(server, 1, options)
    shares = arrange.parts(rooms, [first], options.processes)
    with launched(options.processes, live.say) as fleet:
        arrange.begin(fleet, server, rooms, shares, options, text_bytes=120)
        arrange.connect(fleet, [part.readers for part in shares], 0)
        fleet.until(time.monotonic_ns() + int(_SETTLE_S * 1e9))
        before = watch.memory(server)
        joining = [watch.look(server)]
        connected = arrange.connect(fleet, [[count] for count in arrange.share(added, options.processes)], 0)
        joining.append(watch.look(server))
        from_ns = time.monotonic_ns() + int(_SETTLE_S * 1e9)
        to_ns = from_ns + int(scenario.seconds * 1e9)
        fleet.send([control.Post(from_ns, from_ns, to_ns, None, 0.0)] * options.processes)
        looks = watch.watched(server, fleet, from_ns, to_ns, live)
        after = watch.memory(server)
        posted = fleet.gather(control.Posted, 10)
        measured = Measured(posted=posted, intervals=(), looks=looks)
        finished = Stage(fleet, server, shares, options, live).finish(measured.last_offsets)
    figures = connect_figures(connected)
    if before and after:
        figures.append(Figure("rss_per_connection_kib", (after.rss_bytes - before.rss_bytes) / 1024 / added, "KiB"))
        figures.append(Figure("pss_per_connection_kib", (after.pss_bytes - before.pss_bytes) / 1024 / added, "KiB"))
        figures.append(Figure("server_rss_mib", after.rss_bytes / 1024 / 1024, "MiB"))
    cpu_before, cpu_after = looks[0].cpu, looks[-1].cpu
    if cpu_before and cpu_after:
        idle_share = cpu_after.since(cpu_before).server_s / ((looks[-1].at_ns - looks[0].at_ns) / 1e9)
        figures.append(Figure("idle_server_cpu_percent", 100 * idle_share, "%"))
    return Result.of(
        scenario=scenario,
        options=attrs.asdict(options),
        server=server,
        started_at=started_at,
        figures=figures,
        verdict=verdict_of(finished),
        generators=_uses(connected),
        notes=notes_of(finished, 0),
        series=measured.series(),
        curves=[connect_curve(connected)],
        invalid_because=(*_disturbed(joining, connected), *measured.invalid_because()),
    )


def run_connect(server: Server, *, scenario: Storm, options: Options, live: Live) -> Result:
    """New connections as fast as they are taken. Arguments and errors as for `run.run_traffic`."""
    started_at = time.time()
    rooms = arrange.open_rooms(server, scenario.rooms, options)
    warm = arrange.parts(rooms, [1] * scenario.rooms, options.processes)
    shares = arrange.parts(rooms, arrange.share(scenario.connections, scenario.rooms), options.processes)
    with launched(options.processes, live.say) as fleet:
        arrange.begin(fleet, server, rooms, shares, options, text_bytes=120)
        arrange.connect(fleet, [part.readers for part in warm], 0)  # what the first ones cost is not the storm's
        before = watch.look(server)
        connected = arrange.connect(fleet, [part.readers for part in shares], 0)
        after = watch.look(server)
        finished = Stage(fleet, server, shares, options, live).finish({})
    return Result.of(
        scenario=scenario,
        options=attrs.asdict(options),
        server=server,
        started_at=started_at,
        figures=connect_figures(connected) + _cpu_figures(before, after, scenario.connections, connected),
        verdict=verdict_of(finished),
        generators=_uses(connected),
        notes=notes_of(finished, 0),
        curves=[connect_curve(connected)],
        invalid_because=_disturbed([before, after], connected),
    )


def run_reconnect(server: Server, *, scenario: Reconnect, options: Options, live: Live) -> Result:
    """Readers that come back all at once to what they missed. Arguments and errors as for `run.run_traffic`."""
    started_at = time.time()
    rooms = arrange.open_rooms(server, scenario.rooms, options)
    shares = arrange.parts(rooms, arrange.share(scenario.subscribers, scenario.rooms), options.processes)
    arrange.must_be_read(shares)
    fill = Traffic(
        name="fill",
        title="",
        rooms=scenario.rooms,
        subscribers=scenario.subscribers,
        load=ClosedLoop(_FILL_IN_FLIGHT, scenario.rooms * scenario.missed),
        seconds=_FILL_S,
        warm_up_s=0,
        text_bytes=scenario.text_bytes,
    )
    with launched(options.processes, live.say) as fleet:
        arrange.begin(fleet, server, rooms, shares, options, text_bytes=scenario.text_bytes)
        arrange.connect(fleet, [part.readers for part in shares], options.posters)
        stage = Stage(fleet, server, shares, options, live)
        stage.tell_all(control.Drop())
        filled = stage.window(fill, _fills(shares, scenario.missed))
        missed = {room: offset + scenario.missed for room, offset in filled.last_offsets.items()}
        kept, wanted = sum(report.kept for report in filled.posted), scenario.rooms * scenario.missed
        if kept < wanted:
            raise BenchError(
                f"the posts that were to be missed were not all acknowledged: {kept:,} of {wanted:,} in {_FILL_S:g} s"
            )
        counted, before = watch.counters(server), watch.look(server)
        fleet.send([control.Return(missed, _RETURN_S)] * options.processes)
        returned = fleet.gather(control.Connected, _RETURN_S + 10)
        after, counted_after = watch.look(server), watch.counters(server)
        finished = stage.finish(missed)
    return Result.of(
        scenario=scenario,
        options=attrs.asdict(options),
        server=server,
        started_at=started_at,
        figures=_return_figures(returned, watch.grown(counted, counted_after, "hubbub_store_reads_total"))
        + _cpu_figures(before, after, scenario.subscribers, returned),
        verdict=verdict_of(finished),
        generators=_uses(returned),
        notes=notes_of(finished, 0),
        curves=[connect_curve(returned), Curve.of("caught_up", _caught_up(returned))],
        invalid_because=_disturbed([before, after], returned),
    )


def _fills(shares: Sequence[arrange.Part], missed: int) -> list[ClosedLoop | None]:
    """Loads that post the same number into each room; of rooms that all processes share, the first one does it."""
    whole = len({tuple(part.rooms) for part in shares}) == len(shares)
    slots = arrange.share(_FILL_IN_FLIGHT, len(shares)) if whole else [_FILL_IN_FLIGHT] + [0] * (len(shares) - 1)
    return [ClosedLoop(n, missed * len(part.rooms)) if n else None for n, part in zip(slots, shares, strict=True)]


def _caught_up(returned: Sequence[control.Connected]) -> Histogram:
    merged = Histogram()
    for report in returned:
        merged.merge(report.caught_up)
    return merged


def _return_figures(returned: Sequence[control.Connected], store_reads: float | None) -> list[Figure]:
    caught_up = _caught_up(returned)
    figures = [
        Figure("all_caught_up_s", max(report.seconds for report in returned), "s"),
        Figure("caught_up_p50_ms", caught_up.percentile(50) / 1e6, "ms"),
        Figure("caught_up_p99_ms", caught_up.percentile(99) / 1e6, "ms"),
        Figure("not_caught_up", sum(report.connections for report in returned) - caught_up.count, ""),
        Figure("not_resumed", sum(report.unresumed for report in returned), ""),
        *connect_figures(returned),
    ]
    return figures if store_reads is None else [*figures, Figure("store_reads", store_reads, "")]


def _cpu_figures(
    before: watch.Look, after: watch.Look, connections: int, connected: Sequence[control.Connected]
) -> list[Figure]:
    if before.cpu is None or after.cpu is None:
        return []
    used = after.cpu.since(before.cpu)
    mine_s = sum(report.cpu_s for report in connected)
    return [
        Figure("cpu_per_connection_us", used.server_s / connections * 1e6, "us"),
        Figure("postgres_cpu_per_connection_us", used.postgres_s / connections * 1e6, "us"),
        Figure("generator_cpu_per_connection_us", mine_s / connections * 1e6, "us"),
        Figure("rss_growth_mib", ((after.rss_bytes or 0) - (before.rss_bytes or 0)) / 1024 / 1024, "MiB"),
    ]


def _disturbed(looks: Sequence[watch.Look], connected: Sequence[control.Connected]) -> tuple[str, ...]:
    return disturbed(watch.others_percent(looks, sum(report.cpu_s for report in connected)))


def _uses(connected: Sequence[control.Connected]) -> tuple[GeneratorUse, ...]:
    shares = [report.cpu_s / report.seconds if report.seconds else 0.0 for report in connected]
    return tuple(GeneratorUse(100 * part, part > _BOUND) for part in shares)
