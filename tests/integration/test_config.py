"""The configuration of a real server: reloaded in every way, under load, by admins, and over restarts."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from hubbub.operator_token import FILE_NAME

from ..serverproc import ServerProcess, data_folder, running_server, wait_until

pytestmark = pytest.mark.server

SECURITY = "/.well-known/security.txt"
CONFIG = "/api/v1/admin/config"
RELOADS = 100
REQUESTS_PER_S = 1_000
READERS = 4
HSTS_S = 1_000


def text_of(number: int) -> str:
    """A configuration of two sections whose parts all carry one number."""
    return f"""
[security_txt]
contact = ["mailto:{number}@example.org"]
expires = 2030-01-01T00:00:00Z
policy = ["https://example.org/{number}"]
hiring = ["https://example.org/{number}"]

[http]
hsts_s = {HSTS_S + number}
"""


def save(file: Path, text: str) -> None:
    """As editors do: another file takes its place."""
    scratch = file.with_name(file.name + ".new")
    scratch.write_text(text)
    scratch.replace(file)


@pytest.fixture
def file() -> Iterator[Path]:
    """A configuration beside the data of a server."""
    with data_folder() as data:
        file = data.parent / "hubbub.toml"
        save(file, text_of(0))
        yield file


@contextlib.contextmanager
def configured(file: Path, *args: str) -> Iterator[ServerProcess]:
    """A server with this file."""
    with running_server(file.parent / "data", "--config", str(file), *args, guests=False) as server:
        yield server


def numbers(server: ServerProcess) -> set[str]:
    """Which configurations the parts of one answer are of."""
    answer = httpx.get(server.url + SECURITY, trust_env=False)
    return numbers_of(answer.text, answer.headers.get("strict-transport-security", ""))


def numbers_of(text: str, hsts: str) -> set[str]:
    """The numbers of one answer: of its lines, from one section of the settings, and of a header, from another."""
    header = {str(int(hsts.removeprefix("max-age=")) - HSTS_S)} if hsts else {"none"}
    return set(re.findall(r"(?:mailto:|example\.org/)(\d+)", text)) | header


def health(server: ServerProcess) -> dict[str, Any]:
    """What anyone may know of the configuration."""
    found: dict[str, Any] = httpx.get(server.url + "/health", trust_env=False).json()["config"]
    return found


def operator(server: ServerProcess) -> httpx.Client:
    """A client with the operator's token."""
    token = (server.data_dir / FILE_NAME).read_text().strip()
    return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)


class Reader(threading.Thread):
    """Asks for four settings in one answer, so many times a second, until told to stop."""

    def __init__(self, port: int, every_s: float, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.seen: Counter[str] = Counter()
        self.mixed: list[str] = []
        self._port, self._every_s, self._stop_asking = port, every_s, stop

    def run(self) -> None:
        due = time.monotonic()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._port)) as connection:
            while not self._stop_asking.is_set():
                connection.request("GET", SECURITY)
                answer = connection.getresponse()
                text = answer.read().decode()
                found = numbers_of(text, answer.headers.get("strict-transport-security", ""))
                if answer.status != 200 or len(found) != 1:
                    self.mixed.append(f"{answer.headers}{text}")
                self.seen.update(found)
                due += self._every_s
                self._stop_asking.wait(max(0.0, due - time.monotonic()))


def test_five_independently_swapped_config_objects_let_readers_see_mixed_generations(file: Path) -> None:
    """A hundred reloads under a thousand requests a second: every answer is of one configuration, and each was noticed."""
    with configured(file) as server:
        stop = threading.Event()
        readers = [Reader(server.port, READERS / REQUESTS_PER_S, stop) for _ in range(READERS)]
        for reader in readers:
            reader.start()
        began = time.monotonic()
        took: list[float] = []
        for number in range(1, RELOADS + 1):
            started = time.monotonic()
            save(file, text_of(number))
            wait_until(lambda wanted=str(number): numbers(server) == {wanted}, f"configuration {number}")  # type: ignore[misc]
            took.append(time.monotonic() - started)
        lasted_s = time.monotonic() - began
        stop.set()
        for reader in readers:
            reader.join(30.0)
        assert [text for reader in readers for text in reader.mixed] == []
        seen = sum((reader.seen for reader in readers), Counter[str]())
        noticed = sorted(took)
        print(
            f"{seen.total()} answers ({seen.total() / lasted_s:.0f}/s) of {len(seen)} configurations; seen after"
            f" {noticed[RELOADS // 2] * 1000:.0f} ms (median), {noticed[-1] * 1000:.0f} ms (longest)"
        )
        assert len(seen) > RELOADS * 9 // 10
        assert health(server) == {"generation": RELOADS + 1, "reload": "ok"}


def test_a_bad_file_is_refused_and_health_says_so(file: Path) -> None:
    """The old settings stay; anyone sees that a reload failed, admins why; the next good file counts."""
    with configured(file) as server, operator(server) as admin:
        save(file, "[security_txt]\ncontcat = ['mailto:9@example.org']\n")
        wait_until(lambda: health(server)["reload"] == "failed", "the failure in /health")
        assert numbers(server) == {"0"}
        assert health(server) == {"generation": 1, "reload": "failed"}
        [told] = admin.get(CONFIG).json()["reload"]["problems"]
        assert told == f"{file}:2: security_txt.contcat: there is no such setting; did you mean security_txt.contact?"
        assert "did you mean security_txt.contact?" in server.output()
        save(file, text_of(2))
        wait_until(lambda: health(server) == {"generation": 2, "reload": "ok"}, "the good file")
        assert numbers(server) == {"2"}


def test_sighup_reads_again(file: Path) -> None:
    """It does not end the server, and counts as a reload."""
    with configured(file) as server, operator(server) as admin:
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: admin.get(CONFIG).json()["reload"]["at"] is not None, "a reading")
        assert health(server) == {"generation": 1, "reload": "ok"}
        assert numbers(server) == {"0"}


def test_sighup_ends_no_server_that_drains(file: Path) -> None:
    """Whoever asks it to read again while it stops, to its last moment, spoils neither its end nor its exit code."""
    with configured(file) as server:
        server.terminate()

        def has_ended() -> bool:
            os.kill(server.pid, signal.SIGHUP)
            return psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE

        wait_until(has_ended, "the end")
        assert server.wait() == 0


def test_what_an_admin_sets_is_in_force_at_once_and_after_a_restart(file: Path) -> None:
    """It beats the file; another admin's stale change is refused; null gives the file's word back."""
    contact = {"security_txt": {"contact": ["mailto:7@example.org"], "policy": None, "hiring": []}}
    with configured(file) as server, operator(server) as admin:
        seen = admin.get(CONFIG)
        done = admin.put(CONFIG, json=contact, headers={"If-Match": seen.headers["etag"]})
        assert (done.status_code, done.json()["generation"]) == (200, 2)
        assert "mailto:7@example.org" in httpx.get(server.url + SECURITY, trust_env=False).text
        assert admin.put(CONFIG, json=contact, headers={"If-Match": seen.headers["etag"]}).status_code == 412
        refused = admin.put(CONFIG, json={"serve": {"port": 1}})
        assert (refused.status_code, refused.json()["problems"]) == (
            422,
            ["serve.port: needs a restart: it belongs into the file"],
        )
    with configured(file) as server, operator(server) as admin:
        assert "mailto:7@example.org" in httpx.get(server.url + SECURITY, trust_env=False).text
        back = {"security_txt": {"contact": None, "hiring": None}}
        assert admin.put(CONFIG, json=back).status_code == 200
        assert numbers(server) == {"0"}
    assert json.loads((file.parent / "data" / "admin-settings.json").read_text()) == {}


def test_flags_and_environment_have_the_last_word(file: Path) -> None:
    """A flag beats the file, and a call that could have no effect says so."""
    save(file, "[access]\nguests = false\n[serve]\nport = 1\n")
    with configured(file, "--guests") as server, operator(server) as admin:
        assert httpx.get(server.url + "/api/v1/version", trust_env=False).json()["guests"] is True
        answer = admin.put(CONFIG, json={"access": {"guests": False}})
        assert (answer.status_code, "--guests" in answer.json()["detail"]) == (409, True)


def test_guests_are_let_in_and_kept_out_while_the_server_runs(file: Path) -> None:
    """The lobby is there for them; guests who are in stay in."""
    with configured(file) as server, operator(server) as admin:
        become = {"url": server.url + "/api/v1/auth/guest", "json": {"name": "Eve"}, "trust_env": False}
        assert httpx.post(**become).status_code == 403
        assert admin.put(CONFIG, json={"access": {"guests": True}}).status_code == 200
        answer = httpx.post(**become)
        assert answer.status_code == 201
        eve = {"Authorization": f"Bearer {answer.json()['token']}"}
        post = {"url": server.url + "/api/v1/conversations/lobby/messages", "headers": eve, "trust_env": False}
        wait_until(lambda: httpx.post(**post, json={"text": "hi"}).status_code == 201, "the lobby")
        assert admin.put(CONFIG, json={"access": {"guests": None}}).status_code == 200
        assert httpx.post(**become).status_code == 403
        assert httpx.post(**post, json={"text": "still here"}).status_code == 201


def test_a_server_ends_with_its_terminal(file: Path) -> None:
    """SIGHUP with a terminal is a reload; the SIGHUP of a terminal that has gone is a drain, as it was before."""
    take = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
    )
    serve = [sys.executable, "-m", "hubbub", "serve", "--port", "0", "--data", str(file.parent / "data")]
    terminal, its_end = pty.openpty()
    command = [sys.executable, "-c", take, *serve]
    process = subprocess.Popen(command, stdin=its_end, stdout=its_end, stderr=its_end, start_new_session=True)
    os.close(its_end)
    shown = b""
    try:
        while b"ready at" not in shown:
            assert select.select([terminal], [], [], 60.0)[0], shown
            shown += os.read(terminal, 65_536)
        url = re.findall(r"ready at (\S+)", shown.decode())[0]
        process.send_signal(signal.SIGHUP)
        assert httpx.get(url + "/health", trust_env=False).status_code == 200
        assert process.poll() is None
        os.close(terminal)
        assert process.wait(30.0) == 0
    finally:
        process.kill()
        process.wait()


def test_a_configuration_that_cannot_be_used_starts_nothing(file: Path) -> None:
    """Every mistake at once, with its line; exit code 1."""
    save(file, "[serve]\nprot = 1\ndrain_s = -1\n")
    with pytest.raises(AssertionError, match="ended with 1") as caught, configured(file):
        pass
    assert "hubbub.toml:2: serve.prot: there is no such setting; did you mean serve.port?" in str(caught.value)
    assert "hubbub.toml:3: serve.drain_s: must be > 0: -1.0" in str(caught.value)
