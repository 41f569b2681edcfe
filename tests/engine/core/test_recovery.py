"""Where a cursor is served from, against a brute-force definition on sets of offsets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.cursor import MAX_OFFSET, Cursor
from hubbub.engine.core.errors import RecoveryReason
from hubbub.engine.core.recovery import Decision, FromPages, FromTail, Live, Reset, Since, decide


def brute_force(since: Since | None, *, epoch: str, oldest: int, floor: int, head: int) -> Decision:
    """By the meaning of the words: which events are missing, and which place has them all."""
    if since is None:
        return Live(head)
    if since.epoch not in (None, epoch):
        return Reset(RecoveryReason.EPOCH_CHANGED, head)
    if since.offset not in range(head + 1):
        return Reset(RecoveryReason.AHEAD, head)
    missed = set(range(since.offset + 1, head + 1))
    if missed <= set(range(floor + 1, head + 1)):
        return FromTail(since.offset)
    if missed <= set(range(oldest + 1, head + 1)):
        return FromPages(since.offset)
    return Reset(RecoveryReason.TRIMMED, head)


@given(
    st.none() | st.builds(Since, st.integers(0, 14), st.none() | st.sampled_from(["e1", "e2", ""])),
    st.lists(st.integers(0, 12), min_size=3, max_size=3).map(sorted),
)
def test_decide_equals_the_definition(since: Since | None, bounds: list[int]) -> None:
    """For every cursor and every state of the log the decision is the defined one."""
    oldest, floor, head = bounds
    asked = {"epoch": "e1", "oldest": oldest, "floor": floor, "head": head}
    assert decide(since, **asked) == brute_force(since, **asked)


@given(
    st.integers(0, MAX_OFFSET),
    st.none() | st.sampled_from(["e1", "e2"]),
    st.lists(st.integers(0, MAX_OFFSET), min_size=3, max_size=3).map(sorted),
)
def test_nothing_is_skipped_in_silence(offset: int, epoch: str | None, bounds: list[int]) -> None:
    """A decision starts exactly where the reader left off, or says aloud that it does not and stands at the head."""
    oldest, floor, head = bounds
    match decide(Since(offset, epoch), epoch="e1", oldest=oldest, floor=floor, head=head):
        case FromTail(start):
            assert start == offset
            assert floor <= start <= head
        case FromPages(start):
            assert start == offset
            assert oldest <= start < floor
        case Reset(_, start):
            assert start == head
        case other:
            pytest.fail(f"a reader with a cursor got {other}")


def test_a_fresh_log_serves_its_beginning() -> None:
    """Offset 0 of an empty log is its head, not a gap."""
    assert decide(Since(0), epoch="e", oldest=0, floor=0, head=0) == FromTail(0)


def test_the_epoch_is_looked_at_first() -> None:
    """An offset that would fit, of another log, is still of another log."""
    decision = decide(Since.of(Cursor("old", 3)), epoch="new", oldest=0, floor=0, head=5)
    assert decision == Reset(RecoveryReason.EPOCH_CHANGED, 5)
