"""The error tree and the wire table agree: every error has a row, every row an owner, and hints do not contradict each other."""

from collections.abc import Iterator

import pytest

from hubbub.engine.core import errors
from hubbub.engine.core.errors import WIRE, EngineError, RecoveryFailed, RecoveryReason, Retry, Wire

# The code of a branch is what an error without a name of its own would show; these share it with their most plain leaf.
BRANCHES = {errors.EngineError, errors.ClientError, errors.StoreError}
# Rows without an error class, and why.
RESERVED = {
    "precondition_failed": "If-Match on edits, which come with a later issue; the wire documents the code already"
}
# Codes that the protocol page promises to clients.
DOCUMENTED = [
    "invalid_request",
    "unauthenticated",
    "forbidden",
    "not_found",
    "conflict",
    "gone",
    "precondition_failed",
    "too_large",
    "unprocessable",
    "rate_limited",
    "overloaded",
    "store_unavailable",
    "outcome_unknown",
    "quarantined",
    "internal",
]


def tree(base: type[EngineError] = EngineError) -> Iterator[type[EngineError]]:
    """The class and all below it, as far as the core defines them."""
    yield base
    for child in base.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


def example(kind: type[EngineError]) -> EngineError:
    """An error of this class, made with as little as it takes."""
    if kind is RecoveryFailed:
        return RecoveryFailed(RecoveryReason.TRIMMED)
    if kind is errors.RateLimited:
        return errors.RateLimited("too often", retry_after_s=0.5)
    try:
        return kind()
    except TypeError:
        return kind("a sentence")


ALL = sorted(set(tree()), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_a_row(kind: type[EngineError]) -> None:
    """Every class of the tree can be shown on every wire."""
    assert kind.code in WIRE


def test_every_row_is_used() -> None:
    """A row belongs to an error or is reserved with a reason."""
    assert set(WIRE) == {kind.code for kind in ALL} | set(RESERVED)


def test_leaves_have_their_own_codes() -> None:
    """A program can tell any two errors apart by their code."""
    leaves = [kind for kind in ALL if kind not in BRANCHES]
    codes = [kind.code for kind in leaves]
    assert len(codes) == len(set(codes))


def test_documented_codes_exist() -> None:
    """The codes that clients were promised are all there."""
    assert set(DOCUMENTED) <= set(WIRE)


def test_protocol_reply_codes_are_unique() -> None:
    """A reply code of the Centrifugal protocol's own range means one thing."""
    own = [row.reply_code for row in WIRE.values() if row.reply_code < 400]
    assert len(own) == len(set(own))
    assert all(100 <= code <= 112 for code in own)


@pytest.mark.parametrize(("code", "row"), WIRE.items())
def test_rows_are_well_formed(code: str, row: Wire) -> None:
    """Codes are snake case, statuses are errors, titles are short, and our own reply codes stay in the custom range."""
    assert code.replace("_", "").isalpha()
    assert code == code.lower()
    assert 400 <= row.status <= 599
    assert 0 < len(row.title) <= 40
    assert row.reply_code < 400 or 400 <= row.reply_code <= 1999


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind not in BRANCHES], ids=lambda kind: kind.__name__)
def test_retry_hints_agree(kind: type[EngineError]) -> None:
    """What says AFTER or SAME also says when, and is temporary on the wire; what is useless to repeat is neither."""
    error, row = example(kind), WIRE[kind.code]
    if kind.retry in (Retry.AFTER, Retry.SAME):
        assert error.retry_after_s is not None
        assert 0 < error.retry_after_s <= 60
        assert row.temporary
    else:
        assert error.retry_after_s is None
    if kind.retry is Retry.NEVER:
        assert not row.temporary
        assert row.status < 500


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_errors_are_in_the_drawn_tree_and_speak(kind: type[EngineError]) -> None:
    """The docstring's tree names every class, and those with a fixed sentence say one."""
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__
    if kind in {errors.Overloaded, errors.EngineBroken, errors.EngineClosed, errors.OutcomeUnknown, RecoveryFailed}:
        assert len(str(example(kind))) > 10


@pytest.mark.parametrize("reason", RecoveryReason)
def test_recovery_failed_names_its_reason(reason: RecoveryReason) -> None:
    """The reason is an attribute for programs and words for people."""
    error = RecoveryFailed(reason)
    assert error.reason is reason
    assert reason.value.replace("_", " ") in str(error)
