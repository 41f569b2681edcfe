"""Makes a plan that fails smaller, by leaving out faults, writers and readers as long as it still fails. Greedy, deterministic.

Leaving something out changes the schedule of everything else, so another bug may be what is left; its kind is kept the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from .plan import Plan
from .run import Outcome


def shrink(outcome: Outcome, run: Callable[[Plan], Outcome], *, tries: int = 200) -> Outcome:
    """The smallest failing outcome that was found.

    Args:
        outcome: one that failed.
        run: simulates a plan.
        tries: how many simulations at most.
    """
    kinds = {finding.kind for finding in outcome.findings}
    improved = True
    while improved:
        improved = False
        for smaller in candidates(outcome.plan):
            if tries <= 0:
                return outcome
            tries -= 1
            found = run(smaller)
            if kinds & {finding.kind for finding in found.findings}:
                outcome, improved = found, True
                break
    return outcome


def candidates(plan: Plan) -> Iterator[Plan]:
    """Plans that are smaller by one step, the greatest steps first."""
    for name in ("faults", "readers", "writers"):
        items = getattr(plan, name)
        width = len(items)
        while width:
            for start in range(0, len(items), width):
                rest = items[:start] + items[start + width :]
                if rest or name == "faults":
                    yield msgspec.structs.replace(plan, **{name: rest})
            width //= 2
    if plan.club is not None:
        yield msgspec.structs.replace(plan, club=None)
        if plan.club.changes > 1:
            fewer_changes = msgspec.structs.replace(plan.club, changes=plan.club.changes // 2)
            yield msgspec.structs.replace(plan, club=fewer_changes)
    for number, writer in enumerate(plan.writers):
        if writer.posts > 1:
            fewer = msgspec.structs.replace(writer, posts=writer.posts // 2)
            yield msgspec.structs.replace(plan, writers=(*plan.writers[:number], fewer, *plan.writers[number + 1 :]))
    if plan.rooms > 1:
        yield msgspec.structs.replace(plan, rooms=1)
