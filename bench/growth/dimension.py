"""What is varied, and what comes of it: cost curves, each with the law that it may follow at most."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from ..fleet import Tell
from .law import Law, exponent, law


@attrs.frozen(kw_only=True)
class Curve:
    """One cost at growing sizes.

    Attributes:
        what: the cost of what.
        unit: `us`, `B`, or a word for what is counted.
        allowed: the worst law that is no fault.
        floor: below this a cost cannot be told from nothing.
        points: size and cost, by size.
    """

    what: str
    unit: str
    allowed: Law
    floor: float = 1e-3
    points: tuple[tuple[float, float], ...] = ()

    def at(self, size: float, cost: float) -> Curve:
        """With one more point."""
        return attrs.evolve(self, points=(*self.points, (size, cost)))

    @property
    def found(self) -> Law:
        """The law that it follows."""
        return law(self.points, self.floor)

    @property
    def exponent(self) -> float | None:
        """Its slope; see `law.exponent`."""
        return exponent(self.points, self.floor)

    @property
    def broken(self) -> bool:
        """Whether it grows faster than it may."""
        return not self.found.within(self.allowed)


class Curves:
    """Cost curves that are being measured, by what they say."""

    def __init__(self, *curves: Curve) -> None:
        self._curves = {curve.what: curve for curve in curves}

    def add(self, what: str, size: float, cost: float) -> None:
        """One more point of one curve."""
        self._curves[what] = self._curves[what].at(size, cost)

    def measured(self) -> tuple[Curve, ...]:
        """Those with at least two points: a shorter one says nothing."""
        return tuple(curve for curve in self._curves.values() if len(curve.points) > 1)


@attrs.frozen(kw_only=True)
class Dimension:
    """One thing that is varied while all else stays.

    Attributes:
        name: of the command's `--only`.
        what: what is varied.
        where: on what: a real server, or an engine in this process.
        sizes: by size, at least two.
        run: measures at these sizes.
    """

    name: str
    what: str
    where: str
    sizes: tuple[int, ...]
    run: Callable[[Sequence[int], Tell], tuple[Curve, ...]]

    def upto(self, largest: int) -> tuple[int, ...]:
        """The sizes that are no larger; at least the first two."""
        return tuple(size for place, size in enumerate(self.sizes) if size <= largest or place < 2)
