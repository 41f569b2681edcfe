"""HTML that cannot forget to escape: text is escaped wherever it enters, and only `Html` passes as it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


class Html(str):
    """Markup. Made by the functions here, and from constants; never from foreign text."""

    __slots__ = ()


def joined(parts: Iterable[str]) -> Html:
    """Parts one after the other; what is not `Html` is escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def tag(name: str, *children: str, **attributes: str) -> Html:
    """An element. Attributes are escaped; `class_` is written `class`."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def rows(head: Sequence[str], body: Iterable[Sequence[str]], *, caption: str = "", numbers: Sequence[int] = ()) -> Html:
    """A table that scrolls by itself where it is too wide.

    Args:
        numbers: Columns to align to the right.
    """

    def cells(name: str, row: Sequence[str]) -> Html:
        made = []
        for column, text in enumerate(row):
            if name == "td" and not column:
                made.append(tag("th", text, scope="row"))
                continue
            attributes = {"scope": "col"} if name == "th" else {}
            made.append(tag(name, text, **attributes, **({"class_": "n"} if column in numbers else {})))
        return tag("tr", *made)

    title = [tag("caption", caption)] if caption else []
    table = tag("table", *title, tag("thead", cells("th", head)), tag("tbody", *(cells("td", row) for row in body)))
    return tag("div", table, class_="wide")
