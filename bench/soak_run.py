"""Carries a soak out: fills the tails, starts the load, samples the server, lets everything arrive, judges."""

from __future__ import annotations

import math
import time
from typing import Final

import attrs
import trio

from .errors import BenchError
from .faults.client import Gone, Target
from .fleet import Tell
from .server import Server
from .soak_ledger import Checks
from .soak_load import Load, LoadPlan, loaded
from .soak_report import LEAST_JUDGED_S, SoakResult, sum_up
from .soak_trend import LEAST_POINTS
from .soak_watch import Sample, Watch, watching
from .soak_world import World, open_world

_SHARE: Final = 0.2
_WARM_UP_S: Final = (150.0, 600.0)  # rooms leave memory after a minute: before that their number has to rise


@attrs.frozen(kw_only=True)
class SoakPlan:
    """How a soak is made.

    Attributes:
        minutes: of load, after the tails have been filled.
        warm_up_s: of these, not judged; None: a fifth, between 2.5 and 10 minutes, and never more than half.
        interval_s: between two samples.
        load: how much is done.
        seed: of what is chosen at random.
        least_judged_s: a judged part that is shorter has no verdict; less than the default is for tests only.
    """

    minutes: float = 10.0
    warm_up_s: float | None = None
    interval_s: float = 5.0
    load: LoadPlan = attrs.field(factory=LoadPlan)
    seed: int = 1
    least_judged_s: float = LEAST_JUDGED_S

    @property
    def too_short(self) -> bool:
        """Whether it is known before that nothing will be judged."""
        samples = math.floor((self.minutes * 60 - self.left_out_s) / self.interval_s)
        return samples < LEAST_POINTS or (samples - 1) * self.interval_s < self.least_judged_s

    @property
    def left_out_s(self) -> float:
        """How long the warm-up is."""
        if self.warm_up_s is not None:
            return self.warm_up_s
        least_s, most_s = _WARM_UP_S
        return min(max(_SHARE * self.minutes * 60, least_s), most_s, self.minutes * 30)


async def soak(server: Server, token: str, plan: SoakPlan, tell: Tell) -> SoakResult:
    """Run one soak.

    Args:
        server: where to; not stopped.
        token: its operator's.
        plan: how.
        tell: gets lines of progress.

    Raises:
        BenchError: it could not be run to its end.
    """
    started_at = time.time()
    tell("opening the rooms")
    world = await open_world(Target(server.host, server.port), plan.seed)
    async with loaded(world, plan.load) as load:
        tell(f"filling the tails with {plan.load.fill_items:,} posts each")
        await load.fill()
        async with watching(server, token) as watch:
            load.begin()
            samples = await _watch(watch, world, plan, tell)
        tell("letting everything arrive")
        checks = await _check(world, load)
    return sum_up(
        started_at=started_at,
        plan=attrs.asdict(plan),
        server=server.url,
        samples=samples,
        warm_up_s=plan.left_out_s,
        least_judged_s=plan.least_judged_s,
        checks=checks,
        happened=world.happened,
    )


async def _watch(watch: Watch, world: World, plan: SoakPlan, tell: Tell) -> list[Sample]:
    samples: list[Sample] = []
    start = trio.current_time()
    end_s = plan.minutes * 60
    number = 0
    while (number + 1) * plan.interval_s <= end_s:
        number += 1
        await trio.sleep_until(start + number * plan.interval_s)
        samples.append(await watch.sample(*world.timed()))
        tell(_progress(samples[-1], world.ledger.so_far(), plan))
    return samples


def _progress(sample: Sample, checks: Checks, plan: SoakPlan) -> str:
    values = sample.values
    warm = " (warm-up)" if sample.at_s < plan.left_out_s else ""
    broken = f", BROKEN: {', '.join(checks.broken())}" if checks.broken() else ""
    return (
        f"{sample.at_s / 60:.1f} of {plan.minutes:g} min{warm}: {checks.acked:,} acked, {checks.delivered:,} delivered, "
        f"RSS {values['rss']:.1f} MiB, {values['tasks']:.0f} tasks, {values['descriptors']:.0f} descriptors, "
        f"delivery p99 {values.get('delivery_p99', 0):.0f} ms{broken}"
    )


async def _check(world: World, load: Load) -> Checks:
    behind = await load.settle()
    try:
        stored = {room: await world.stored(room) for room in world.everywhere()}
    except Gone as error:
        raise BenchError(f"the logs could not be read back: {error}") from error
    return world.ledger.finish(stored, behind)
