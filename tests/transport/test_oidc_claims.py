"""ID tokens: for whom, for which login, until when; and what they say of a person."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.transport.oidc import LoginRefused, Reason
from hubbub.transport.oidc_claims import Profile, check_id_token, profile_of

from .oidc_world import ISSUER, NOW_MS, claims, flow

NOW_S = NOW_MS // 1000


def checked(found: dict[str, Any], algorithm: str = "ES256", access_token: str | None = None) -> Profile:
    return check_id_token(found, algorithm, flow(), access_token, leeway_s=30.0, now_ms=NOW_MS)


def half(text: str, algorithm: str = "sha256") -> str:
    digest = hashlib.new(algorithm, text.encode()).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "found",
    [
        claims(),
        claims(aud=["hubbub"]),
        claims(azp="hubbub"),
        claims(aud=["hubbub", "other"], azp="hubbub"),
        claims(exp=NOW_S - 29),
        claims(iat=NOW_S + 29),
    ],
)
def test_good_tokens(found: dict[str, Any]) -> None:
    """For this client and this login, with clocks that differ a little."""
    assert checked(found).subject == "u1"


@pytest.mark.parametrize(
    "found",
    [
        claims(nonce="nonce-2"), claims(nonce=None), claims(nonce=7), claims(nonce="\ud800"),
        claims(aud="other"), claims(aud=None), claims(aud=[]), claims(aud=["hubbub", "other"]), claims(aud={"hubbub": 1}),
        claims(azp="other"), claims(aud=["hubbub", "other"], azp="other"),
        claims(iss="https://evil.example"), claims(iss=None), claims(iss=ISSUER + "/"),
        claims(exp=NOW_S - 31), claims(exp=None), claims(exp="never"),
        claims(iat=None), claims(iat=NOW_S + 31), claims(nbf=NOW_S + 60),
        claims(sub=None), claims(sub=""), claims(sub=7), claims(sub="x" * 256), claims(sub="a\x00"),
        claims(at_hash=half("token")), claims(at_hash=7),
    ],
)  # fmt: skip
def test_tokens_that_are_not_for_this_login(found: dict[str, Any]) -> None:
    """Another login's, client's, issuer's; over, not yet good, without an end, without a subject."""
    with pytest.raises(LoginRefused) as refused:
        checked(found)
    assert refused.value.reason is Reason.INVALID_ANSWER


@pytest.mark.parametrize(("algorithm", "name"), [("ES256", "sha256"), ("RS384", "sha384"), ("PS512", "sha512")])
def test_an_access_token_that_came_with_it(algorithm: str, name: str) -> None:
    """Its hash must be the one in the ID token, where one is there."""
    found = claims(at_hash=half("token", name))
    assert checked(found, algorithm, "token")
    with pytest.raises(LoginRefused):
        checked(found, algorithm, "another")


@given(
    st.dictionaries(st.sampled_from(sorted(claims())), st.none() | st.text(max_size=3) | st.integers() | st.just([]))
)
def test_nothing_but_a_refusal(other: dict[str, Any]) -> None:
    """Whatever stands in the claims, it is a person of this flow or a refusal."""
    found = claims() | other
    try:
        assert checked(found).subject == found["sub"]
    except LoginRefused:
        assert found != claims()


def test_an_address_counts_when_it_is_verified() -> None:
    """Anybody can write any address into a profile; and a text is no truth."""
    for verified in (None, False, "true", 1):
        assert profile_of(claims(email="a@example.org", email_verified=verified), ISSUER).email is None
    assert profile_of(claims(email="a@example.org", email_verified=True), ISSUER).email == "a@example.org"


@pytest.mark.parametrize(
    ("email", "is_one"),
    [
        ("a@example.org", True), ("a@EXAMPLE.org", True), ("a@evil.org", False), ("a@sub.example.org", False),
        ("a@example.org.evil.org", False), ("a@evil.org@example.org", True), ("example.org", False), (None, False), ("", False),
    ],
)  # fmt: skip
def test_domains_of_addresses(email: str | None, is_one: bool) -> None:
    """What stands behind the last @."""
    assert Profile(issuer=ISSUER, subject="u", email=email).is_of(("example.org",)) is is_one
    assert Profile(issuer=ISSUER, subject="u", email=email).is_of(())


def test_more_claims_fill_gaps() -> None:
    """What the ID token says stands; of another subject nothing is taken."""
    token = profile_of(claims(name="Ada"), ISSUER)
    more = claims(name="Eve", preferred_username="ada", email="a@example.org", email_verified=True)
    assert token.more(more) == Profile(issuer=ISSUER, subject="u1", name="Ada", username="ada", email="a@example.org")
    with pytest.raises(LoginRefused):
        token.more(more | {"sub": "u2"})
    with pytest.raises(LoginRefused):
        token.more({})
