"""The report of the bench in a real browser, from a file."""

import random
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from hubbub.bench.report import merged
from hubbub.bench.report.compare import compare
from hubbub.bench.report.page import render

from ..bench.report.results import FIGURES, make

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (360, False)])
def test_a_report_opens_from_a_file(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    """Nothing is fetched, nothing is complained of, the plots are seen, and the page is not wider than the screen."""
    rng = random.Random(1)
    series = {"delivery_p99_ms": [rng.uniform(15, 25) for _ in range(20)], "server_cpu_percent": [40.0] * 20}
    old, new = (merged([make(FIGURES, series=series) for _ in range(3)]) for _ in range(2))
    file = tmp_path / "report.html"
    file.write_text(render([new], compare([old], [new])), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light")
    page = context.new_page()
    asked: list[str] = []
    heard: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: heard.append(message.text))
    page.goto(file.as_uri())
    assert page.locator("svg.plot").count() == 3
    assert all(plot.is_visible() for plot in page.locator("svg.plot").all())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("summary").first.click()
    assert page.locator("details table").first.is_visible()
    ink = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in ink.removeprefix("rgb(").removesuffix(")").split(",")) < 384) == dark
    context.close()
    assert (asked, heard) == ([file.as_uri()], [])
