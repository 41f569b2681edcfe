"""The command `hubbub bench peers`, usage and one real comparison."""

import json

import pytest
from click.testing import CliRunner

from hubbub.bench.cli import bench
from hubbub.bench.exits import EXIT_INTERRUPTED
from hubbub.bench.peers import cli


def test_an_unknown_peer_is_wrong_usage() -> None:
    """The names there are stand in the message."""
    result = CliRunner().invoke(bench, ["peers", "--peer", "nobody"])
    assert result.exit_code == 2
    assert "python-socketio" in result.output


def test_an_interrupted_comparison_ends_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in somebody's turn gives the exit code of all interrupted runs."""

    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "compare", interrupted)
    assert CliRunner().invoke(bench, ["peers"]).exit_code == EXIT_INTERRUPTED


@pytest.mark.server
@pytest.mark.postgres
def test_hubbub_and_a_peer_side_by_side() -> None:
    """Both deliver everything; only hubbub says that it stores."""
    arguments = ["peers", "--peer", "websockets", "--peer", "uwebsockets", "--shape", "A"]
    result = CliRunner().invoke(bench, [*arguments, "--seconds", "0.5", "--rounds", "1", "--json", "-"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [(standing["name"], standing["durable"]) for standing in found["standings"]] == [
        ("hubbub", True),
        ("websockets", False),
    ]
    assert [*found["unavailable"]] == ["uwebsockets"]
    for standing in found["standings"]:
        verdict = standing["results"]["A"]["verdict"]
        assert verdict["received"] == 1_000 * verdict["posts_acked"] > 0
