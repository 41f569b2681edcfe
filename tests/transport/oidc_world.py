"""What tests of OpenID Connect share: a provider's documents, a flow, an ID token's claims, and a provider that is a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import attrs
import trio

from hubbub.transport.fetch import Answer, FetchFailed
from hubbub.transport.oidc import Flow, Metadata, digest_of, read_metadata

from .tokens import Signer, jwks

ISSUER = "https://login.example"
CLIENT = "hubbub"
NOW_MS = 1_800_000_000_000
BROWSER = "browser-secret"
SIGNER = Signer.ec("k1")


def discovery(issuer: str = ISSUER, **other: Any) -> bytes:
    """A provider's metadata; None takes a field away."""
    fields: dict[str, Any] = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/auth",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
        "authorization_response_iss_parameter_supported": True,
        **other,
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


METADATA: Metadata = read_metadata(discovery(), ISSUER)


def flow(**other: Any) -> Flow:
    """A flow of the browser that has the secret `BROWSER`."""
    fields: dict[str, Any] = {
        "provider": "example",
        "metadata": METADATA,
        "client_id": CLIENT,
        "redirect_uri": "https://chat.example/api/v1/auth/oidc/example/callback",
        "state": "state-1",
        "nonce": "nonce-1",
        "verifier": "v" * 43,
        "browser": digest_of(BROWSER),
        "return_to": "/",
        "ends_at_ms": NOW_MS + 600_000,
    }
    return Flow(**(fields | other))


def claims(**other: Any) -> dict[str, Any]:
    """An ID token's claims for that flow; None takes a claim away."""
    now_s = NOW_MS // 1000
    fields: dict[str, Any] = {"iss": ISSUER, "aud": CLIENT, "sub": "u1", "iat": now_s, "exp": now_s + 300}
    fields |= {"nonce": "nonce-1", **other}
    return {name: value for name, value in fields.items() if value is not None}


@attrs.define(eq=False)
class FakeProvider:
    """Answers as told, and keeps what was asked."""

    token: Callable[[dict[str, str]], Answer] = attrs.field(
        default=lambda form: Answer(400, b'{"error":"invalid_grant"}')
    )
    metadata: bytes = attrs.field(factory=discovery)
    keys: bytes = attrs.field(factory=lambda: jwks(SIGNER))
    userinfo: Answer = attrs.field(default=Answer(404, b""))
    away: bool = False
    takes_s: float = 0.0
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = attrs.field(factory=list)

    async def ask(
        self,
        method: str,
        url: str,
        timeout_s: float,
        *,
        headers: dict[str, str] | None = None,
        form: dict[str, str] | None = None,
    ) -> Answer:
        """As `fetch.ask`."""
        self.asked.append((url, headers or {}, form or {}))
        await trio.sleep(self.takes_s)
        if self.away:
            raise FetchFailed("away")
        match url.rpartition("/")[2]:
            case "openid-configuration":
                return Answer(200, self.metadata)
            case "jwks":
                return Answer(200, self.keys)
            case "token":
                return self.token(form or {})
            case "me":
                return self.userinfo
        raise AssertionError(url)

    def asked_for(self, name: str) -> int:
        """How often a document was asked for."""
        return sum(url.endswith(name) for url, _, _ in self.asked)


def fields_of(url: str) -> dict[str, str]:
    """The fields of a URL's query, each of which must be there once."""
    found = parse_qs(url.partition("?")[2], keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}
