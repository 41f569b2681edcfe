"""Whether reads were answered right."""

import pytest
from msgspec import json

from hubbub.bench.rest.ledger import Message
from hubbub.bench.rest.pages import Expected

MESSAGES = [Message(f"m{offset}", offset, f"text {offset}") for offset in range(1, 8)]


def page(messages: list[Message], following: int | None = None, previous: int | None = None) -> bytes:
    return json.encode({"messages": messages, "next": following, "previous": previous, "more": True})


def test_the_newest_page_is_right_twice_and_in_other_bytes() -> None:
    """The first is parsed, the same bytes are known, and other bytes of the same page are right as well."""
    expected = Expected("r", MESSAGES, 5)
    raw = page(MESSAGES[2:], previous=3)
    assert [expected.page_is_right(body) for body in (raw, raw, raw + b" ", raw)] == [True] * 4


@pytest.mark.parametrize(
    "raw",
    [
        page(MESSAGES[1:6], previous=2),
        page(MESSAGES[2:]),
        page(MESSAGES[2:], following=7, previous=3),
        page([*MESSAGES[2:6], Message("m7", 7, "another")], previous=3),
        page([], previous=3),
        b"{}",
        b"",
    ],
)
def test_other_pages_are_wrong(raw: bytes) -> None:
    """An older page, a wrong edge, an altered text, nothing at all; also after a right one."""
    expected = Expected("r", MESSAGES, 5)
    assert not expected.page_is_right(raw)
    assert expected.page_is_right(page(MESSAGES[2:], previous=3))
    assert not expected.page_is_right(raw)


def test_a_page_that_holds_all_leads_nowhere() -> None:
    """There is nothing older than the first message."""
    assert Expected("r", MESSAGES[:5], 5).page_is_right(page(MESSAGES[:5]))


def test_records() -> None:
    """The id and the head must be the room's."""
    expected = Expected("r", MESSAGES, 5)
    assert expected.record_is_right(b'{"id":"r","offset":7,"title":"x"}')
    assert expected.record_is_right(b'{"id":"r","offset":7}')
    for raw in (b'{"id":"s","offset":7}', b'{"id":"r","offset":6}', b"[]"):
        assert not expected.record_is_right(raw)
