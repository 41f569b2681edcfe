"""Faults of processes: killed, stopped, restarted, their connections terminated."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import trio

from . import processes
from .crowd import until
from .kinds import Effect
from .plan import Round
from .stage import Stage

_SOON_S: Final = 5.0
_MENDED_S: Final = 60.0
_AGAIN_S: Final = (0.02, 0.4)


async def kill_server(stage: Stage, round_: Round) -> Effect:
    """SIGKILL to the server; its Postgres lives on as an orphan until the restart."""
    pid = stage.server.pid
    await stage.server.kill()
    ready_s = await stage.restarted()
    return Effect(stage.server.pid != pid, f"killed {pid}", ready_s)


async def kill_postgres(stage: Stage, round_: Round) -> Effect:
    """SIGKILL to the postmaster; its children notice and leave."""
    return await _end_postmaster(stage, signal.SIGKILL)


async def restart_postgres(stage: Stage, round_: Round) -> Effect:
    """A fast shutdown by somebody else's hand."""
    return await _end_postmaster(stage, signal.SIGINT)


async def _end_postmaster(stage: Stage, number: signal.Signals) -> Effect:
    pid, began = stage.postmaster(), trio.current_time()
    processes.send([pid], number, below=stage.data)
    gone = await until(lambda: processes.postmaster(stage.cluster) != pid, _SOON_S)
    back = gone and await until(lambda: _is_back(stage, pid), _MENDED_S)
    what = f"{number.name} to {pid}" + ("" if back else ", and no other came")
    return Effect(gone, what, trio.current_time() - began if back else None)


def _is_back(stage: Stage, earlier: int) -> bool:
    return processes.postmaster(stage.cluster) not in (None, earlier) and processes.accepts_connections(stage.cluster)


async def kill_both(stage: Stage, round_: Round) -> Effect:
    """SIGKILL to server and Postgres, in either order."""
    pid, postmaster = stage.server.pid, stage.postmaster()
    if round_.number % 2:
        processes.send([postmaster], signal.SIGKILL, below=stage.data)
        await stage.server.kill()
    else:
        await stage.server.kill()
        processes.send([postmaster], signal.SIGKILL, below=stage.data)
    gone = await until(lambda: processes.postmaster(stage.cluster) != postmaster, _SOON_S)
    ready_s = await stage.restarted()
    return Effect(gone and stage.server.pid != pid, f"killed {pid} and {postmaster}", ready_s)


async def stop_server(stage: Stage, round_: Round) -> Effect:
    """SIGSTOP, some seconds, SIGCONT."""
    return await _stop([stage.server.pid], round_.lasts_s, below=Path("/"))


async def stop_postgres(stage: Stage, round_: Round) -> Effect:
    """SIGSTOP to the postmaster and all its children."""
    return await _stop(processes.family(stage.postmaster()), round_.lasts_s, below=stage.data)


async def _stop(pids: list[int], lasts_s: float, *, below: Path) -> Effect:
    processes.send(pids, signal.SIGSTOP, below=below)
    try:
        stood = await until(lambda: all(processes.stopped(pid) for pid in pids), _SOON_S)
        await trio.sleep(lasts_s)
    finally:
        processes.send(pids, signal.SIGCONT, below=below)
    return Effect(stood, f"{len(pids)} stopped for {lasts_s:.1f} s")


async def terminate_backends(stage: Stage, round_: Round) -> Effect:
    """SIGTERM to each backend, which ends its connection with an error, again and again for a while."""
    rng, ended = round_.random("blow"), 0
    with trio.move_on_after(round_.lasts_s):
        while True:
            backends = processes.backends(stage.postmaster())
            ended += processes.send(backends, signal.SIGTERM, below=stage.data)
            await trio.sleep(rng.uniform(*_AGAIN_S))
    return Effect(ended > 0, f"{ended} connections terminated")
