"""The checks of a soak: each broken promise is found, a whole run is not blamed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.soak_ledger import Checks, Cursor, Room, SoakLedger


def posted(count: int) -> tuple[SoakLedger, Room]:
    """A ledger with a room of that many acknowledged posts, the first at offset 1."""
    ledger, room = SoakLedger(), Room("room", "e")
    for offset in range(1, count + 1):
        ledger.acked(room, ledger.posting(), offset)
    return ledger, room


def logs(room: Room, count: int) -> dict[Room, dict[int, int]]:
    return {room: {offset: offset - 1 for offset in range(1, count + 1)}}


@given(st.integers(0, 30), st.integers(0, 30))
def test_a_whole_run_holds(count: int, after: int) -> None:
    """Readers from anywhere, the log as acked: nothing is broken and everything is counted."""
    ledger, room = posted(count)
    cursor = Cursor("ada", room, min(after, count))
    for offset in range(cursor.offset + 1, count + 1):
        ledger.seen(cursor, offset, offset - 1)
    checks = ledger.finish(logs(room, count), behind=0)
    assert checks.broken() == ()
    assert (checks.posted, checks.acked, checks.delivered) == (count, count, count - min(after, count))


@given(st.lists(st.integers(1, 12), max_size=30))
def test_any_other_order_is_broken(offsets: list[int]) -> None:
    """A reader gets 1, 2, 3 ... or something is said."""
    ledger, room = posted(12)
    cursor = Cursor("ada", room, 0)
    for offset in offsets:
        ledger.seen(cursor, offset, offset - 1)
    whole = offsets == list(range(1, len(offsets) + 1))
    assert (ledger.so_far().broken() == ()) is whole


def test_a_gap_counts_what_is_missing() -> None:
    """Three events that a reader was not sent are three lost ones."""
    ledger, room = posted(5)
    cursor = Cursor("ada", room, 0)
    ledger.seen(cursor, 1, 0)
    ledger.seen(cursor, 5, 4)
    checks = ledger.so_far()
    assert (checks.lost, checks.broken()) == (3, ("lost",))
    assert checks.notes == ("ada got 5 of room after 1",)


def test_readers_must_agree() -> None:
    """Two posts at one offset are a reordering, one post at two offsets a duplicate."""
    ledger, room = posted(2)
    ledger.seen(Cursor("ada", room, 0), 1, 1)
    checks = ledger.so_far()
    assert (checks.reordered, checks.duplicated) == (1, 1)


def test_an_ack_that_the_store_does_not_know_is_a_loss() -> None:
    """Also when readers have seen it."""
    ledger, room = posted(2)
    checks = ledger.finish({room: {1: 0}}, behind=0)
    assert (checks.lost, checks.broken()) == (1, ("lost",))


def test_the_rest_of_what_breaks() -> None:
    """Altered texts, positions that cannot be resumed, readers that never arrive."""
    ledger, room = posted(1)
    ledger.corrupted("ada")
    ledger.reset(Cursor("ada", room, 1), "trimmed")
    checks = ledger.finish(logs(room, 1), behind=2)
    assert checks.broken() == ("lost", "corrupted", "behind")


def test_nothing_is_nothing() -> None:
    """An empty soak broke nothing."""
    assert SoakLedger().finish({}, behind=0) == Checks()


def test_notes_are_bounded() -> None:
    """A soak that goes wrong for an hour does not fill the memory."""
    ledger, room = posted(1)
    for _ in range(100):
        ledger.seen(Cursor("ada", room, 1), 1, 0)
    assert (ledger.so_far().duplicated, len(ledger.so_far().notes)) == (100, 20)
