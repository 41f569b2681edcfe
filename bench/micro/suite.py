"""All microbenchmarks, in the order they are shown."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

from . import events, limits, posts, protocols, requests, rooms, timers
from .benchmark import Benchmark, Call


def _nothing() -> None:
    pass


def _empty() -> Call:
    return _nothing


SUITE: Final = (
    Benchmark(name="loop/empty", what="an empty call: the floor of every figure here", make=_empty),
    *events.BENCHMARKS,
    *posts.BENCHMARKS,
    *protocols.BENCHMARKS,
    *requests.BENCHMARKS,
    *limits.BENCHMARKS,
    *rooms.BENCHMARKS,
    *timers.BENCHMARKS,
)


def chosen(pattern: str | None) -> tuple[Benchmark, ...]:
    """The benchmarks whose name holds `pattern`, or matches it where it has wildcards; all without one."""
    if pattern is None:
        return SUITE
    if not set("*?[") & set(pattern):
        pattern = f"*{pattern}*"
    return tuple(benchmark for benchmark in SUITE if fnmatchcase(benchmark.name, pattern))
