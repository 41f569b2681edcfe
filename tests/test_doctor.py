"""Tests of `hubbub doctor`: each check can fail, and then says what to do; it changes nothing and shows no secret."""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hubbub.cli import cli
from hubbub.doctor import database, machine
from hubbub.doctor.finding import Level
from hubbub.storage._account import Account
from hubbub.storage.upkeep import DatabaseFacts
from hubbub.transport.serve import ServeSettings

from .serverproc import data_folder, running_server

GOOD = {
    "server_version": "18.6",
    "server_version_num": "180006",
    "fsync": "on",
    "full_page_writes": "on",
    "max_connections": "20",
    "server_encoding": "UTF8",
}


def run(*arguments: str) -> Result:
    """The command, on a port that is free."""
    arguments = (*arguments, "--port", "0")
    return CliRunner().invoke(cli, ["doctor", *arguments])


def levels(result: Result) -> dict[str, str]:
    """How each check ended."""
    return {each["check"]: each["level"] for each in json.loads(result.output)["checks"]}


def facts(clock_s: float = 0.0, connections: int = 1, **settings: str) -> DatabaseFacts:
    """A database without fault but for these."""
    return DatabaseFacts(
        settings=GOOD | settings,
        clock_ahead_s=clock_s,
        clock_within_s=0.01,
        standby=False,
        size_bytes=1 << 20,
        connections=connections,
        holder=None,
    )


def of(wrong: DatabaseFacts) -> dict[str, Level]:
    """What the checks make of it."""
    return {found.check: found.level for found in database._of(wrong)}


def test_a_machine_without_data_is_fit(tmp_path: Path) -> None:
    """Nothing is there yet: nothing is wrong, and nothing is there afterwards."""
    done = run("--json", "--data", str(tmp_path / "none"))
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["ok"] is True
    assert set(levels(done).values()) <= {"ok", "warning"}
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_database_has_failed(tmp_path: Path) -> None:
    """Exit code 1; the password is in no line."""
    done = run("--data", str(tmp_path / "none"), "--database-url", "postgresql://u:secret@127.0.0.1:1/db")
    assert done.exit_code == 1
    assert "cannot connect to the database" in done.output
    assert "1 failed" in done.output
    assert "secret" not in done.output


@pytest.mark.server
def test_a_database_beside_its_server_and_alone() -> None:
    """The same checks pass both ways; the port of the running server is no fault."""
    with data_folder() as data:
        with running_server(data) as server:
            where = ["--json", "--data", str(data)]
            done = CliRunner().invoke(cli, ["doctor", *where, "--port", str(server.port)])
            assert done.exit_code == 0, done.output
            beside = levels(done)
            assert f"a server runs (pid {server.pid})" in done.output
        alone = levels(run(*where))
        assert alone == beside
        assert {"database", "writable", "schema", "clock", "commits on disk", "operator's token"} <= alone.keys()
        (data / "operator-token").chmod(0o644)
        data.chmod(0o777)
        wrong = run(*where)
        assert wrong.exit_code == 1
        assert (levels(wrong)["operator's token"], levels(wrong)["data directory"]) == ("warning", "failed")


def test_faults_of_a_database() -> None:
    """Each is found by its check and by no other."""
    assert set(of(facts()).values()) == {Level.OK}
    wrong = {
        "database": (facts(server_version_num="120019"), Level.FAILED),
        "commits on disk": (facts(fsync="off"), Level.FAILED),
        "connections": (facts(connections=18), Level.WARNING),
        "clock": (facts(-3600.0), Level.FAILED),
    }
    for check, (given, level) in wrong.items():
        assert {name: found for name, found in of(given).items() if found is not Level.OK} == {check: level}
    assert of(facts(2.0))["clock"] is Level.WARNING
    assert of(facts(server_encoding="SQL_ASCII"))["database"] is Level.FAILED


def test_a_taken_port_has_failed() -> None:
    """Unless a server of ours runs, whose it may be."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert machine.port(ServeSettings(host="127.0.0.1", port=number), server_pid=None).level is Level.FAILED
        assert machine.port(ServeSettings(host="127.0.0.1", port=number), server_pid=7).level is Level.OK
    assert machine.port(ServeSettings(host="127.0.0.1", port=number), server_pid=None).level is Level.OK
    assert machine.port(ServeSettings(host="192.0.2.1", port=number), server_pid=None).level is Level.FAILED


def test_missing_and_old_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are named; extras are not asked for."""
    wanted = ["trio>=0.30", "attrs<1", "no-such-package>=1", "starlette>=99; extra == 'peers'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: wanted)
    found = machine.packages()
    assert found.level is Level.FAILED
    assert found.text.startswith("attrs is 2")
    assert found.text.endswith("; no-such-package is missing")
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: wanted[:1])
    assert machine.packages().level is Level.OK


def test_limits_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Few files, a short queue, a full disk."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 4096))
    assert machine.files(ServeSettings()).level is Level.WARNING
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, resource.RLIM_INFINITY))
    assert machine.files(ServeSettings()).level is Level.OK
    queue = tmp_path / "somaxconn"
    monkeypatch.setattr(machine, "_SOMAXCONN", queue)
    assert machine.backlog(ServeSettings()).level is Level.OK
    queue.write_text("128\n")
    assert machine.backlog(ServeSettings()).level is Level.WARNING
    usage: Any = type("Usage", (), {"free": 10 << 20})
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage)
    assert machine.disk(tmp_path / "not" / "there").level is Level.FAILED


def test_a_directory_that_is_closed(tmp_path: Path) -> None:
    """A file in its place, and one that everybody may write to."""
    (tmp_path / "file").write_text("")
    assert next(machine.data_directory(tmp_path / "file", embedded=False)).level is Level.FAILED
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert next(machine.data_directory(shared, embedded=False)).level is Level.FAILED
    if os.geteuid() == 0:  # pytest's folders are closed to the user that Postgres runs as
        shared.chmod(0o711)
        closed = [found for found in machine.data_directory(shared, embedded=True) if found.level is Level.FAILED]
        assert [found.check for found in closed] == ["embedded Postgres"]


def test_a_user_without_an_account_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a container platform that makes numbers up: initdb refuses to run as one."""
    nobody = Account("10001", 3_999_999_999, 3_999_999_999)
    monkeypatch.setattr(machine, "choose_account", lambda cluster: nobody)
    monkeypatch.setattr(machine, "closed_path", lambda path, account: None)
    [found] = [each for each in machine.data_directory(tmp_path, embedded=True) if each.check == "embedded Postgres"]
    assert (found.level, found.text) == (Level.FAILED, "user 3999999999 has no account")
