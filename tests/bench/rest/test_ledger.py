"""The account of REST posts against a naive model of a log that may be tampered with."""

import attrs
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.invariants import Verdict
from hubbub.bench.rest.ledger import Message, RestLedger
from hubbub.bench.texts import Texts


def ledger_of(posts: int) -> tuple[RestLedger, list[Message]]:
    """A ledger with so many acknowledged posts of one connection in one room, and the log as it should be."""
    ledger = RestLedger(Texts("run", 80, 1), 1)
    log: list[Message] = []
    for at in range(posts):
        number, text = ledger.sent(0, 0, 1_000 + at)
        message = Message(f"m{number}", number + 1, text)
        ledger.acked(number, message)
        log.append(message)
    return ledger, log


def found(ledger: RestLedger, log: list[Message]) -> dict[str, int]:
    for message in log:
        ledger.stored(0, message)
    verdict = attrs.asdict(ledger.verdict())
    del verdict["posts_acked"]
    return {name: value for name, value in verdict.items() if value}


@given(st.integers(1, 30), st.data())
def test_what_is_left_out_at_the_end_is_lost(posts: int, data: st.DataObject) -> None:
    """Acknowledged posts beyond the log's end are lost, and nothing else is said of them."""
    ledger, log = ledger_of(posts)
    kept = data.draw(st.integers(0, posts))
    assert found(ledger, log[:kept]) == ({"posts_lost": posts - kept} if kept < posts else {})


@given(st.integers(2, 30), st.data())
def test_a_hole_is_a_lost_post_and_a_lost_offset(posts: int, data: st.DataObject) -> None:
    """An offset that no page shows breaks the log besides."""
    ledger, log = ledger_of(posts)
    del log[data.draw(st.integers(0, posts - 2))]
    assert found(ledger, log) == {"posts_lost": 1, "lost": 1}


@given(st.integers(2, 30), st.data())
def test_two_that_changed_places_are_reordered(posts: int, data: st.DataObject) -> None:
    """Both stand elsewhere than was acknowledged."""
    ledger, log = ledger_of(posts)
    at, other = sorted(data.draw(st.lists(st.integers(0, posts - 1), min_size=2, max_size=2, unique=True)))
    texts = [(message.id, message.text) for message in log]
    texts[at], texts[other] = texts[other], texts[at]
    log = [Message(told[0], n + 1, told[1]) for n, told in enumerate(texts)]
    assert found(ledger, log) == {"reordered": 2}


@given(st.integers(1, 20), st.integers(1, 3))
def test_a_post_that_is_stored_again_is_doubled(posts: int, times: int) -> None:
    """Each further place counts, wherever it stands."""
    ledger, log = ledger_of(posts)
    log += [Message(log[0].id, posts + 1 + n, log[0].text) for n in range(times)]
    assert found(ledger, log) == {"posts_doubled": times}


def test_a_page_that_shows_an_offset_twice() -> None:
    """It is the page that doubled, not the post."""
    ledger, log = ledger_of(3)
    assert found(ledger, [*log, log[1]]) == {"duplicated": 1}


def test_altered_texts() -> None:
    """In the log, in the acknowledgement, from another run, or of another room: one count each."""
    ledger, log = ledger_of(3)
    log[1] = Message(log[1].id, 2, log[1].text[:-1] + "!")
    number, _ = ledger.sent(0, 0, 5)
    ledger.acked(number, Message("x", 4, "else"))
    log.append(Message("x", 4, Texts("run", 80, 1).write(number, 5)))
    log.append(Message("y", 5, "not ours"))
    log.append(Message("y", 6, Texts("run", 80, 1).write(99, 5)))
    assert found(ledger, log) == {"corrupted": 4}


def test_order_of_posts_without_an_answer() -> None:
    """A connection's posts must stand in the order of their sending also where an answer is missing."""
    ledger = RestLedger(Texts("run", 80, 1), 1)
    texts = [ledger.sent(0, 0, at)[1] for at in range(3)]
    for offset, text in enumerate((texts[1], texts[0], texts[2]), 1):
        ledger.stored(0, Message(str(offset), offset, text))
    assert ledger.verdict() == Verdict(reordered=1)


def test_connections_are_not_ordered_among_each_other() -> None:
    """Only posts of one connection have an order."""
    ledger = RestLedger(Texts("run", 80, 1), 1)
    texts = [ledger.sent(connection, 0, 1)[1] for connection in (0, 1)]
    for offset, text in enumerate(reversed(texts), 1):
        ledger.stored(0, Message(str(offset), offset, text))
    assert ledger.verdict() == Verdict()
