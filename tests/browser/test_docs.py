"""The description of the API at /docs in a real Chromium: what a reader sees and does, with nothing from elsewhere."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import attrs
import pytest
from playwright.sync_api import Browser, Page, Request, expect

from ..serverproc import ServerProcess, data_folder, running_server
from .conftest import Windows

pytestmark = [pytest.mark.browser, pytest.mark.server]


@attrs.frozen
class Reader:
    """Opens the page."""

    windows: Windows

    def open(self, place: str = "", *, width: int = 1280, dark: bool = False) -> Page:
        page = self.windows.open(width=width, height=800, dark=dark)
        page.goto(f"{self.windows.url}docs{place}")
        page.wait_for_selector("body[data-state=ready]")
        return page


@pytest.fixture(scope="module")
def quiet_server() -> Iterator[ServerProcess]:
    """One for all: these tests change nothing in it."""
    with data_folder() as data, running_server(data) as server:
        yield server


@pytest.fixture
def reader(quiet_server: ServerProcess, browser: Browser) -> Iterator[Reader]:
    windows = Windows(browser, quiet_server.url + "/")
    yield Reader(windows)
    windows.close()
    assert windows.complaints == []


def described(page: Page) -> list[str]:
    """The ids of all calls in the document."""
    document = page.evaluate("fetch('/openapi.json').then((answer) => answer.json())")
    return [operation["operationId"] for item in document["paths"].values() for operation in item.values()]


def test_every_call_of_the_document_is_shown(reader: Reader) -> None:
    """By chapter, each once, closed; nothing is asked of another host."""
    page = reader.windows.open()
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    page.goto(reader.windows.url + "docs")
    page.wait_for_selector("body[data-state=ready]")
    ids = described(page)
    shown = page.evaluate("Array.from(document.querySelectorAll('details.operation'), (each) => each.id)")
    assert sorted(shown) == sorted(ids)
    expect(page.locator("details.operation[open]")).to_have_count(0)
    expect(page.locator("#count")).to_have_text(f"{len(ids)} calls")
    assert all(url.startswith(reader.windows.url) for url in asked), asked


def test_every_call_can_be_opened(reader: Reader) -> None:
    """Without an error, and each tells who may call it and how."""
    page = reader.open()
    for each in described(page):
        page.evaluate("(id) => { document.getElementById(id).open = true; }", each)
        expect(page.locator(f"[id='{each}'] .who")).to_have_count(1)
        expect(page.locator(f"[id='{each}'] .copyable code")).to_contain_text(f"'{reader.windows.url}")


def test_an_example_can_be_run_as_it_stands(reader: Reader) -> None:
    """The curl calls of becoming a guest and of posting do what they say."""
    page = reader.open("#become_guest")
    issued = run(page.locator("#become_guest .copyable code").inner_text(), {})
    page.goto(f"{reader.windows.url}docs#post_message")
    posted = run(page.locator("#post_message .copyable code").inner_text(), {"TOKEN": issued["token"]})
    assert (posted["conversation"], posted["text"]) == ("lobby", "hello")


def run(command: str, variables: dict[str, str]) -> dict[str, str]:
    done = subprocess.run(["sh", "-c", command], env=variables, capture_output=True, timeout=30, check=True)
    return dict(json.loads(done.stdout))


def test_the_search_leaves_what_it_finds(reader: Reader) -> None:
    """By keyboard: a slash goes there, Escape brings everything back."""
    page = reader.open()
    everything = page.locator("details.operation:visible").count()
    page.keyboard.press("/")
    page.keyboard.type("post idempotency")
    expect(page.locator("details.operation:visible")).to_have_count(1)
    expect(page.locator("#post_message")).to_be_visible()
    expect(page.locator("#list [data-id=post_message]")).to_be_visible()
    page.fill("#search", "no such thing")
    expect(page.locator("#none")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("details.operation:visible")).to_have_count(everything)


def test_a_link_opens_its_call(reader: Reader) -> None:
    """In view, marked at the side, with schema, problems and scope; also while a search hides it."""
    page = reader.open("#post_message")
    call = page.locator("#post_message")
    expect(call.locator("summary").first).to_be_in_viewport()
    expect(call.locator(".who")).to_have_text("For any credential, a guest's too with the scope write.")
    expect(call.locator("td", has_text="rate_limited")).to_have_count(1)
    expect(call.locator("li .name", has_text="reply_to").first).to_be_visible()
    expect(page.locator("#list [aria-current=true]")).to_contain_text("Post a message")
    page.fill("#search", "supervision tree")
    expect(call).to_be_hidden()
    page.evaluate("location.hash = '#list_messages'")
    expect(page.locator("#list_messages .inside")).to_be_visible()
    expect(page.locator("#search")).to_have_value("")


def test_it_is_used_by_keyboard(reader: Reader) -> None:
    """The first stop leads past the bar; a call opens with Enter."""
    page = reader.open(width=700)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator("#show_version > summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#show_version .inside")).to_be_visible()


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone(reader: Reader, dark: bool) -> None:
    """At 360 pixels nothing sticks out, whatever is open, in light and in dark."""
    page = reader.open("#create_conversation", width=360, dark=dark)
    page.evaluate("for (const each of document.querySelectorAll('details.operation')) each.open = true")
    expect(page.locator(".inside")).to_have_count(page.locator("details.operation").count())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground.removeprefix("rgb(").removesuffix(")").split(","))) < 3 * 128) is dark


def test_it_says_when_there_is_nothing_to_show(reader: Reader) -> None:
    """A server that does not answer leaves a sentence, not an empty page."""
    page = reader.windows.open()
    page.route("**/openapi.json", lambda route: route.fulfill(status=503, body=""))
    page.goto(reader.windows.url + "docs")
    expect(page.get_by_role("alert")).to_have_text(
        "The description of the API could not be loaded: the server answered 503."
    )
