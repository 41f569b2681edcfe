"""What the bench and an attacking process say to each other: JSON lines on stdin and stdout. Data only.

The bench sends a `Job`; the attacker answers `Ready` once it could begin; the bench sends `Go`; the attacker ends by itself
and says `Report`. Times are on the system-wide monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One process's part of an attack.

    Attributes:
        attack: Its name in the catalogue.
        room: The healthy clients' conversation.
        token: Access token of a guest.
        first: Number of this process's first connection; numbers are unique over all processes.
        count: Connections held at the same time by this process.
        seed: Of what it draws.
        share: For the innocent burner: CPU to use, 1.0 is a core.
    """

    attack: str
    host: str
    port: int
    room: str
    token: str
    first: int
    count: int
    seed: int
    share: float = 0.0


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The process is up."""


class Go(msgspec.Struct, frozen=True, tag=True):
    """Attack now, begin nothing new after `end_ns`."""

    end_ns: int


class Report(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """What came of it.

    Attributes:
        outcomes: How connections ended, each counted once.
        replies: What single requests and commands were answered with.
        cpu_s: CPU time of this process from `Go` on.
    """

    outcomes: dict[str, int]
    replies: dict[str, int]
    cpu_s: float


read_job: Final[Callable[[bytes], Job]] = msgspec.json.Decoder(Job).decode
read_go: Final[Callable[[bytes], Go]] = msgspec.json.Decoder(Go).decode
read_answer: Final[Callable[[bytes], Ready | Report]] = msgspec.json.Decoder(Ready | Report).decode


def line(value: Job | Go | Ready | Report) -> bytes:
    """One value as a line."""
    return msgspec.json.encode(value) + b"\n"
