"""Signed tokens (JWT, RFC 7519) as values: read strictly, verified with the keys that may, claims checked. No I/O, no clock.

Invariants: nothing of a token is believed before its signature is verified, except which key it names; a document that says a
thing twice is refused, because two readers could believe two things (RFC 8725, 2.4); headers that change how a token is read
(`crit`, `b64`, keys of its own) are refused or never looked at. Every reason is a sentence without anything of the token in it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, NoReturn

import attrs
from joserfc import jws
from joserfc.errors import JoseError

from ..engine.core.errors import TokenExpired, Unauthenticated
from .jwt_keys import ALGORITHMS, KID_CHARS, VerificationKey

TOKEN_CHARS: Final = 4096
HEADER_CHARS: Final = 512

_SEGMENTS: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_LAST_S: Final = 253_402_300_799  # the last second that RFC 3339 can say

Claims = dict[str, Any]


class InvalidToken(Unauthenticated):
    """A signed token that is not good, and will not become so."""


@attrs.frozen
class Header:
    """What a token says of itself before it is verified."""

    algorithm: str
    kid: str | None


@attrs.frozen(kw_only=True)
class Rules:
    """What the claims of a good token are.

    Attributes:
        audiences: one of them must be named; empty: a token for somebody is no token for us.
        issuer: who must have made it; empty: anyone who has the key.
        leeway_s: by how much clocks may differ, seconds.
        max_lifetime_s: from `iat` (without one: from now) to `exp`, seconds.
    """

    audiences: frozenset[str] = frozenset()
    issuer: str = ""
    leeway_s: float = 10.0
    max_lifetime_s: float = 86_400.0


def looks_signed(token: str) -> bool:
    """Whether this is meant to be a signed token: three parts, the first of them the beginning of a JSON object."""
    return token.startswith("ey") and token.count(".") == 2


def read_header(token: str, most: int = TOKEN_CHARS) -> Header:
    """What a token names; to choose keys by, and nothing else.

    Args:
        most: characters that it may have.

    Raises:
        InvalidToken: it is no token that we could verify.
    """
    if len(token) > most:
        raise InvalidToken(f"a token has at most {most} characters")
    found = _SEGMENTS.fullmatch(token)
    if found is None or len(found[1]) > HEADER_CHARS:
        raise InvalidToken("this is no signed token")
    header = _object(_decoded(found[1]), "header")
    if "crit" in header or "b64" in header:
        raise InvalidToken("the token asks for an extension that is not known here")
    kind, algorithm, kid = header.get("typ", "JWT"), header.get("alg"), header.get("kid")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise InvalidToken("the token is of another type")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise InvalidToken("the token is signed in a way that is not accepted")
    if kid is not None and not (isinstance(kid, str) and len(kid) <= KID_CHARS):
        raise InvalidToken("the token's key id is malformed")
    return Header(algorithm, kid)


def verify(token: str, header: Header, keys: Iterable[VerificationKey]) -> Claims:
    """The claims of a token that one of the keys has signed.

    Args:
        keys: those that are not for the token's algorithm are not tried. How many there are is the caller's to bound.

    Raises:
        InvalidToken: none has, or the claims are no object.
    """
    registry = jws.JWSRegistry(algorithms=[header.algorithm], strict_check_header=False)
    for key in keys:
        if header.algorithm not in key.algorithms:
            continue
        try:
            payload = jws.deserialize_compact(token, key.key, registry=registry).payload
        except (JoseError, ValueError, TypeError):
            continue
        return _object(payload, "claims")
    raise InvalidToken("the token is not signed by a key that is accepted")


def check(claims: Claims, rules: Rules, now_ms: int) -> int:
    """Check when a token is good and for whom; returns when it ends, milliseconds since the epoch.

    Raises:
        TokenExpired: it was good once.
        InvalidToken: it is not for us, or not yet good, or good for too long.
    """
    _check_parties(claims, rules)
    now_s = now_ms / 1000
    ends, begins, made = _time(claims, "exp"), _time(claims, "nbf"), _time(claims, "iat")
    if ends is None:
        raise InvalidToken("the token has no 'exp'")
    if ends + rules.leeway_s <= now_s:
        raise TokenExpired("the token has expired")
    if any(at is not None and at - rules.leeway_s > now_s for at in (begins, made)):
        raise InvalidToken("the token is not good yet")
    if ends - (now_s if made is None else made) > rules.max_lifetime_s + rules.leeway_s:
        raise InvalidToken(f"the token is good for longer than {rules.max_lifetime_s:g} s")
    return round(ends * 1000)


def _check_parties(claims: Claims, rules: Rules) -> None:
    audience = claims.get("aud", [])
    names = [audience] if isinstance(audience, str) else audience
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidToken("the token's 'aud' is malformed")
    if rules.audiences.isdisjoint(names) and (rules.audiences or names):
        raise InvalidToken("the token is for another audience")
    if rules.issuer and claims.get("iss") != rules.issuer:
        raise InvalidToken("the token is from another issuer")


def _time(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_S:
        raise InvalidToken(f"the token's {name!r} is no time")
    return float(value)


def text_claim(claims: Claims, name: str) -> str | None:
    """A claim that is a text, or None where there is none.

    Raises:
        InvalidToken: it is something else.
    """
    value = claims.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidToken(f"the token's {name!r} is no text")
    return value


def list_claim(claims: Claims, name: str, most: int) -> Collection[Any]:
    """A claim that is a list, empty where there is none.

    Raises:
        InvalidToken: it is something else, or has more than `most` items.
    """
    value = claims.get(name, [])
    if not isinstance(value, list) or len(value) > most:
        raise InvalidToken(f"the token's {name!r} is no list of at most {most}")
    return value


def object_claim(claims: Claims, name: str, most: int) -> dict[str, Any]:
    """A claim that is an object, empty where there is none.

    Raises:
        InvalidToken: it is something else, or has more than `most` members.
    """
    value = claims.get(name, {})
    if not isinstance(value, dict) or len(value) > most:
        raise InvalidToken(f"the token's {name!r} is no object of at most {most}")
    return value


def _decoded(segment: str) -> bytes:
    try:
        return base64.b64decode(segment + "=" * (-len(segment) % 4), b"-_", validate=True)
    except ValueError:
        raise InvalidToken("this is no signed token") from None


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = _loads(data.decode())
    except (ValueError, RecursionError):
        raise InvalidToken(f"the token's {name} cannot be read") from None
    if not isinstance(found, dict):
        raise InvalidToken(f"the token's {name} are no object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and the infinities are no JSON


_loads: Callable[[str], Any] = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant).decode
