"""What is known about figures."""

import ast
from pathlib import Path

import pytest

import hubbub.bench
from hubbub.bench.report.figures import KNOWN, Better, kind_of, number


def test_a_name_ends_in_its_unit() -> None:
    """Where a figure has a unit its name says so, as the result promises."""
    ends = {"ms": "_ms", "us": "_us", "1/s": "_per_s", "KiB": "_kib", "MiB": "_mib", "%": "_percent", "s": "_s", "": ""}
    for kind in KNOWN.values():
        assert kind.name.endswith(ends[kind.unit]), kind
        assert kind.means


def test_numbers_are_written_for_people() -> None:
    """Three digits that matter, and never as a power of ten where a thousand is meant."""
    assert [number(value) for value in (0, 0.0123, 12.34, 999.4, 999.96, 12_345.6)] == [
        *("0", "0.0123", "12.3", "999", "1,000", "12,346"),
    ]


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("deliveries_per_s", Better.HIGHER),
        ("delivery_p99_ms", Better.LOWER),
        ("rss_per_connection_kib", Better.LOWER),
        ("postgres_percent", Better.NEITHER),
        ("sheep_per_s", Better.HIGHER),
        ("shearing_p50_ms", Better.LOWER),
        ("sheep", Better.NEITHER),
    ],
)
def test_the_better_direction_is_known(name: str, better: Better) -> None:
    """Of our figures by name, of others by how the name ends."""
    assert kind_of(name, "").better is better


def test_every_figure_of_the_bench_is_known() -> None:
    """`Figure("...")` anywhere in the bench has its line, with the same unit: else no SLO could name it."""
    made: dict[str, str] = {}
    for file in Path(hubbub.bench.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(
                    func=ast.Name(id="Figure"), args=[ast.Constant(value=str(name)), _, ast.Constant(value=str(unit))]
                ):
                    made[name] = unit
    assert len(made) > 10
    assert {name: KNOWN[name].unit if name in KNOWN else None for name in made} == made
