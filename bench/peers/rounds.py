"""Measures hubbub and its peers in turn, so that whatever drifts on the machine hits all of them.

Round by round each shape is run by everyone before the next shape begins; every other round goes the other way round.
Each run has a fresh process, and the same generator with the same options. What fails is told beside the others' results.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

import attrs

from ..arrange import Options
from ..errors import BenchError
from ..report import Result, merged
from ..report.live import Live, Sample
from ..run import run_traffic
from ..run_storms import run_idle
from ..scenarios import FANOUT_A, FANOUT_B, IDLE_D, Idle, Traffic
from ..server import Server, started
from .catalogue import Peer
from .launch import launched
from .prepare import Unavailable

SCHEMA: Final = 1
HUBBUB: Final = "hubbub"
Shape = Traffic | Idle

_IDLE: Final = 2_000
SHAPES: Final[dict[str, Shape]] = {
    "A": attrs.evolve(FANOUT_A, budgets=()),
    "B": attrs.evolve(FANOUT_B, budgets=()),
    "D": attrs.evolve(
        IDLE_D, title=f"{_IDLE:,} idle connections in one room", connections=_IDLE, seconds=2, budgets=()
    ),
}


class Contender(Protocol):
    """Whoever is measured."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def dialect(self) -> str | None:
        """None for hubbub's own."""

    @property
    def settings(self) -> str: ...
    @property
    def durable(self) -> bool:
        """Whether an answer to a post says that it is stored."""

    def start(self) -> AbstractContextManager[tuple[Server, str]]:
        """A fresh server for the length of a `with` block, and its versions; errors as for `launch.launched`."""


@attrs.frozen(kw_only=True)
class Hubbub:
    """This project, with the Postgres that it brings."""

    name: str = HUBBUB
    title: str = "hubbub, durable"
    dialect: str | None = None
    settings: str = "as `hubbub serve` starts it"
    durable: bool = True

    @contextlib.contextmanager
    def start(self) -> Iterator[tuple[Server, str]]:
        """See `Contender`."""
        packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in (HUBBUB, "trio"))
        with started() as server:
            yield server, f"Python {platform.python_version()}, {packages}"


@attrs.frozen
class Other:
    """One of the peers."""

    peer: Peer
    durable: bool = False

    @property
    def name(self) -> str:
        """See `Contender`."""
        return self.peer.name

    @property
    def title(self) -> str:
        """See `Contender`."""
        return self.peer.title

    @property
    def dialect(self) -> str:
        """See `Contender`."""
        return self.peer.dialect

    @property
    def settings(self) -> str:
        """See `Contender`."""
        return self.peer.settings

    @contextlib.contextmanager
    def start(self) -> Iterator[tuple[Server, str]]:
        """See `Contender`."""
        with launched(self.peer) as running:
            yield running.server, running.versions


@attrs.frozen(kw_only=True)
class Standing:
    """What was found of one contender.

    Attributes:
        results: By the name of the shape; of several rounds medians with their spread.
        failed: Shapes that could not be run in some round, and why.
    """

    name: str
    title: str
    versions: str
    settings: str
    durable: bool
    results: Mapping[str, Result]
    failed: Mapping[str, str]


@attrs.frozen(kw_only=True)
class Comparison:
    """Everything that a comparison found.

    Attributes:
        unavailable: Contenders that cannot run here, and why.
    """

    schema: int = SCHEMA
    command: str
    rounds: int
    standings: Sequence[Standing]
    unavailable: Mapping[str, str]


@attrs.define
class _Notes:
    """What is known of a contender so far."""

    contender: Contender
    versions: str = ""
    unavailable: str = ""
    runs: dict[str, list[Result]] = attrs.field(factory=dict)
    failed: dict[str, str] = attrs.field(factory=dict)

    def standing(self) -> Standing:
        return Standing(
            name=self.contender.name,
            title=self.contender.title,
            versions=self.versions,
            settings=self.contender.settings,
            durable=self.contender.durable,
            results={shape: merged(runs) for shape, runs in self.runs.items()},
            failed=self.failed,
        )


def compare(
    contenders: Sequence[Contender],
    shapes: Mapping[str, Shape],
    *,
    rounds: int,
    options: Options,
    command: str,
    live: Live,
) -> Comparison:
    """Run every shape with every contender, `rounds` times.

    Args:
        options: For all; the dialect is each contender's own.
        command: What to type to make it again.
        live: Gets told how it goes.
    """
    notes = [_Notes(contender) for contender in contenders]
    for number in range(rounds):
        for name, shape in shapes.items():
            for note in notes if number % 2 == 0 else notes[::-1]:
                if not note.unavailable:
                    where = f"round {number + 1} of {rounds}, {name}, {note.contender.name}"
                    _measure(note, name, shape, options, _Placed(live, where))
    return Comparison(
        command=command,
        rounds=rounds,
        standings=[note.standing() for note in notes if not note.unavailable],
        unavailable={note.contender.name: note.unavailable for note in notes if note.unavailable},
    )


@attrs.frozen
class _Placed:
    """Says whose turn it is before everything that is told."""

    live: Live
    where: str

    def say(self, text: str) -> None:
        self.live.say(f"{self.where}: {text}")

    def interval(self, sample: Sample) -> None:
        self.live.interval(sample)


def _measure(note: _Notes, name: str, shape: Shape, options: Options, live: Live) -> None:
    live.say("starting")
    try:
        with note.contender.start() as (server, note.versions):
            own = attrs.evolve(options, dialect=note.contender.dialect)
            result = _run(server, shape, own, live)
    except Unavailable as exc:
        note.unavailable = str(exc)
    except (BenchError, ProcessLookupError) as exc:
        note.failed[name] = str(exc)
    else:
        note.runs.setdefault(name, []).append(result)


def _run(server: Server, shape: Shape, options: Options, live: Live) -> Result:
    if isinstance(shape, Idle):
        return run_idle(server, scenario=shape, options=options, live=live)
    return run_traffic(server, scenario=shape, options=options, live=live)
