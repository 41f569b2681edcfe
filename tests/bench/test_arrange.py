"""Sharing rooms and loads out to generator processes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.arrange import Rooms, parts, share, shared_load, starts_ns
from hubbub.bench.scenarios import MIXED, ROOMS_C, ClosedLoop, OpenLoop, Sizes, Traffic


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 5))
def test_every_reader_sits_somewhere(readers: list[int], processes: int) -> None:
    """All rooms and readers are shared out once; rooms are whole where there are enough of them."""
    names = [f"r{number}" for number in range(len(readers))]
    found = parts(Rooms("x", names, []), readers, processes)
    seated: dict[str, int] = {}
    for part in found:
        for name, count in zip(part.rooms, part.readers, strict=True):
            seated[name] = seated.get(name, 0) + count
    assert seated == dict(zip(names, readers, strict=True))
    if len(names) >= processes:
        assert sum(len(part.rooms) for part in found) == len(names)


@given(st.floats(1, 1e4), st.integers(1, 4))
def test_an_open_loop_is_shared_at_equal_distances(rate: float, processes: int) -> None:
    """The posts of all processes together come at the asked rate, one after another."""
    loads = shared_load(OpenLoop(rate), processes)
    starts = starts_ns(OpenLoop(rate), 10**9, processes)
    due = sorted(
        start + int(n * 1e9 / load.rate_per_s) for start, load in zip(starts, loads, strict=True) for n in range(5)
    )
    gaps = [b - a for a, b in pairwise(due)]
    assert all(gap == pytest.approx(1e9 / rate, abs=3) for gap in gaps)


@given(st.integers(1, 1000), st.none() | st.integers(1, 10**6), st.integers(1, 7))
def test_a_closed_loop_is_shared_whole(in_flight: int, posts: int | None, processes: int) -> None:
    """Slots and posts add up."""
    loads = shared_load(ClosedLoop(in_flight, posts), processes)
    assert sum(load.in_flight for load in loads) == in_flight
    assert posts is None or sum(load.posts for load in loads) == posts
    assert sum(share(in_flight, processes)) == in_flight


@given(st.integers(1, 400), st.integers(0, 5000))
def test_sizes_add_up(rooms: int, more: int) -> None:
    """Even or heavy-tailed, all readers have a room and, where there are enough, no room is empty."""
    subscribers = rooms + more
    for sizes in Sizes:
        shape = Traffic(
            name="x", title="", rooms=rooms, subscribers=subscribers, sizes=sizes, load=OpenLoop(1), seconds=1
        )
        found = shape.readers()
        assert (len(found), sum(found)) == (rooms, subscribers)
        assert min(found) >= 1


def test_a_day_in_a_chat_has_a_heavy_tail() -> None:
    """The biggest room of `mixed` has hundreds of readers and most rooms a handful; those of C are all alike."""
    found = MIXED.readers()
    assert found[0] > 250
    assert sorted(found)[len(found) // 2] <= 3
    assert set(ROOMS_C.readers()) == {4}
