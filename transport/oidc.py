"""A login with OpenID Connect as values and rules: the flow that somebody is in, what the provider may answer. No I/O, no clock.

Authorization code with PKCE (S256), for a client that may have a secret. What the attacks on it meet:

- A flow is begun by one browser and can be finished by that one alone, once, in time (`Flows`): an answer that was made up,
  stolen, replayed or slipped to somebody else finds no flow.
- A flow carries what it was begun with: its provider and that one's endpoints. An answer that comes in at another provider's
  address, or that names another issuer (RFC 9207), ends it: the code goes to whom it came from and to nobody else (mix-up).
- A code that was stolen and slipped into another flow fails twice: the provider wants that flow's verifier, and the ID token
  carries another nonce.
- An ID token is verified with the provider's public keys only, whichever way it came, and must be for this client.
- A browser is only ever sent back to a path of this server.

Source: OpenID Connect Core 1.0, 3.1; RFC 7636; RFC 9207; RFC 9700, 2.1 and 4. Left out: what is asked of a provider
(`oidc_provider`), who it is that has logged in (`oidc_claims`), whose account it is (`identity.federation`), the endpoints
(`oidc_calls`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode

import attrs

from ..engine.core.errors import Forbidden, InvalidCommand
from .fetch import is_local, secure_url

FLOWS: Final = 10_000
_CODE_CHARS: Final = 4096
_RETURN_CHARS: Final = 512

_PATH: Final = re.compile(
    r"/(?![/\\])[!#-\[\]-~]*"
)  # no blank, quote, backslash or control: browsers read some of them as /


class Reason(StrEnum):
    """Why a login came to nothing; stable, for pages to show their own words for it."""

    UNKNOWN_STATE = "unknown_state"  # no such flow of this browser, or it was used or is over: begin again
    ACCESS_DENIED = "access_denied"  # the person, or the provider, said no
    PROVIDER_ERROR = "provider_error"  # the provider said that something is wrong with the question
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    INVALID_ANSWER = "invalid_answer"  # what came back is not for this flow, or not from the provider
    NO_ACCOUNT = "no_account"  # nobody's, and none is made
    EMAIL_REFUSED = "email_refused"  # no verified address of the domains that are let in
    IDENTITY_TAKEN = "identity_taken"  # it opens another account
    ACCOUNT_DISABLED = "account_disabled"


class LoginRefused(Forbidden):
    """A login came to nothing. The text holds nothing of what came from outside."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


# -- what a provider says of itself -----------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Metadata:
    """What is used of a provider's metadata (OpenID Connect Discovery 1.0, 3).

    Attributes:
        names_itself: its answers carry `iss`.
        secret_in_form: a client's secret goes into the form, not into a header.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    names_itself: bool
    secret_in_form: bool


def read_metadata(document: bytes, issuer: str) -> Metadata:
    """Read a provider's metadata.

    Args:
        issuer: as the operator has given it.

    Raises:
        ValueError: it is another's, incomplete, or names an address that nothing may be sent to.
    """
    found = json_object(document)
    if found.get("issuer") != issuer:
        raise ValueError("the metadata is another issuer's")
    if "S256" not in _texts(found, "code_challenge_methods_supported", "S256"):
        raise ValueError("the provider cannot do PKCE with S256")
    ways = _texts(found, "token_endpoint_auth_methods_supported", "client_secret_basic")
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_endpoint(found, "authorization_endpoint", issuer),
        token_endpoint=_endpoint(found, "token_endpoint", issuer),
        jwks_uri=_endpoint(found, "jwks_uri", issuer),
        userinfo_endpoint=_endpoint(found, "userinfo_endpoint", issuer) if "userinfo_endpoint" in found else None,
        names_itself=found.get("authorization_response_iss_parameter_supported") is True,
        secret_in_form="client_secret_basic" not in ways and "client_secret_post" in ways,
    )


def json_object(document: bytes) -> dict[str, Any]:
    """A document that is a JSON object.

    Raises:
        ValueError: it is none.
    """
    try:
        found = json.loads(document)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("no JSON object")  # noqa: TRY004  what came from outside has a wrong value, not a wrong type
    return found


def _texts(found: Mapping[str, Any], name: str, default: str) -> list[Any]:
    value = found.get(name, [default])
    return value if isinstance(value, list) else []


def _endpoint(found: Mapping[str, Any], name: str, issuer: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ValueError(f"the metadata has no {name!r}")
    if is_local(value) and not is_local(issuer):
        raise ValueError(f"{name!r} is an address of this machine, which is none of the provider's business")
    return secure_url(value)


# -- flows ------------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Link:
    """For whom an identity is to be linked: an account, and the session that asks for it."""

    user: str
    token_id: str


@attrs.frozen(kw_only=True)
class Flow:
    """One login that was begun.

    Attributes:
        provider: its key in the settings.
        metadata: of the provider, as it was when the flow was begun.
        state, nonce, verifier: random, of this flow alone.
        browser: SHA-256 of the secret in the cookie of the browser that began it.
        return_to: path that the browser is sent to at the end.
        link: set where this is no login.
    """

    provider: str
    metadata: Metadata
    client_id: str
    redirect_uri: str
    state: str = attrs.field(repr=False)
    nonce: str = attrs.field(repr=False)
    verifier: str = attrs.field(repr=False)
    browser: bytes = attrs.field(repr=False)
    return_to: str
    link: Link | None = None
    ends_at_ms: int


class Flows:
    """Flows that were begun and not finished.

    Args:
        most: how many are kept; past that the oldest is forgotten, and that login has to be begun again.
    """

    def __init__(self, most: int = FLOWS) -> None:
        self._most = most
        self._flows: OrderedDict[str, Flow] = OrderedDict()

    def __len__(self) -> int:
        return len(self._flows)

    def add(self, flow: Flow, now_ms: int) -> None:
        """Keep a flow."""
        while self._flows and next(iter(self._flows.values())).ends_at_ms <= now_ms:
            self._flows.popitem(last=False)
        self._flows[flow.state] = flow
        if len(self._flows) > self._most:
            self._flows.popitem(last=False)

    def take(self, state: str | None, provider: str, browser: str | None, now_ms: int) -> Flow:
        """The flow that an answer is for; it can be taken once.

        Args:
            provider: at whose address the answer came in.
            browser: the secret in the cookie of the browser that brought it.

        Raises:
            LoginRefused: there is none. What another browser brought does not end it.
        """
        flow = self._flows.get(state or "")
        if flow is None or browser is None or not hmac.compare_digest(flow.browser, digest_of(browser)):
            raise _unknown()
        del self._flows[flow.state]
        if flow.provider != provider or flow.ends_at_ms <= now_ms:
            raise _unknown()
        return flow


def _unknown() -> LoginRefused:
    return LoginRefused(Reason.UNKNOWN_STATE, "this login was not begun in this browser, or is over: begin again")


def digest_of(secret: str) -> bytes:
    """What is kept of a browser's secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def return_path(text: str) -> str:
    """Check where a browser is to be sent at the end: a path of this server, with query and fragment.

    Raises:
        InvalidCommand: it is something else, or could be read as something else.
    """
    if len(text) > _RETURN_CHARS or _PATH.fullmatch(text) is None:
        raise InvalidCommand(f"'return_to' is a path of this server, /..., of at most {_RETURN_CHARS} characters")
    return text


def with_error(path: str, code: str) -> str:
    """A path that says why a login came to nothing, in its query field `login_error`."""
    path, hash_sign, fragment = path.partition("#")
    return f"{path}{'&' if '?' in path else '?'}{urlencode({'login_error': code})}{hash_sign}{fragment}"


def authorization_url(flow: Flow, scopes: tuple[str, ...]) -> str:
    """Where the browser is sent to log in."""
    fields = {
        "response_type": "code",
        "client_id": flow.client_id,
        "redirect_uri": flow.redirect_uri,
        "scope": " ".join(scopes),
        "state": flow.state,
        "nonce": flow.nonce,
        "code_challenge": encoded(hashlib.sha256(flow.verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    endpoint = flow.metadata.authorization_endpoint
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(fields)}"


def code_of(query: Mapping[str, str], flow: Flow) -> str:
    """The code of an answer.

    Raises:
        LoginRefused: the answer is another provider's, is a refusal, or has no code.
    """
    issuer = query.get("iss")
    if issuer != flow.metadata.issuer and (issuer is not None or flow.metadata.names_itself):
        raise LoginRefused(Reason.INVALID_ANSWER, "the answer is not from the provider that was asked")
    error, code = query.get("error"), query.get("code")
    if error == "access_denied":
        raise LoginRefused(Reason.ACCESS_DENIED, "the login was not allowed there")
    if error is not None:
        raise LoginRefused(Reason.PROVIDER_ERROR, "the provider has refused the question")
    if not code or len(code) > _CODE_CHARS:
        raise LoginRefused(Reason.INVALID_ANSWER, "the answer has no code")
    return code


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
