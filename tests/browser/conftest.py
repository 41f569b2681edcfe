"""The real server as a process, and a real Chromium, for the tests of the page.

A `Server` keeps one data directory and one port, so that one killed and started again is the same place to a browser.
Everything that is started here is stopped here, by its own handle.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from ..serverproc import ServerProcess, data_folder, start_server

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
    _process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Starts the process and waits for its ready line."""
        self._process = start_server(self.data, port=self.port)
        self.port = self._process.port

    def kill(self) -> None:
        """Kills the process without warning (SIGKILL) and waits until it is gone."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> None:
        """Asks the process to drain (SIGTERM) and waits until it has; a drained server ends with 0."""
        if self._process is not None:
            self._process.terminate()
            assert self._process.wait() == 0

    def postgres_pids(self) -> list[int]:
        """Processes of its Postgres."""
        return [] if self._process is None else self._process.postgres_pids()

    def close(self) -> None:
        """Ends whatever is left."""
        if self._process is not None:
            self._process.close()


@attrs.define(eq=False)
class Windows:
    """Browser windows, each with a profile of its own; `complaints` gathers what went wrong in any of them."""

    browser: Browser
    url: str
    complaints: list[str] = attrs.Factory(list)
    _contexts: list[BrowserContext] = attrs.Factory(list)

    def open(self, path: str = "", *, width: int = 1000, height: int = 700, dark: bool = False) -> Page:
        """Opens a page in a fresh profile."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("console", lambda said: self._heard(said.text))
        page.goto(self.url + path)
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
def server() -> Iterator[Server]:
    """A running server on an empty data directory."""
    with data_folder() as data:
        server = Server(data)
        try:
            server.start()
            yield server
        finally:
            server.close()


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


Starter = Callable[..., tuple[ServerProcess, Windows]]


@pytest.fixture
def start(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    """Starts a server with settings of its own, and windows on it."""
    opened: list[Windows] = []
    servers: list[ServerProcess] = []
    with data_folder() as data:

        def start(*, guests: bool = True, limits: bool = False, **settings: str) -> tuple[ServerProcess, Windows]:
            for name, value in settings.items():
                monkeypatch.setenv("HUBBUB_" + name.upper(), value)
            server = start_server(data, guests=guests, limits=limits)
            servers.append(server)
            opened.append(Windows(browser, server.url + "/"))
            return server, opened[-1]

        try:
            yield start
        finally:
            for windows in opened:
                windows.close()
            for server in servers:
                server.close()
    assert [complaint for windows in opened for complaint in windows.complaints] == []
