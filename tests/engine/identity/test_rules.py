"""Names, passwords, labels and scopes that are taken, and those that are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine import Forbidden, InvalidCommand, Unprocessable
from hubbub.engine.core.principals import ALL_SCOPES, Scope
from hubbub.engine.identity import rules

TEXTS = st.text(max_size=300)


@pytest.mark.parametrize(
    ("text", "name"), [("ada", "ada"), (" Ada ", "ada"), ("a", "a"), ("a.b_c-9", "a.b_c-9"), ("A" * 32, "a" * 32)]
)
def test_user_names_are_folded(text: str, name: str) -> None:
    """Two that differ in case are one."""
    assert rules.username(text) == name


@pytest.mark.parametrize(
    "text",
    ["", " ", "-ada", "ada.", "a da", "a" * 33, "\u0430da", "\u212aelvin", "ada\n", "ad\x00a", "system", "Everyone"],
)
def test_user_names_that_are_not_taken(text: str) -> None:
    """Nothing that looks like another name, or speaks for the server: the Cyrillic a and the Kelvin sign neither."""
    with pytest.raises(Unprocessable):
        rules.username(text)


@given(TEXTS)
def test_a_user_name_is_its_own_fold(text: str) -> None:
    """Checking twice is checking once, whatever comes."""
    try:
        name = rules.username(text)
    except Unprocessable:
        return
    assert rules.username(name) == name == rules.fold_username(text)
    assert name.isascii()
    assert 1 <= len(name) <= rules.MAX_USERNAME_CHARS


@pytest.mark.parametrize(
    "text",
    [
        "short",
        "x" * 257,
        "password",
        "PassWord1",
        "aaaaaaaaaaaa",
        "ada-lovelace",
        "with\x00nul-in-it",
        "lone\ud800surrogate",
    ],
)
def test_passwords_that_are_not_taken(text: str) -> None:
    """Too short, too long, the first that anybody tries, one's own name, and what no keyboard sends."""
    with pytest.raises(Unprocessable):
        rules.password(text, username="ada-lovelace", min_chars=8)


@given(TEXTS)
def test_whatever_is_taken_may_be_shown_at_a_login(text: str) -> None:
    """A password that was taken is never refused unseen."""
    try:
        rules.password(text, username="ada", min_chars=8)
    except Unprocessable:
        return
    assert rules.may_be_password(text)


@pytest.mark.parametrize(
    "text", ["correct horse battery staple", "\u00fcber-lang und \U0001f600", "tr0ub4dor&3", " spaces count "]
)
def test_passphrases_are_taken_as_they_are(text: str) -> None:
    """Nothing is trimmed or folded."""
    assert rules.password(text, username="ada", min_chars=8) == text


@given(st.text())
def test_a_program_may_call_itself_anything(text: str) -> None:
    """The label is printable and short, whatever the header said."""
    label = rules.program_label(text)
    assert rules.label(label) == label


def test_labels_are_trimmed_and_bounded() -> None:
    """A hundred printable characters."""
    assert rules.label("  my   laptop ") == "my laptop"
    assert rules.program_label(None) == ""
    for text in ("x" * 101, "a\x07b", "a\u202eb"):
        with pytest.raises(Unprocessable):
            rules.label(text)


def test_no_key_opens_more_than_its_maker_may() -> None:
    """A subset of one's own scopes, not empty, every one known."""
    own = frozenset({Scope.READ, Scope.ACCOUNT})
    assert rules.scopes(["read"], within=own) == {Scope.READ}
    assert rules.scopes([scope.value for scope in Scope], within=ALL_SCOPES) == ALL_SCOPES
    with pytest.raises(Forbidden):
        rules.scopes(["read", "write"], within=own)
    for names in ([], ["everything"], [1], [None]):
        with pytest.raises(InvalidCommand):
            rules.scopes(names, within=ALL_SCOPES)
