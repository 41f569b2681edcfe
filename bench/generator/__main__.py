"""A generator process: `python -m hubbub.bench.generator`, with its job as the first line of stdin."""

from __future__ import annotations

import os
import resource

from .. import control
from .generator import Generator


def main() -> None:
    """Read the job, then obey until stdin ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    line = b""
    while not line.endswith(b"\n"):  # unbuffered: what follows belongs to the loop
        byte = os.read(0, 1)
        if not byte:
            return
        line += byte
    job = control.read_job(line)
    if job.cpu is not None:
        os.sched_setaffinity(0, {job.cpu})
    Generator(job, 0, 1).run()


if __name__ == "__main__":
    main()
