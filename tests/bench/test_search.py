"""The search for the highest rate: exact steps, any capacity, and stalls that are not the server's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.search import MAX_TRIES, MIN_RATE_PER_S, Search


def tries(search: Search, capacity: float) -> list[float]:
    rates = []
    while search.rate_per_s is not None:
        rates.append(search.rate_per_s)
        search.tried(kept=search.rate_per_s <= capacity)
    return rates


def test_it_doubles_and_then_closes_in() -> None:
    """From 100 with a capacity of 300: 100, 200, 400 twice, then between 200 and 400."""
    search = Search(100, precision=1.2)
    rates = tries(search, 300)
    assert rates[:4] == [100, 200, 400, 400]
    assert search.kept is not None
    assert search.failed is not None
    assert search.kept <= 300 < search.failed <= search.kept * 1.2


def test_it_goes_down_when_the_first_rate_is_too_high() -> None:
    """A first rate far above what the server can do is halved."""
    search = Search(1000)
    tries(search, 3)
    assert search.kept is not None
    assert 2.8 < search.kept <= 3


def test_a_server_that_keeps_nothing_ends_the_search() -> None:
    """With no rate kept there is no answer, and no endless search."""
    search = Search(8)
    assert tries(search, 0)[-1] >= MIN_RATE_PER_S
    assert search.kept is None


def test_one_stall_is_forgiven() -> None:
    """A rate that fails once and is kept when tried again counts as kept."""
    search = Search(10)
    search.tried(kept=False)
    assert search.rate_per_s == 10
    search.tried(kept=True)
    assert (search.kept, search.rate_per_s) == (10, 20)


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(1.01, 2))
def test_any_capacity_is_found(first: float, capacity: float, precision: float) -> None:
    """Whatever the capacity, the last kept rate is at most it, and within the precision of a rate that failed."""
    search = Search(first, precision)
    assert len(tries(search, capacity)) <= MAX_TRIES
    if search.kept is not None and search.failed is not None:
        assert search.kept <= capacity < search.failed


@pytest.mark.parametrize(("first", "precision"), [(0.1, 1.05), (10, 1.0)])
def test_nonsense_is_refused(first: float, precision: float) -> None:
    """A rate near zero and a precision that cannot be reached are errors."""
    with pytest.raises(ValueError, match="cannot search"):
        Search(first, precision)
