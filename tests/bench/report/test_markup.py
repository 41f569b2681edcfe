"""HTML that escapes by itself."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.report.markup import Html, joined, rows, tag


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs", "Cc"])))
def test_text_comes_out_as_it_went_in(text: str) -> None:
    """As text and as an attribute, whatever it looks like; it makes no element."""
    seen = Seen(tag("p", text, title=text))
    assert seen.tags == [("p", [("title", text)])]
    assert seen.text == text


def test_only_markup_passes() -> None:
    """What was made by `tag` is not escaped a second time."""
    assert joined([tag("b", "<"), "<"]) == "<b>&lt;</b>&lt;"
    assert isinstance(joined(["a"]), Html)


def test_a_table_names_its_rows_and_columns() -> None:
    """Heads have a scope for readers that do not see the table."""
    table = rows(("figure", "value"), [("p99", "<20>")], caption="in ms", numbers=(1,))
    assert '<th scope="col">figure</th><th scope="col" class="n">value</th>' in table
    assert '<th scope="row">p99</th><td class="n">&lt;20&gt;</td>' in table
    assert "<caption>in ms</caption>" in table
