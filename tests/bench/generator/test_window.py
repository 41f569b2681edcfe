"""The measured window: its marks, its seconds, and that together they are the whole."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.generator.window import INTERVAL_NS, Counts, Window, marks

S = INTERVAL_NS


@given(st.integers(0, 10**15), st.integers(1, 100 * S))
def test_marks_are_a_second_apart(from_ns: int, length_ns: int) -> None:
    """Both ends are marks; every interval is a second, but for the last, which is up to two."""
    found = list(marks(from_ns, from_ns + length_ns))
    assert (found[0], found[-1]) == (from_ns, from_ns + length_ns)
    gaps = [b - a for a, b in pairwise(found)]
    assert all(gap == S for gap in gaps[:-1])
    assert gaps[-1] < 2 * S


def counts(at_s: float, sent: int) -> Counts:
    return Counts(int(at_s * S), sent, sent * 10, sent - 1, at_s / 2)


def test_seconds_add_up_to_the_window() -> None:
    """What was meant for the window counts, in the second in which it came; what came after its end counts for the whole."""
    window = Window(10 * S, 12 * S)
    window.delivered(9 * S, 10 * S - 5)  # meant for the warm-up
    assert window.mark(counts(10, 100)) is None
    window.delivered(10 * S, 10 * S + 7)
    first = window.mark(counts(11, 130))
    window.acked(11 * S, 11 * S + 9)
    second = window.mark(counts(12, 150))
    window.delivered(12 * S - 1, 12 * S + 90)  # late
    window.delivered(12 * S, 12 * S + 1)  # meant for after the window
    assert first is not None
    assert second is not None
    assert (first.number, first.sent, first.delivered, first.acked, first.cpu_s) == (0, 30, 300, 30, 0.5)
    assert (first.delivery.count, first.ack.count) == (1, 0)
    assert (second.number, second.sent, second.delivery.count, second.ack.count) == (1, 20, 0, 1)
    whole = window.result(last_offsets={"r": 3}, unanswered=0, behind=0, sent=150, kept=140)
    assert (whole.window_s, whole.delivered, whole.acked, whole.cpu_s) == (2.0, 500, 50, 1.0)
    assert (whole.delivery.count, whole.delivery.greatest, whole.ack.count) == (2, 91, 1)
