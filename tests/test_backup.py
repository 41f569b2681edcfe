"""What `hubbub backup` and `restore` say: where a database is and never how to get in, and what no backup holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hubbub.cli import cli
from hubbub.database import place_of
from hubbub.storage.upkeep import Contents, Restored


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgresql://ada:hunter2@db.example.org:5433/hubbub?password=hunter2", "db.example.org:5433"),
        ("postgresql://ada:hun%40ter2@[::1]/hubbub", "[::1]"),
        ("postgresql://a,b:5433/hubbub", "a,b:5433"),
        ("postgresql:///hubbub?host=/run/postgresql&port=5433&password=hunter2", "/run/postgresql:5433"),
        ("postgresql:///hubbub", "localhost"),
    ],
)
def test_where_a_database_is(tmp_path: Path, url: str, host: str) -> None:
    """Host and port as the URL says, without user and password."""
    assert place_of(None, data=tmp_path, database_url=url).host() == host


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("command", ["backup", "restore"])
def test_that_settings_made_while_running_are_not_in_a_backup_is_said(tmp_path, monkeypatch, command, as_json) -> None:
    """One line on standard error names their file; what programs read is without it."""
    file = tmp_path / "hubbub.dump"
    file.touch()
    contents = Contents(name="hubbub", size_bytes=9, rows={"events": 1})
    restored = Restored(conversations=1, ended_sessions=0, ended_keys=0, keys=(), keys_in_force=0)
    monkeypatch.setattr("hubbub.backup._run_backup", lambda *_: (5, contents))
    monkeypatch.setattr("hubbub.backup._run_restore", lambda *_, **__: restored)
    args = [command, "--data", str(tmp_path / "data"), str(file), *(["--json"] if as_json else [])]
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 0, done.output
    [line] = done.stderr.splitlines()
    assert "`hubbub config set`" in line
    assert str(tmp_path / "data" / "admin-settings.json") in line
    assert "admin-settings" not in done.stdout
    if as_json:
        json.loads(done.stdout)
