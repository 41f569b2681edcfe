"""The page in a real Chromium against the real server: what a person sees and does.

Waiting is always for something on the page, with the page's own timeout. What the rules are made of is tested without a
browser in `tests/page`.
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import APIRequestContext, Page, Request, expect

from .conftest import Server, Windows

pytestmark = [pytest.mark.browser, pytest.mark.server]

SLOW_MS = 60_000
expect.set_options(timeout=20_000)
SHOWN = "#log .msg:not(.unsent) .text"
OFFSETS = "Array.from(document.querySelectorAll('#log .msg:not(.unsent)'), (row) => Number(row.dataset.offset))"


def say(page: Page, text: str) -> None:
    """Writes a message the way a person does."""
    page.fill("#text", text)
    page.press("#text", "Enter")


def expect_texts(page: Page, texts: list[str], *, timeout_ms: int = 20_000) -> None:
    """The log shows exactly these messages, in this order, and nothing waits to be sent."""
    expect(page.locator("#log .unsent")).to_have_count(0, timeout=timeout_ms)
    expect(page.locator(SHOWN)).to_have_text(texts, timeout=timeout_ms)


def post_many(api: APIRequestContext, url: str, count: int) -> None:
    """Posts numbered messages over REST with the session of the window."""
    csrf_token = api.get(f"{url}api/v1/auth/session").json()["csrf_token"]
    for number in range(count):
        answer = api.post(
            f"{url}api/v1/conversations/lobby/messages",
            data={"text": f"number {number}"},
            headers={
                "Origin": url.rstrip("/"),
                "X-CSRF-Token": csrf_token,
                "Idempotency-Key": f"number-{number}",
            },
        )
        assert answer.status == 201, answer.text()


def test_two_windows_talk(windows: Windows, tmp_path: Path) -> None:
    """What one writes the other sees, once and in order, guests are marked, and markup stays text."""
    ada, bob = windows.join("Ada"), windows.join("Bob", width=360, height=740, dark=True)
    say(ada, "hello <b>bob</b>")
    expect(bob.locator(SHOWN)).to_have_count(1)
    say(bob, "hi, see https://example.org/x.")
    texts = ["hello <b>bob</b>", "hi, see https://example.org/x."]
    for page in (ada, bob):
        expect_texts(page, texts)
    link = ada.locator("#log a")
    assert link.get_attribute("href") == "https://example.org/x"
    assert "noopener" in (link.get_attribute("rel") or "")
    expect(bob.locator("#log .msg").first).to_contain_text("guest")
    assert bob.evaluate("document.documentElement.scrollWidth") <= 360
    for name, page in (("desktop", ada), ("phone", bob)):
        shot = tmp_path / f"{name}.png"
        page.screenshot(path=shot)
        assert shot.stat().st_size > 0


def test_nothing_comes_from_elsewhere(windows: Windows, server: Server) -> None:
    """The page is served with a strict policy and asks no other host for anything."""
    page = windows.open()
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    answer = page.reload()
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert all(url.startswith(server.url) for url in asked), asked


def test_name_and_session_are_kept(windows: Windows) -> None:
    """A reload goes straight back into the room, and no script can read the session."""
    page = windows.join("Ada")
    say(page, "before the reload")
    expect(page.locator(SHOWN)).to_have_count(1)
    page.reload()
    page.wait_for_selector("#status[data-state=live]")
    expect_texts(page, ["before the reload"])
    expect(page.locator("#me-name")).to_have_text("Ada")
    assert page.evaluate("document.cookie") == ""


def test_history_on_scroll(windows: Windows, server: Server) -> None:
    """Scrolling up fetches the whole history, with no message left out or doubled."""
    page = windows.join("Ada")
    post_many(page.context.request, server.url, 180)
    expect(page.locator(SHOWN).last).to_have_text("number 179")
    page.reload()
    expect(page.locator(SHOWN).last).to_have_text("number 179")
    assert len(page.evaluate(OFFSETS)) < 180
    for _ in range(60):
        if page.locator("#log .start").count():
            break
        page.locator("#scroller").evaluate("(scroller) => { scroller.scrollTop = 0; }")
        page.wait_for_timeout(100)
    expect(page.locator(SHOWN)).to_have_text([f"number {number}" for number in range(180)])
    offsets = page.evaluate(OFFSETS)
    assert offsets == sorted(set(offsets))


def test_reading_above_is_not_disturbed(windows: Windows, server: Server) -> None:
    """A reader further up is told of new messages and brought to them on request."""
    ada, bob = windows.join("Ada"), windows.join("Bob")
    post_many(ada.context.request, server.url, 60)
    expect(bob.locator(SHOWN).last).to_have_text("number 59")
    in_view = bob.locator("#log .msg", has_text="number 45")
    in_view.evaluate("(row) => row.scrollIntoView({block: 'center'})")
    expect(bob.locator("#jump")).to_be_visible()
    before = in_view.bounding_box()
    say(ada, "are you there?")
    expect(bob.locator("#jump")).to_contain_text("1 new message")
    after = in_view.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(after["y"] - before["y"]) < 2
    bob.click("#jump")
    expect(bob.locator("#jump")).to_be_hidden()
    expect(bob.locator(SHOWN).last).to_be_in_viewport()


def test_typing_is_shown(windows: Windows) -> None:
    """The others see who is writing."""
    ada, bob = windows.join("Ada"), windows.join("Bob")
    ada.locator("#text").press_sequentially("hel")
    expect(bob.locator("#typing")).to_have_text("Ada is typing")


def test_server_killed_and_started_again(windows: Windows, server: Server) -> None:
    """After kill -9 and a start on the same data both windows go on, with no message lost or doubled."""
    ada, bob = windows.join("Ada"), windows.join("Bob")
    texts = [f"before {number}" for number in range(10)]
    for text in texts:
        say(ada, text)
    expect_texts(bob, texts)
    server.kill()
    expect(ada.locator("#status")).not_to_have_attribute("data-state", "live")
    server.start()
    for page in (ada, bob):
        expect(page.locator("#status")).to_have_attribute("data-state", "live", timeout=SLOW_MS)
    say(bob, "after")
    for page in (ada, bob):
        expect_texts(page, [*texts, "after"], timeout_ms=SLOW_MS)
        offsets = page.evaluate(OFFSETS)
        assert offsets == sorted(set(offsets))


def test_killed_while_both_write(windows: Windows, server: Server) -> None:
    """Posts that were on their way when the server was killed are there once, and both windows show the same."""
    ada, bob = windows.join("Ada"), windows.join("Bob")
    for number in range(15):
        say(ada, f"ada {number}")
        say(bob, f"bob {number}")
        if number == 7:
            server.kill()
    server.start()
    for page in (ada, bob):
        expect(page.locator("#log .unsent")).to_have_count(0, timeout=SLOW_MS)
        expect(page.locator(SHOWN)).to_have_count(30, timeout=SLOW_MS)
    shown = ada.locator(SHOWN).all_inner_texts()
    assert bob.locator(SHOWN).all_inner_texts() == shown
    for name in ("ada", "bob"):
        assert [text for text in shown if text.startswith(name)] == [f"{name} {number}" for number in range(15)]


def test_written_offline(windows: Windows, server: Server) -> None:
    """What is written while the server is away waits, and is sent once in order."""
    ada = windows.join("Ada")
    say(ada, "online")
    expect_texts(ada, ["online"])
    server.kill()
    expect(ada.locator("#status-now")).to_be_visible()
    for number in range(3):
        say(ada, f"offline {number}")
    expect(ada.locator("#log .unsent")).to_have_count(3)
    expect(ada.locator("#log .unsent").first).to_contain_text("Not sent yet")
    server.start()
    texts = ["online", "offline 0", "offline 1", "offline 2"]
    expect_texts(ada, texts, timeout_ms=SLOW_MS)
    bob = windows.join("Bob")
    expect_texts(bob, texts)


def test_orderly_stop_is_told(windows: Windows, server: Server) -> None:
    """A server that stops in order says so, and the page comes back with it."""
    ada = windows.join("Ada")
    server.stop()
    expect(ada.locator("#status-text")).to_have_text(re.compile("restarting|Reconnecting"))
    server.start()
    expect(ada.locator("#status")).to_have_attribute("data-state", "live", timeout=SLOW_MS)


def test_more_lines_and_long_text(windows: Windows) -> None:
    """Shift+Enter starts a line, and text near the limit is counted and not sent past it."""
    ada = windows.join("Ada")
    ada.fill("#text", "one")
    ada.press("#text", "Shift+Enter")
    ada.locator("#text").press_sequentially("two")
    ada.press("#text", "Enter")
    expect(ada.locator(SHOWN)).to_have_count(1)
    assert ada.locator(SHOWN).first.inner_text() == "one\ntwo"
    ada.fill("#text", "x" * 65_000)
    expect(ada.locator("#count")).to_contain_text("536 bytes left")
    ada.fill("#text", "x" * 65_537)
    expect(ada.locator("#count")).to_contain_text("Too long by 1 byte")
    expect(ada.locator("#send")).to_be_disabled()


def test_unknown_room_is_said(windows: Windows, server: Server) -> None:
    """A room that does not exist is named as such instead of an endless wait."""
    page = windows.join("Ada")
    page.goto(f"{server.url}?room=no-such-room")
    expect(page.locator("#banner")).to_contain_text("does not exist")
