"""CPU time of an operation: calibrated loops of calls, in rounds that take turns.

The clock is the thread's CPU time, so other processes only disturb through caches and the core's speed; rounds go over all
benchmarks in turn, so that such a disturbance meets all of them and not one. The garbage collector runs between samples only.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Final

import attrs

from .benchmark import Benchmark, Call

_CALIBRATE_NS: Final = 1_000_000
_MAX_CALLS: Final = 10_000_000
_WARM_UP_PART: Final = 10  # of a sample's calls, not timed: into the caches, after the others


@attrs.frozen
class Timing:
    """CPU time of one operation in nanoseconds.

    Attributes:
        spread_percent: half the distance of the quartiles, in percent of the median.
    """

    min_ns: float
    median_ns: float
    spread_percent: float
    samples: int

    @classmethod
    def of(cls, samples_ns: Sequence[float]) -> Timing:
        """Sum up at least one sample."""
        median = statistics.median(samples_ns)
        spread = 0.0
        if len(samples_ns) > 1:
            low, _, high = statistics.quantiles(samples_ns, n=4, method="inclusive")
            spread = 50 * (high - low) / median if median else 0.0
        return cls(min(samples_ns), median, spread, len(samples_ns))


def _cpu_ns(call: Call, calls: int, clock: Callable[[], int]) -> int:
    start = clock()
    for _ in repeat(None, calls):
        call()
    return clock() - start


def calibrated(call: Call, sample_ns: int, clock: Callable[[], int]) -> int:
    """How many calls take about `sample_ns`."""
    calls = 1
    while True:
        taken = _cpu_ns(call, calls, clock)
        if taken >= min(_CALIBRATE_NS, sample_ns) or calls >= _MAX_CALLS:
            return max(1, min(_MAX_CALLS, calls * sample_ns // max(taken, 1)))
        calls *= 4


def time_all(
    benchmarks: Sequence[Benchmark],
    *,
    rounds: int,
    sample_ns: int,
    tell: Callable[[str], None],
    clock: Callable[[], int] = time.thread_time_ns,
) -> dict[str, Timing]:
    """Time benchmarks, by name.

    Args:
        rounds: samples of each.
        sample_ns: CPU time of one sample, about.
        tell: told what goes on.
        clock: nanoseconds of CPU time.
    """
    tell("calibrating")
    counts = {benchmark.name: calibrated(benchmark.make(), sample_ns, clock) for benchmark in benchmarks}
    samples: dict[str, list[float]] = {benchmark.name: [] for benchmark in benchmarks}
    for number in _rounds(rounds):
        tell(f"round {number} of {rounds}")
        for benchmark in benchmarks:
            # Prepared anew, so that the luck of where things lie in memory is part of the spread.
            call, count = benchmark.make(), counts[benchmark.name]
            _cpu_ns(call, count // _WARM_UP_PART + 1, clock)
            samples[benchmark.name].append(_cpu_ns(call, count, clock) / (count * benchmark.operations))
    return {name: Timing.of(each) for name, each in samples.items()}


def _rounds(rounds: int) -> Iterator[int]:
    """Numbers of rounds, with the garbage collector off inside each and its work done between them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for number in range(1, rounds + 1):
            gc.collect()
            yield number
    finally:
        if was_enabled:
            gc.enable()
