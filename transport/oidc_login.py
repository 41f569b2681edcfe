"""Logins with OpenID Connect as they run: begun for a browser, finished with what it brings back.

Invariant: who waits for a provider takes one of `TURNS`; who comes when none is left is refused, so that a provider that hangs
holds back logins with providers and nothing else.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs

from ..engine import Overloaded
from .fetch import ask
from .identity.federation import Federation
from .identity.settings import SignUp
from .oidc import Flow, Flows, Link, LoginRefused, Reason, authorization_url, code_of, digest_of
from .oidc_claims import Profile, Tokens, check_id_token
from .oidc_provider import Ask, Providers
from .oidc_settings import OidcSettings, ProviderSettings, ProviderSignUp

if TYPE_CHECKING:
    from .identity.tokens import Issued
    from .live import LiveSettings

TURNS: Final = 16
PATH: Final = "/api/v1/auth/oidc"


@attrs.frozen
class Begun:
    """A login that was begun.

    Attributes:
        url: where the browser is sent.
        browser: the secret that its cookie is to hold.
    """

    url: str
    browser: str = attrs.field(repr=False)


class OidcLogin:
    """Begins and finishes logins.

    Args:
        federation: whose account it is.
        now_ms: the wall clock, milliseconds since the epoch.
        ask: sends a request to a provider.

    Attributes:
        flows: those that were begun.
    """

    def __init__(self, federation: Federation, now_ms: Callable[[], int], ask: Ask = ask) -> None:
        self.federation = federation
        self.flows = Flows()
        self._providers = Providers(ask)
        self._now_ms = now_ms
        self._turns = 0

    async def begin(self, key: str, settings: OidcSettings, return_to: str, link: Link | None) -> Begun:
        """Begin a login.

        Args:
            key: of a provider in the settings.
            return_to: checked by `oidc.return_path`.
            link: where this is no login: what the identity is to be linked to.

        Raises:
            LoginRefused: the provider cannot be reached.
            Overloaded: too many wait for providers.
        """
        provider, now_ms = settings.providers[key], self._now_ms()
        with self._turn():
            metadata = await self._providers.get(provider.issuer, settings).metadata(settings.timeout_s)
        browser = secrets.token_urlsafe(32)
        flow = Flow(
            provider=key,
            metadata=metadata,
            client_id=provider.client_id,
            redirect_uri=f"{settings.base_url}{PATH}/{key}/callback",
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            browser=digest_of(browser),
            return_to=return_to,
            link=link,
            ends_at_ms=now_ms + round(settings.flow_s * 1000),
        )
        self.flows.add(flow, now_ms)
        return Begun(authorization_url(flow, provider.scopes), browser)

    async def finish(self, flow: Flow, query: dict[str, str], settings: LiveSettings, label: str) -> Issued | None:
        """Finish a login with what the browser has brought back. None where an identity was linked.

        Args:
            flow: taken from `flows`.
            label: the program that asks, for lists of sessions.

        Raises:
            LoginRefused: it comes to nothing.
            Overloaded: too many wait for providers.
            LimitExceeded, Conflict, StoreError: as the federation raises them.
        """
        code, provider = code_of(query, flow), settings.oidc.providers.get(flow.provider)
        if provider is None or (provider.issuer, provider.client_id) != (flow.metadata.issuer, flow.client_id):
            raise LoginRefused(Reason.UNKNOWN_STATE, "the provider has been changed: begin again")
        with self._turn():
            profile = await self._whom(code, flow, provider, settings.oidc)
        if not profile.is_of(provider.email_domains):
            raise LoginRefused(Reason.EMAIL_REFUSED, "only people with certain verified e-mail addresses are let in")
        may_sign_up = provider.sign_up is ProviderSignUp.OPEN or (
            provider.sign_up is ProviderSignUp.SERVER and settings.access.sign_up is SignUp.OPEN
        )
        if flow.link is not None:
            return await self.federation.link(flow.link, profile, label, may_sign_up=may_sign_up)
        return await self.federation.log_in(profile, label, may_sign_up=may_sign_up)

    async def _whom(self, code: str, flow: Flow, settings: ProviderSettings, oidc: OidcSettings) -> Profile:
        provider = self._providers.get(settings.issuer, oidc)
        tokens = await provider.redeem(code, flow, settings, oidc.timeout_s)
        claims, algorithm = await provider.verified(tokens.id_token, flow.metadata, oidc.timeout_s)
        profile = check_id_token(
            claims, algorithm, flow, tokens.access_token, leeway_s=oidc.leeway_s, now_ms=self._now_ms()
        )
        if not _needs_more(profile, tokens, settings):
            return profile
        more = await provider.userinfo(tokens.access_token or "", flow.metadata, oidc.timeout_s)
        return profile.more(more) if more else profile

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._turns >= TURNS:
            raise Overloaded("too many logins wait for providers")
        self._turns += 1
        try:
            yield
        finally:
            self._turns -= 1


def _needs_more(profile: Profile, tokens: Tokens, settings: ProviderSettings) -> bool:
    """Whether the provider is to be asked for what it has left out of the ID token; some leave out all but the subject."""
    unnamed = profile.name is None and profile.username is None
    return tokens.access_token is not None and (unnamed or (bool(settings.email_domains) and profile.email is None))
