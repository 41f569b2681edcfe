"""Which shape the commands run, and whether its budgets may be judged."""

import pytest
from click.testing import CliRunner

from hubbub.bench import commands
from hubbub.bench.cli import bench


def scenario_of(monkeypatch: pytest.MonkeyPatch, *words: str):
    seen = []
    monkeypatch.setattr(commands, "_one", lambda common, run: seen.append(run.keywords["scenario"]))
    done = CliRunner().invoke(bench, list(words))
    assert done.exit_code == 0, done.output
    return seen[0]


@pytest.mark.parametrize(
    ("words", "judged"),
    [
        (["idle"], True),
        (["idle", "--seconds", "9"], True),
        (["idle", "--connections", "20"], False),
        (["connect"], True),
        (["connect", "--connections", "20"], False),
        (["connect", "--rooms", "3"], False),
        (["reconnect"], True),
        (["reconnect", "--missed", "3"], False),
        (["durable", "--in-flight", "3"], False),
        (["slow", "--rate", "3"], False),
    ],
)
def test_budgets_are_judged_in_their_shape_only(
    monkeypatch: pytest.MonkeyPatch, words: list[str], judged: bool
) -> None:
    """Another shape has no budgets, and a title of its own."""
    scenario = scenario_of(monkeypatch, *words)
    frozen = scenario_of(monkeypatch, words[0])
    assert bool(scenario.budgets) is judged
    assert (scenario.title == frozen.title) is judged
