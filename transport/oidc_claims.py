"""Who has logged in with a provider: what an ID token must say to be believed, and what it says of a person. No I/O, no clock.

Source: OpenID Connect Core 1.0, 3.1.3.7 and 5.1.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import attrs

from ..engine.core.errors import Unauthenticated
from .jwt_claims import Claims, InvalidToken, Rules, check
from .oidc import Flow, LoginRefused, Reason, encoded

SUBJECT_CHARS: Final = 255  # OpenID Connect Core, 2
_CLAIM_CHARS: Final = 256
_MAX_LIFETIME_S: Final = 366 * 86_400.0  # the nonce says that it was made for this flow


@attrs.frozen(kw_only=True)
class Profile:
    """What a provider says of a person. Only `subject` is an identity; the rest may change, and may be anybody's.

    Attributes:
        email: only where the provider has verified it.
    """

    issuer: str
    subject: str
    name: str | None = None
    username: str | None = None
    email: str | None = None

    def more(self, claims: Mapping[str, Any]) -> Profile:
        """This with what further claims of the same subject say where it says nothing.

        Raises:
            LoginRefused: they are of another subject (OpenID Connect Core, 5.3.2).
        """
        if claims.get("sub") != self.subject:
            raise LoginRefused(Reason.INVALID_ANSWER, "what the provider says is of somebody else")
        told = profile_of(claims, self.issuer)
        return attrs.evolve(
            self,
            name=self.name or told.name,
            username=self.username or told.username,
            email=self.email or told.email,
        )

    def is_of(self, domains: tuple[str, ...]) -> bool:
        """Whether its address is of one of these domains; of any where there are none."""
        _, at, domain = (self.email or "").rpartition("@")
        return not domains or (bool(at) and domain.lower() in domains)


def profile_of(claims: Mapping[str, Any], issuer: str) -> Profile:
    """What claims say of a person. What is malformed is left out, but for the subject.

    Raises:
        LoginRefused: there is no subject.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARS or not subject.isprintable():
        raise LoginRefused(Reason.INVALID_ANSWER, "the answer does not say who it is")
    return Profile(
        issuer=issuer,
        subject=subject,
        name=_told(claims, "name"),
        username=_told(claims, "preferred_username"),
        email=_told(claims, "email") if claims.get("email_verified") is True else None,
    )


def _told(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= _CLAIM_CHARS else None


@attrs.frozen(kw_only=True)
class Tokens:
    """What a code was exchanged for."""

    id_token: str = attrs.field(repr=False)
    access_token: str | None = attrs.field(default=None, repr=False)


def check_id_token(
    claims: Claims, algorithm: str, flow: Flow, access_token: str | None, *, leeway_s: float, now_ms: int
) -> Profile:
    """Whom an ID token that was verified speaks of (OpenID Connect Core, 3.1.3.7).

    Args:
        algorithm: that it is signed with.
        access_token: that came with it.
        leeway_s: by how much clocks may differ.

    Raises:
        LoginRefused: it is not for this client and this flow, or over.
    """
    issuer, audience = flow.metadata.issuer, frozenset({flow.client_id})
    rules = Rules(audiences=audience, issuer=issuer, leeway_s=leeway_s, max_lifetime_s=_MAX_LIFETIME_S)
    try:
        check(claims, rules, now_ms)
        _check_binding(claims, algorithm, flow, access_token)
    except Unauthenticated as error:  # expired, too
        raise LoginRefused(Reason.INVALID_ANSWER, str(error)) from None
    return profile_of(claims, issuer)


def _check_binding(claims: Claims, algorithm: str, flow: Flow, access_token: str | None) -> None:
    nonce, party, audience, proof = (claims.get(name) for name in ("nonce", "azp", "aud", "at_hash"))
    if claims.get("iat") is None:
        raise InvalidToken("the token has no 'iat'")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode("utf-8", "replace"), flow.nonce.encode()):
        raise InvalidToken("the token was made for another login")
    several = isinstance(audience, list) and len(audience) > 1
    if party != flow.client_id and (party is not None or several):
        raise InvalidToken("the token was made for another client")
    if proof is not None and (access_token is None or proof != _half_hash(access_token, algorithm)):
        raise InvalidToken("the token came with another's access token")


def _half_hash(text: str, algorithm: str) -> str:
    """The left half of the hash that an algorithm signs with (OpenID Connect Core, 3.1.3.6)."""
    whole = hashlib.new(f"sha{algorithm[2:]}", text.encode("utf-8", "replace")).digest()
    return encoded(whole[: len(whole) // 2])
