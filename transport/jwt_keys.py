"""Keys that verify signed tokens, each bound to the algorithms that it may be used with (RFC 8725, 3.1 and 3.2).

Invariant: an algorithm is looked up in the key and never the other way round, so a token cannot choose how a key is read: `none`
is no algorithm of any key, and a public key is no HMAC secret. A key set from outside gives public keys only: secrets and private
keys in it are left out. What is too weak to sign with is refused, or left out of a key set.

Source: RFC 7517 (keys), RFC 7518, 3.2, 3.3 and 3.4 (algorithms and least sizes).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any, Final

import attrs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc.jwk import ECKey, OctKey, RSAKey

_HMAC_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518, 3.2: at least as long as the hash
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_EC: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_CURVES: Final[dict[str, EllipticCurve]] = {"P-256": SECP256R1(), "P-384": SECP384R1(), "P-521": SECP521R1()}
_RSA_BITS: Final = range(
    2048, 8193
)  # below it is weak (RFC 7518, 3.3); above it a forged token costs us too much to refuse

ALGORITHMS: Final = frozenset({*_HMAC_BYTES, *_RSA, *_EC.values()})
"""Every algorithm that some key may be used with."""
ASYMMETRIC: Final = ALGORITHMS - frozenset(_HMAC_BYTES)
KID_CHARS: Final = 256
SAME_KID: Final = 4
"""Keys of a set that may have one id; the rest of them is not tried."""


def _thumbprint(key: OctKey | RSAKey | ECKey) -> str:
    return key.thumbprint()


@attrs.frozen
class VerificationKey:
    """A key and what it verifies.

    Attributes:
        algorithms: by their JOSE names; never of two families.
        key: of joserfc.
        kid: its id in a key set; None for a key that the settings name.
    """

    algorithms: frozenset[str]
    key: OctKey | RSAKey | ECKey = attrs.field(repr=False, eq=_thumbprint)
    kid: str | None = None


def hmac_key(secret: str) -> VerificationKey:
    """A secret that both sides know.

    Raises:
        ValueError: under 32 bytes, or a PEM key by mistake. The message does not show it.
    """
    data = secret.encode()
    if b"-----BEGIN" in data:
        raise ValueError("an HMAC secret is no PEM key: give that as a public key")
    algorithms = frozenset(name for name, size in _HMAC_BYTES.items() if len(data) >= size)
    if not algorithms:
        raise ValueError("an HMAC secret has at least 32 bytes: `openssl rand -hex 32` makes one")
    return VerificationKey(algorithms, OctKey.import_key(data))


def public_key(pem: str) -> VerificationKey:
    """An RSA or EC public key in PEM.

    Raises:
        ValueError: it is something else: a private key too, which has no business here.
    """
    try:
        found = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("a public key is PEM text that begins with -----BEGIN PUBLIC KEY-----") from None
    return _bound(found)


def _bound(key: object, kid: str | None = None) -> VerificationKey:
    """A public key of the cryptography library with what it is good for.

    Raises:
        ValueError: nothing.
    """
    match key:
        case RSAPublicKey():
            if key.key_size not in _RSA_BITS:
                raise ValueError(f"an RSA key has {_RSA_BITS.start} to {_RSA_BITS.stop - 1} bits")
            return VerificationKey(_RSA, RSAKey.import_key(key), kid)
        case EllipticCurvePublicKey():
            name = _EC.get(key.curve.name)
            if name is None:
                raise ValueError("an EC key is of the curve P-256, P-384 or P-521")
            return VerificationKey(frozenset({name}), ECKey.import_key(key), kid)
        case _:
            raise ValueError("this is neither an RSA nor an EC public key")


def keys_of_set(document: bytes, most: int) -> tuple[VerificationKey, ...]:
    """The keys of a JWK set that can verify signatures; what is not for us in it is left out, as RFC 7517, 5 asks.

    Args:
        most: keys that are looked at; the rest is left out.

    Raises:
        ValueError: it is no JWK set, or holds no such key.
    """
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        raise ValueError("the key set is no JSON") from None
    rows = found.get("keys") if isinstance(found, dict) else None
    keys = tuple(key for key in map(_key_of_row, rows[:most]) if key is not None) if isinstance(rows, list) else ()
    if not keys:
        raise ValueError("the key set has no RSA or EC key to verify signatures with")
    return keys


def _key_of_row(row: Any) -> VerificationKey | None:
    if not isinstance(row, dict) or "d" in row or row.get("use", "sig") != "sig":
        return None
    operations, kid, only = row.get("key_ops", ["verify"]), row.get("kid"), row.get("alg")
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    if kid is not None and not (isinstance(kid, str) and len(kid) <= KID_CHARS):
        return None
    try:
        key = _bound(_native(row), kid)
    except (ValueError, TypeError, KeyError):
        return None
    return key if only is None else _narrowed(key, str(only))


def _native(row: dict[str, Any]) -> object:
    """The public key of a row of a set (RFC 7518, 6.2.1 and 6.3.1)."""
    if row.get("kty") == "RSA":
        return RSAPublicNumbers(_number(row["e"]), _number(row["n"])).public_key()
    if row.get("kty") == "EC":
        return EllipticCurvePublicNumbers(_number(row["x"]), _number(row["y"]), _CURVES[row["crv"]]).public_key()
    return None


def _number(text: str) -> int:
    return int.from_bytes(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True), "big")


def _narrowed(key: VerificationKey, algorithm: str) -> VerificationKey | None:
    return attrs.evolve(key, algorithms=frozenset({algorithm})) if algorithm in key.algorithms else None


def suitable(keys: Iterable[VerificationKey], algorithm: str, kid: str | None) -> tuple[VerificationKey, ...]:
    """The keys of a set that may verify a token: those of its id; without one, the only one of the algorithm.

    A token without an id would else have every key of a large set tried on it.
    """
    good = tuple(key for key in keys if algorithm in key.algorithms)
    if kid is None:
        return good if len(good) == 1 else ()
    return tuple(key for key in good if key.kid == kid)[:SAME_KID]
