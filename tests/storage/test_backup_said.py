"""What `hubbub backup` says it has written, of a Postgres that is somebody else's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hubbub.cli import cli

from .postgres_server import PostgresServer


@pytest.mark.postgres
def test_a_backup_says_of_what(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    """Host, name, size and rows, in words and as JSON; the password in neither."""
    url = postgres.url(database)
    where = (
        "--data",
        str(tmp_path / "data"),
        "--database-url",
        url + ("&" if "?" in url else "?") + "password=hunter2",
    )
    assert run("migrate", *where).exit_code == 0
    said = run("backup", *where, str(tmp_path / "a.dump"))
    assert said.exit_code == 0, said.output
    assert f"the database {database} at " in said.output
    assert "rows in " in said.output
    told = run("backup", *where, "--json", str(tmp_path / "b.dump"))
    found = json.loads(told.stdout)["database"]
    assert found["name"] == database
    assert found["bytes"] > 0
    assert found["rows"]["conversations"] == 0
    assert "hunter2" not in said.output + told.output


@pytest.mark.postgres
def test_a_backup_does_not_fail_for_counting(
    postgres: PostgresServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that cannot be counted in time are not counted, and the backup is made all the same."""
    where = ("--data", str(tmp_path / "data"), "--database-url", postgres.url(database))
    assert run("migrate", *where).exit_code == 0
    monkeypatch.setattr("hubbub.storage.upkeep._COUNT_S", 0.0)
    said = run("backup", *where, str(tmp_path / "a.dump"))
    assert said.exit_code == 0, said.output
    assert "rows not counted" in said.output
    assert (tmp_path / "a.dump").stat().st_size > 0
    told = run("backup", *where, "--json", str(tmp_path / "b.dump"))
    assert json.loads(told.stdout)["database"]["rows"] is None


def run(*arguments: str) -> Result:
    """A command of ours."""
    return CliRunner().invoke(cli, arguments)
