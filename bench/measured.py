"""A measured window: what the generators counted and what was read of the server, as figures, series and curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import attrs

from . import control
from .measure import Histogram
from .report import Curve, Figure, GeneratorUse, Series
from .watch import Look, others_percent

DISTURBED_PERCENT: Final = 25.0
GENERATOR_BOUND: Final = 0.9
_LEAST_POSTS: Final = 100
_MIB: Final = 1024 * 1024


@attrs.frozen(kw_only=True)
class Measured:
    """One window of a run.

    Attributes:
        posted: One from every generator.
        intervals: All generators', in any order.
        looks: At the server, both ends included.
    """

    posted: Sequence[control.Posted]
    intervals: Sequence[control.Interval]
    looks: Sequence[Look]

    @property
    def last_offsets(self) -> dict[str, int]:
        """The greatest offset of each room that any process saw."""
        last: dict[str, int] = {}
        for report in self.posted:
            for room, offset in report.last_offsets.items():
                last[room] = max(last.get(room, 0), offset)
        return last

    @property
    def unanswered(self) -> int:
        """Posts that never were."""
        return sum(report.unanswered for report in self.posted)

    @property
    def acked(self) -> int:
        """Posts acknowledged in the window."""
        return sum(report.acked for report in self.posted)

    def delivery(self) -> Histogram:
        """Latencies of deliveries."""
        return _all(report.delivery for report in self.posted)

    def ack(self) -> Histogram:
        """Latencies of acknowledgements."""
        return _all(report.ack for report in self.posted)

    def generators(self) -> tuple[GeneratorUse, ...]:
        """CPU of the generators, and who of them was at its limit."""
        shares = [report.cpu_s / report.window_s if report.window_s else 0.0 for report in self.posted]
        return tuple(GeneratorUse(100 * part, part > GENERATOR_BOUND) for part in shares)

    def others_percent(self) -> float | None:
        """CPU of processes that are none of this run's."""
        return others_percent(self.looks, sum(report.cpu_s for report in self.posted))

    def invalid_because(self, *, paced: bool = True) -> tuple[str, ...]:
        """Why the figures say little about the server; a generator at its limit throughout is told by the result.

        Args:
            paced: The load had a rate, so that latencies count. As fast as the server goes, only the whole window does.
        """
        return disturbed(self.others_percent()) + (self._seconds_at_limit() if paced else ())

    def _seconds_at_limit(self) -> tuple[str, ...]:
        """A generator may be idle on the whole and still too slow for single seconds, and these make the percentiles."""
        if any(use.bound for use in self.generators()):
            return ()
        bound = {i.number for i in self.intervals if i.cpu_s > GENERATOR_BOUND * i.seconds}
        if not bound:
            return ()
        seconds = len({interval.number for interval in self.intervals})
        return (f"a generator was at its limit in {len(bound)} of {seconds} seconds",)

    def shifts(self, before: Measured) -> list[Figure]:
        """By how much deliveries took longer than in an earlier window; a percentile of too few posts is left out."""
        healthy, now = before.delivery().summary_ms(), self.delivery().summary_ms()
        posts = min(before.acked, self.acked)
        figures: list[Figure] = []
        if posts and healthy.p50 and now.count:
            figures.append(Figure("p50_shift_percent", 100 * (now.p50 / healthy.p50 - 1), "%"))
        if posts >= _LEAST_POSTS and healthy.p99 and now.count:
            figures.append(Figure("p99_shift_percent", 100 * (now.p99 / healthy.p99 - 1), "%"))
        if healthy.count:
            figures += [Figure("healthy_p50_ms", healthy.p50, "ms"), Figure("healthy_p99_ms", healthy.p99, "ms")]
        return figures

    def figures(self) -> list[Figure]:
        """Rates, latencies and CPU of the window."""
        # Every process took its counts over its own window; they differ by a turn of its loop.
        delivered = sum(report.delivered for report in self.posted)
        figures = [
            Figure("deliveries_per_s", sum(r.delivered / r.window_s for r in self.posted), "1/s"),
            Figure("posts_per_s", sum(r.acked / r.window_s for r in self.posted), "1/s"),
            Figure("deliveries", delivered, ""),
        ]
        figures += latency("delivery", self.delivery()) + latency("ack", self.ack())
        figures += latency("join", _all(r.joined for r in self.posted))
        figures += latency("history", _all(r.history for r in self.posted))
        return figures + self._cpu_figures(delivered)

    def _cpu_figures(self, delivered: int) -> list[Figure]:
        first, last = self.looks[0], self.looks[-1]
        if first.cpu is None or last.cpu is None:
            return []
        used = last.cpu.since(first.cpu)
        window_s = (last.at_ns - first.at_ns) / 1e9
        figures: list[Figure] = []
        if delivered:
            figures += [
                Figure("cpu_per_delivery_us", used.server_s / delivered * 1e6, "us"),
                Figure("cpu_all_per_delivery_us", (used.server_s + used.postgres_s) / delivered * 1e6, "us"),
            ]
        if self.acked:
            figures.append(Figure("cpu_per_post_us", used.server_s / self.acked * 1e6, "us"))
        figures += [
            Figure("server_user_percent", 100 * used.server_user_s / window_s, "%"),
            Figure("server_system_percent", 100 * used.server_system_s / window_s, "%"),
            Figure("postgres_percent", 100 * used.postgres_s / window_s, "%"),
            Figure("server_rss_mib", (last.rss_bytes or 0) / _MIB, "MiB"),
        ]
        others = self.others_percent()
        return figures + ([] if others is None else [Figure("other_processes_percent", others, "%")])

    def curves(self) -> list[Curve]:
        """Whole distributions of the latencies."""
        found = (("delivery", self.delivery()), ("ack", self.ack()))
        return [Curve.of(name, histogram) for name, histogram in found if histogram.count]

    def series(self) -> list[Series]:
        """The window second by second."""
        return _generator_series(self.intervals) + _server_series(self.looks)


def _all(histograms: Iterable[Histogram]) -> Histogram:
    merged = Histogram()
    for histogram in histograms:
        merged.merge(histogram)
    return merged


def disturbed(others_percent: float | None) -> tuple[str, ...]:
    """Why a run is invalid that other processes disturbed; empty when they did not, or when that is not known."""
    if others_percent is None or others_percent <= DISTURBED_PERCENT:
        return ()
    return (f"other processes used {others_percent:.0f} % of a core: disturbed",)


def latency(name: str, histogram: Histogram) -> list[Figure]:
    """The usual percentiles of a histogram of nanoseconds; none of an empty one, whose 0 would keep every bound."""
    if not histogram.count:
        return []
    found = histogram.summary_ms()
    return [
        Figure(f"{name}_p50_ms", found.p50, "ms"),
        Figure(f"{name}_p90_ms", found.p90, "ms"),
        Figure(f"{name}_p99_ms", found.p99, "ms"),
        Figure(f"{name}_p999_ms", found.p999, "ms"),
        Figure(f"{name}_max_ms", found.max, "ms"),
    ]


def _generator_series(intervals: Sequence[control.Interval]) -> list[Series]:
    numbers = sorted({interval.number for interval in intervals})
    at_s = [float(number + 1) for number in numbers]
    by_number = [[i for i in intervals if i.number == number] for number in numbers]
    series = [
        Series("deliveries_per_s", "1/s", at_s, [sum(i.delivered / i.seconds for i in found) for found in by_number]),
        Series("posts_per_s", "1/s", at_s, [sum(i.acked / i.seconds for i in found) for found in by_number]),
        Series("generator_cpu_percent", "%", at_s, [max(100 * i.cpu_s / i.seconds for i in f) for f in by_number]),
    ]
    for name in ("delivery", "ack"):
        histograms = [_all(getattr(i, name) for i in found) for found in by_number]
        for percent in (50, 99):
            values = [h.percentile(percent) / 1e6 if h.count else None for h in histograms]
            series.append(Series(f"{name}_p{percent}_ms", "ms", at_s, values))
    return series


def _server_series(looks: Sequence[Look]) -> list[Series]:
    pairs = [(a, b) for a, b in pairwise(looks) if a.cpu and b.cpu]
    if not pairs:
        return []
    start_ns = looks[0].at_ns
    at_s = [(b.at_ns - start_ns) / 1e9 for _, b in pairs]
    server: list[float | None] = []
    postgres: list[float | None] = []
    for a, b in pairs:
        assert a.cpu is not None
        assert b.cpu is not None
        used, seconds = b.cpu.since(a.cpu), (b.at_ns - a.at_ns) / 1e9
        server.append(100 * used.server_s / seconds)
        postgres.append(100 * used.postgres_s / seconds)
    return [
        Series("server_cpu_percent", "%", at_s, server),
        Series("postgres_cpu_percent", "%", at_s, postgres),
        Series("server_rss_mib", "MiB", at_s, [(b.rss_bytes or 0) / _MIB for _, b in pairs]),
    ]
