"""Remembered keys against a naive model: a plain list, the oldest acked key forgotten first."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hubbub.engine.core.authors import Author
from hubbub.engine.core.cursor import Cursor
from hubbub.engine.core.dedupe import Dedupe, Known, Scope
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.messages import Ack, Message

SCOPES = [Scope(author, key) for author in ("ada", "bob") for key in ("k1", "k2", "ada", "")]


def ack_at(offset: int, text: str = "") -> Ack:
    """An ack that can be told apart by its offset."""
    author = Author("ada", "Ada")
    return Ack(Message(f"m{offset}", ConversationId("room"), offset, author, text, 0), Cursor("e", offset))


class DedupeMachine(RuleBasedStateMachine):
    """Keys are acked, some again, some with long texts; the model is a list cut to the bounds."""

    def __init__(self) -> None:
        super().__init__()
        self.dedupe = Dedupe(4, 5000)
        self.acked: list[tuple[Scope, Known]] = []
        self.offset = 0

    @rule(
        scope=st.sampled_from(SCOPES),
        digest=st.sampled_from([b"one", b"two"]),
        size=st.sampled_from([0, 10, 700, 3000]),
    )
    def acknowledge(self, scope: Scope, digest: bytes, size: int) -> None:
        """It is acked; a key that is known already keeps its first ack and its place."""
        self.offset += 1
        known = Known(digest, ack_at(self.offset, "x" * size))
        self.dedupe.acknowledge(scope, known.digest, known.ack)
        if scope not in dict(self.acked):
            self.acked.append((scope, known))
        while len(self.acked) > 4 or sum(one.size_bytes for _, one in self.acked) > 5000:
            self.acked.pop(0)

    @invariant()
    def same_answers(self) -> None:
        """Every key has the model's answer, and the bounds hold."""
        remembered = dict(self.acked)
        assert {scope: self.dedupe.acked(scope) for scope in SCOPES} == {
            scope: remembered.get(scope) for scope in SCOPES
        }
        assert len(self.dedupe) == len(self.acked) <= 4
        assert self.dedupe.size_bytes == sum(known.size_bytes for known in remembered.values()) <= 5000


TestDedupeMachine = DedupeMachine.TestCase


def test_author_and_key_are_not_run_together() -> None:
    """The same letters split differently between author and key are two scopes."""
    dedupe = Dedupe(10, 10_000)
    dedupe.acknowledge(Scope("ab", "c"), b"d", ack_at(1))
    assert dedupe.acked(Scope("a", "bc")) is None
    assert dedupe.acked(Scope("ab", "c")) == Known(b"d", ack_at(1))


def test_two_authors_may_choose_one_key() -> None:
    """Each has an ack of its own."""
    dedupe = Dedupe(10, 10_000)
    dedupe.acknowledge(Scope("ada", "k"), b"d", ack_at(1))
    assert dedupe.acked(Scope("bob", "k")) is None
    dedupe.acknowledge(Scope("bob", "k"), b"d", ack_at(2))
    assert dedupe.acked(Scope("ada", "k")) == Known(b"d", ack_at(1))
    assert dedupe.acked(Scope("bob", "k")) == Known(b"d", ack_at(2))
