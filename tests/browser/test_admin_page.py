"""The operations page in a real Chromium against the real server, and what both pages say while Postgres is away."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from hubbub.operator_token import FILE_NAME

from .conftest import Server, Windows
from .test_page import say

pytestmark = [pytest.mark.browser, pytest.mark.server]

KEPT = "[sessionStorage.length, localStorage.length, document.cookie]"


def token_of(server: Server) -> str:
    """The operator's token."""
    return (server.data / FILE_NAME).read_text().strip()


def signed_in(windows: Windows, server: Server, *, width: int = 1200, dark: bool = False) -> Page:
    """The page with its figures."""
    page = windows.open("admin", width=width, dark=dark)
    page.fill("#token", token_of(server))
    page.click("text=Look")
    page.wait_for_selector("#health[data-state=ready]")
    return page


@contextlib.contextmanager
def frozen(server: Server) -> Iterator[None]:
    """A database that does not answer."""
    pids = server.postgres_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_the_page_asks_for_a_token(windows: Windows, server: Server) -> None:
    """It is served to everybody with a strict policy and shows nothing; a wrong token is refused and forgotten."""
    page = windows.open("admin")
    answer = page.reload()
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    expect(page.locator("#gate")).to_be_visible()
    expect(page.locator("#page")).to_be_hidden()
    page.fill("#token", "hbo_" + "x" * 43)
    page.click("text=Look")
    expect(page.locator("#gate-error")).to_have_text("unknown token")
    page.fill("#token", "no token")
    page.click("text=Look")
    expect(page.locator("#gate-error")).to_contain_text("no token")
    assert page.evaluate(KEPT) == [0, 0, ""]


def test_who_is_signed_in_without_the_right_is_told(windows: Windows, server: Server) -> None:
    """By name, above the form for the token, which opens the page all the same; nobody is told who is nobody."""
    page = windows.open("admin")
    expect(page.locator("#gate")).to_be_visible()
    ada = windows.join("Ada")
    ada.goto(server.url + "admin")
    expect(ada.locator("#gate-who")).to_have_text("You are signed in as Ada, who does not administer this server.")
    expect(page.locator("#gate-who")).to_be_hidden()
    ada.fill("#token", token_of(server))
    ada.click("text=Look")
    ada.wait_for_selector("#health[data-state=ready]")
    windows.join("Bob")
    expect(ada.locator("#tiles")).to_contain_text("1 reader,")
    expect(ada.locator("#tiles")).to_contain_text("1 WebSocket")


def test_what_goes_on_is_seen_live(windows: Windows, server: Server, tmp_path: Path) -> None:
    """Posts, rooms, the tree, refusals and the audit log, each second, also on a narrow dark screen; nothing from elsewhere."""
    page, narrow = signed_in(windows, server), signed_in(windows, server, width=380, dark=True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    ada = windows.join("Ada")
    for number in range(5):
        say(ada, f"message {number} <b>")
    httpx.delete(
        f"{server.url}api/v1/admin/quarantined/lobby",
        headers={"authorization": f"Bearer {token_of(server)}"},
        trust_env=False,
    )
    for seen in (page, narrow):
        room = seen.locator("#rooms tr").first
        expect(room.locator("td").first).to_have_text("lobby")
        expect(room.locator("td").last).to_have_text("5")
        expect(seen.locator("#tree .name")).to_contain_text(["engine", "storage", "conversations", "lobby"])
        expect(seen.locator("#tiles .tile")).to_have_count(8)
        expect(seen.locator("#refusals")).to_contain_text("not_found")
        expect(seen.locator("#audit")).to_contain_text("DELETE /api/v1/admin/quarantined/{id}")
        assert seen.evaluate("document.documentElement.scrollWidth") == (1200 if seen is page else 380)
    for name, seen in (("wide", page), ("narrow", narrow)):
        shot = tmp_path / f"{name}.png"
        seen.screenshot(path=shot, full_page=True)
        assert shot.stat().st_size > 0
    assert asked
    assert all(url.startswith(server.url) for url in asked)
    assert not any(token_of(server) in url for url in asked)


def test_the_token_stays_in_the_tab(windows: Windows, server: Server) -> None:
    """A reload goes on with it, signing out forgets it, and it was never in a cookie or in what other tabs share."""
    page = signed_in(windows, server)
    page.reload()
    page.wait_for_selector("#health[data-state=ready]")
    assert page.evaluate(KEPT) == [1, 0, ""]
    page.click("#leave")
    expect(page.locator("#gate")).to_be_visible()
    assert page.evaluate(KEPT) == [0, 0, ""]
    page.reload()
    expect(page.locator("#gate")).to_be_visible()


def test_a_pause_stops_looking(windows: Windows, server: Server) -> None:
    """Nothing is asked until it is ended."""
    page = signed_in(windows, server)
    page.click("#pause")
    page.wait_for_timeout(1500)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert asked == []
    with page.expect_request("**/figures"):
        page.click("#pause")


def test_a_database_that_is_away_is_seen(windows: Windows, server: Server) -> None:
    """The operations page says why at once, the chat page when a post waits; both see it come back."""
    page, ada = signed_in(windows, server), windows.join("Ada")
    with frozen(server):
        say(ada, "waiting")
        expect(ada.locator("#banner")).to_contain_text("cannot be stored", timeout=40_000)
        page.wait_for_selector("#health[data-state=down]")
        expect(page.locator("#problem")).to_contain_text("Posts cannot be stored: the database")
        expect(page.locator("#tree .reason").filter(has_text="the database")).to_be_visible()
    page.wait_for_selector("#health[data-state=ready]", timeout=40_000)
    expect(page.locator("#problem")).to_be_hidden()
    expect(ada.locator("#banner")).to_be_hidden(timeout=40_000)


def test_a_restart_is_seen_through(windows: Windows, server: Server) -> None:
    """While the server is away the page says so, and goes on with the new one."""
    page = signed_in(windows, server)
    server.stop()
    expect(page.locator("#problem")).to_contain_text("cannot be reached")
    server.start()
    page.wait_for_selector("#health[data-state=ready]")
    expect(page.locator("#problem")).to_be_hidden()
