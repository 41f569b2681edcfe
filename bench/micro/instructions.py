"""Executed bytecode instructions of an operation: the same on every machine of one Python version, so no noise to judge.

Counted with a trace function, which sees each instruction of each Python frame under the call. What C code does inside one
instruction (encoding JSON, joining bytes) is not seen: that is what `timing` and `callgrind` are for.
"""

from __future__ import annotations

import gc
import sys
from types import FrameType
from typing import Any

from .benchmark import Benchmark, Call

_WARM_UP_CALLS = 3  # caches of the product fill, and the interpreter has its constants


def count(benchmark: Benchmark) -> float | None:
    """Instructions of one operation, over whole periods; None for a benchmark that is not counted."""
    if not benchmark.counted:
        return None
    call = benchmark.make()
    for _ in range(_WARM_UP_CALLS):
        call()
    return counted(call, benchmark.period) / (benchmark.period * benchmark.operations)


def counted(call: Call, calls: int) -> int:
    """Instructions that so many calls execute together."""
    executed = 0

    def each(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal executed
        if event == "opcode":
            executed += 1
        return each

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return each

    earlier, collects = sys.gettrace(), gc.isenabled()
    gc.disable()  # what a collection calls, finalisers and callbacks, is none of the call's
    sys.settrace(enter)
    try:
        for _ in range(calls):
            call()
    finally:
        sys.settrace(earlier)
        if collects:
            gc.enable()
    return executed
