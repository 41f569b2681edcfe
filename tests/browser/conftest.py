"""The real server as a process, and a real Chromium, for the tests of the page.

A `Server` keeps one data directory and one port, so that one killed and started again is the same place to a browser.
Everything that is started here is stopped here, by its own handle.
"""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20
URL = re.compile(r"http://127\.0\.0\.1:(\d+)")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@attrs.define(eq=False)
class Server:
    """`hubbub serve` on one data directory; it keeps its port over restarts."""

    data: Path
    port: int = 0
    _process: "subprocess.Popen[str] | None" = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Starts the process and waits for its ready line, at most START_TIMEOUT_S."""
        command = [sys.executable, "-m", "hubbub", "serve", "--guests"]
        command += ["--port", str(self.port), "--data", str(self.data)]
        with (self.data.parent / "server.log").open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        process = self._process
        watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
        watchdog.start()
        assert process.stdout is not None
        ready = None
        while ready is None and (line := process.stdout.readline()):
            ready = URL.search(line)
        watchdog.cancel()
        if ready is None:
            self.kill()
            said = (self.data.parent / "server.log").read_text(encoding="utf-8")
            pytest.fail(f"the server did not become ready: {said[-4000:]}")
        self.port = int(ready[1])

    def kill(self) -> None:
        """Kills the process without warning (SIGKILL) and waits until it is gone."""
        self._end(kill=True)

    def stop(self) -> None:
        """Asks the process to drain (SIGTERM); kills it when it takes longer than STOP_TIMEOUT_S."""
        self._end(kill=False)

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)
        if process.stdout is not None:
            process.stdout.close()


@attrs.define(eq=False)
class Windows:
    """Browser windows, each with a profile of its own; `complaints` gathers what went wrong in any of them."""

    browser: Browser
    url: str
    complaints: list[str] = attrs.Factory(list)
    _contexts: list[BrowserContext] = attrs.Factory(list)

    def open(self, *, width: int = 1000, height: int = 700, dark: bool = False) -> Page:
        """Opens the page in a fresh profile."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("console", lambda said: self._heard(said.text))
        page.goto(self.url)
        return page

    def join(self, name: str, *, width: int = 1000, height: int = 700, dark: bool = False) -> Page:
        """Opens the page, picks the name and waits until the room is live."""
        page = self.open(width=width, height=height, dark=dark)
        page.fill("#name", name)
        page.click("#join-button")
        page.wait_for_selector("#status[data-state=live]")
        return page

    def close(self) -> None:
        """Closes every window."""
        for context in self._contexts:
            context.close()

    def _heard(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.complaints.append(text)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running server on an empty data directory."""
    server = Server(tmp_path / "data")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless Chromium for all tests."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()


@pytest.fixture
def windows(server: Server, browser: Browser) -> Iterator[Windows]:
    """Windows on the server; at the end nothing may have gone wrong in any of them."""
    windows = Windows(browser, server.url)
    yield windows
    windows.close()
    assert windows.complaints == []
