"""The accounting against a naive model that keeps everything."""

from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.invariants import Account, Ledger, PostLedger, Verdict, reader_verdict

FIRST = 5
offsets = st.lists(st.integers(1, 30), max_size=60)


def naive(got: list[int], last: int) -> Account:
    seen: set[int] = set()
    duplicated = reordered = 0
    for offset in got:
        if offset in seen or offset < FIRST:
            duplicated += 1
        elif seen and offset < max(seen):
            reordered += 1
        if offset >= FIRST:
            seen.add(offset)
    return Account(len(seen), len(set(range(FIRST, last + 1)) - seen), duplicated, reordered)


@given(offsets, st.integers(0, 10))
def test_a_ledger_agrees_with_the_naive_model(got: list[int], more: int) -> None:
    """Loss, duplicates and late events are counted as by keeping every offset in a list."""
    ledger = Ledger(FIRST)
    for offset in got:
        ledger.take(offset)
    last = max([FIRST - 1, *got]) + more
    assert ledger.finish(last) == naive(got, last)


@given(offsets, st.integers(1, 20), offsets)
def test_advance_is_taking_one_after_the_other(before: list[int], run: int, after: list[int]) -> None:
    """A contiguous run counted at once is the same as offset by offset."""
    at_once, one_by_one = Ledger(FIRST), Ledger(FIRST)
    for offset in before:
        at_once.take(offset)
        one_by_one.take(offset)
    start = at_once.expect
    at_once.advance(start + run)
    for offset in range(start, start + run):
        one_by_one.take(offset)
    for offset in after:
        at_once.take(offset)
        one_by_one.take(offset)
    assert at_once.finish(60) == one_by_one.finish(60)


def test_an_acknowledged_post_that_nobody_saw_is_lost() -> None:
    """Acknowledged and never seen counts as lost; seen without an answer does not."""
    posts = PostLedger()
    posts.acked(1)
    posts.acked(2)
    posts.seen(2, (0, 10))
    posts.seen(3, (0, 11))
    assert (posts.lost(), posts.doubled, posts.acked_count()) == (1, 0, 2)


def test_a_post_under_two_offsets_is_doubled() -> None:
    """The same offset again is another reader; a second offset is a second copy."""
    posts = PostLedger()
    for offset in (4, 4, 5):
        posts.seen(1, (0, offset))
    assert posts.doubled == 1


def test_what_a_cut_off_reader_missed_is_undelivered_not_lost() -> None:
    """A cut is reported as a cut, and still breaks the run."""
    verdict = reader_verdict(Account(received=3, lost=4, duplicated=0, reordered=0), cut_off=True)
    assert (verdict.lost, verdict.undelivered, verdict.broken()) == (0, 4, ("cut_off",))


def test_verdicts_add_up() -> None:
    """Every count of the sum is the sum of the counts."""
    one = Verdict(readers=1, received=10, lost=2)
    two = Verdict(readers=2, received=5, reordered=1)
    assert one.plus(two) == Verdict(readers=3, received=15, lost=2, reordered=1)
    assert one.plus(two).broken() == ("lost", "reordered")
