"""`/metrics`: a server's figures in the Prometheus text format (0.0.4).

Invariants:
- The series are the same for every load: no label names a room, a user, an address or a path.
- Nothing is counted here. The parts count for themselves; this reads their statistics when it is asked.
- One scrape goes once over the conversations in memory, a microsecond each; nothing in it takes longer with connections.
"""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
from prometheus_client import CollectorRegistry, GCCollector, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from trio.lowlevel import current_statistics

from ..engine import Engine, EngineStatistics
from ..engine.core.histogram import Distribution
from ..storage.store import WriterStore
from ..storage.writer import WriterStatistics
from .auditor import AuditorStatistics
from .ledger import TableStatistics
from .loop_lag import LagStatistics
from .meters import CLASSES, Meters
from .operator import Operator
from .version import version
from .watch import Watch

if TYPE_CHECKING:
    from .cold import ColdStatistics

_STATM: Final = Path("/proc/self/statm")
_DESCRIPTORS: Final = Path("/proc/self/fd")
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def page(engine: Engine, operator: Operator, watch: Watch, generation: int) -> bytes:
    """The figures of now. For the trio thread of the engine; does not wait.

    Args:
        engine, operator, watch: what counts.
        generation: of the settings in force.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(engine, operator, watch, generation))
    GCCollector(registry=registry)
    return generate_latest(registry)


@attrs.frozen
class _Figures(Collector):
    """Reads the statistics of every part."""

    engine: Engine
    operator: Operator
    watch: Watch
    generation: int

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily(
            "hubbub_build", "What runs.", {"version": version(), "python": platform.python_version()}
        )
        yield _gauge("hubbub_config_generation", "Generation of the settings in force.", self.generation)
        yield _gauge("hubbub_ready", "Whether posts can be committed now.", float(self.engine.health().ready))
        yield from _of_engine(self.engine.statistics(rooms=0))
        yield from _of_tree(self.engine)
        if isinstance(self.engine.store, WriterStore):
            yield from _of_writer(self.engine.store.statistics())
            yield _counter(
                "hubbub_store_reads",
                "Questions to the store: conversations, pages of logs, keys.",
                self.engine.store.reads,
            )
        table, cold = self.operator.table(), self.operator.cold()
        yield from _of_table(table)
        yield from _of_cold(cold)
        yield from _of_meters(self.watch.meters, table.connections + cold.connections)
        if self.watch.auditor is not None:
            yield from _of_auditor(self.watch.auditor.statistics())
        yield from _of_loop(self.operator.lag.statistics())
        yield from _of_process()


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    """`name` without its `_total`, which the encoder adds."""
    return CounterMetricFamily(name, text, value)


def _labelled(
    name: str, text: str, labels: list[str], values: Mapping[str, int] | Mapping[tuple[str, str], int]
) -> Metric:
    """A counter with a series for each combination of labels that has been met."""
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric([key] if isinstance(key, str) else list(key), value)
    return family


def _histogram(name: str, text: str, found: Distribution) -> Metric:
    return HistogramMetricFamily(name, text, buckets=_buckets(found), sum_value=found.total)


def _buckets(found: Distribution) -> list[tuple[str, float]]:
    return list(zip([*map(str, found.bounds), "+Inf"], found.running(), strict=True))


def _of_engine(found: EngineStatistics) -> Iterator[Metric]:
    yield _gauge("hubbub_conversations", "Conversations in memory.", found.conversations)
    yield _gauge("hubbub_conversations_quarantined", "Conversations that take no posts.", found.quarantined)
    yield _counter("hubbub_conversation_crashes", "Crashes of conversations.", found.crashes)
    yield _gauge("hubbub_subscribers", "Subscriptions to conversations in memory.", found.subscribers)
    yield _gauge("hubbub_subscribers_paging", "Subscribers that read pages of the log.", found.paging_subscribers)
    yield _counter("hubbub_tail_replays", "Joins given what they had missed from memory.", found.tail_replays)
    yield _gauge("hubbub_mailbox_items", "Commands that wait, all mailboxes together.", found.mailbox_items)
    yield _gauge("hubbub_mailbox_items_max", "Commands in the fullest mailbox.", found.largest_mailbox_items)
    yield _gauge("hubbub_posts_waiting", "Posts behind batches in flight.", found.waiting)
    yield _gauge("hubbub_tail_bytes", "Bytes of events in memory, all tails together.", found.tail_bytes)
    yield _counter("hubbub_quarantines", "Conversations quarantined, each time.", found.quarantines)
    yield _counter("hubbub_deliveries", "Events that passes gave to readers.", found.delivered)
    yield _histogram("hubbub_fanout_lag_seconds", "From a commit being known to the end of its pass.", found.passes)
    yield _labelled("hubbub_subscriptions_ended", "Subscriptions that the engine ended.", ["code"], found.cut_off)


def _of_tree(engine: Engine) -> Iterator[Metric]:
    """Restarts of the engine's own parts; their names are a fixed few."""
    restarts = CounterMetricFamily("hubbub_part_restarts", "Restarts of the engine's parts.", labels=["part"])
    for part in engine.tree().children:
        restarts.add_metric([part.name], part.restarts)
    yield restarts


def _of_writer(found: WriterStatistics) -> Iterator[Metric]:
    yield _counter("hubbub_writer_commits", "Transactions committed.", found.commits)
    yield _counter("hubbub_writer_rows", "Rows committed, repeats included.", found.rows)
    yield _counter("hubbub_writer_rows_refused", "Rows refused for their content.", found.refused_rows)
    yield _counter("hubbub_writer_failures", "Commits and reconnections that failed.", found.failures)
    yield _gauge("hubbub_writer_largest_commit_rows", "Rows of the largest transaction so far.", found.largest_rows)
    yield _gauge("hubbub_writer_last_commit_seconds", "How long the last transaction took.", found.last_commit_s)
    yield _histogram("hubbub_writer_commit_seconds", "How long transactions took.", found.commit_s)
    yield _histogram("hubbub_writer_commit_rows", "Rows of the transactions.", found.commit_rows)
    yield _gauge("hubbub_writer_queue_rows", "Rows that wait for a transaction.", found.queued_rows)
    yield _gauge("hubbub_writer_queue_capacity_rows", "Bound of the rows that wait.", found.queue_capacity)
    yield _gauge("hubbub_writer_in_flight", "Whether rows are under way to the store.", float(found.in_flight))


def _of_table(found: TableStatistics) -> Iterator[Metric]:
    yield _gauge("hubbub_connections", "Connections in the table.", found.connections)
    yield _gauge("hubbub_connections_capacity", "Bound of the connections in the table.", found.max_connections)
    yield _gauge("hubbub_connections_blocked", "Connections whose reader takes no more now.", found.blocked)
    yield _gauge("hubbub_table_tasks", "Calls and look-ups that wait for something.", found.tasks)
    yield _counter("hubbub_connections_accepted", "Connections accepted.", found.accepted)
    yield _counter("hubbub_connections_refused", "Connections over the bound.", found.refused)
    yield _counter("hubbub_connections_closed", "Connections closed.", found.closed)
    yield _counter("hubbub_connections_stalled", "Readers cut off: no byte taken for too long.", found.stalled)
    yield _counter("hubbub_connections_overflowed", "Readers cut off: too many bytes waited.", found.overflowed)
    yield _counter("hubbub_table_failures", "Exceptions of machines and tasks, that is, bugs.", found.failures)
    yield _counter("hubbub_table_turns", "Turns of the connection table.", found.turns)


def _of_meters(meters: Meters, connections: int) -> Iterator[Metric]:
    """What the transports count. Refusals and requests have the series that were met, which our own words bound."""
    kinds = GaugeMetricFamily("hubbub_connections_open", "Connections by what they speak.", labels=["kind"])
    kinds.add_metric(["http"], connections - meters.open.total())
    for kind, count in meters.open.items():
        kinds.add_metric([kind], count)
    yield kinds
    yield _labelled("hubbub_refusals", "Refused requests and commands.", ["transport", "code"], meters.refusals)
    yield _labelled("hubbub_partings", "Streams and connections that we ended.", ["transport", "code"], meters.partings)
    yield _labelled("hubbub_logins", "Attempts to get in.", ["kind", "outcome"], meters.logins)
    yield _labelled("hubbub_limited", "Requests refused by a limit.", ["class"], meters.limited)
    answers = CounterMetricFamily("hubbub_requests", "Answers by route.", labels=["method", "route", "status"])
    seconds = HistogramMetricFamily(
        "hubbub_request_seconds", "From a request to its answer.", labels=["method", "route"]
    )
    for method, template, meter in meters.routes():
        for name, count in zip(CLASSES, meter.answers, strict=True):
            if count:
                answers.add_metric([method, template, name], count)
        found = meter.seconds.read()
        seconds.add_metric([method, template], _buckets(found), found.total)
    yield answers
    yield seconds


def _of_auditor(found: AuditorStatistics) -> Iterator[Metric]:
    yield _counter("hubbub_audit_rows", "Rows written to the audit log.", found.written)
    yield _counter("hubbub_audit_rows_missed", "Rows of refused callers that were not kept.", found.missed)
    yield _counter("hubbub_audit_failures", "Tries to write that the store did not take.", found.failures)
    yield _gauge("hubbub_audit_rows_waiting", "Rows that wait for the store.", found.waiting)


def _of_cold(found: ColdStatistics) -> Iterator[Metric]:
    yield _gauge("hubbub_cold_connections", "Connections in the cold lane.", found.connections)
    yield _counter("hubbub_cold_connections_entered", "Connections that came from the table.", found.entered)
    yield _counter("hubbub_cold_connections_refused", "Connections for which the lane had no room.", found.refused)


def _of_process() -> Iterator[Metric]:
    """Under the names that Prometheus's own clients use. Their collector lists every descriptor: 50 ms for 15,000."""
    yield _counter("process_cpu_seconds", "CPU time used, user and system.", time.process_time())
    yield _gauge("process_max_fds", "Bound of the open descriptors.", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if _STATM.exists():
        pages = int(_STATM.read_text().split()[1])
        yield _gauge("process_resident_memory_bytes", "Memory in RAM.", pages * resource.getpagesize())
        # Linux 6.2 and newer tell the number as the size of the directory; older ones say 0.
        descriptors = _DESCRIPTORS.stat().st_size or sum(1 for _ in _DESCRIPTORS.iterdir())
        yield _gauge("process_open_fds", "Open descriptors.", descriptors)


def _of_loop(lag: LagStatistics) -> Iterator[Metric]:
    found = current_statistics()
    yield _gauge("hubbub_trio_tasks", "Tasks alive.", found.tasks_living)
    yield _gauge("hubbub_trio_tasks_runnable", "Tasks that want to run now.", found.tasks_runnable)
    yield _gauge("hubbub_loop_lag_worst_seconds", "Latest waking of the last 15 to 30 seconds.", lag.worst_s)
    yield _histogram("hubbub_loop_lag_seconds", "How late the event loop wakes a task.", lag.wakings)
