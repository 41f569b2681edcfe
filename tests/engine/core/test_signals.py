"""Signals that wait: newest replaces older, in order, bounded; typing is let through now and then."""

import attrs
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.authors import Author
from hubbub.engine.core.config import ConversationSettings
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.messages import Event
from hubbub.engine.core.signals import Signals

TYPES = ("typing", "cursor.moved", "cursor.hidden")
AUTHORS = ("ada", "bob", "cyd")


def event(event_type: str, author: str, number: int, size: int = 0) -> Event:
    data = b'{"n":%d,"x":"%s"}' % (number, b"x" * size)
    return Event(event_type, ConversationId("room"), None, number, Author(author, author), data_json=data)


@attrs.frozen
class Add:
    """Something is added some time after the step before."""

    type: str
    author: str
    after_s: float


@attrs.frozen
class Take:
    """Something is taken."""

    max_bytes: int


ADDS = st.builds(Add, st.sampled_from(TYPES), st.sampled_from(AUTHORS), st.sampled_from([0.0, 0.25, 0.5, 3.0]))
STEPS = st.lists(st.one_of(ADDS, ADDS, ADDS, st.builds(Take, st.sampled_from([1, 400, 10_000]))), max_size=60)


@given(STEPS, st.integers(1, 6))
def test_what_is_taken_is_the_newest_of_each_in_order(steps: list[Add | Take], items: int) -> None:
    """Against a plain list: order kept, one of a type and author at a time and the newest, the oldest given up past the bound."""
    signals = Signals(ConversationSettings(signal_items=items, typing_again_s=1.0))
    waiting: list[Event] = []
    typed: dict[str, float] = {}
    now = 0.0
    for number, step in enumerate([*steps, Take(1_000_000)]):
        match step:
            case Add(kind, author, after_s):
                now += after_s
                signals.add(event(kind, author, number), now)
                if kind == "typing" and now < typed.get(author, -9.0) + 1.0:
                    continue
                if kind == "typing":
                    typed[author] = now
                waiting = [each for each in waiting if (each.type, each.actor.id) != (kind, author)]
                waiting = [*waiting, event(kind, author, number)][-items:]
            case Take(max_bytes):
                taken = signals.take(max_bytes)
                assert [entry.event for entry in taken] == waiting[: len(taken)]
                assert sum(len(entry.body) for entry in taken) <= max_bytes or len(taken) == 1
                assert bool(taken) == bool(waiting)
                waiting = waiting[len(taken) :]
        assert len(signals) == len(waiting) <= items
    assert not signals


def test_a_take_fills_its_bound() -> None:
    """As many as fit are taken at once, the rest the next time; one that fits nowhere is taken alone."""
    signals = Signals(ConversationSettings())
    for number in range(10):
        signals.add(event(f"a{number}", "ada", number, size=1_000), 0.0)
    sizes = []
    while signals:
        sizes.append(len(signals.take(4_500)))
    assert sizes == [3, 3, 3, 1]
    signals.add(event("large", "ada", 1, size=8_000), 0.0)
    assert len(signals.take(1)) == 1


def test_typing_may_be_let_through_always() -> None:
    """A pause of 0 is none; only what waits is replaced then."""
    signals = Signals(ConversationSettings(typing_again_s=0.0))
    for number in range(3):
        signals.add(event("typing", "ada", number), 5.0)
        assert [entry.event.at_ms for entry in signals.take(1)] == [number]


def test_the_authors_remembered_are_bounded() -> None:
    """Past the bound the one that typed longest ago is forgotten, and shown again too soon; the others are not."""
    signals = Signals(ConversationSettings(typing_items=2, typing_again_s=10.0))
    for author in ("ada", "bob", "cyd"):
        signals.add(event("typing", author, 1), 0.0)
    assert len(signals.take(10_000)) == 3
    for author in ("cyd", "bob", "ada"):
        signals.add(event("typing", author, 2), 1.0)
    assert [entry.event.actor.id for entry in signals.take(10_000)] == ["ada"]


def test_clearing_keeps_what_was_said() -> None:
    """What waits is dropped; that an author has typed just now is still known."""
    signals = Signals(ConversationSettings())
    signals.add(event("typing", "ada", 1), 0.0)
    signals.clear()
    signals.add(event("typing", "ada", 2), 0.5)
    assert not signals
    signals.add(event("typing", "ada", 3), 1.0)
    assert len(signals) == 1
