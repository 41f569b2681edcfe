"""The program of an attacking process: `python -m hubbub.bench.hostile.attacker`. It ends by itself, whoever dies."""

from __future__ import annotations

import os
import resource
import sys
import time
from typing import Final

import trio

from .arena import Arena
from .attacks import find
from .protocol import Job, Ready, Report, line, read_go, read_job

_SPARE_DESCRIPTORS: Final = 64


def _raise_limit(connections: int) -> None:
    """Have room for every connection; only root may go past the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_DESCRIPTORS
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))


async def _attack(job: Job, end_ns: int) -> Report:
    attack = find(job.attack)
    arena = Arena(job, (end_ns - time.monotonic_ns()) / 1e9)
    return await arena.run(attack.program, repeat=attack.repeat)


def main() -> None:
    """Read the job, say that we are ready, attack when told, report."""
    stdin = sys.stdin.buffer
    given = stdin.readline()
    if not given:
        return
    job = read_job(given)
    _raise_limit(job.count)
    os.write(1, line(Ready()))
    given = stdin.readline()
    if given:
        os.write(1, line(trio.run(_attack, job, read_go(given).end_ns)))


if __name__ == "__main__":
    main()
