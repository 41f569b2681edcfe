"""What clerks noted of bans, compared with what is stored."""

from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.faults.bans import Register, Standing


def standing(changes: dict[str, int]) -> Standing:
    """As it is stored after so many changes of each id."""
    log = tuple((user, place % 2 == 0) for user, count in changes.items() for place in range(count))
    return Standing(log, frozenset(user for user, count in changes.items() if count % 2))


def register(acked: dict[str, int], asked: set[str] = frozenset()) -> Register:
    found = Register("c")
    for user, count in acked.items():
        for _ in range(count):
            found.asks(user)
            found.ack(user)
    for user in asked:
        found.asks(user)
    return found


COUNTS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 5))


@given(COUNTS)
def test_what_was_acked_and_stored_is_in_order(acked: dict[str, int]) -> None:
    """Every id's changes take turns, and its row is where the last one left it."""
    found = register(acked)
    assert found.compare(standing(acked)) == ()
    assert (found.acked, found.open) == (sum(acked.values()), frozenset())


@given(COUNTS, st.sampled_from(["a", "b", "c"]), st.booleans())
def test_a_change_without_an_answer_may_be_there_or_not(acked: dict[str, int], user: str, stored: bool) -> None:
    """One, and no more; it is told as open."""
    found = register(acked, {user})
    there = acked | {user: acked.get(user, 0) + stored}
    assert found.open == {user}
    assert found.compare(standing(there)) == ()
    assert found.compare(standing(acked | {user: acked.get(user, 0) + 2})) != ()


@given(COUNTS, st.sampled_from(["a", "b", "c"]))
def test_one_change_more_or_less_is_found(acked: dict[str, int], user: str) -> None:
    """Whoever lost one, and whoever has one that nobody asked for."""
    count = acked.get(user, 0)
    for wrong in {count + 1, count - 1} - {-1}:
        [problem] = register(acked).compare(standing(acked | {user: wrong}))
        assert problem.startswith(f"{user}: {count} changes were acked")


def test_a_change_that_was_made_twice_is_found() -> None:
    """Two bans of one id without an end between them: a repeat must change nothing."""
    [problem] = register({"a": 2}).compare(Standing((("a", True), ("a", True)), frozenset()))
    assert problem == "a: its changes do not take turns: [True, True]"


def test_a_row_that_contradicts_the_log_is_found() -> None:
    """What is in force must be what the log says, both ways."""
    for count, banned in ((1, frozenset()), (2, {"a"})):
        found = Standing(standing({"a": count}).changes, frozenset(banned))
        assert register({"a": count}).compare(found) == ("a: its row among the members is not what the log says",)
