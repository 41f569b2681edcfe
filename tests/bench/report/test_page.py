"""The report as one HTML file."""

import re
from html import unescape
from html.parser import HTMLParser

import attrs
import pytest

from hubbub.bench.invariants import Verdict
from hubbub.bench.report import Result, merged
from hubbub.bench.report.compare import compare
from hubbub.bench.report.page import render
from hubbub.bench.report.slo import judge, parse
from hubbub.bench.scenarios import FANOUT_A, FANOUT_B

from .results import make, make_runs

EMPTY = {"meta"}
FOREIGN = "</style></td><script>alert(1)</script>&amp;\"'><img src=x onerror=alert(1)>"


class Document(HTMLParser):
    """Checks that every element is closed in turn, and keeps what it saw."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action", "xlink:href")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def told(*results: Result, comparisons=()) -> str:
    return "\n".join(Document(render(results, comparisons)).texts)


def judged(result: Result, text: str) -> Result:
    return attrs.evolve(result, slo=judge(parse(text), result))


def test_the_page_needs_nothing_from_outside() -> None:
    """No script, no address but those within the page, and a policy that forbids both."""
    document = Document(render([make(), make(scenario=FANOUT_A)]))
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(document.tags)
    assert all(address.startswith("#r") for address in document.addresses)
    page = render([make()])
    assert "default-src 'none'" in unescape(page)
    assert not re.search(r"url\(|@import|https?://(?!127\.0\.0\.1)", page)


def test_foreign_text_stays_text() -> None:
    """Notes, titles, options, versions, the command, the machine: none of it becomes markup."""
    scenario = attrs.evolve(FANOUT_B, name=FOREIGN, title=FOREIGN)
    result = make(scenario=scenario, notes=(FOREIGN,), invalid_because=(FOREIGN,), series={FOREIGN: [1.0, 2.0]})
    result = attrs.evolve(
        result,
        command=FOREIGN,
        commit=FOREIGN,
        options={FOREIGN: FOREIGN},
        versions={FOREIGN: FOREIGN},
        machine=attrs.evolve(result.machine, cpu=FOREIGN),
    )
    page = render([result], compare([result], [result]))
    document = Document(page)
    assert not {"script", "img"} & set(document.tags)
    assert page.count("<style>") == page.count("</style>") == 1
    assert FOREIGN in document.texts


def test_verdicts_come_first() -> None:
    """Promises, validity, service level, budgets, before any figure."""
    result = judged(make({"delivery_p99_ms": 60.0}), "p99<50ms,ack.p99<9ms,lost=0")
    text = told(result)
    order = ["Promises held", "Service level missed", "Budgets", "Plots", "All figures", "Settings and machine"]
    assert sorted(order, key=text.index) == order
    assert "p99<50ms, ack.p99<9ms" in text
    assert "this run has no ack_p99_ms" in text
    assert "0 of 1 met" in text


def test_what_is_wrong_is_told() -> None:
    """Broken promises by name; an invalid run has its reasons and keeps no service level."""
    text = told(judged(make({"delivery_p99_ms": 1.0}, verdict=Verdict(lost=3), cpu_percent=99), "p99<50ms"))
    assert "Promises broken" in text
    assert "lost" in text
    assert "Invalid run" in text
    assert "generator 0 used 99 % of a core" in text
    assert "no verdict, because the run is invalid" in text
    assert "Service level kept" not in text


def test_several_scenarios_are_sections_with_links() -> None:
    """Each link leads to a section."""
    page = render([make(scenario=FANOUT_A), make()])
    assert re.findall(r'href="#(r\d)"', page) == re.findall(r'<section id="(r\d)"', page) == ["r0", "r1"]


def test_plots_have_tables_beside_them() -> None:
    """The same values, for those who cannot see or hover."""
    page = render([make(series={"delivery_p99_ms": [20.125, None, 31.0]})])
    assert page.count('<svg class="plot"') == page.count("Values as a table") == 2
    assert '<th scope="row">0.0</th><td class="n">20.1</td>' in page
    assert '<th scope="row">100 of 1,999</th><td class="n">20</td>' in page


@pytest.mark.parametrize("seconds", [119, 121, 5_000])
def test_long_runs_have_short_tables(seconds: int) -> None:
    """Every n-th second, and the table says so."""
    page = render([make(series={"posts_per_s": [25.0] * seconds})])
    table = page[page.index("Posts per second") :]
    table = table[: table.index("</figure>")]
    assert table.count('scope="row"') <= 120
    assert ("every " in table) == (seconds > 120)


def test_repeats_show_their_spread() -> None:
    """Median, least, greatest and deviation, with every run drawn."""
    series = {"delivery_p99_ms": [1.0, 2.0]}
    runs = [make({"delivery_p99_ms": value}, series=series) for value in (10.0, 14.0, 11.0)]
    text = told(merged(runs))
    assert "10 to 14" in text
    assert "All figures, of 3 runs" in text
    assert "run 3 p99" in text


def test_a_comparison_is_told_and_drawn() -> None:
    """What is worse is in the verdicts, with its ratio in the table; a refused one says why."""
    old, new = (merged(make_runs(*({"delivery_p99_ms": mean + n / 10} for n in range(5)))) for mean in (20, 30))
    text = told(new, comparisons=compare([old], [new]))
    assert "Worse than before" in text
    assert "1.495" in text
    assert "earlier delivery" in text
    refused = make()
    assert "Not compared" in told(refused, comparisons=compare([make(scenario=FANOUT_A)], [refused]))


def test_everything_to_make_it_again_is_there() -> None:
    """The command, the commit, the settings, the machine, the versions."""
    result = attrs.evolve(make(), command="hubbub bench fanout --rate 25")
    text = told(result)
    for expected in (
        "hubbub bench fanout --rate 25",
        result.commit,
        "option: seed",
        result.machine.kernel,
        "version: trio",
    ):
        assert expected in text
