"""Entity tags and conditions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine import InvalidCommand
from hubbub.transport.entity_tag import is_known, quoted, required_versions

MALFORMED = ["a", '"a', 'w/"a"', '"a" "b"', '"a",', ",", '"a b\x00"', '"a"b', "", '*, "a"', ",".join(['"a"'] * 33)]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, None),
        ("*", None),
        (" * ", None),
        ('"a"', {"a"}),
        ('"a", "b"', {"a", "b"}),
        ('"a","b" ,\t"c"', {"a", "b", "c"}),
        ('W/"a"', set()),
        ('W/"a", "b"', {"b"}),
        ('""', {""}),
        ('"a,b"', {"a,b"}),
    ],
)
def test_if_match(condition: str | None, expected: set[str] | None) -> None:
    """Strong tags by value; everything matches without a condition; a weak tag matches nothing."""
    assert required_versions(condition) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [(None, False), ("*", True), ('"a"', True), ('W/"a"', True), ('"b", W/"a"', True), ('"b"', False), ('""', False)],
)
def test_if_none_match(condition: str | None, expected: bool) -> None:
    """Weak comparison: what was sent weakly is known as well."""
    assert is_known(condition, quoted("a")) is expected


@pytest.mark.parametrize("condition", MALFORMED)
def test_a_malformed_condition_is_an_error(condition: str) -> None:
    """A condition that nobody understands must not let a change pass."""
    with pytest.raises(InvalidCommand):
        required_versions(condition)
    with pytest.raises(InvalidCommand):
        is_known(condition, quoted("a"))


@given(st.lists(st.text(st.characters(min_codepoint=0x23, max_codepoint=0x7E), max_size=5), min_size=1, max_size=32))
def test_every_list_of_tags_is_read_back(values: list[str]) -> None:
    """What is quoted and joined comes out again."""
    assert required_versions(", ".join(quoted(value) for value in values)) == set(values)
