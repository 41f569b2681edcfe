"""What a post says, read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.texts import CorruptText, Mark, Texts


@given(st.integers(0, 10**9), st.integers(0, 10**18), st.integers(64, 500))
def test_a_text_says_its_number_and_time_in_the_wanted_size(number: int, intended_ns: int, size: int) -> None:
    """Every text has the size asked for and reads back as written."""
    texts = Texts("cafe0123", size, seed=7)
    text = texts.write(number, intended_ns)
    assert len(text.encode()) == size
    assert texts.read(text) == Mark(number, intended_ns)


def test_a_foreign_text_is_not_ours() -> None:
    """Someone else talking in the room is no fault."""
    assert Texts("cafe0123", 120, seed=7).read("hello") is None


@pytest.mark.parametrize(
    "damage", [lambda t: t[:-1], lambda t: t + "x", lambda t: t[:100] + "~" + t[101:], lambda t: t[:12]]
)
def test_a_changed_text_is_corrupt(damage) -> None:
    """Cut, lengthened or altered texts of the run are recognised."""
    texts = Texts("cafe0123", 120, seed=7)
    with pytest.raises(CorruptText):
        texts.read(damage(texts.write(1, 10**15)))
