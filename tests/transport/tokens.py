"""Signed tokens for tests: minted by hand, so that they can be wrong in every way, and keys to sign them with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import attrs
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

SECRET = "an embedder's secret of more than 32 bytes"


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes) -> str:
    """The first two parts of a token; bytes are taken as they are."""
    parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (header, claims)]
    return ".".join(encoded(part) for part in parts)


def hs256(claims: dict[str, Any] | bytes, secret: str | bytes = SECRET, **header: Any) -> str:
    """A token signed with a secret."""
    text = unsigned({"alg": "HS256", "typ": "JWT", **header}, claims)
    return sealed(text, secret)


def sealed(text: str, secret: str | bytes = SECRET) -> str:
    """The first two parts of a token with HS256 over them."""
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{text}.{encoded(hmac.digest(key, text.encode(), hashlib.sha256))}"


@attrs.frozen(eq=False)
class Signer:
    """A private key under an id."""

    kid: str
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

    @classmethod
    def rsa(cls, kid: str = "r1", bits: int = 2048) -> Signer:
        return cls(kid, rsa.generate_private_key(65537, bits))

    @classmethod
    def ec(cls, kid: str = "e1") -> Signer:
        return cls(kid, ec.generate_private_key(ec.SECP256R1()))

    @property
    def pem(self) -> str:
        """The public key."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    @property
    def private_pem(self) -> str:
        form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, form, none).decode()

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as a row of a set."""
        numbers: Any = self.key.public_key().public_numbers()

        def number(value: int) -> str:
            return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))

        if isinstance(self.key, rsa.RSAPrivateKey):
            return {"kty": "RSA", "kid": self.kid, "use": "sig", "n": number(numbers.n), "e": number(numbers.e)}
        x, y = (encoded(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
        return {"kty": "EC", "kid": self.kid, "crv": "P-256", "x": x, "y": y}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """A token; RS256 or ES256."""
        algorithm = "RS256" if isinstance(self.key, rsa.RSAPrivateKey) else "ES256"
        text = unsigned({"alg": algorithm, "typ": "JWT", "kid": self.kid, **header}, claims)
        if isinstance(self.key, rsa.RSAPrivateKey):
            signature = self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        else:
            numbers = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
            signature = b"".join(number.to_bytes(32, "big") for number in numbers)
        return f"{text}.{encoded(signature)}"


def jwks(*signers: Signer) -> bytes:
    """A key set."""
    return json.dumps({"keys": [signer.jwk for signer in signers]}).encode()
