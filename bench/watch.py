"""The server while a window is measured: its CPU, memory and counters, read once a second from outside."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Final

import attrs
import httpx
from prometheus_client.parser import text_string_to_metric_families

from . import procfs
from .fleet import Fleet
from .server import Server

INTERVAL_NS: Final = 1_000_000_000
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
        ProcessLookupError: The server has ended.
    """
    if server.pid is None:
        return Look(time.monotonic_ns(), None, None, procfs.read_machine_busy_s())
    cpu = procfs.read_cpu(server.pid, server.data)
    return Look(time.monotonic_ns(), cpu, procfs.read_rss(server.pid), procfs.read_machine_busy_s())


def watched(server: Server, fleet: Fleet, from_ns: int, to_ns: int) -> list[Look]:
    """Look at both ends of a window and every second between, while the fleet is listened to."""
    looks: list[Look] = []
    for at_ns in (*range(from_ns, to_ns - INTERVAL_NS + 1, INTERVAL_NS), to_ns):
        fleet.until(at_ns)
        looks.append(look(server))
    return looks


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
