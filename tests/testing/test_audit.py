"""The audit: each kind of violation is seen when it is there, a correct run has none, and no single mutation of one escapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, auto

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.testing import Audit, Kind, Verdict, Violation

ROOM = "room"


class Outcome(Enum):
    """What became of one post."""

    ACKED = auto()
    OPEN_STORED = auto()  # its poster never knew, and it is there
    OPEN = auto()
    REFUSED = auto()


@attrs.frozen
class Said:
    """One post: what became of it, how often it was tried, and how often it was acked."""

    name: str
    outcome: Outcome
    tries: int
    acks: int


@attrs.define
class Heard:
    """What one reader saw: it began after `after`, and saw these (offset, post); `stays` to the end or left."""

    name: str
    after: int
    events: list[tuple[int, str]]
    stays: bool


@attrs.define
class History:
    """One run as everybody noted it. `log` is (offset, message id, post); `early` are offsets told before they were durable."""

    posts: list[Said]
    log: list[tuple[int, str, str]]
    heard: list[Heard]
    early: set[int] = attrs.field(factory=set)
    acked_at: dict[str, tuple[int, str]] = attrs.field(factory=dict)

    def audit(self) -> Verdict:
        """Note everything, and give the verdict."""
        disk = {offset: post for offset, _, post in self.log}
        audit = Audit(durable=lambda _, offset: None if offset in self.early else disk.get(offset))
        for said in self.posts:
            for _ in range(said.tries):
                audit.tried(ROOM, said.name)
                if said.outcome is Outcome.REFUSED:
                    audit.refused(ROOM, said.name, "store_unavailable")
            for _ in range(said.acks if said.outcome is Outcome.ACKED else 0):
                audit.acked(ROOM, said.name, *self.acked_at[said.name])
        for heard in self.heard:
            audit.reads(heard.name, ROOM, heard.after)
            for offset, post in heard.events:
                audit.seen(heard.name, ROOM, offset, post)
            if not heard.stays:
                audit.leaves(heard.name, ROOM)
        audit.stored(ROOM, self.log)
        return audit.finish()


@st.composite
def histories(draw: st.DrawFn, *, rich: bool = False) -> History:
    """Correct runs of one conversation: some posts stored, others not, readers that begin anywhere and may leave early.

    A rich one has something for every mutation: two acks, a refusal, and a reader of everything.
    """
    outcomes = draw(st.lists(st.sampled_from(Outcome), min_size=1, max_size=12))
    if rich:
        outcomes += [Outcome.ACKED, Outcome.REFUSED, Outcome.ACKED]
    posts = [
        Said(f"p{number}", outcome, draw(st.integers(1, 3)), draw(st.integers(1, 2)))
        for number, outcome in enumerate(outcomes)
    ]
    stored = [said for said in posts if said.outcome in (Outcome.ACKED, Outcome.OPEN_STORED)]
    order = draw(st.permutations(stored))
    log = [(offset, f"id-{said.name}", said.name) for offset, said in enumerate(order, 1)]
    heard = [Heard("all", 0, [(offset, post) for offset, _, post in log], stays=True)] if rich else []
    for number in range(draw(st.integers(0, 3))):
        after = draw(st.integers(0, len(log)))
        stays = draw(st.booleans())
        upto = len(log) if stays else draw(st.integers(after, len(log)))
        heard.append(Heard(f"r{number}", after, [(offset, post) for offset, _, post in log[after:upto]], stays))
    acked_at = {post: (offset, message_id) for offset, message_id, post in log}
    return History(posts, log, heard, acked_at=acked_at)


def renumbered(events: Sequence[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """The same events with offsets from 1: a log that looks whole."""
    return [(offset, message_id, post) for offset, (_, message_id, post) in enumerate(events, 1)]


@settings(deadline=None)
@given(histories())
def test_a_correct_run_has_no_violation(history: History) -> None:
    """And its posts, events and sights are counted."""
    verdict = history.audit()
    assert verdict.ok, verdict.violations
    assert verdict.tried == len(history.posts) == verdict.acked + verdict.refused + verdict.open
    assert verdict.acked == sum(said.outcome is Outcome.ACKED for said in history.posts)
    assert verdict.refused == sum(said.outcome is Outcome.REFUSED for said in history.posts)
    assert verdict.stored == len(history.log)
    assert verdict.seen == sum(len(heard.events) for heard in history.heard)


def drop_stored(history: History, draw: st.DrawFn) -> set[Kind]:
    """An acked post is missing in a log that looks whole."""
    acked = [place for place, entry in enumerate(history.log) if history.posts[_number(entry)].outcome is Outcome.ACKED]
    place = draw(st.sampled_from(acked))
    history.log = renumbered(history.log[:place] + history.log[place + 1 :])
    return {Kind.LOST}


def drop_seen(history: History, draw: st.DrawFn) -> set[Kind]:
    """A reader that stayed misses an event."""
    heard = _reader(history, draw, least=1, stays=True)
    del heard.events[draw(st.integers(0, len(heard.events) - 1))]
    return {Kind.DROPPED}


def double_stored(history: History, draw: st.DrawFn) -> set[Kind]:
    """A post is stored once more, at the end, under another id."""
    _, _, post = draw(st.sampled_from(history.log))
    history.log.append((len(history.log) + 1, "id-again", post))
    return {Kind.DOUBLED}


def double_seen(history: History, draw: st.DrawFn) -> set[Kind]:
    """A reader gets an event once more."""
    heard = _reader(history, draw, least=1)
    place = draw(st.integers(0, len(heard.events) - 1))
    again = draw(st.integers(place + 1, len(heard.events)))
    heard.events.insert(again, heard.events[place])
    return {Kind.DOUBLED}


def swap_stored(history: History, draw: st.DrawFn) -> set[Kind]:
    """Two neighbours change places in a log that looks whole, one of which was acked."""
    log = history.log
    pairs = [
        place
        for place in range(len(log) - 1)
        if any(history.posts[_number(log[p])].outcome is Outcome.ACKED for p in (place, place + 1))
    ]
    place = draw(st.sampled_from(pairs))
    log[place], log[place + 1] = log[place + 1], log[place]
    history.log = renumbered(log)
    return {Kind.LOST}


def swap_offsets(history: History, draw: st.DrawFn) -> set[Kind]:
    """The log gives two neighbours in the wrong order."""
    log = history.log
    place = draw(st.integers(0, len(log) - 2))
    log[place], log[place + 1] = log[place + 1], log[place]
    return {Kind.REORDERED}


def swap_seen(history: History, draw: st.DrawFn) -> set[Kind]:
    """A reader gets two neighbours in the wrong order."""
    heard = _reader(history, draw, least=2)
    place = draw(st.integers(0, len(heard.events) - 2))
    heard.events[place], heard.events[place + 1] = heard.events[place + 1], heard.events[place]
    return {Kind.REORDERED}


def swap_texts(history: History, draw: st.DrawFn) -> set[Kind]:
    """A reader gets two neighbours under each other's offsets."""
    heard = _reader(history, draw, least=2)
    place = draw(st.integers(0, len(heard.events) - 2))
    (one, a), (two, b) = heard.events[place : place + 2]
    heard.events[place : place + 2] = [(one, b), (two, a)]
    return {Kind.REORDERED}


def tell_early(history: History, draw: st.DrawFn) -> set[Kind]:
    """An ack, or a sight, comes before its event is durable."""
    told = [offset for offset, _ in history.acked_at.values() if _told(history, offset)]
    history.early = {draw(st.sampled_from(told))}
    return {Kind.EARLY}


def store_refused(history: History, draw: st.DrawFn) -> set[Kind]:
    """A post every try of which was refused is there all the same."""
    refused = [said for said in history.posts if said.outcome is Outcome.REFUSED]
    history.log.append((len(history.log) + 1, "id", draw(st.sampled_from(refused)).name))
    return {Kind.GHOST}


def store_unknown(history: History, draw: st.DrawFn) -> set[Kind]:
    """Something is there that nobody posted."""
    history.log.append((len(history.log) + 1, "id", "from nowhere"))
    return {Kind.GHOST}


def see_unknown(history: History, draw: st.DrawFn) -> set[Kind]:
    """A reader sees an event behind the end of the log."""
    heard = _reader(history, draw, least=0, stays=True)
    heard.events.append((len(history.log) + 1, "from nowhere"))
    return {Kind.LOST}


def _number(entry: tuple[int, str, str]) -> int:
    return int(entry[2][1:])


def _told(history: History, offset: int) -> bool:
    acked = {post for post, (at, _) in history.acked_at.items() if at == offset}
    return any(said.name in acked and said.outcome is Outcome.ACKED for said in history.posts) or any(
        (offset, post) in heard.events for heard in history.heard for post in acked
    )


def _reader(history: History, draw: st.DrawFn, *, least: int, stays: bool | None = None) -> Heard:
    fit = [heard for heard in history.heard if len(heard.events) >= least and stays in (None, heard.stays)]
    return draw(st.sampled_from(fit))


MUTATIONS: tuple[Callable[[History, st.DrawFn], set[Kind]], ...] = (
    drop_stored,
    drop_seen,
    double_stored,
    double_seen,
    swap_stored,
    swap_offsets,
    swap_seen,
    swap_texts,
    tell_early,
    store_refused,
    store_unknown,
    see_unknown,
)


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_one_mutation_of_a_correct_run_is_found(
    mutate: Callable[[History, st.DrawFn], set[Kind]], data: st.DataObject
) -> None:
    """Wherever it happens; its own kind is among those that are named."""
    history = data.draw(histories(rich=True))
    kinds = mutate(history, data.draw)
    verdict = history.audit()
    assert not verdict.ok
    assert kinds <= verdict.counts.keys()


def kinds(audit: Audit) -> list[Kind]:
    """What was found so far, in order."""
    return [violation.kind for violation in audit.violations]


def test_an_ack_that_changes_is_found_at_once() -> None:
    """Another offset or another id under one key; the same ack again is fine."""
    audit = Audit()
    audit.tried(ROOM, "a")
    audit.acked(ROOM, "a", 1, "x")
    audit.acked(ROOM, "a", 1, "x")
    assert audit.violations == ()
    audit.acked(ROOM, "a", 2, "x")
    audit.acked(ROOM, "a", 2, "y")
    assert kinds(audit) == [Kind.ACK_CHANGED, Kind.ACK_CHANGED]


def test_an_ack_for_another_id_than_the_stored_one_is_a_loss() -> None:
    """The offset alone is not enough."""
    audit = Audit()
    audit.tried(ROOM, "a")
    audit.acked(ROOM, "a", 1, "x")
    audit.stored(ROOM, [(1, "y", "a")])
    assert kinds(audit) == [Kind.LOST]


def test_a_gap_is_found_when_it_is_seen() -> None:
    """A reader that is told of nothing may not skip; one that begins anew may."""
    audit = Audit()
    audit.reads("r", ROOM, 0)
    audit.seen("r", ROOM, 1, "a")
    audit.seen("r", ROOM, 3, "c")
    assert kinds(audit) == [Kind.DROPPED]
    audit.reads("r", ROOM, 10)
    audit.seen("r", ROOM, 11, "k")
    assert kinds(audit) == [Kind.DROPPED]
    assert audit.resumes("r", ROOM) == 11


def test_who_leaves_need_not_see_the_rest() -> None:
    """A reader that stays owes the head; one that left, or never came, owes nothing."""
    audit = Audit()
    for reader in ("stays", "leaves"):
        audit.reads(reader, ROOM, 0)
    audit.leaves("leaves", ROOM)
    audit.leaves("never came", ROOM)
    audit.tried(ROOM, "a")
    audit.stored(ROOM, [(1, "x", "a")])
    verdict = audit.finish()
    assert verdict.counts == {Kind.DROPPED: 1}
    assert "stays stands at 0 of 1" in str(verdict.violations[0])


@pytest.mark.parametrize(
    ("tries", "refusals", "found"), [(1, 1, [Kind.GHOST]), (3, 3, [Kind.GHOST]), (2, 1, []), (1, 0, [])]
)
def test_a_refusal_binds_when_every_try_was_refused(tries: int, refusals: int, found: list[Kind]) -> None:
    """A try whose outcome nobody knows may be the one that was stored."""
    audit = Audit()
    for _ in range(tries):
        audit.tried(ROOM, "a")
    for _ in range(refusals):
        audit.refused(ROOM, "a", "overloaded")
    audit.stored(ROOM, [(1, "x", "a")])
    assert kinds(audit) == found


def test_another_event_on_disk_than_was_told_is_found() -> None:
    """Not early, but wrong."""
    audit = Audit(durable=lambda conversation, offset: "b")
    audit.tried(ROOM, "a")
    audit.acked(ROOM, "a", 1, "x")
    assert kinds(audit) == [Kind.REORDERED]


def test_conversations_are_kept_apart() -> None:
    """The same names and offsets in another conversation are another matter."""
    audit = Audit()
    for room in ("one", "two"):
        audit.tried(room, "a")
        audit.acked(room, "a", 1, f"id-{room}")
        audit.reads("r", room, 0)
        audit.seen("r", room, 1, "a")
        audit.stored(room, [(1, f"id-{room}", "a")])
    assert audit.finish().ok


def test_violations_are_told_at_once_and_kept_up_to_a_bound() -> None:
    """All are counted and told; the first thousand are kept word for word."""
    told: list[Violation] = []
    audit = Audit(on_violation=told.append)
    audit.reads("r", ROOM, 0)
    for offset in range(2, 2 * 1500 + 2, 2):
        audit.seen("r", ROOM, offset, f"{offset}")
    verdict = audit.finish()  # which finds that there is no log
    assert verdict.counts == {Kind.DROPPED: 1500, Kind.UNCHECKED: 1}
    assert len(verdict.violations) == 1000
    assert len(told) == 1501


def _acks(audit: Audit) -> None:
    audit.tried(ROOM, "a")
    audit.acked(ROOM, "a", 1, "id-a")


def _refuses(audit: Audit) -> None:
    audit.tried(ROOM, "a")
    audit.refused(ROOM, "a", "store_unavailable")


def _reads(audit: Audit) -> None:
    audit.reads("r", ROOM, 0)


@pytest.mark.parametrize("note", [_acks, _refuses, _reads])
def test_promises_that_were_compared_with_no_log_are_not_kept(note: Callable[[Audit], None]) -> None:
    """A run that forgets to read a log back, or reads another conversation's, has checked nothing."""
    audit = Audit()
    note(audit)
    audit.stored("elsewhere", [])
    verdict = audit.finish()
    assert not verdict.ok
    assert verdict.counts == {Kind.UNCHECKED: 1}


def test_a_try_alone_promises_nothing() -> None:
    """Neither stored nor refused: there is nothing to compare."""
    audit = Audit()
    audit.tried(ROOM, "a")
    assert audit.finish().ok
