"""Which round does what: a schedule from a seed. Pure.

A round depends on the seed, its fault and its number only. So the same round is played again whatever else is chosen, and
adding a fault changes no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Final

import attrs

from .kinds import Fault, Span

ACKS: Final = (20, 150)
"""Range of the acks before the fault."""
PAUSE_S: Final = 0.02
"""The fault comes up to this long after them, so anywhere between two commits."""
_AT_TIMES: Final = 5


@attrs.frozen(kw_only=True)
class Round:
    """One fault at one moment.

    Attributes:
        fault: what is done.
        number: from 1, per fault.
        seed: for everything else that is left to chance in this round.
        acks: how many posts are acknowledged before.
        pause_s: how long after them the fault comes.
        lasts_s: how long it is kept up.
    """

    fault: Fault
    number: int
    seed: str
    acks: int
    pause_s: float
    lasts_s: float

    @property
    def name(self) -> str:
        """For people and for the conversation's id."""
        return f"{self.fault.name}-{self.number}"

    def random(self, purpose: str) -> Random:
        """A generator of its own for each purpose: tasks that interleave differently still draw the same."""
        return Random(f"{self.seed}/{purpose}")


def plan(faults: Iterable[Fault], *, rounds: int, seed: int) -> tuple[Round, ...]:
    """The rounds of these faults, `rounds` of each; those that share a scene stand together."""
    chosen = list(dict.fromkeys(faults))
    scenes = list(dict.fromkeys(fault.scene for fault in chosen))
    return tuple(
        _round(fault, number, seed)
        for scene in scenes
        for fault in chosen
        if fault.scene is scene
        for number in range(1, rounds + 1)
    )


def _round(fault: Fault, number: int, seed: int) -> Round:
    name = f"{seed}/{fault.name}/{number}"
    rng = Random(name)
    rare = fault.at_times if number % _AT_TIMES == 0 else None
    return Round(
        fault=fault,
        number=number,
        seed=name,
        acks=rng.randint(*ACKS),
        pause_s=rng.uniform(0.0, PAUSE_S),
        lasts_s=_within(rng, rare or fault.lasts),
    )


def _within(rng: Random, span: Span) -> float:
    return rng.uniform(span.least_s, span.most_s)
