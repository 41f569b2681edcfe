"""Results to judge: made by hand, without a run."""

from collections.abc import Mapping, Sequence

import attrs

from hubbub.bench.invariants import Verdict
from hubbub.bench.measure import Histogram
from hubbub.bench.report import Curve, Figure, GeneratorUse, Result, Series
from hubbub.bench.scenarios import FANOUT_B, Traffic
from hubbub.bench.server import Server

UNITS = {"per_s": "1/s", "ms": "ms", "us": "us", "mib": "MiB", "kib": "KiB", "percent": "%"}
FIGURES = {"deliveries_per_s": 50_000.0, "delivery_p50_ms": 8.0, "delivery_p99_ms": 20.0, "cpu_per_delivery_us": 8.5}


def unit_of(name: str) -> str:
    return next((unit for end, unit in UNITS.items() if name.endswith("_" + end)), "")


def make(
    figures: Mapping[str, float] = FIGURES,
    *,
    scenario: Traffic = FANOUT_B,
    verdict: Verdict | None = None,
    cpu_percent: float = 40.0,
    notes: tuple[str, ...] = (),
    invalid_because: tuple[str, ...] = (),
    series: Mapping[str, Sequence[float | None]] | None = None,
) -> Result:
    curve = Histogram()
    for value in range(1, 2000):
        curve.record(value * 10_000)
    return Result.of(
        scenario=scenario,
        options={"seed": 1, "processes": 1},
        server=Server(url="http://127.0.0.1:1"),
        started_at=1_800_000_000,
        figures=[Figure(name, value, unit_of(name)) for name, value in figures.items()],
        verdict=verdict or Verdict(readers=2_000, received=1_000, posts_acked=500),
        generators=(GeneratorUse(cpu_percent, cpu_percent > 90),),
        notes=notes,
        invalid_because=invalid_because,
        series=[
            Series(name, unit_of(name), [float(second) for second in range(len(values))], list(values))
            for name, values in (series or {}).items()
        ],
        curves=[Curve.of("delivery", curve)],
    )


def make_runs(*all_figures: Mapping[str, float]) -> list[Result]:
    return [make(figures) for figures in all_figures]


def with_machine(result: Result, **changes: object) -> Result:
    return attrs.evolve(result, machine=attrs.evolve(result.machine, **changes))
