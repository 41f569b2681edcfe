"""Faults of limits: no room on the disk, no descriptors, no memory, and a clock that jumps.

Limits are set on the running server (`prlimit`) and taken back, so only the server feels them. Floods post into conversations of
their own, which nobody audits.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import trio

from . import processes
from .client import Gone, Http, Refused, Target, dial
from .crowd import until
from .kinds import CannotInject, Effect
from .plan import Round
from .stage import Stage
from .writers import RestPoster

_FLOOD_WRITERS: Final = 12
_FLOOD_TEXT: Final = "x" * 60_000
_SPARE_DESCRIPTORS: Final = 12
_SPARE_BYTES: Final = 3 << 20
_CHUNK_BYTES: Final = 1 << 20
_SURPLUS_CLIENTS: Final = 64
_STEPS_S: Final = (-86_400, -3_600, 3_600, 86_400)
_POLL_S: Final = 0.02
_WHILE_FULL_S: Final = 2.0


class _Made(msgspec.Struct, frozen=True):
    created_at: datetime


async def fill_disk(stage: Stage, round_: Round) -> Effect:
    """Fill the disk, post large texts until one is refused, wait, then make room."""
    if stage.disk is None:
        raise CannotInject("there is no small disk on this stage")
    ballast = stage.disk / "ballast"
    try:
        async with _flood(stage, round_) as flood:
            _fill(ballast)
            full = await until(lambda: bool(flood.refusals) or not stage.server.alive, round_.lasts_s)
            await trio.sleep(_WHILE_FULL_S)
    finally:
        ballast.unlink(missing_ok=True)
    ended = "" if stage.server.alive else ", the server ended"
    return Effect(full, f"{flood}{ended}", await _revive(stage))


def _fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file:
        for size in (_CHUNK_BYTES, 4096):
            block = bytes(size)
            with contextlib.suppress(OSError):
                while file.write(block) == size:
                    pass


async def step_clock(stage: Stage, round_: Round) -> Effect:
    """Move the server's wall clock, and some moments later move it back."""
    if stage.clock is None:
        raise CannotInject("there is no false clock on this stage")
    step_s = round_.random("blow").choice(_STEPS_S)
    stage.clock.write_text(f"{step_s:+d}\n")
    try:
        await trio.sleep(round_.lasts_s)
        shift_s = await _shift_s(stage.target)
    finally:
        stage.clock.write_text("+0\n")
    return Effect(abs(shift_s - step_s) < 60, f"the server's clock was off by {shift_s:+,.0f} s")


async def _shift_s(target: Target) -> float:
    """How far the server's clock is from ours, by the time at which it says a conversation was made."""
    http = Http(target)
    try:
        name = f"clock-{os.urandom(6).hex()}"
        answer = await http.call("POST", "/conversations", msgspec.json.encode({"id": name, "visibility": "public"}))
    except Gone:
        return 0.0
    finally:
        http.close()
    try:
        made = msgspec.json.decode(answer.body, type=_Made)
    except msgspec.MsgspecError:
        return 0.0
    return made.created_at.timestamp() - time.time()


async def exhaust_descriptors(stage: Stage, round_: Round) -> Effect:
    """Leave the server a few descriptors, and connect more clients than that."""
    pid = stage.server.pid
    limit = processes.descriptors(pid) + _SPARE_DESCRIPTORS
    held: list[trio.SocketStream] = []
    try:
        with _limited(pid, resource.RLIMIT_NOFILE, limit):
            async with trio.open_nursery() as nursery:
                for _ in range(_SURPLUS_CLIENTS):
                    nursery.start_soon(_connect_and_hold, stage.direct, held)
            used = await until(lambda: processes.descriptors(pid) >= limit - 1, round_.lasts_s)
            await trio.sleep(round_.lasts_s)
    finally:
        for stream in held:
            await trio.aclose_forcefully(stream)
    return Effect(used, f"{len(held)} clients more, limit {limit}, {'reached' if used else 'not reached'}")


async def _connect_and_hold(target: Target, held: list[trio.SocketStream]) -> None:
    with contextlib.suppress(Gone):
        held.append(await dial(target))


async def exhaust_memory(stage: Stage, round_: Round) -> Effect:
    """Leave the server little address space, and flood it with large posts and readers that do not read."""
    pid = stage.server.pid
    limit = processes.address_space(pid) + _SPARE_BYTES
    most = 0
    async with _flood(stage, round_) as flood:
        with _limited(pid, resource.RLIMIT_AS, limit), trio.move_on_after(round_.lasts_s):
            while stage.server.alive:
                most = max(most, processes.address_space(pid))
                await trio.sleep(_POLL_S)
    ended = not stage.server.alive
    took = ended or bool(flood.refusals) or most > limit - _CHUNK_BYTES
    what = f"{most / limit:.0%} of {limit >> 20} MiB used, {flood}"
    return Effect(took, what + (", the server ended" if ended else ""), await _revive(stage))


@contextmanager
def _limited(pid: int, kind: int, limit: int) -> Iterator[None]:
    """Lower a soft limit of a process, and give it back when the process is still there."""
    soft, hard = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (limit, hard))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, kind, (soft, hard))


async def _revive(stage: Stage) -> float | None:
    """Start the server again if it has ended, as an operator would; gives the seconds that took."""
    return None if stage.server.alive else await stage.restarted()


class _Flood:
    """What became of a flood.

    Attributes:
        acked: posts.
        refusals: tries by code; "gone" where the connection ended.
    """

    def __init__(self) -> None:
        self.acked = 0
        self.refusals: Counter[str] = Counter()

    def __str__(self) -> str:
        refused = ", ".join(f"{count} {code}" for code, count in self.refusals.most_common(3))
        return f"a flood of {self.acked} acked" + (f", {refused}" if refused else "")

    async def pour(self, target: Target, conversation: str, writer: int) -> None:
        """Post large texts, whatever the answers. Runs until cancelled."""
        with RestPoster(target) as poster:
            for number in itertools.count():
                try:
                    await poster.post(conversation, f"flood-{writer}-{number}-{_FLOOD_TEXT}")
                except (Gone, Refused) as exc:
                    self.refusals[exc.code if isinstance(exc, Refused) else "gone"] += 1
                    await trio.sleep(_POLL_S)
                else:
                    self.acked += 1

    async def stand(self, target: Target, conversation: str) -> None:
        """Ask for the whole log and read nothing of it. Runs until cancelled."""
        with contextlib.suppress(Gone, OSError, trio.BrokenResourceError):
            stream = await dial(target)
            async with stream:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                path = f"/api/v1/conversations/{conversation}/events?after=0"
                request = f"GET {path} HTTP/1.1\r\nHost: {target.netloc}\r\n{target.authorization}\r\n"
                await stream.send_all(request.encode())
                await trio.sleep_forever()


@asynccontextmanager
async def _flood(stage: Stage, round_: Round) -> AsyncIterator[_Flood]:
    """A flood while the block runs."""
    target, conversation = stage.direct, f"flood-{round_.name}-{os.urandom(4).hex()}"
    http = Http(target)
    try:
        await http.call("POST", "/conversations", msgspec.json.encode({"id": conversation, "visibility": "public"}))
    finally:
        http.close()
    flood = _Flood()
    async with trio.open_nursery() as nursery:
        for writer in range(_FLOOD_WRITERS):
            nursery.start_soon(flood.pour, target, conversation, writer)
            nursery.start_soon(flood.stand, target, conversation)
        yield flood
        nursery.cancel_scope.cancel()
