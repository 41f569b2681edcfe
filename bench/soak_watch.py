"""Looking at the server during a soak: its memory from /proc, everything else from its `/metrics`.

One sample is one moment. What the server counts up (CPU, the sum of its lags) is turned into what it was since the sample
before. Postgres is looked at where the server's process is known.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import attrs
import httpx
import trio
from prometheus_client.parser import text_string_to_metric_families

from . import procfs
from .errors import BenchError
from .measure import Histogram
from .server import Server

_MIB: Final = 1 << 20
_SCRAPE_S: Final = 20.0


@attrs.frozen(kw_only=True)
class Series:
    """One thing that is watched.

    Attributes:
        name: as in samples and in the report.
        tolerance_per_h: how much it may rise in an hour; None: it is shown and not judged.
        least_rise: a smaller rise over all of the run is no leak, however steep it would be for an hour.
    """

    name: str
    unit: str
    tolerance_per_h: float | None = None
    least_rise: float = 0.0


SERIES: Final = (
    Series(name="rss", unit="MiB", tolerance_per_h=8, least_rise=3),
    Series(name="pss", unit="MiB", tolerance_per_h=8, least_rise=3),
    Series(name="other_tasks", unit="", tolerance_per_h=6, least_rise=4),
    Series(name="descriptors", unit="", tolerance_per_h=6, least_rise=4),
    Series(name="connections", unit="", tolerance_per_h=6, least_rise=4),
    Series(name="subscribers", unit="", tolerance_per_h=6, least_rise=4),
    Series(name="conversations", unit="", tolerance_per_h=15, least_rise=8),
    Series(name="mailbox_sum", unit="", tolerance_per_h=6, least_rise=4),
    Series(name="mailbox_max", unit="", tolerance_per_h=6, least_rise=4),
    Series(name="posts_waiting", unit="", tolerance_per_h=6, least_rise=4),
    Series(name="writer_queue", unit="rows", tolerance_per_h=6, least_rise=4),
    Series(name="calls_waiting", unit="", tolerance_per_h=6, least_rise=4),
    Series(name="tails", unit="MiB", tolerance_per_h=4, least_rise=2),
    Series(name="loop_lag_mean", unit="ms", tolerance_per_h=5, least_rise=5),
    Series(name="delivery_p50", unit="ms", tolerance_per_h=10, least_rise=15),
    Series(name="delivery_p99", unit="ms", tolerance_per_h=50, least_rise=100),
    Series(name="ack_p99", unit="ms", tolerance_per_h=50, least_rise=100),
    Series(name="server_cpu", unit="%", tolerance_per_h=15, least_rise=10),
    Series(name="tasks", unit=""),
    Series(name="loop_lag_worst", unit="ms"),
    Series(name="postgres_pss", unit="MiB"),
    Series(name="bench_cpu", unit="%"),
)

_GAUGES: Final = {
    "tasks": "hubbub_trio_tasks",
    "descriptors": "process_open_fds",
    "connections": "hubbub_connections",
    "subscribers": "hubbub_subscribers",
    "conversations": "hubbub_conversations",
    "mailbox_sum": "hubbub_mailbox_items",
    "mailbox_max": "hubbub_mailbox_items_max",
    "posts_waiting": "hubbub_posts_waiting",
    "writer_queue": "hubbub_writer_queue_rows",
    "calls_waiting": "hubbub_table_tasks",
}


@attrs.frozen
class Sample:
    """What was seen at one moment, by name of the series; what could not be seen is missing."""

    at_s: float
    values: Mapping[str, float]


class Watch:
    """Takes samples of one server. Made by `watching`."""

    def __init__(self, server: Server, client: httpx.AsyncClient) -> None:
        self._server = server
        self._client = client
        self._begun_s = time.monotonic()
        self._before: dict[str, float] = {}

    async def sample(self, delivery: Histogram, ack: Histogram) -> Sample:
        """Look now; the histograms are what clients measured since the last time, nanoseconds.

        Raises:
            BenchError: the server does not tell.
        """
        figures = await self._scrape()
        values = {name: figures[source] for name, source in _GAUGES.items()}
        values["other_tasks"] = values["tasks"] - values["conversations"]  # each of those is a task
        values["rss"] = figures["process_resident_memory_bytes"] / _MIB
        values["tails"] = figures["hubbub_tail_bytes"] / _MIB
        values["loop_lag_worst"] = figures["hubbub_loop_lag_worst_seconds"] * 1e3
        values |= self._since(figures)
        for name, histogram, percent in (
            ("delivery_p50", delivery, 50),
            ("delivery_p99", delivery, 99),
            ("ack_p99", ack, 99),
        ):
            if histogram.count:
                values[name] = histogram.percentile(percent) / 1e6
        values |= await trio.to_thread.run_sync(self._memory)
        return Sample(time.monotonic() - self._begun_s, values)

    async def _scrape(self) -> dict[str, float]:
        try:
            answer = await self._client.get("/metrics")
            answer.raise_for_status()
            families = text_string_to_metric_families(answer.text)
            return {
                sample.name: sample.value for family in families for sample in family.samples if _plain(sample.labels)
            }
        except (httpx.HTTPError, ValueError) as error:
            raise BenchError(f"the server does not tell its figures: {error!r}") from error

    def _since(self, figures: Mapping[str, float]) -> dict[str, float]:
        """What counters say about the time since the sample before."""
        now = {
            "at": time.monotonic(),
            "server": figures["process_cpu_seconds_total"],
            "bench": time.process_time(),
            "lag": figures["hubbub_loop_lag_seconds_sum"],
            "wakings": figures["hubbub_loop_lag_seconds_count"],
        }
        before, self._before = self._before, now
        if not before:
            return {}
        passed_s = now["at"] - before["at"]
        found = {
            "server_cpu": 100 * (now["server"] - before["server"]) / passed_s,
            "bench_cpu": 100 * (now["bench"] - before["bench"]) / passed_s,
        }
        if now["wakings"] > before["wakings"]:
            found["loop_lag_mean"] = 1e3 * (now["lag"] - before["lag"]) / (now["wakings"] - before["wakings"])
        return found

    def _memory(self) -> dict[str, float]:
        """Reading these goes through the tables of pages, which takes the kernel a while."""
        pid = self._server.pid
        found: dict[str, float] = {}
        if pid is not None:
            with contextlib.suppress(OSError):
                memory = procfs.read_memory(pid)
                found["rss"] = memory.rss_bytes / _MIB
                if memory.pss_bytes:
                    found["pss"] = memory.pss_bytes / _MIB
                total = sum(_pss(member) for member in procfs.postgres_pids(pid, self._server.data))
                if total:
                    found["postgres_pss"] = total / _MIB
        return found


def _plain(labels: Mapping[str, str]) -> bool:
    return not labels


def _pss(pid: int) -> int:
    """A backend may be gone since it was listed."""
    try:
        return procfs.read_memory(pid).pss_bytes
    except OSError:
        return 0


@asynccontextmanager
async def watching(server: Server, token: str) -> AsyncIterator[Watch]:
    """A watch on a server, by its operator's token.

    Raises:
        BenchError: the token does not open `/metrics`.
    """
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=_SCRAPE_S, trust_env=False) as client:
        watch = Watch(server, client)
        await watch.sample(Histogram(), Histogram())
        yield watch
