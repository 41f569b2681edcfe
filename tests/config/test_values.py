"""Values: what each type of setting takes, and what it says of the rest."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.config.errors import Mistake
from hubbub.config.values import convert, name_of, plain, toml
from hubbub.engine.core.secret import HIDDEN, Secret


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen(kw_only=True)
class Issuer:
    name: str
    key: Secret | None = None
    age_s: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))


def mistake_of(kind: Any, raw: object, *, textual: bool, secret: bool = False) -> str:
    """What is said of a value; "taken" where it is one."""
    try:
        convert(kind, raw, textual=textual, secret=secret)
    except Mistake as mistake:
        return str(mistake)
    return "taken"


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        (bool, True, True),
        (int, 7, 7),
        (float, 7, 7.0),
        (str, "x", "x"),
        (Path, "/a/b", Path("/a/b")),
        (int | None, 3, 3),
        (tuple[str, ...], ["a", "b"], ("a", "b")),
        (frozenset[int], [1, 2, 1], frozenset({1, 2})),
        (Literal["a", "b"], "b", "b"),
        (Colour, "red", Colour.RED),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
        (tuple[Issuer, ...], [{"name": "x", "age_s": 2}], (Issuer(name="x", age_s=2.0),)),
        (datetime, datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime, "2027-01-01T00:00:00Z", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_values_of_a_file(kind: Any, raw: object, expected: object) -> None:
    """Each type takes its own, and whole numbers do for numbers."""
    assert convert(kind, raw, textual=False) == expected


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        (bool, "yes", True),
        (bool, "FALSE", False),
        (int, "7", 7),
        (float, "0.5", 0.5),
        (int | None, "", None),
        (Path | None, "", None),
        (tuple[str, ...], "a, b,", ("a", "b")),
        (tuple[int, ...], "1,2", (1, 2)),
        (tuple[str, ...], "", ()),
        (tuple[str, ...], '["a,b", "c"]', ("a,b", "c")),
        (Mapping[str, int], "{a = 1}", {"a": 1}),
        (tuple[Issuer, ...], '[{name = "x"}]', (Issuer(name="x"),)),
    ],
)
def test_values_of_the_environment(kind: Any, raw: str, expected: object) -> None:
    """Text is read by the type that is wanted."""
    assert convert(kind, raw, textual=True) == expected


@pytest.mark.parametrize(
    ("kind", "raw", "told"),
    [
        (int, "7", "takes a whole number, not the text '7'"),
        (int, 7.0, "takes a whole number, not a number"),
        (int, True, "takes a whole number, not true or false"),
        (float, True, "takes a number, not true or false"),
        (float, math.nan, "takes a number"),
        (float, math.inf, "takes a number"),
        (bool, 1, "takes true or false, not a whole number"),
        (str, 1, "takes text, not a whole number"),
        (str, "a\0b", "without NUL"),
        (int, None, "takes a whole number, not null"),
        (tuple[int, ...], 1, "takes a list of a whole number, not a whole number"),
        (tuple[int, ...], [1, "x"], "item 2 takes a whole number"),
        (Literal["debug", "info"], "inof", "did you mean 'info'?"),
        (Colour, "rot", "takes red or blue"),
        (Mapping[str, int], {"a": "x"}, "'a' takes a whole number"),
        (tuple[Issuer, ...], [{"nane": "x"}], "did you mean 'name'?"),
        (tuple[Issuer, ...], [{}], "needs 'name'"),
        (tuple[Issuer, ...], [{"name": "x", "age_s": -1}], "must be > 0"),
        (datetime, "2027-01-01", "a time with its zone"),
    ],
)
def test_what_is_not_taken(kind: Any, raw: object, told: str) -> None:
    """Nothing is guessed, and the message says what would be right."""
    with pytest.raises(Mistake, match="^.*" + told.replace("?", r"\?").replace("(", r"\(")):
        convert(kind, raw, textual=False)


@pytest.mark.parametrize("kind", [Secret, int, bool, Literal["a"], Issuer, tuple[Issuer, ...], datetime])
def test_a_mistake_shows_no_secret(kind: Any) -> None:
    """A value that may be a secret is never quoted, of whatever type it should have been."""
    for textual in (True, False):
        for raw in (
            ["hunter2"],
            "hunter2\0",
            {"name": "hunter2", "key": 3},
            {"name": "x", "key": "hunter2", "age_s": -1},
        ):
            assert "hunter2" not in mistake_of(kind, raw, textual=textual, secret=True)


def test_a_secret_does_not_show_itself() -> None:
    """Neither printed, formatted, in a container, nor in a settings class."""
    secret = Secret("hunter2")
    shown = [repr(secret), str(secret), f"{secret}", repr([secret]), repr(Issuer(name="x", key=secret))]
    assert not any("hunter2" in each for each in shown)
    assert plain(secret) == HIDDEN
    assert plain(Issuer(name="x", key=secret)) == {"name": "x", "key": HIDDEN, "age_s": 1.0}
    assert secret.reveal() == "hunter2"
    assert (secret, bool(secret), bool(Secret(""))) == (Secret("hunter2"), True, False)
    assert secret != Secret("other")
    with pytest.raises(TypeError):
        secret.__reduce__()


_JSON = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(_JSON)
def test_what_is_shown_as_toml_is_toml(value: object) -> None:
    """Whatever a default is, the example file says it so that it is read back as the same."""
    assert tomllib.loads(f"value = {toml(value)}")["value"] == value


@given(st.text(), st.sampled_from([int, float, bool, datetime, tuple[int, ...], Mapping[str, int], Colour, Path, str]))
def test_any_text_is_a_value_or_a_mistake(text: str, kind: Any) -> None:
    """What the environment says ends in a value or in a message, never in another error."""
    assert mistake_of(kind, text, textual=True) != ""


def test_types_in_words() -> None:
    """For messages and for the table of the documentation."""
    assert name_of(int | None) == "a whole number, or nothing"
    assert name_of(tuple[str, ...]) == "a list of text"
    assert name_of(Mapping[str, float]) == "a table of a number"
    assert name_of(Colour) == "red or blue"
