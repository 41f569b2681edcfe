"""Cursors and offsets from outside: the token form round trips, and nothing else is read as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.cursor import MAX_OFFSET, Cursor, offset
from hubbub.engine.core.errors import InvalidCommand

from .strategies import any_texts, offsets

epochs = st.text("abcXYZ019_-", min_size=1, max_size=32)


@given(epochs, offsets)
def test_token_round_trip(epoch: str, place: int) -> None:
    """What a cursor prints is read back as the same cursor."""
    cursor = Cursor(epoch, place)
    assert Cursor.parse(str(cursor)) == cursor


@given(any_texts | st.from_regex(r"[a-z.]{0,4}\.?[0-9\u0660-\u0669]{0,21}\n?", fullmatch=True))
def test_parse_reads_a_token_or_refuses(token: str) -> None:
    """Any text is a cursor that prints the same number, or InvalidCommand, never another error."""
    try:
        cursor = Cursor.parse(token)
    except InvalidCommand:
        return
    epoch, _, digits = token.partition(".")
    assert cursor.epoch == epoch
    assert digits.isascii()
    assert 0 <= cursor.offset == int(digits) <= MAX_OFFSET


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "a.",
        ".1",
        "a.-1",
        "a.1.2",
        "a.1\n",
        "a.+1",
        "a. 1",
        "é.1",
        "a.٣",
        "a." + "9" * 19,
        "a" * 33 + ".1",
        "a.1_0",
    ],
)
def test_parse_refuses(token: str) -> None:
    """Signs, spaces, foreign digits, a missing half and numbers past 2**63 - 1 are no cursors."""
    with pytest.raises(InvalidCommand):
        Cursor.parse(token)


@given(offsets)
def test_offset_round_trip(place: int) -> None:
    """A printed offset is read back."""
    assert offset(str(place)) == place


@given(any_texts | st.integers().map(str))
def test_offset_is_a_plain_decimal(text: str) -> None:
    """Only ASCII digits in range are an offset."""
    plain = text != "" and set(text) <= set("0123456789") and len(text) <= 19 and int(text) <= MAX_OFFSET
    if plain:
        assert offset(text) == int(text)
    else:
        with pytest.raises(InvalidCommand):
            offset(text)


def test_offset_edges() -> None:
    """The largest offset passes, the next one and a million digits do not."""
    assert offset("9223372036854775807") == MAX_OFFSET
    for text in ("9223372036854775808", "1" * 1_000_000, "²"):
        with pytest.raises(InvalidCommand):
            offset(text)


@given(epochs, epochs, offsets, offsets)
def test_cursors_are_equal_only_with_epoch_and_offset_and_are_not_ordered(a: str, b: str, m: int, n: int) -> None:
    """An offset of one log is never taken for one of another."""
    assert (Cursor(a, m) == Cursor(b, n)) == ((a, m) == (b, n))
    with pytest.raises(TypeError):
        assert Cursor(a, m) < Cursor(b, n)  # type: ignore[operator]
