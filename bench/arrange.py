"""What a run needs before its first connection: rooms, tokens, generators and their jobs.

Rooms are shared out to the generator processes whole, so that a process sees what it posted; when there are fewer rooms
than processes, every process has readers in all of them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from typing import Final

import attrs
import httpx

from . import control, procfs
from .errors import BenchError
from .fleet import Fleet
from .scenarios import ClosedLoop, Load, OpenLoop
from .server import Server

CONNECT_S: Final = 120.0
_TOKENS: Final = 16


@attrs.frozen(kw_only=True)
class Options:
    """How a scenario is run; none of it changes what is measured.

    Attributes:
        posters: Connections that post, beside the readers, in all processes together.
        processes: Generator processes; rooms, readers and posts are shared out.
        sample: Readers per process whose delivery latency is recorded.
        parallel: Connections per process in their handshake at the same time.
        pin: Keep the server on the first core and the generators on the others.
        dialect: What the server speaks, where it is no hubbub: it needs no rooms opened and no tokens.
    """

    posters: int = 10
    processes: int = 1
    sample: int = 100
    parallel: int = 256
    seed: int = 1
    pin: bool = False
    dialect: str | None = None


@attrs.frozen
class Rooms:
    """The rooms of a run by name, and who may enter."""

    run: str
    names: Sequence[str]
    tokens: list[str]


def open_room(server: Server, room: str) -> list[str]:
    """Create one public room and return access tokens of guests; errors as for `open_rooms`."""
    return open_named(server, [room])


def open_rooms(server: Server, count: int, options: Options) -> Rooms:
    """Create public rooms with names of this run alone.

    Raises:
        BenchError: The server refuses, or does not answer.
    """
    run = secrets.token_hex(4)
    names = [f"bench-{run}-{number}" for number in range(count)]
    return Rooms(run, names, [""] if options.dialect else open_named(server, names))


def open_named(server: Server, rooms: Sequence[str]) -> list[str]:
    """Create public rooms, where there are none of that name, and return tokens; errors as for `open_rooms`."""
    try:
        with httpx.Client(base_url=server.url, timeout=10, trust_env=False) as client:
            tokens: list[str] = []
            for number in range(_TOKENS):
                answer = client.post("/api/v1/auth/guest", json={"name": f"bench {number}"})
                if answer.status_code == httpx.codes.FORBIDDEN:
                    raise BenchError(f"{server.url} lets no guests in; start it with --guests")
                answer.raise_for_status()
                tokens.append(answer.json()["token"])
            for room in rooms:
                body = {"id": room, "title": "bench", "visibility": "public"}
                token = {"Authorization": f"Bearer {tokens[0]}"}
                answer = client.post("/api/v1/conversations", json=body, headers=token)
                if answer.status_code != httpx.codes.CONFLICT:
                    answer.raise_for_status()
    except httpx.ConnectError as exc:
        raise BenchError(f"nobody answers at {server.url}") from exc
    except (httpx.HTTPError, KeyError, ValueError) as exc:
        raise BenchError(f"the rooms could not be opened at {server.url}: {exc!r}") from exc
    return tokens


def share(total: int, parts: int) -> list[int]:
    """A number in nearly equal parts, the greater ones first."""
    return [total // parts + (index < total % parts) for index in range(parts)]


@attrs.frozen
class Part:
    """One process's share: its rooms, their readers, and how often each is posted to."""

    rooms: Sequence[str]
    readers: list[int]
    weights: list[float]


def parts(rooms: Rooms, readers: Sequence[int], processes: int, *, weighted: bool = False) -> list[Part]:
    """Share rooms out to processes; weighted, posts go where the readers are, otherwise to all rooms in turn."""
    found: list[Part] = []
    for index in range(processes):
        if len(rooms.names) < processes:
            names, mine = rooms.names, [share(count, processes)[index] for count in readers]
        else:
            names, mine = rooms.names[index::processes], list(readers[index::processes])
        found.append(Part(names, mine, [float(count) for count in mine] if weighted else []))
    return found


def must_be_read(shares: Sequence[Part]) -> None:
    """Refuse to post where nobody reads: such a post would count as lost.

    Raises:
        BenchError: A process has a room without a reader.
    """
    if any(not count for part in shares for count in part.readers):
        readers, rooms = (
            sum(sum(part.readers) for part in shares),
            len({name for part in shares for name in part.rooms}),
        )
        raise BenchError(
            f"{readers} readers are too few for {rooms} rooms and {len(shares)} generators:"
            " each generator needs a reader in every room that it posts to"
        )


def shared_load(load: Load, processes: int) -> list[Load]:
    """A load in equal parts; those of an open loop follow each other at the same distance, see `starts_ns`."""
    match load:
        case OpenLoop(rate_per_s=rate):
            return [OpenLoop(rate / processes)] * processes
        case ClosedLoop(in_flight=in_flight, posts=posts):
            limits = [None] * processes if posts is None else share(posts, processes)
            return [ClosedLoop(n, m) for n, m in zip(share(in_flight, processes), limits, strict=True)]


def starts_ns(load: Load, start_ns: int, processes: int) -> list[int]:
    """When each process begins, so that together they post at equal distances."""
    gap_ns = 1e9 / load.rate_per_s if isinstance(load, OpenLoop) else 0
    return [start_ns + int(index * gap_ns) for index in range(processes)]


def begin(
    fleet: Fleet,
    server: Server,
    rooms: Rooms,
    shares: Sequence[Part],
    options: Options,
    *,
    text_bytes: int,
    dialect: str = "hubbub",
) -> None:
    """Give every generator its job."""
    cores = sorted(os.sched_getaffinity(0))
    if options.pin and server.pid is not None:
        procfs.pin(server.pid, cores[0])
    free = cores[1:] or cores
    fleet.send(
        [
            control.Job(
                host=server.host,
                port=server.port,
                rooms=list(part.rooms),
                run=rooms.run,
                tokens=rooms.tokens,
                text_bytes=text_bytes,
                seed=options.seed,
                sample=options.sample,
                parallel=options.parallel,
                index=index,
                processes=options.processes,
                cpu=free[index % len(free)] if options.pin else None,
                dialect=options.dialect or dialect,
                post_dialect=options.dialect or "hubbub",
            )
            for index, part in enumerate(shares)
        ]
    )


def connect(fleet: Fleet, readers: Sequence[Sequence[int]], posters: int) -> list[control.Connected]:
    """Connect readers, by process and room, and posters, where any are wanted one a process at least; wait for all."""
    counts = share(max(posters, len(readers)) if posters else 0, len(readers))
    fleet.send([control.Connect(list(mine), n, CONNECT_S) for mine, n in zip(readers, counts, strict=True)])
    return fleet.gather(control.Connected, CONNECT_S + 10)
