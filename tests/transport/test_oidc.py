"""Flows of OpenID Connect logins: whose they are, how often, how long; and what a provider says of itself."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import urljoin, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from hubbub.engine.core.errors import InvalidCommand
from hubbub.transport.oidc import (
    Flow,
    Flows,
    LoginRefused,
    Reason,
    authorization_url,
    code_of,
    digest_of,
    read_metadata,
    return_path,
    with_error,
)

from .oidc_world import BROWSER, ISSUER, METADATA, NOW_MS, discovery, fields_of, flow

# -- flows ------------------------------------------------------------------------------------------------------------


def kept(*flows: Flow) -> Flows:
    there = Flows()
    for each in flows:
        there.add(each, NOW_MS)
    return there


def test_a_flow_is_finished_by_its_browser_once() -> None:
    """A replayed answer finds nothing."""
    there = kept(flow())
    assert there.take("state-1", "example", BROWSER, NOW_MS) == flow()
    with pytest.raises(LoginRefused):
        there.take("state-1", "example", BROWSER, NOW_MS)


@pytest.mark.parametrize(
    ("state", "browser"),
    [("state-1", "another"), ("state-1", None), ("state-1", ""), ("state-2", BROWSER), (None, BROWSER), ("", BROWSER)],
)
def test_a_foreign_answer_finds_no_flow_and_ends_none(state: str | None, browser: str | None) -> None:
    """What somebody else slips to a browser, or brings himself, does not keep the owner from finishing."""
    there = kept(flow())
    with pytest.raises(LoginRefused) as refused:
        there.take(state, "example", browser, NOW_MS)
    assert refused.value.reason is Reason.UNKNOWN_STATE
    assert there.take("state-1", "example", BROWSER, NOW_MS)


def test_an_answer_at_another_providers_address_ends_the_flow() -> None:
    """Mix-up: the code would be sent to the wrong provider."""
    there = kept(flow())
    for provider in ("evil", "example"):
        with pytest.raises(LoginRefused):
            there.take("state-1", provider, BROWSER, NOW_MS)


def test_a_flow_that_took_too_long_is_over() -> None:
    """At its end, exactly."""
    there = kept(flow())
    with pytest.raises(LoginRefused):
        there.take("state-1", "example", BROWSER, flow().ends_at_ms)


class FlowsMachine(RuleBasedStateMachine):
    """Flows against a plain list: bounded, the oldest forgotten first, each taken once by its own browser in time."""

    added = Bundle("added")

    def __init__(self) -> None:
        super().__init__()
        self.there = Flows(most=3)
        self.model: list[Flow] = []
        self.now_ms = NOW_MS
        self.count = 0

    @rule(target=added, takes_ms=st.sampled_from([1000, 5000]))
    def add(self, takes_ms: int) -> Flow:
        self.count += 1
        made = flow(state=f"s{self.count}", browser=digest_of(f"b{self.count}"), ends_at_ms=self.now_ms + takes_ms)
        self.there.add(made, self.now_ms)
        while self.model and self.model[0].ends_at_ms <= self.now_ms:
            self.model.pop(0)
        self.model = [*self.model, made][-3:]
        return made

    @rule(step_ms=st.sampled_from([500, 2000]))
    def wait(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @rule(of=added, by=added)
    def take(self, of: Flow, by: Flow) -> None:
        good = of in self.model and of is by and self.now_ms < of.ends_at_ms
        if of is by and of in self.model:
            self.model.remove(of)
        try:
            found = self.there.take(of.state, "example", "b" + by.state[1:], self.now_ms)
        except LoginRefused:
            assert not good
        else:
            assert good
            assert found is of

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.there) == len(self.model) <= 3


TestFlows = FlowsMachine.TestCase


# -- where a browser is sent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/a", "/a/b?c=d&e=%2F#f", "/?x", "/a//b", "/~a/(b)"])
def test_paths_of_this_server(path: str) -> None:
    """Query and fragment may be there."""
    assert return_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "a", "//evil.example", "/\\evil.example", "\\/evil.example", "/\t/evil.example", "/\n/evil.example", "/ /evil",
        "https://evil.example", "https:evil.example", "javascript:alert(1)", "/a\r\nset-cookie: x=y", "/\x00", "/é", '/"',
        " /a", "/a\\b", "/" + "x" * 512,
    ],
)  # fmt: skip
def test_what_could_lead_elsewhere(path: str) -> None:
    """Another host, another scheme, another header; and what browsers read as a slash."""
    with pytest.raises(InvalidCommand):
        return_path(path)


@given(st.text(alphabet="/\\.?#@:a% \t\n", max_size=12))
def test_no_path_leads_to_another_host(text: str) -> None:
    """Whatever is taken stays here, read alone and behind our own address."""
    try:
        path = return_path(text)
    except InvalidCommand:
        return
    for where in (urljoin("https://chat.example/x/y", path), "https://chat.example" + with_error(path, "x")):
        assert urlsplit(where)[:2] == ("https", "chat.example")


@pytest.mark.parametrize(
    ("path", "told"),
    [("/", "/?login_error=a"), ("/x?b=c", "/x?b=c&login_error=a"), ("/x?b#c?d", "/x?b&login_error=a#c?d")],
)
def test_a_path_that_tells_of_an_error(path: str, told: str) -> None:
    """In the query, before the fragment."""
    assert with_error(path, "a") == told


def test_where_a_browser_logs_in() -> None:
    """PKCE's challenge and not its verifier; the query of the endpoint's own stays."""
    metadata = attrs.evolve(METADATA, authorization_endpoint=ISSUER + "/auth?tenant=1")
    url = authorization_url(flow(metadata=metadata), ("openid", "email"))
    challenge = urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
    assert url.startswith(ISSUER + "/auth?")
    assert fields_of(url) == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "hubbub",
        "redirect_uri": "https://chat.example/api/v1/auth/oidc/example/callback",
        "scope": "openid email",
        "state": "state-1",
        "nonce": "nonce-1",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }


# -- what comes back --------------------------------------------------------------------------------------------------


def test_a_code() -> None:
    """With the issuer that was asked."""
    assert code_of({"code": "c", "iss": ISSUER}, flow()) == "c"


def test_a_provider_that_does_not_name_itself() -> None:
    """Older ones need not, but a wrong name is never right."""
    old = flow(metadata=attrs.evolve(METADATA, names_itself=False))
    assert code_of({"code": "c"}, old) == "c"
    with pytest.raises(LoginRefused):
        code_of({"code": "c", "iss": "https://evil.example"}, old)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"code": "c"}, Reason.INVALID_ANSWER),
        ({"code": "c", "iss": ISSUER + "/"}, Reason.INVALID_ANSWER),
        ({"error": "access_denied", "iss": "https://evil.example"}, Reason.INVALID_ANSWER),
        ({"error": "access_denied", "iss": ISSUER}, Reason.ACCESS_DENIED),
        ({"error": "server_error", "iss": ISSUER}, Reason.PROVIDER_ERROR),
        ({"error": "", "code": "c", "iss": ISSUER}, Reason.PROVIDER_ERROR),
        ({"iss": ISSUER}, Reason.INVALID_ANSWER),
        ({"code": "", "iss": ISSUER}, Reason.INVALID_ANSWER),
        ({"code": "c" * 4097, "iss": ISSUER}, Reason.INVALID_ANSWER),
    ],
)
def test_answers_that_give_no_code(query: dict[str, str], reason: Reason) -> None:
    """Whose answer it is comes before what it says."""
    with pytest.raises(LoginRefused) as refused:
        code_of(query, flow())
    assert refused.value.reason is reason


# -- metadata ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ways", "in_form"),
    [(None, False), (["client_secret_post"], True), (["client_secret_post", "client_secret_basic"], False)],
)
def test_where_the_secret_goes(ways: list[str] | None, in_form: bool) -> None:
    """Into a header, unless the provider takes it in the form only."""
    document = discovery(token_endpoint_auth_methods_supported=ways)
    assert read_metadata(document, ISSUER).secret_in_form is in_form


@pytest.mark.parametrize(
    "document",
    [
        discovery("https://evil.example"),
        discovery(ISSUER + "/"),
        discovery(code_challenge_methods_supported=["plain"]),
        discovery(code_challenge_methods_supported="S256"),
        discovery(token_endpoint=None),
        discovery(token_endpoint="http://login.example/token"),
        discovery(token_endpoint="http://127.0.0.1:8100/api/v1/admin"),
        discovery(jwks_uri="file:///etc/passwd"),
        discovery(authorization_endpoint="https://u:p@login.example/"),
        discovery(userinfo_endpoint=7),
        b"[]",
        b"",
        b"[" * 100_000,
    ],
)
def test_metadata_that_is_not_taken(document: bytes) -> None:
    """Another's, without PKCE, incomplete, or with an address that no secret may go to, this machine's included."""
    with pytest.raises(ValueError, match=r".+"):
        read_metadata(document, ISSUER)


def test_a_provider_on_this_machine() -> None:
    """May have its endpoints here too."""
    issuer: Any = "http://127.0.0.1:9000"
    assert read_metadata(discovery(issuer), issuer).token_endpoint == issuer + "/token"
