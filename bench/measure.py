"""A histogram for latencies: any range, bounded relative error, bounded memory, mergeable. Pure.

Buckets are as in HdrHistogram: below 2 * 128 every integer has its own; above, each power of two is cut in 128 equal
parts. A percentile is the middle of the bucket that holds the nearest-rank value, so it is off by at most
`RELATIVE_ERROR` of that value. Count, sum, least and greatest value are exact.

Left out: decay, windows, and correction for coordinated omission (the generator measures from the intended time).
"""

from __future__ import annotations

import math
from typing import Final, Self

import attrs

_BITS: Final = 7
RELATIVE_ERROR: Final = 1 / (1 << (_BITS + 1))
MAX_VALUE: Final = (1 << 62) - 1  # 146 years in nanoseconds; bounds the number of buckets at about 7,200


def _bucket(value: int) -> int:
    shift = value.bit_length() - (_BITS + 1)
    return value if shift <= 0 else (shift << _BITS) + (value >> shift)


def _middle(bucket: int) -> int:
    shift = (bucket >> _BITS) - 1
    if shift <= 0:
        return bucket
    return ((bucket - (shift << _BITS)) << shift) + (1 << (shift - 1))


@attrs.frozen
class Summary:
    """What a report shows of a histogram, in its unit (here milliseconds)."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


@attrs.define
class Histogram:
    """Counts of non-negative integers. Nothing in it refers to a unit; the bench records nanoseconds."""

    counts: dict[int, int] = attrs.field(factory=dict)
    count: int = 0
    total: int = 0
    least: int = MAX_VALUE
    greatest: int = 0

    def record(self, value: int) -> None:
        """Count one value.

        Raises:
            ValueError: The value is negative or above `MAX_VALUE`; nothing was counted.
        """
        if not 0 <= value <= MAX_VALUE:
            raise ValueError(f"value out of range: {value}")
        bucket = _bucket(value)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.count += 1
        self.total += value
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)

    def merge(self, other: Histogram) -> Self:
        """Add the other's counts to this one, as if every value had been recorded here; returns self."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)
        return self

    def percentile(self, percent: float) -> int:
        """The nearest-rank percentile, off by at most `RELATIVE_ERROR`; 0 when nothing was recorded.

        Args:
            percent: From 0 (the least value) to 100 (the greatest).

        Raises:
            ValueError: `percent` is outside that range.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"not a percentage: {percent}")
        if not self.count:
            return 0
        rank = max(1, math.ceil(percent / 100 * self.count))
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return min(max(_middle(bucket), self.least), self.greatest)
        raise AssertionError("counts do not add up")

    def summary_ms(self) -> Summary:
        """The usual percentiles of a histogram of nanoseconds, in milliseconds."""

        def ms(value_ns: float) -> float:
            return round(value_ns / 1e6, 4)

        return Summary(
            count=self.count,
            mean=ms(self.total / self.count if self.count else 0),
            p50=ms(self.percentile(50)),
            p90=ms(self.percentile(90)),
            p99=ms(self.percentile(99)),
            p999=ms(self.percentile(99.9)),
            max=ms(self.greatest),
        )
