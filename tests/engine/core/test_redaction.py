"""What a log line must not show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.redaction import MAX_CHARS, REDACTED, SECRET_FIELDS, redacted, redacted_text

SECRET = "Zx9" * 14
LINES = (
    "cannot connect to postgresql://hub:{}@db:5432/chat",
    "found hbg_{} in a cookie",
    "an operator's hbo_{}",
    "Authorization: Bearer {}",
    "authorization: basic {}==",
    "GET /connection/sse?token={}&x=1",
    "password={}",
    "client_secret={}&grant_type=x",
    "refresh_token={}",
    "/connection/sse?cf_connect={}",
    "cannot connect to postgresql://hub:p@{}@db:5432/chat",
    "eyJhbGciOiJIUzI1NiJ9.{}.c2ln",
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc XYZ.", max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "where"]), inner, max_size=2),
    max_leaves=8,
)


@pytest.mark.parametrize("line", LINES)
def test_a_credential_is_found_by_its_shape(line: str) -> None:
    """Wherever it stands: in a message, in a field, in a list of a field."""
    said = line.format(SECRET)
    assert SECRET not in redacted_text(said)
    assert REDACTED in redacted_text(said)
    assert SECRET not in str(redacted({"event": said, "more": {"deep": [said]}, "error": ValueError(said)}))


@pytest.mark.parametrize("name", [*SECRET_FIELDS, "Authorization", "Set-Cookie"])
def test_a_field_is_hidden_by_its_name(name: str) -> None:
    """A value of any shape and kind."""
    assert redacted({"event": "x", name: ["plain", 7]}) == {"event": "x", name: REDACTED}


@given(st.dictionaries(st.sampled_from(["event", "conversation", "status"]), plain))
def test_what_is_no_secret_stays_as_it_is(fields: dict[str, object]) -> None:
    """Redaction takes nothing else out, and doing it twice changes nothing."""
    assert redacted(fields) == fields
    assert redacted(redacted(fields)) == redacted(fields)


def test_a_line_keeps_what_is_around_a_credential() -> None:
    """An operator still sees which database it was."""
    shown = redacted_text(f"cannot connect to postgresql://hub:{SECRET}@db:5432/chat, trying again")
    assert shown == f"cannot connect to postgresql://hub:{REDACTED}@db:5432/chat, trying again"


def test_a_signed_token_begins_where_nothing_of_its_alphabet_stands_before() -> None:
    """In a path of a thousand beginnings each would else be read to the end: 0.3 s for one line, which anybody can ask for."""
    token = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"
    assert redacted_text(f"a/{token}") == f"a/{REDACTED}"
    assert redacted_text(f"a-{token}") == f"a-{token}"


def test_a_long_text_is_cut() -> None:
    """A log line is no place for a body."""
    assert len(redacted_text("x" * 10 * MAX_CHARS)) < MAX_CHARS + 100
