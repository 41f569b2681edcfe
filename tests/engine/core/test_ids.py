"""Identifiers from outside are in the documented alphabet or refused with a typed error; UUIDv7 is laid out as the RFC says."""

import re
import unicodedata
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.errors import InvalidCommand, Unprocessable
from hubbub.engine.core.ids import (
    MAX_KEY_CHARS,
    MAX_NAME_CHARS,
    check_request_id,
    conversation_id,
    display_name,
    idempotency_key,
    message_id,
    uuid7,
)

from .strategies import AWKWARD, any_texts, conversation_ids, uuids

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@given(any_texts | conversation_ids)
def test_conversation_id_is_exactly_the_documented_alphabet(text: str) -> None:
    """A text is taken unchanged if each character is allowed and it is no path step, and refused otherwise."""
    allowed = 1 <= len(text) <= 128 and set(text) <= set(LETTERS + "._:-") and text not in {".", ".."}
    if allowed:
        assert conversation_id(text) == text
    else:
        with pytest.raises(InvalidCommand):
            conversation_id(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a" * 129, "a\n", "\na", "a b", "a/b", "é", "٣", "a\x00", "\uff21", "%41", "\ud800"]
)
def test_conversation_id_refuses_look_alikes(text: str) -> None:
    """Trailing newlines, full-width letters, foreign digits and percent signs are no part of the alphabet."""
    with pytest.raises(InvalidCommand):
        conversation_id(text)


@pytest.mark.parametrize("text", ["a", "...", "room:42", "-", "a" * 128])
def test_conversation_id_takes_the_edges_of_the_alphabet(text: str) -> None:
    """The shortest, the longest and the oddest allowed ids pass."""
    assert conversation_id(text) == text


@given(any_texts | conversation_ids)
def test_request_id_is_exactly_the_documented_alphabet(text: str) -> None:
    """A text is taken unchanged if it is short and each character is allowed, and refused otherwise; none is none."""
    assert check_request_id(None) is None
    if 1 <= len(text) <= 128 and set(text) <= set(LETTERS + "._~:/+=@-"):
        assert check_request_id(text) == text
    else:
        with pytest.raises(InvalidCommand):
            check_request_id(text)


@pytest.mark.parametrize("text", ["", "a" * 129, "a\n", "a b", 'a"', "a,b", "a\x00", "é", "\ud800"])
def test_request_id_refuses_what_could_mean_something(text: str) -> None:
    """In a header, a log line, or JSON."""
    with pytest.raises(InvalidCommand):
        check_request_id(text)


@given(any_texts)
def test_idempotency_key_is_visible_ascii(text: str) -> None:
    """A key is taken unchanged if it is 1 to 255 visible ASCII characters, and refused otherwise."""
    if 1 <= len(text) <= MAX_KEY_CHARS and all("!" <= char <= "~" for char in text):
        assert idempotency_key(text) == text
    else:
        with pytest.raises(InvalidCommand):
            idempotency_key(text)


def test_idempotency_key_length_bounds() -> None:
    """255 characters pass and 256 do not."""
    assert idempotency_key("k" * MAX_KEY_CHARS)
    with pytest.raises(InvalidCommand):
        idempotency_key("k" * (MAX_KEY_CHARS + 1))


@given(any_texts | uuids | uuids.map(str.upper) | uuids.map(lambda text: text + "\n"))
def test_message_id_is_a_canonical_uuid(text: str) -> None:
    """Only what the standard library would print for the same UUID is taken."""
    try:
        canonical = str(uuid.UUID(text)) == text
    except ValueError:
        canonical = False
    if canonical:
        assert message_id(text) == text
    else:
        with pytest.raises(InvalidCommand):
            message_id(text)


@given(any_texts)
def test_display_name_shows_what_it_holds_or_is_refused(text: str) -> None:
    """An accepted name is short, trimmed, single-spaced, without control, formatting or surrogate characters, and stable."""
    try:
        name = display_name(text)
    except Unprocessable:
        return
    assert 1 <= len(name) <= MAX_NAME_CHARS
    assert name == name.strip()
    assert "  " not in name
    assert name.split() == text.split()
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in name)
    assert display_name(name) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\t",
        "a\x00b",
        "a\u202eb",
        "a\u200bb",
        "\u2066a",
        "\ufeffa",
        "a\ud800",
        "\udc00",
        "x" * 65,
        "\u3164",
        "\u2800",
        "\uffa0 a",
    ],
)
def test_display_name_refuses_disguises(text: str) -> None:
    """Direction overrides, zero-width and blank characters, NUL and lone surrogates never reach another person's screen."""
    with pytest.raises(Unprocessable):
        display_name(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  Ada   Lovelace ", "Ada Lovelace"),
        ("Ada\u2028Lovelace", "Ada Lovelace"),
        ("ب", "ب"),
        ("😀", "😀"),
        ("é" * 64, "é" * 64),
    ],
)
def test_display_name_trims(text: str, name: str) -> None:
    """Any white space inside becomes one space, and names of every script pass."""
    assert display_name(text) == name


def test_display_name_of_a_megabyte_is_refused_quickly() -> None:
    """A name of a million awkward characters is refused like any other."""
    with pytest.raises(Unprocessable):
        display_name(AWKWARD * 40_000)


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**128))
def test_uuid7_layout(unix_ms: int, random_bits: int) -> None:
    """Version, variant, time and all 74 random bits stand where RFC 9562 puts them."""
    text = uuid7(unix_ms, random_bits)
    value = uuid.UUID(text)
    assert text == str(value)
    assert value.version == 7
    assert value.variant == uuid.RFC_4122
    assert value.int >> 80 == unix_ms
    random_part = (value.int >> 64 & 0xFFF) << 62 | value.int & (1 << 62) - 1
    assert random_part == random_bits & (1 << 74) - 1
    assert message_id(text) == text


@given(st.integers(), st.integers(0))
def test_uuid7_never_leaves_its_128_bits(unix_ms: int, random_bits: int) -> None:
    """Even a clock before 1970 or far ahead gives a well-formed id."""
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", uuid7(unix_ms, random_bits)
    )


@given(st.integers(0, 2**48 - 2), st.integers(1, 2**20), st.integers(0, 2**74 - 1), st.integers(0, 2**74 - 1))
def test_uuid7_sorts_by_time(unix_ms: int, later_ms: int, one: int, other: int) -> None:
    """A later millisecond sorts later as text, whatever the random bits."""
    after = min(unix_ms + later_ms, 2**48 - 1)
    assert uuid7(unix_ms, one) < uuid7(after, other)
