"""What may catch a mutant, and how a run of it ended: the simulation by seeds, and pytest on named files.

A catcher runs in a process of its own, in a copy of the tree, with the copy first on the path. Only a violation or a failed
assertion counts: a copy that cannot be imported, a test that cannot be collected and a run past its time are results of their
own, because they prove nothing about the promise.
"""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import attrs
import psutil

_GRACE_S = 15.0
_SEED = re.compile(r"^seed (\d+): (.*)$", re.MULTILINE)
_FAILED = re.compile(r"^FAILED ([^\s\[]+)", re.MULTILINE)
_WHERE = "import hubbub, hubbub.engine, hubbub.storage; print(hubbub.__file__, hubbub.engine.__file__, hubbub.storage.__file__)"


class End(Enum):
    """How a catcher ended."""

    CLEAN = "clean"
    CAUGHT = "caught"
    HANG = "hang"
    BROKEN = "broken"
    """It could not do its work: no import, no collection, an unknown exit code."""


@attrs.frozen
class Outcome:
    """One catcher on one tree.

    Attributes:
        by: the test that failed, without its parameters, or the simulation's first finding; for BROKEN the last lines it wrote.
        seeds: how many seeds the simulation needed, counted from the first one.
        took_s: seconds.
    """

    end: End
    by: str = ""
    seeds: int | None = None
    took_s: float = 0.0


def where_imports_come_from(tree: Path) -> list[Path]:
    """The files that `hubbub`, its engine and its storage are imported from when a catcher runs in `tree`."""
    command = [*_environment(tree), sys.executable, "-c", _WHERE]
    done = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)
    return [Path(name) for name in done.stdout.split()]


def simulate(tree: Path, seeds: int, timeout_s: float) -> Outcome:
    """Run the simulation until its first violation."""
    command = [sys.executable, "-m", "tests.simulation", "--seeds", str(seeds), "--stop"]
    code, output, took_s = _run(tree, command, timeout_s)
    if code is None:
        return Outcome(End.HANG, took_s=took_s)
    if code == 0:
        return Outcome(End.CLEAN, took_s=took_s)
    found = _SEED.search(output)
    if code == 1 and found is not None:
        return Outcome(End.CAUGHT, found[2], int(found[1]) + 1, took_s)
    return Outcome(End.BROKEN, _tail(output), took_s=took_s)


def test(tree: Path, files: Sequence[str], timeout_s: float) -> Outcome:
    """Run pytest on these files until the first failure."""
    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.mutation.fail_fast",
        "--hypothesis-seed=0",
        "--tb=line",
    ]
    command = [sys.executable, "-m", "pytest", *options, *files]
    code, output, took_s = _run(tree, command, timeout_s)
    if code is None:
        return Outcome(End.HANG, took_s=took_s)
    if code == 0:
        return Outcome(End.CLEAN, took_s=took_s)
    failed = _FAILED.search(output)
    if code == 1 and failed is not None:
        return Outcome(End.CAUGHT, failed[1], took_s=took_s)
    return Outcome(End.BROKEN, _tail(output), took_s=took_s)


def _environment(tree: Path) -> list[str]:
    # No bytecode: two mutants of one file may have the same size and the same second.
    return ["env", f"PYTHONPATH={tree}", "PYTHONDONTWRITEBYTECODE=1", "COLUMNS=300"]


def _run(tree: Path, command: Sequence[str], timeout_s: float) -> tuple[int | None, str, float]:
    """Exit code (None past the time), output and seconds. Ends everything that it started."""
    output = tree / ".mutation-output"
    began = time.monotonic()
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [*_environment(tree), *command], cwd=tree, stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        code = _wait(process, timeout_s)
        if code is None:
            _end(process)
    took_s = time.monotonic() - began
    return code, output.read_text(errors="replace"), took_s


def _wait(process: "subprocess.Popen[bytes]", timeout_s: float) -> int | None:
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt it, so that fixtures stop their servers; then end it and what it has left running."""
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    if _wait(process, _GRACE_S) is None:
        process.kill()
        process.wait()
    for child in started:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue


def _tail(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-15:])
