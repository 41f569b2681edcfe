"""Tests of `hubbub migrate` on the embedded database: what is missing, what runs, and the word after a restore."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from hubbub.cli import cli
from hubbub.storage.migrate import packaged

from .serverproc import data_folder, running_server


def run(*arguments: str) -> Result:
    """A command of ours."""
    return CliRunner().invoke(cli, list(arguments))


def epoch(url: str) -> str:
    """The epoch of the lobby."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        token = client.post("/api/v1/auth/guest", json={"name": "Ada"}).json()["token"]
        answer = client.get("/api/v1/conversations/lobby", headers={"authorization": f"Bearer {token}"})
        return str(answer.json()["epoch"])


def test_wrong_usage() -> None:
    """Exit code 2: a URL of another form, which is not repeated; changing and not changing at once; half a restore."""
    strange = run("migrate", "--database-url", "mysql://root:secret@h/db")
    assert (strange.exit_code, "secret" in strange.output) == (2, False)
    assert run("migrate", "--status", "--restored").exit_code == 2
    assert run("migrate", "--keep-sessions").exit_code == 2


def test_no_database_is_made_by_looking(tmp_path: Path) -> None:
    """Exit code 1, and nothing is there afterwards."""
    for flags in (["--status"], [], ["--restored"]):
        done = run("migrate", *flags, "--data", str(tmp_path / "none"))
        assert (done.exit_code, "no database" in done.output) == (1, True)
    assert not (tmp_path / "none").exists()


def test_a_database_that_cannot_be_reached() -> None:
    """Exit code 1, one line, no password."""
    done = run("migrate", "--database-url", "postgresql://u:secret@127.0.0.1:1/db")
    assert done.exit_code == 1
    assert done.output.startswith("hubbub: cannot connect to the database")
    assert "secret" not in done.output


@pytest.mark.server
def test_the_schema_of_an_embedded_database() -> None:
    """Beside a server it is looked at and not changed; without one, `--restored` renews the epochs."""
    with data_folder() as data:
        where = ["--data", str(data)]
        with running_server(data) as server:
            first = epoch(server.url)
            found = run("migrate", "--status", "--json", *where)
            assert found.exit_code == 0
            told = json.loads(found.output)
            assert (told["missing"], told["server"] is None) == ([], False)
            for flags in ([], ["--restored"]):
                refused = run("migrate", *flags, *where)
                assert (refused.exit_code, f"a server (pid {server.pid}) runs" in refused.output) == (1, True)
            assert epoch(server.url) == first
            server.terminate()
            assert server.wait() == 0
        done = run("migrate", "--restored", *where)
        assert (done.exit_code, "conversations with a new epoch: 1" in done.output) == (0, True)
        with running_server(data) as server:
            assert epoch(server.url) != first


@pytest.mark.server
def test_what_is_missing_is_named_and_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3 from `--status` while something is missing, 0 from then on."""
    with data_folder() as data:
        where = ["--data", str(data)]
        with running_server(data):
            pass
        [*known, last] = packaged()
        later = type(last)(9999, "later", "create table later (number integer)")
        monkeypatch.setattr("hubbub.storage.upkeep.packaged", lambda: [*known, last, later])
        before = run("migrate", "--status", *where)
        assert (before.exit_code, before.output) == (3, "missing 9999_later\n")
        applied = run("migrate", *where)
        assert (applied.exit_code, applied.output) == (0, "applied 9999_later\n")
        after = run("migrate", "--status", *where)
        assert (after.exit_code, after.output) == (0, "the schema is up to date\n")
