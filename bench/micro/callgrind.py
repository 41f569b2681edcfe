"""Machine instructions of one benchmark, counted by valgrind: C code included, and no noise, at fifty times the time.

Two runs of the interpreter, one with more calls than the other; their difference is the calls alone. This module is also
the program that valgrind runs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from ..errors import BenchError
from .benchmark import Benchmark
from .suite import SUITE

_PROGRAM: Final = "hubbub.bench.micro.callgrind"
_TARGET_CALLS: Final = 2000  # start-up differs by half a million instructions from run to run
_TIMEOUT_S: Final = 600.0
_TOTAL: Final = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


def instructions(benchmark: Benchmark) -> float:
    """Machine instructions of one operation.

    Raises:
        BenchError: there is no valgrind here, or it failed.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise BenchError("--callgrind needs valgrind on the PATH")
    calls = max(benchmark.period, _TARGET_CALLS // benchmark.period * benchmark.period)
    _run((), benchmark, 1)  # compiles what has changed, which would count in the first run only
    few, many = (_total(valgrind, benchmark, count) for count in (benchmark.period, benchmark.period + calls))
    return (many - few) / (calls * benchmark.operations)


def _total(valgrind: str, benchmark: Benchmark, calls: int) -> int:
    with tempfile.TemporaryDirectory(prefix="hubbub-callgrind-") as folder:
        out = Path(folder) / "out"
        told = _run((valgrind, "--tool=callgrind", f"--callgrind-out-file={out}"), benchmark, calls)
        found = _TOTAL.search(out.read_text()) if out.exists() else None
    if found is None:
        raise BenchError(f"valgrind wrote no figures: {told}")
    return int(found[1])


def _run(under: tuple[str, ...], benchmark: Benchmark, calls: int) -> str:
    """Run this module for a number of calls; returns what it said at the end."""
    program = (*under, sys.executable, "-m", _PROGRAM, benchmark.name, str(calls))
    # The same hashes in both runs; otherwise only what the interpreter needs to find this package.
    environment = {"PYTHONHASHSEED": "0", "PYTHONPATH": ":".join(path for path in sys.path if path)}
    try:
        done = subprocess.run(program, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, env=environment)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"a run of {benchmark.name} took longer than {_TIMEOUT_S:g} s") from error
    if done.returncode:
        raise BenchError(f"a run of {benchmark.name} failed: {done.stderr[-500:]}")
    return done.stderr[-500:]


def main(name: str, calls: int) -> None:
    """Carry out a benchmark's calls, and nothing else."""
    [benchmark] = (each for each in SUITE if each.name == name)
    call = benchmark.make()
    for _ in range(calls):
        call()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
