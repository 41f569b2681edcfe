"""A house with providers to log in from, and browsers that can be led astray: the whole way but for the sockets."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import attrs

from hubbub.transport.credentials import COOKIE
from hubbub.transport.fetch import Answer
from hubbub.transport.http_message import Response
from hubbub.transport.identity.federation import Federation
from hubbub.transport.identity.settings import SignUp
from hubbub.transport.oidc_login import PATH, OidcLogin
from hubbub.transport.oidc_settings import OidcSettings, ProviderSettings

from .house import House, head_of, house
from .oidc_world import CLIENT, ISSUER, SIGNER, FakeProvider, discovery, fields_of

HERE = "https://chat.example"
OTHER_ISSUER = "https://other.example"
FLOW_COOKIE = "__Host-hubbub_oidc"


@attrs.frozen
class Grant:
    """What a code stands for at the provider."""

    challenge: str
    claims: dict[str, Any]


@attrs.define(eq=False)
class ProviderSite(FakeProvider):
    """A provider at which anybody may log in as anybody. It checks PKCE unless told otherwise, and takes a code once.

    Attributes:
        sign: makes an ID token of claims.
    """

    grants: dict[str, Grant] = attrs.field(factory=dict)
    logins: int = 0
    checks_pkce: bool = True
    sign: Callable[[dict[str, Any]], str] = SIGNER.sign

    def __attrs_post_init__(self) -> None:
        self.token = self._exchange

    def log_in(self, url: str, now_ms: int, subject: str, **claims: Any) -> dict[str, str]:
        """Log in at the address that a browser was sent to; gives the fields that it is sent back with."""
        asked = fields_of(url)
        assert asked["code_challenge_method"] == "S256"
        self.logins += 1
        code, now_s = f"code-{self.logins}", now_ms // 1000
        issuer = url.partition("/auth")[0]
        told = {"iss": issuer, "aud": asked["client_id"], "sub": subject, "iat": now_s, "exp": now_s + 300}
        found = {**told, "nonce": asked["nonce"], **claims}
        self.grants[code] = Grant(asked["code_challenge"], {k: v for k, v in found.items() if v is not None})
        return {"code": code, "state": asked["state"], "iss": issuer}

    def _exchange(self, form: dict[str, str]) -> Answer:
        grant = self.grants.pop(form["code"], None)
        shown = urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if grant is None or (self.checks_pkce and grant.challenge != shown):
            return Answer(400, b'{"error":"invalid_grant"}')
        return Answer(200, json.dumps({"id_token": self.sign(grant.claims), "access_token": "a"}).encode())

    async def ask(self, method: str, url: str, timeout_s: float, **parts: Any) -> Answer:
        """As `fetch.ask`, for two issuers."""
        if url.startswith(OTHER_ISSUER) and url.endswith("openid-configuration") and not self.away:
            self.asked.append((url, {}, {}))
            return Answer(200, discovery(OTHER_ISSUER))
        return await super().ask(method, url, timeout_s, **parts)


@attrs.define(eq=False)
class Browser:
    """Keeps cookies, as browsers do."""

    rig: Rig
    cookies: dict[str, str] = attrs.field(factory=dict)

    async def get(self, path: str, *headers: str) -> Response:
        """Ask for a path of the server."""
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await self.rig.house.dispatch(head_of("GET", path, *([f"Cookie: {jar}"] if jar else []), *headers))
        for name, value in answer.headers:
            if name == "set-cookie":
                cookie, _, rest = value.partition("; ")
                key, _, content = cookie.partition("=")
                self.cookies[key] = content
                if "Max-Age=0" in rest:
                    del self.cookies[key]
        return answer

    async def begin(self, query: str = "", provider: str = "example") -> str:
        """Begin a login; gives the address at the provider."""
        answer = await self.get(f"{PATH}/{provider}/login{query}")
        assert answer.status == 302, answer
        return location(answer)

    async def come_back(self, fields: dict[str, str], provider: str = "example") -> Response:
        """Come back from the provider."""
        return await self.get(f"{PATH}/{provider}/callback?{urlencode(fields)}")

    async def log_in(self, subject: str, query: str = "", **claims: Any) -> Response:
        """The whole way."""
        url = await self.begin(query)
        return await self.come_back(self.rig.site.log_in(url, self.rig.house.engine.now_ms(), subject, **claims))

    async def whoami(self) -> dict[str, Any] | None:
        """Whom the session cookie stands for."""
        answer = await self.get("/api/v1/auth/session")
        user: dict[str, Any] | None = json.loads(answer.body)["user"]
        return user


@attrs.define(eq=False)
class Rig:
    """What a test holds."""

    house: House
    site: ProviderSite

    def browser(self, token: str | None = None) -> Browser:
        """A browser; with the token of a session, one that is logged in."""
        return Browser(self, {} if token is None else {COOKIE: token})

    def change(self, **provider: Any) -> None:
        """Change the provider's settings, while the server runs."""
        live = self.house.api.live
        known = dict(live.current.oidc.providers)
        known["example"] = attrs.evolve(known["example"], **provider)
        live.replace(attrs.evolve(live.current, oidc=attrs.evolve(live.current.oidc, providers=known)))


def location(answer: Response) -> str:
    """Where an answer sends a browser."""
    return dict(answer.headers)["location"]


def error_of(answer: Response) -> str:
    """Why a login came to nothing, by where its browser was sent."""
    assert answer.status in (302, 303), answer
    found = urlsplit(location(answer))
    assert (found.scheme, found.netloc) == ("https", "chat.example")
    return fields_of(location(answer)).get("login_error", "")


@asynccontextmanager
async def rig(*, sign_up: SignUp = SignUp.OPEN) -> AsyncIterator[Rig]:
    """A house with the providers `example` and `other`."""
    async with house(sign_up=sign_up) as there:
        yield furnish(there)


def furnish(there: House) -> Rig:
    """Give a house the providers `example` and `other`."""
    site = ProviderSite()
    live, now_ms = there.api.live, there.engine.now_ms
    providers = {
        "example": ProviderSettings(issuer=ISSUER, client_id=CLIENT, name="Example"),
        "other": ProviderSettings(issuer=OTHER_ISSUER, client_id="hubbub-there"),
    }
    live.replace(attrs.evolve(live.current, oidc=OidcSettings(public_url=HERE, providers=providers)))
    login = OidcLogin(Federation(there.api.accounts, now_ms), now_ms, site.ask)
    there.api = attrs.evolve(there.api, oidc=login)
    return Rig(there, site)
