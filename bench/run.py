"""Carries a scenario out: opens the room, commands the generators, reads the server's CPU and memory, sums up.

All processes agree on instants of the monotonic clock: the bench reads the server's CPU at the same two instants at
which the generators take their counts. The warm-up before them has the same load and is not measured, its invariants
are.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import attrs
import httpx

from . import control, procfs
from .errors import BenchError
from .fleet import Fleet, Tell, launched
from .invariants import Verdict
from .measure import Histogram
from .report import Figure, GeneratorUse, Result
from .scenarios import Fanout, Idle
from .server import Server

CONNECT_S: Final = 120.0
DRAIN_S: Final = 15.0
DISTURBED_PERCENT: Final = 25.0
GENERATOR_BOUND: Final = 0.9
_TOKENS: Final = 16
_LEAD_NS: Final = 300_000_000  # for the command to reach every generator
_SETTLE_S: Final = 1.0


@attrs.frozen(kw_only=True)
class Options:
    """How a scenario is run; none of it changes what is measured.

    Attributes:
        posters: Connections that post, beside the readers.
        processes: Generator processes; the readers are shared out, the first one posts.
        sample: Readers per process whose delivery latency is recorded.
        parallel: Connections per process in their handshake at the same time.
        pin: Keep the server on the first core and the generators on the others.
    """

    posters: int = 10
    processes: int = 1
    sample: int = 100
    parallel: int = 256
    seed: int = 1
    pin: bool = False


def open_room(server: Server, room: str) -> list[str]:
    """Create the public room and return access tokens of guests.

    Raises:
        BenchError: The server refuses, or does not answer.
    """
    try:
        with httpx.Client(base_url=server.url, timeout=10, trust_env=False) as client:
            tokens: list[str] = []
            for number in range(_TOKENS):
                answer = client.post("/api/v1/auth/guest", json={"name": f"bench {number}"})
                answer.raise_for_status()
                tokens.append(answer.json()["token"])
            body = {"id": room, "title": "bench", "visibility": "public"}
            answer = client.post("/api/v1/conversations", json=body, headers={"Authorization": f"Bearer {tokens[0]}"})
            if answer.status_code != httpx.codes.CONFLICT:
                answer.raise_for_status()
    except httpx.ConnectError as exc:
        raise BenchError(f"nobody answers at {server.url}") from exc
    except (httpx.HTTPError, KeyError, ValueError) as exc:
        raise BenchError(f"the room could not be opened at {server.url}: {exc!r}") from exc
    return tokens


def _share(total: int, parts: int) -> list[int]:
    return [total // parts + (index < total % parts) for index in range(parts)]


def _jobs(server: Server, options: Options, text_bytes: int) -> list[control.Job]:
    run = secrets.token_hex(4)
    room = f"bench-{run}"
    tokens = open_room(server, room)
    cores = sorted(os.sched_getaffinity(0))
    if options.pin and server.pid is not None:
        procfs.pin(server.pid, cores[0])
    free = cores[1:] or cores
    return [
        control.Job(
            host=server.host,
            port=server.port,
            room=room,
            run=run,
            tokens=tokens,
            text_bytes=text_bytes,
            seed=options.seed,
            sample=options.sample,
            parallel=options.parallel,
            cpu=free[index % len(free)] if options.pin else None,
        )
        for index in range(options.processes)
    ]


def _connect(fleet: Fleet, readers: int, posters: int, options: Options) -> list[control.Connected]:
    shares = _share(readers, options.processes)
    fleet.send([control.Connect(n, 0 if i else posters, CONNECT_S) for i, n in enumerate(shares)])
    return fleet.gather(control.Connected, CONNECT_S + 10)


def _finish(fleet: Fleet, last_offset: int, options: Options) -> list[control.Finished]:
    fleet.send([control.Finish(last_offset, DRAIN_S)] * options.processes)
    return fleet.gather(control.Finished, DRAIN_S + 10)


def _cpu(server: Server) -> procfs.Cpu | None:
    return None if server.pid is None else procfs.read_cpu(server.pid, server.data)


def run_fanout(server: Server, scenario: Fanout, options: Options, tell: Tell) -> Result:
    """One room, many readers, one load.

    Args:
        server: Where to; not stopped.
        scenario: The load.
        options: How.
        tell: Gets lines of progress.

    Raises:
        BenchError: The run could not be made.
    """
    started_at = time.time()
    with launched(options.processes, tell) as fleet:
        fleet.send(_jobs(server, options, scenario.text_bytes))
        connected = _connect(fleet, scenario.subscribers, options.posters, options)
        start_ns = time.monotonic_ns() + _LEAD_NS
        from_ns = start_ns + int(scenario.warm_up_s * 1e9)
        to_ns = from_ns + int(scenario.seconds * 1e9)
        loads = [scenario.load] + [None] * (options.processes - 1)
        fleet.send([control.Post(start_ns, from_ns, to_ns, load, DRAIN_S) for load in loads])
        fleet.until(from_ns)
        before, busy_before_s = _cpu(server), procfs.read_machine_busy_s()
        fleet.until(to_ns)
        after, busy_after_s = _cpu(server), procfs.read_machine_busy_s()
        posted = fleet.gather(control.Posted, DRAIN_S + 10)
        finished = _finish(fleet, max(report.last_offset for report in posted), options)
    used = after.since(before) if before and after else None
    figures = _connect_figures(connected) + _fanout_figures(finished, used)
    notes = _notes(finished, sum(report.unanswered for report in posted))
    if used:
        ours_s = used.server_s + used.postgres_s + sum(report.cpu_s for report in finished)
        others = max(0.0, 100 * (busy_after_s - busy_before_s - ours_s) / scenario.seconds)
        figures.append(Figure("other_processes_percent", others, "%"))
        if others > DISTURBED_PERCENT:
            notes += (f"other processes used {others:.0f} % of a core: disturbed, budgets are not judged",)
            scenario = attrs.evolve(scenario, budgets=())
    return Result.of(
        scenario=scenario,
        options=attrs.asdict(options),
        server=server,
        started_at=started_at,
        figures=figures,
        verdict=_verdict(finished),
        generators=_generators(finished),
        notes=notes,
    )


def run_idle(server: Server, scenario: Idle, options: Options, tell: Tell) -> Result:
    """Many subscribed connections and no posts. Arguments and errors as for `run_fanout`.

    The first tenth, at most 100, is connected before the first look at the memory, so that what the server loads on
    first use is not charged to the connections.
    """
    started_at = time.time()
    first = max(1, min(100, scenario.connections // 10))
    with launched(options.processes, tell) as fleet:
        fleet.send(_jobs(server, options, 120))
        _connect(fleet, first, 0, options)
        fleet.until(time.monotonic_ns() + int(_SETTLE_S * 1e9))
        before = procfs.read_memory(server.pid) if server.pid else None
        connected = _connect(fleet, scenario.connections - first, 0, options)
        from_ns = time.monotonic_ns() + int(_SETTLE_S * 1e9)
        to_ns = from_ns + int(scenario.seconds * 1e9)
        fleet.send([control.Post(from_ns, from_ns, to_ns, None, 0.0)] * options.processes)
        fleet.until(from_ns)
        cpu_before = _cpu(server)
        fleet.until(to_ns)
        cpu_after = _cpu(server)
        after = procfs.read_memory(server.pid) if server.pid else None
        posted = fleet.gather(control.Posted, 10)
        finished = _finish(fleet, max(report.last_offset for report in posted), options)
    figures = _connect_figures(connected)
    if before and after:
        added = scenario.connections - first
        figures.append(Figure("rss_per_connection_kib", (after.rss_bytes - before.rss_bytes) / 1024 / added, "KiB"))
        figures.append(Figure("pss_per_connection_kib", (after.pss_bytes - before.pss_bytes) / 1024 / added, "KiB"))
        figures.append(Figure("server_rss_mib", after.rss_bytes / 1024 / 1024, "MiB"))
    if cpu_before and cpu_after:
        share = cpu_after.since(cpu_before).server_s / scenario.seconds
        figures.append(Figure("idle_server_cpu_percent", 100 * share, "%"))
    return Result.of(
        scenario=scenario,
        options=attrs.asdict(options),
        server=server,
        started_at=started_at,
        figures=figures,
        verdict=_verdict(finished),
        generators=_generators(finished),
        notes=_notes(finished, 0),
    )


def _connect_figures(connected: Sequence[control.Connected]) -> list[Figure]:
    took = Histogram()
    for report in connected:
        took.merge(report.took)
    seconds = max(report.seconds for report in connected)
    return [
        Figure("connects_per_s", took.count / seconds, "1/s"),
        Figure("connect_p50_ms", took.percentile(50) / 1e6, "ms"),
        Figure("connect_p99_ms", took.percentile(99) / 1e6, "ms"),
    ]


def _fanout_figures(finished: Sequence[control.Finished], used: procfs.Cpu | None) -> list[Figure]:
    delivery, ack = Histogram(), Histogram()
    for report in finished:
        delivery.merge(report.delivery)
        ack.merge(report.ack)
    # Every process took its counts over its own window; they differ by a turn of its loop.
    deliveries_per_s = sum(report.delivered / report.window_s for report in finished)
    posts_per_s = sum(report.acked / report.window_s for report in finished)
    delivered = sum(report.delivered for report in finished)
    figures = [
        Figure("deliveries_per_s", deliveries_per_s, "1/s"),
        Figure("posts_per_s", posts_per_s, "1/s"),
        Figure("deliveries", delivered, ""),
    ]
    for name, histogram in (("delivery", delivery), ("ack", ack)):
        summary = histogram.summary_ms()
        figures += [
            Figure(f"{name}_p50_ms", summary.p50, "ms"),
            Figure(f"{name}_p90_ms", summary.p90, "ms"),
            Figure(f"{name}_p99_ms", summary.p99, "ms"),
            Figure(f"{name}_p999_ms", summary.p999, "ms"),
            Figure(f"{name}_max_ms", summary.max, "ms"),
        ]
    if used and delivered:
        window_s = max(report.window_s for report in finished)
        figures += [
            Figure("cpu_per_delivery_us", used.server_s / delivered * 1e6, "us"),
            Figure("cpu_all_per_delivery_us", (used.server_s + used.postgres_s) / delivered * 1e6, "us"),
            Figure("server_user_percent", 100 * used.server_user_s / window_s, "%"),
            Figure("server_system_percent", 100 * used.server_system_s / window_s, "%"),
            Figure("postgres_percent", 100 * used.postgres_s / window_s, "%"),
        ]
    return figures


def _verdict(finished: Sequence[control.Finished]) -> Verdict:
    verdict = Verdict()
    for report in finished:
        verdict = verdict.plus(report.verdict)
    return verdict


def _generators(finished: Sequence[control.Finished]) -> tuple[GeneratorUse, ...]:
    shares = [report.cpu_s / report.window_s if report.window_s else 0.0 for report in finished]
    return tuple(GeneratorUse(100 * share, share > GENERATOR_BOUND) for share in shares)


def _notes(finished: Sequence[control.Finished], unanswered: int) -> tuple[str, ...]:
    refused: Counter[str] = Counter()
    cut_off: Counter[str] = Counter()
    for report in finished:
        refused.update(report.refused)
        cut_off.update(report.cut_off)
    notes = [f"{count} posts refused: {reason}" for reason, count in refused.most_common(5)]
    notes += [f"{count} readers cut off: {reason}" for reason, count in cut_off.most_common(5)]
    if unanswered:
        notes.append(f"{unanswered} posts without an answer {DRAIN_S:g} s after the last one")
    return tuple(notes)
