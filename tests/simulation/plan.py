"""The plan of one simulation: who writes, who reads, what goes wrong and when. Data, drawn from a seed, shrunk by leaving out."""

from __future__ import annotations

import random
from typing import Any, Final

import msgspec

WRITERS: Final = ("rest", "rpc", "publish", "embedder", "burst")
READERS: Final = ("sse", "socket", "sockets", "embedder", "pages", "log")

# kind: (how often it is drawn, least and greatest amount); an amount is seconds, steps or bytes, as `faults.py` says.
FAULTS: Final[dict[str, tuple[int, float, float]]] = {
    "kill": (3, 0, 400),
    "power_cut": (1, 0, 400),
    "stop": (2, 0, 0),
    "zombie": (1, 0.5, 6),
    "crash_actor": (8, 0, 12),
    "crash_loop": (1, 2, 8),
    "crash_writer": (2, 0, 20),
    "crash_read": (1, 0, 6),
    "poison_command": (1, 0, 0),
    "poison_row": (1, 0, 0),
    "lose_store": (2, 0, 0),
    "store_away": (4, 0.1, 15),
    "reads_away": (1, 0.1, 6),
    "disk_full": (1, 0.5, 12),
    "slow_commits": (1, 0.5, 10),
    "commit_away": (1, 1, 3),
    "commit_lost": (3, 1, 3),
    "commit_stored": (3, 1, 3),
    "commit_late": (3, 1, 3),
    "commit_deadlock": (1, 1, 4),
    "commit_hang": (2, 1, 2),
    "cut": (4, 0, 0),
    "cut_all": (1, 0, 0),
    "half_open": (2, 0, 0),
    "stall": (3, 1, 60),
    "dribble": (1, 1, 8),
    "delay": (1, 0.05, 1.5),
    "clock_step": (1, -3600, 3600),
    "release": (1, 0, 0),
    "archive": (2, 0.5, 8),
}


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that goes wrong.

    Attributes:
        at_s: when, seconds from the beginning.
        kind: one of `FAULTS`.
        target: which room, link or client, modulo how many there are.
        amount: how long or how much.
    """

    at_s: float
    kind: str
    target: int
    amount: float


class WriterPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who posts, over one transport, to all rooms in turn."""

    kind: str
    posts: int
    pause_s: float
    text_bytes: int


class ReaderPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who follows one room. `stays_s`: how long before it leaves and comes back; `from_start`: else it begins live."""

    kind: str
    room: int
    stays_s: float
    from_start: bool


class ClubPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A room whose members change: how many people, how many changes, and how long between two."""

    people: int
    changes: int
    pause_s: float


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One simulation. `bounds`: settings of the engine by name; `window_bytes`: of each direction of a connection; `club`: a
    room besides, or None."""

    seed: int
    seconds: float
    rooms: int
    bounds: dict[str, int | float]
    window_bytes: int
    writers: tuple[WriterPlan, ...]
    readers: tuple[ReaderPlan, ...]
    faults: tuple[Fault, ...]
    club: ClubPlan | None = None

    def to_json(self) -> str:
        """For a file, or a bug report."""
        return msgspec.json.format(msgspec.json.encode(self)).decode()


def from_json(text: str | bytes) -> Plan:
    """A plan out of a file."""
    return msgspec.json.decode(text, type=Plan)


def draw(seed: int) -> Plan:
    """The plan of a seed: always the same one."""
    rng = random.Random(f"plan {seed}")
    seconds = rng.choice((10.0, 20.0, 40.0))
    rooms = rng.choice((1, 1, 2, 3))
    faults = rng.choice((0, 2, 4, 8, 12))
    return Plan(
        seed=seed,
        seconds=seconds,
        rooms=rooms,
        bounds=_bounds(rng),
        window_bytes=rng.choice((1_500, 6_000, 40_000)),
        writers=tuple(_writer(rng, seconds) for _ in range(rng.randint(2, 5))),
        readers=tuple(_reader(rng, rooms) for _ in range(rng.randint(2, 7))),
        faults=tuple(sorted((_fault(rng, seconds) for _ in range(faults)), key=lambda fault: fault.at_s)),
        club=_club(random.Random(f"club plan {seed}"), seconds),
    )


def _bounds(rng: random.Random) -> dict[str, Any]:
    return {
        "tail_items": rng.choice((4, 16, 64)),
        "tail_bytes": rng.choice((4_000, 60_000)),
        "tail_load_items": rng.choice((3, 10, 50)),
        "mailbox_items": rng.choice((4, 32, 256)),
        "waiting_items": rng.choice((4, 64)),
        "batch_items": rng.choice((1, 3, 16)),
        "dedupe_items": rng.choice((1, 8, 64)),
        "write_bytes": rng.choice((300, 2_000, 20_000)),
        "pass_items": rng.choice((1, 2, 16)),
        "idle_s": rng.choice((0.5, 3.0, 60.0)),
        "page_items": rng.choice((3, 10, 50)),
        "page_bytes": rng.choice((600, 8_000)),
        "paging_subscribers": rng.choice((1, 8)),
        "tails_bytes": rng.choice((6_000, 100_000)),
        "post_deadline_s": rng.choice((0.3, 2.0, 10.0)),
        "queue_items": rng.choice((4, 20, 20_000)),
        "commit_items": rng.choice((2, 128)),
    }


def _writer(rng: random.Random, seconds: float) -> WriterPlan:
    posts = rng.randint(3, 25)
    return WriterPlan(
        kind=rng.choice(WRITERS),
        posts=posts,
        pause_s=rng.choice((0.0, 0.5, 1.0)) * seconds / posts,
        text_bytes=rng.choice((0, 60, 600)),
    )


def _reader(rng: random.Random, rooms: int) -> ReaderPlan:
    return ReaderPlan(
        kind=rng.choice(READERS),
        room=rng.randrange(rooms),
        stays_s=rng.choice((1.0, 5.0, 1_000.0)),
        from_start=rng.random() < 0.7,
    )


def _club(rng: random.Random, seconds: float) -> ClubPlan | None:
    if rng.random() < 0.5:
        return None
    changes = rng.randint(5, 40)
    return ClubPlan(people=rng.randint(2, 5), changes=changes, pause_s=rng.choice((0.2, 0.6, 1.0)) * seconds / changes)


def _fault(rng: random.Random, seconds: float) -> Fault:
    kinds = list(FAULTS)
    kind = rng.choices(kinds, [FAULTS[kind][0] for kind in kinds])[0]
    _, least, greatest = FAULTS[kind]
    return Fault(
        at_s=round(rng.uniform(0.05, seconds), 3),
        kind=kind,
        target=rng.randrange(1_000),
        amount=round(rng.uniform(least, greatest), 3),
    )
