"""Reading rooms back: every page once, in order, from servers that are busy or talk nonsense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from hubbub.bench.rest.audit import Audit, Step, Unreadable
from hubbub.bench.rest.ledger import Message, RestLedger
from hubbub.bench.rest.wire import Answer
from hubbub.bench.texts import Texts


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(1, 4), st.lists(st.booleans(), max_size=9))
def test_every_room_is_read_to_its_end(sizes: list[int], page_items: int, busy: list[bool]) -> None:
    """Whatever the sizes of rooms and pages, and however often the server has no time, all that is stored is seen once."""
    ledger = RestLedger(Texts("run", 80, 1), len(sizes))
    logs: list[list[Message]] = []
    for room, size in enumerate(sizes):
        posts = [ledger.sent(0, room, at) for at in range(size)]
        logs.append([Message(f"m{number}", at, text) for at, (number, text) in enumerate(posts, 1)])
        for (number, _), message in zip(posts, logs[-1], strict=True):
            ledger.acked(number, message)
    audit = Audit([f"r{room}" for room in range(len(sizes))], ledger)
    while (step := audit.next()) is not None:
        assert audit.path(step).startswith(f"r{step.room}/messages?after={step.after}&")
        if busy and busy.pop():
            audit.answered(step, Answer(503, b"", closing=False))
            continue
        log = logs[step.room]
        page = log[step.after : step.after + page_items]
        more = page[-1].offset if page and page[-1].offset < len(log) else None
        body = json.encode({"messages": page, "next": more, "previous": None})
        audit.answered(step, Answer(200, body, closing=False))
    assert audit.done
    assert ledger.verdict().broken() == ()
    assert ledger.verdict().posts_acked == sum(sizes)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"messages":[],"next":3,"previous":null}'])
def test_a_room_that_cannot_be_read_is_an_error(body: bytes) -> None:
    """No page, or one that leads back to where it was asked."""
    audit = Audit(["r"], RestLedger(Texts("run", 80, 1), 1))
    assert audit.next() == Step(0, 0)
    with pytest.raises(Unreadable):
        audit.answered(Step(0, 3), Answer(200, body, closing=False))
