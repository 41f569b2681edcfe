"""What an operation allocates: bytes at its peak, and bytes and blocks that its result keeps. A pass of its own, as it slows
everything down."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from array import array

import attrs

from .benchmark import Benchmark, Call

_CALLS = 32
_WARM_UP_CALLS = 3


@attrs.frozen
class Memory:
    """Allocations of one operation.

    Attributes:
        peak_bytes: most that was allocated at one time within a call, for each of its operations.
        kept_bytes: what is still there afterwards, the result included.
        kept_blocks: the same in small blocks of the interpreter's allocator; a machine that only turns over keeps none.
    """

    peak_bytes: float
    kept_bytes: float
    kept_blocks: float


def measure(benchmark: Benchmark) -> Memory:
    """Allocations of one operation; the smallest peak of some calls, what is kept as a mean over whole periods."""
    call = benchmark.make()
    for _ in range(_WARM_UP_CALLS):
        call()
    calls = max(_CALLS, benchmark.period)
    gc.collect()
    blocks = _kept_blocks(call, calls)
    gc.collect()
    tracemalloc.start()
    try:
        peak, kept = _traced(call, calls)
    finally:
        tracemalloc.stop()
    each = benchmark.operations
    return Memory(peak / each, max(0.0, kept) / calls / each, max(0.0, blocks) / calls / each)


def _kept_blocks(call: Call, calls: int) -> float:
    results: list[object] = [None] * calls
    before = sys.getallocatedblocks()
    for place in range(calls):
        results[place] = call()
    return sys.getallocatedblocks() - before


def _traced(call: Call, calls: int) -> tuple[int, int]:
    """Smallest peak of a call, and what all of them keep."""
    results: list[object] = [None] * calls
    peaks = array("q", bytes(8 * calls))  # holds no objects, which would be counted
    begun, _ = tracemalloc.get_traced_memory()
    for place in range(calls):
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        results[place] = call()
        peaks[place] = tracemalloc.get_traced_memory()[1] - before
    return min(peaks), tracemalloc.get_traced_memory()[0] - begun
