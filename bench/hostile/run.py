"""Plays one attack before healthy clients: a room with readers and posters, measured before, during and after, and beside a
control in which as much CPU is used innocently.

The healthy clients are the bench's own generator (`load.py`): a process of its own, latency from the intended time of a post,
every delivery accounted for over the whole run. It pauses between phases, so what is in none of them is judged (lost, doubled)
and not timed. Attackers begin with the phase `during` and stop with it.
"""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from .. import control, procfs
from ..arrange import open_room
from ..errors import BenchError
from ..fleet import Fleet, Tell, launched
from ..invariants import Verdict
from ..scenarios import OpenLoop
from ..server import Server
from .arena import GRACE_S
from .attacks import INNOCENT, Attack
from .crowd import Crowd, crowd
from .judge import SPARE_DESCRIPTORS, Phase, Played
from .protocol import Job, Report

CONNECT_S: Final = 60.0
LEFT_S: Final = 30.0
"""How long the server has to let go of the attackers' descriptors: the linger time of 20 s, and some."""
_LEAD_S: Final = 0.3
_WARM_UP_S: Final = 1.0
_SETTLE_S: Final = 1.0
_LOOK_NS: Final = 200_000_000
_MIB: Final = 1024 * 1024


@attrs.frozen(kw_only=True)
class Options:
    """The healthy clients and the time.

    Attributes:
        rate_per_s: Posts per second of all posters together.
        seconds: Length of the phases before and after and of the control, and the least of the attack.
        control: Whether the control is measured.
        drain_s: How long a phase waits at its end for healthy answers and deliveries; longer than a post's deadline.
    """

    readers: int = 40
    posters: int = 4
    rate_per_s: float = 25.0
    seconds: float = 5.0
    seed: int = 1
    control: bool = True
    drain_s: float = 15.0


class _Healthy:
    """The healthy clients, and the machine meanwhile."""

    def __init__(self, server: Server, options: Options, fleet: Fleet, room: str, tokens: Sequence[str]) -> None:
        self.last_offsets: dict[str, int] = {}
        self._server: Final = server
        self._options: Final = options
        self._fleet: Final = fleet
        job = control.Job(
            host=server.host,
            port=server.port,
            rooms=[room],
            run=secrets.token_hex(4),
            tokens=list(tokens),
            text_bytes=120,
            seed=options.seed,
            sample=options.readers,
            parallel=64,
        )
        fleet.send([job])
        fleet.send([control.Connect([options.readers], options.posters, CONNECT_S)])
        fleet.gather(control.Connected, CONNECT_S + 10)

    def phase(self, name: str, seconds: float, others: Crowd | None = None, warm_up_s: float = 0.0) -> Phase:
        """Post for that long, and measure; `others` are let go with it, and come back at its end.

        Raises:
            BenchError: The healthy clients cannot go on.
        """
        start_ns = time.monotonic_ns() + int(_LEAD_S * 1e9)
        from_ns = start_ns + int(warm_up_s * 1e9)
        to_ns = from_ns + int(seconds * 1e9)
        load = OpenLoop(self._options.rate_per_s)
        self._fleet.send([control.Post(start_ns, from_ns, to_ns, load, self._options.drain_s)])
        self._fleet.until(from_ns)
        before = _Look.now(self._server)
        if others is not None:
            others.go(to_ns)
        peak_mib = self._watch_memory(to_ns)
        after = _Look.now(self._server)
        [posted] = self._fleet.gather(control.Posted, self._options.drain_s + 10)
        self.last_offsets = posted.last_offsets
        return _figures(name, seconds, posted, before, after, peak_mib)

    def finish(self) -> control.Finished:
        """Wait for the last deliveries; the account of the whole run."""
        self._fleet.send([control.Finish(self.last_offsets, self._options.drain_s)])
        [finished] = self._fleet.gather(control.Finished, self._options.drain_s + 10)
        return finished

    def _watch_memory(self, to_ns: int) -> float | None:
        """Wait until then; the most memory that the server had meanwhile."""
        peak_mib = _rss_mib(self._server)
        while (now_ns := time.monotonic_ns()) < to_ns:
            self._fleet.until(min(to_ns, now_ns + _LOOK_NS))
            if peak_mib is not None:
                peak_mib = max(peak_mib, _rss_mib(self._server) or 0.0)
        return peak_mib


def run_attack(server: Server, attack: Attack, options: Options, tell: Tell) -> Played:
    """Play an attack.

    Args:
        server: Where to; not stopped. It should have served nothing before.
        attack: Which.
        options: The healthy clients and the time.
        tell: Gets lines of progress.

    Raises:
        BenchError: The attack could not be played: no server, or attackers that failed. Healthy clients that cannot go on are
            a result, not an error.
    """
    room = f"hostile-{secrets.token_hex(4)}"
    tokens = open_room(server, room)
    phases: list[Phase] = []
    report = Report(outcomes={}, replies={}, cpu_s=0.0)
    verdict, refused, failure = Verdict(), dict[str, int](), ""
    left: int | None = None
    with launched(1, lambda line: tell(f"{attack.name}: {line}")) as fleet:
        healthy = _Healthy(server, options, fleet, room, tokens)
        phases.append(healthy.phase("before", options.seconds, warm_up_s=_WARM_UP_S))
        descriptors = _descriptors(server)
        with crowd(_jobs(server, attack, room, tokens, options.seed)) as attackers:
            try:
                phases.append(healthy.phase("during", max(options.seconds, attack.seconds), attackers))
            except BenchError as exc:
                failure = str(exc)
            report = attackers.report(max(options.seconds, attack.seconds) + GRACE_S + 10)
        phases[1:] = [_with_attackers(phase, report) for phase in phases[1:]]
        try:
            if not failure:
                fleet.until(time.monotonic_ns() + int(_SETTLE_S * 1e9))
                phases.append(healthy.phase("after", options.seconds))
                left = _left(server, fleet, descriptors)
                if options.control:
                    phases.append(_control(healthy, server, phases[1], options))
                finished = healthy.finish()
                verdict, refused = finished.verdict, finished.refused
        except BenchError as exc:
            failure = str(exc)
    return Played(
        attack=attack,
        phases=tuple(phases),
        report=report,
        verdict=verdict,
        refused=refused,
        left_descriptors=left,
        failure=failure,
    )


def _control(healthy: _Healthy, server: Server, during: Phase, options: Options) -> Phase:
    """The same CPU, used by processes that touch no server."""
    cores = during.attackers_percent / 100
    processes = max(1, math.ceil(cores))
    jobs = [
        Job(
            attack=INNOCENT.name,
            host=server.host,
            port=server.port,
            room="",
            token="",
            first=number,
            count=1,
            seed=options.seed,
            share=min(1.0, cores / processes),
        )
        for number in range(processes)
    ]
    with crowd(jobs) as burners:
        phase = healthy.phase("control", options.seconds, burners)
        return _with_attackers(phase, burners.report(GRACE_S + 10))


def _jobs(server: Server, attack: Attack, room: str, tokens: Sequence[str], seed: int) -> list[Job]:
    jobs: list[Job] = []
    first = 0
    for index in range(attack.processes):
        count = attack.connections // attack.processes + (index < attack.connections % attack.processes)
        jobs.append(
            Job(
                attack=attack.name,
                host=server.host,
                port=server.port,
                room=room,
                token=tokens[-1 - index],
                first=first,
                count=count,
                seed=seed,
            )
        )
        first += count
    return jobs


@attrs.frozen
class _Look:
    """CPU used so far: by the server, by everything that this bench started, the server included, by the whole machine."""

    server: procfs.Cpu | None
    ours: procfs.Cpu | None
    busy_s: float

    @classmethod
    def now(cls, server: Server) -> _Look:
        cpu = None if server.pid is None else procfs.read_cpu(server.pid, server.data)
        ours = None if server.data is None else procfs.read_cpu(os.getpid(), server.data)
        return cls(cpu, ours, procfs.read_machine_busy_s())


def _figures(
    name: str, seconds: float, posted: control.Posted, before: _Look, after: _Look, peak_mib: float | None
) -> Phase:
    delivery, ack = posted.delivery.summary_ms(), posted.ack.summary_ms()
    phase = Phase(
        name=name,
        seconds=seconds,
        acks=ack.count,
        deliveries=delivery.count,
        delivery_p50_ms=delivery.p50,
        delivery_p99_ms=delivery.p99,
        delivery_max_ms=delivery.max,
        ack_p50_ms=ack.p50,
        ack_p99_ms=ack.p99,
        unanswered=posted.unanswered,
        behind=posted.behind,
        rss_peak_mib=peak_mib,
    )
    if before.server is None or after.server is None:
        return phase
    used = after.server.since(before.server)
    phase = attrs.evolve(
        phase, server_percent=100 * used.server_s / seconds, postgres_percent=100 * used.postgres_s / seconds
    )
    if before.ours is None or after.ours is None:
        return phase
    ours = after.ours.since(before.ours)
    others_s = after.busy_s - before.busy_s - ours.server_s - ours.postgres_s
    return attrs.evolve(
        phase,
        healthy_percent=100 * (ours.server_s - used.server_s) / seconds,
        others_percent=100 * max(0.0, others_s) / seconds,
    )


def _with_attackers(phase: Phase, report: Report) -> Phase:
    """Tell the attackers' CPU from that of the healthy clients, both being children of this bench."""
    attackers = 100 * report.cpu_s / phase.seconds
    healthy = None if phase.healthy_percent is None else max(0.0, phase.healthy_percent - attackers)
    return attrs.evolve(phase, attackers_percent=attackers, healthy_percent=healthy)


def _rss_mib(server: Server) -> float | None:
    return None if server.pid is None else procfs.read_memory(server.pid).rss_bytes / _MIB


def _descriptors(server: Server) -> int | None:
    return None if server.pid is None else len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


def _left(server: Server, fleet: Fleet, before: int | None) -> int | None:
    """How many descriptors the server has more than before, as soon as that is few, or after `LEFT_S`."""
    if before is None:
        return None
    deadline_s = time.monotonic() + LEFT_S
    while True:
        left = max(0, (_descriptors(server) or 0) - before)
        if left <= SPARE_DESCRIPTORS or time.monotonic() > deadline_s:
            return left
        fleet.until(time.monotonic_ns() + _LOOK_NS)
