"""Starting, refusing and stopping the real server, as an operator sees it."""

import contextlib
import os
import signal
import subprocess
import sys

import httpx
import pytest

from ..serverproc import ServerProcess, data_folder, running_server, wait_until

pytestmark = pytest.mark.server

EMBEDDED_USER_DSN = "postgresql://hubbub@/hubbub?host={host}&port=5432"


def refused(*args: str) -> str:
    """Run `serve` where it cannot start; its one line on standard error."""
    command = [sys.executable, "-m", "hubbub", "serve", *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def post(server: ServerProcess, key: str) -> int:
    """Post as a new guest; the message's offset."""
    with httpx.Client(base_url=server.url, timeout=20) as client:
        token = client.post("/api/v1/auth/guest", json={"name": "Ada"}).json()["token"]
        headers = {"authorization": f"Bearer {token}", "idempotency-key": key}
        answer = client.post("/api/v1/conversations/lobby/messages", json={"text": key}, headers=headers)
        assert answer.status_code == 201
        offset = answer.json()["offset"]
        assert isinstance(offset, int)
        return offset


def test_ctrl_c_in_a_terminal_drains_and_stops_postgres_last() -> None:
    """SIGINT to the whole foreground group ends the server with 0, and its Postgres with it."""
    with data_folder() as data, running_server(data) as server:
        assert post(server, "one") == 1
        os.killpg(server.pid, signal.SIGINT)
        assert server.wait() == 0
        assert server.postgres_pids() == []
        assert "Traceback" not in server.output()
        with running_server(data, port=server.port) as again:
            assert post(again, "two") == 2


def test_a_second_signal_quits_at_once() -> None:
    """While a drain waits for a posting client, a second SIGTERM ends the process, and the data is whole afterwards."""
    with data_folder() as data, running_server(data) as server:
        assert post(server, "one") == 1
        for pid in server.postgres_pids():
            os.kill(pid, signal.SIGSTOP)  # the drain now waits for a database that does not answer
        with httpx.Client(base_url=server.url, timeout=0.5) as client, pytest.raises(httpx.TimeoutException):
            client.post("/api/v1/auth/guest", json={"name": "Bob"})
        server.terminate()
        wait_until(lambda: "stopping" in server.output(), "the drain begins")
        server.terminate()
        assert server.wait(5) == 130
        for pid in server.postgres_pids():
            os.kill(pid, signal.SIGCONT)
        with running_server(data) as again:
            assert post(again, "two") == 2


def test_an_orphaned_postgres_is_taken_care_of() -> None:
    """kill -9 of the server leaves its Postgres; the next start ends it and finds everything."""
    with data_folder() as data, running_server(data) as server:
        assert post(server, "one") == 1
        server.kill()
        orphans = server.postgres_pids()
        assert orphans
        with running_server(data, port=server.port) as again:
            assert post(again, "two") == 2
            assert not set(orphans) & set(again.postgres_pids())


def test_a_killed_postgres_is_mended_by_the_running_server() -> None:
    """kill -9 of Postgres: the next post waits for the new one and is acknowledged."""
    with data_folder() as data, running_server(data) as server:
        assert post(server, "one") == 1
        first = set(server.postgres_pids())
        for pid in first:
            with contextlib.suppress(ProcessLookupError):  # its children go with the postmaster
                os.kill(pid, signal.SIGKILL)

        def mended() -> bool:
            assert httpx.get(server.url + "/health").status_code == 200
            ready = httpx.get(server.url + "/health/ready").status_code == 200
            return ready and not first & set(server.postgres_pids())

        wait_until(mended, "Postgres is started again")
        assert post(server, "two") == 2


def test_second_servers_are_refused() -> None:
    """On one data directory, one database or one port a second server says why it does not start."""
    with data_folder() as data, running_server(data) as server:
        assert f"another server (pid {server.pid})" in refused("--port", "0", "--data", str(data))
        dsn = EMBEDDED_USER_DSN.format(host=data / "socket")
        assert "another" in refused("--port", "0", "--database-url", dsn)
        assert "taken by another program" in refused("--port", str(server.port), "--data", str(data.parent / "other"))
