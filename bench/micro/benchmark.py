"""What a microbenchmark is: a name, what one operation means, and a function that prepares the call to be measured."""

from __future__ import annotations

from collections.abc import Callable

import attrs

Call = Callable[[], object]


@attrs.frozen(kw_only=True)
class Benchmark:
    """One thing that is measured.

    Attributes:
        name: ``subject/what``, unique.
        what: what one operation is, for people.
        make: prepares everything and returns the call; nothing of this is measured. Called anew for each measurement.
        operations: how many operations one call carries out.
        period: calls after which the work repeats itself (a trim every so many appends); counts span whole periods.
        counted: whether the bytecode of a call is the same each time; not so where trio's loop runs.
    """

    name: str
    what: str
    make: Callable[[], Call]
    operations: int = 1
    period: int = 1
    counted: bool = True
