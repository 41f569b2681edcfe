"""The command against the fake server."""

import json

import pytest
from click.testing import CliRunner

from hubbub.bench.rest.cli import rest

QUICK = ("--connections", "4", "--rooms", "2", "--page-items", "5", "--seconds", "0.3", "--warm-up", "0.1")


def test_both_parts_run_and_say_how_they_were_made(fake_rest) -> None:
    """One JSON array of two results; another shape than the frozen one has no budgets."""
    done = CliRunner().invoke(rest, (*QUICK, "--url", fake_rest.url, "--json", "-"))
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)
    assert [result["scenario"]["part"] for result in results] == ["posts", "reads"]
    assert [result["budgets"] for result in results] == [[], []]
    assert results[0]["scenario"]["load"]["in_flight"] == 4


def test_a_lie_is_exit_code_1(fake_rest) -> None:
    """A lost post fails the command and names what broke."""
    fake_rest.forget = {3}
    done = CliRunner().invoke(rest, (*QUICK, "--part", "posts", "--rate", "100", "--url", fake_rest.url))
    assert done.exit_code == 1
    assert "posts_lost" in done.output


@pytest.mark.parametrize("arguments", [("--part", "else"), ("--text-bytes", "3"), ("--rate", "0")])
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    """Impossible options are refused before anything starts."""
    assert CliRunner().invoke(rest, arguments).exit_code == 2
