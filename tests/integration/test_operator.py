"""The operator's surface of a real server: the token's file, the commands, and a quarantine seen and ended from outside."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families

from hubbub.cli import cli
from hubbub.operator_token import FILE_NAME

from ..serverproc import ServerProcess, data_folder, running_server, start_server

pytestmark = pytest.mark.server
NOTHING_SAID = {"HUBBUB_OPERATOR_TOKEN": None, "HUBBUB_TOKEN": None, "HUBBUB_URL": None, "XDG_CONFIG_HOME": None}
POISONED = (sys.executable, str(Path(__file__).with_name("poisoned.py")))


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """`hubbub serve`, for tests that change nothing."""
    with data_folder() as data, running_server(data) as running:
        yield running


@pytest.fixture
def poisoned() -> Iterator[ServerProcess]:
    """A server in which posts to `poison` crash the room."""
    with data_folder() as data:
        running = start_server(data, program=POISONED)
        try:
            yield running
        finally:
            running.close()


def run(server: ServerProcess, *arguments: str, token: str | None = None) -> Result:
    """A command of ours against a server."""
    where = ["--url", server.url] + (["--token", token] if token else ["--data", str(server.data_dir)])
    return CliRunner().invoke(cli, [*arguments, *where], env=NOTHING_SAID)


def operator(server: ServerProcess) -> httpx.Client:
    """A client with the operator's token."""
    token = (server.data_dir / FILE_NAME).read_text().strip()
    return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)


def guest(server: ServerProcess) -> httpx.Client:
    """A client with a guest's token."""
    token = httpx.post(server.url + "/api/v1/auth/guest", json={"name": "Eve"}, trust_env=False).json()["token"]
    return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)


def test_the_token_is_a_file_for_the_servers_user_alone(server: ServerProcess) -> None:
    """Mode 0600, and nowhere in what the server prints."""
    path = server.data_dir / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() not in server.output()


def test_the_tree_in_a_terminal(server: ServerProcess) -> None:
    """The parts of the engine by name; as JSON for programs."""
    with guest(server) as eve:
        assert eve.post("/api/v1/conversations/lobby/messages", json={"text": "hello"}).status_code == 201
    drawn = run(server, "tree")
    assert drawn.exit_code == 0, drawn.output
    for part in ("engine", "storage", "reads", "housekeeping", "conversations", "lobby", "running"):
        assert part in drawn.output
    told = run(server, "tree", "--json")
    assert json.loads(told.output)["tree"]["name"] == "engine"


def test_the_figures_of_a_real_server(server: ServerProcess) -> None:
    """Prometheus's parser reads them; its scrapes are connections like all others."""
    with operator(server) as client:
        page = client.get("/metrics")
    found = {s.name: s.value for family in text_string_to_metric_families(page.text) for s in family.samples}
    assert found["hubbub_ready"] == 1
    assert found["hubbub_connections"] >= 1
    assert found["process_resident_memory_bytes"] > 10_000_000
    assert found["hubbub_loop_lag_seconds_count"] > 0


def test_a_guest_is_no_operator(server: ServerProcess) -> None:
    """403 with a guest's token, 401 without any."""
    with guest(server) as eve:
        assert eve.get("/api/v1/admin/tree").status_code == 403
        assert eve.get("/metrics").status_code == 403
        assert httpx.get(server.url + "/metrics", trust_env=False).status_code == 401


def test_what_cannot_be_done_is_said(server: ServerProcess, tmp_path: Path) -> None:
    """One line, and 77 for a wrong token or none, 1 for all else: nobody there, nothing to release."""
    wrong = run(server, "tree", token="hbo_" + "w" * 43)
    assert (wrong.exit_code, "another server" in wrong.output) == (77, True)
    none = CliRunner().invoke(cli, ["tree", "--url", server.url, "--data", str(tmp_path)])
    assert (none.exit_code, "no operator's token" in none.output) == (77, True)
    nobody = CliRunner().invoke(cli, ["tree", "--url", "http://127.0.0.1:1", "--data", str(server.data_dir)])
    assert (nobody.exit_code, "cannot reach" in nobody.output) == (1, True)
    calm = run(server, "release", "lobby")
    assert (calm.exit_code, "no such conversation is quarantined" in calm.output) == (1, True)
    with guest(server) as eve:
        theirs = run(server, "tree", token=eve.headers["Authorization"].removeprefix("Bearer "))
    assert (theirs.exit_code, "a guest's or a user's token" in theirs.output) == (77, True)
    both = run(server, "tree", "--json", "--watch")
    assert both.exit_code == 2
    piped = run(server, "tree", "--watch")
    assert (piped.exit_code, "terminal" in piped.output) == (2, True)


def test_the_tree_is_watched_until_interrupted(server: ServerProcess) -> None:
    """In a terminal it is drawn anew each second; Ctrl-C ends it with 130."""
    terminal, its_end = pty.openpty()
    command = [sys.executable, "-m", "hubbub", "tree", "--watch", "--url", server.url, "--data", str(server.data_dir)]
    process = subprocess.Popen(command, stdin=its_end, stdout=its_end, stderr=its_end, process_group=0)
    os.close(its_end)
    shown = b""
    try:
        while shown.count(b"housekeeping") < 2:
            assert select.select([terminal], [], [], 30.0)[0], shown
            shown += os.read(terminal, 65536)
        process.send_signal(signal.SIGINT)
        # Its last words must be taken: a terminal that nobody reads fills, and then it waits for ever to say them.
        with contextlib.suppress(OSError):  # EIO: its end of the terminal is closed
            while select.select([terminal], [], [], 30.0)[0] and os.read(terminal, 65536):
                pass
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def test_a_token_of_this_machine_stays_on_it(tmp_path: Path) -> None:
    """A URL alone, perhaps from the environment, does not carry the default directory's token elsewhere."""
    done = CliRunner().invoke(
        cli, ["tree"], env={**NOTHING_SAID, "HUBBUB_URL": "http://192.0.2.1:8000", "HOME": str(tmp_path)}
    )
    assert (done.exit_code, "is another machine" in done.output) == (77, True)


def test_the_token_survives_a_restart() -> None:
    """Monitoring goes on with the token it has."""
    with data_folder() as data:
        with running_server(data):
            token = (data / FILE_NAME).read_text()
        with running_server(data) as again:
            assert (data / FILE_NAME).read_text() == token
            assert run(again, "tree").exit_code == 0


def test_a_quarantine_is_seen_and_ended(poisoned: ServerProcess) -> None:
    """A room that crashes again and again is named with its reason everywhere; `hubbub release` ends it."""
    with guest(poisoned) as eve, operator(poisoned) as client:
        codes = []
        for number in range(100):
            answer = eve.post("/api/v1/conversations/poison/messages", json={"text": f"post {number}"}, timeout=30)
            codes.append(answer.json()["code"])
            if codes[-1] == "quarantined":
                break
        assert codes[-1] == "quarantined", codes
        assert eve.post("/api/v1/conversations/lobby/messages", json={"text": "well"}).status_code == 201
        [found] = client.get("/api/v1/admin/quarantined").json()["quarantined"]
        assert found["conversation"] == "poison"
        assert "this store has a bug" in found["reason"]
        figures = client.get("/metrics").text
        assert "hubbub_conversations_quarantined 1.0" in figures
        tree = run(poisoned, "tree").output
        assert "quarantined" in tree
        assert "this store has a bug" in " ".join(tree.split())
        released = run(poisoned, "release", "poison")
        assert (released.exit_code, released.output) == (0, "released poison\n")
        assert client.get("/api/v1/admin/quarantined").json() == {"quarantined": []}
        again = eve.post("/api/v1/conversations/poison/messages", json={"text": "again"}, timeout=30)
        assert again.json()["code"] != "quarantined"
