"""The server while a window is measured: its CPU, memory and counters, read once a second from outside."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import httpx
from prometheus_client.parser import text_string_to_metric_families

from . import procfs
from .errors import BenchError
from .fleet import Fleet
from .generator.window import marks
from .measure import Histogram
from .report.live import Live, Sample
from .server import Server

_REPORTED_NS: Final = 60_000_000  # by then every generator has told of the second that has just ended
_KEY_FILE: Final = "operator-token"


@attrs.frozen
class Look:
    """One reading. `cpu` and `rss_bytes` are None for a server that the bench may not look into."""

    at_ns: int
    cpu: procfs.Cpu | None
    rss_bytes: int | None
    busy_s: float


def look(server: Server) -> Look:
    """Read now.

    Raises:
        BenchError: The server has ended, or is not ours to look at.
    """
    if server.pid is None:
        return Look(time.monotonic_ns(), None, None, procfs.read_machine_busy_s())
    with readable(server.pid):
        cpu = procfs.read_cpu(server.pid, server.data)
        return Look(time.monotonic_ns(), cpu, procfs.read_rss(server.pid), procfs.read_machine_busy_s())


def memory(server: Server) -> procfs.Memory | None:
    """Memory of the server's process, None where the bench may not look; errors as for `look`."""
    if server.pid is None:
        return None
    with readable(server.pid):
        return procfs.read_memory(server.pid)


@contextlib.contextmanager
def readable(pid: int) -> Iterator[None]:
    """Reading of a process that may have ended meanwhile.

    Raises:
        BenchError: It has, or is not ours to look at.
    """
    try:
        yield
    except (ProcessLookupError, FileNotFoundError) as exc:
        raise BenchError(f"the server's process {pid} has ended, or never was") from exc
    except PermissionError as exc:
        raise BenchError(f"process {pid} is not ours to look at: {exc}") from exc


def watched(server: Server, fleet: Fleet, from_ns: int, to_ns: int, live: Live) -> list[Look]:
    """Look at both ends of a window and every second between, while the fleet is listened to."""
    looks: list[Look] = []
    for at_ns in marks(from_ns, to_ns):
        fleet.until(at_ns)
        looks.append(look(server))
        if len(looks) > 1:
            fleet.until(time.monotonic_ns() + _REPORTED_NS)
            _tell(live, fleet, looks[-2], looks[-1], len(looks) - 2, to_ns)
    return looks


def _tell(live: Live, fleet: Fleet, before: Look, after: Look, number: int, to_ns: int) -> None:
    """The second that has just ended."""
    intervals = [interval for interval in fleet.intervals if interval.number == number]
    latencies = Histogram()
    for interval in intervals:
        latencies.merge(interval.delivery if interval.delivery.count else interval.ack)
    sample = Sample(
        left_s=max(0.0, (to_ns - after.at_ns) / 1e9),
        connections=fleet.connected(),
        acks_per_s=sum(i.acked / i.seconds for i in intervals),
        posts_per_s=sum(i.sent / i.seconds for i in intervals),
        deliveries_per_s=sum(i.delivered / i.seconds for i in intervals),
        p50_ms=latencies.percentile(50) / 1e6 if latencies.count else None,
        p99_ms=latencies.percentile(99) / 1e6 if latencies.count else None,
        generator_cpu_percent=tuple(100 * i.cpu_s / i.seconds for i in intervals),
    )
    if before.cpu is not None and after.cpu is not None:
        used, seconds = after.cpu.since(before.cpu), (after.at_ns - before.at_ns) / 1e9
        sample = attrs.evolve(
            sample,
            server_cpu_percent=100 * used.server_s / seconds,
            postgres_cpu_percent=100 * used.postgres_s / seconds,
            server_rss_mib=None if after.rss_bytes is None else after.rss_bytes / 1024 / 1024,
        )
    live.interval(sample)


def counters(server: Server) -> dict[str, float]:
    """The server's own counters by name, from `/metrics`; empty where there is no token, or no such path."""
    if server.data is None:
        return {}
    with contextlib.suppress(OSError, httpx.HTTPError):
        token = (server.data / _KEY_FILE).read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{server.url}/metrics", headers=headers, timeout=10, trust_env=False)
        if answer.status_code == httpx.codes.OK:
            return _parsed(answer.text)
    return {}


def _parsed(text: str) -> dict[str, float]:
    families = text_string_to_metric_families(text)
    return {s.name: s.value for family in families for s in family.samples if not s.labels}


def grown(before: dict[str, float], after: dict[str, float], name: str) -> float | None:
    """By how much a counter rose; None where the server has none of that name."""
    return after[name] - before[name] if name in before and name in after else None


def others_percent(looks: Sequence[Look], generators_s: float) -> float | None:
    """CPU of processes that are none of this run's, in percent of a core; None when the server is not ours."""
    first, last = looks[0], looks[-1]
    if first.cpu is None or last.cpu is None:
        return None
    used = last.cpu.since(first.cpu)
    seconds = (last.at_ns - first.at_ns) / 1e9
    return max(0.0, 100 * (last.busy_s - first.busy_s - used.server_s - used.postgres_s - generators_s) / seconds)
