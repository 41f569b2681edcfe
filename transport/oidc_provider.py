"""What is asked of an OpenID Connect provider: its metadata, its keys, a code's tokens, more claims. Bounded in size and time.

Invariants: the metadata is fetched at most once in `RETRY_S` whatever comes, kept `REFRESH_S`, and `KEEP_S` while it cannot be
had; a code goes only to the token endpoint of the flow it belongs to; nothing of a secret, a code or a token is logged or in an
error.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

import trio

from ..engine.log import get_logger
from .fetch import Answer, FetchFailed, ask
from .jwks import JwksSettings, KeySource, KeysUnavailable
from .jwt_claims import Claims, InvalidToken, read_header, verify
from .oidc import Flow, LoginRefused, Metadata, Reason, json_object, read_metadata
from .oidc_claims import Tokens
from .oidc_settings import SECRET_FILE_BYTES, OidcSettings, ProviderSettings
from .small_file import read_small

_log = get_logger("hubbub.transport.oidc")

REFRESH_S: Final = 3600.0
KEEP_S: Final = 86_400.0
RETRY_S: Final = 5.0
ID_TOKEN_CHARS: Final = 8192
_ACCESS_TOKEN: Final = re.compile(r"[!-~]{1,16384}")
_ERROR: Final = re.compile(r"[a-z_]{1,40}")
_OK: Final = 200
_OURS: Final = 500  # from here on it is the provider that has failed

Ask = Callable[..., Awaitable[Answer]]
"""`fetch.ask`."""


class Provider:
    """One provider, as it is known.

    Args:
        issuer: its issuer.
        ask: sends a request.
    """

    def __init__(self, issuer: str, ask: Ask = ask) -> None:
        self._issuer = issuer
        self._ask = ask
        self._metadata: Metadata | None = None
        self._keys: KeySource | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching = trio.Lock()

    # -- metadata and keys ----------------------------------------------------------------------------------------------

    async def metadata(self, timeout_s: float) -> Metadata:
        """Its endpoints.

        Raises:
            LoginRefused: they cannot be had now.
        """
        if self._age_s() >= REFRESH_S:
            async with self._fetching:
                if self._age_s() >= REFRESH_S and trio.current_time() - self._tried_at >= RETRY_S:
                    await self._discover(timeout_s)
        if self._metadata is None or self._age_s() >= KEEP_S:
            raise _unavailable()
        return self._metadata

    def _age_s(self) -> float:
        return trio.current_time() - self._fetched_at

    async def _discover(self, timeout_s: float) -> None:
        self._tried_at = began = trio.current_time()
        url = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            self._metadata = read_metadata(await self._document(url, timeout_s), self._issuer)
            self._fetched_at = began
        except (FetchFailed, ValueError) as error:
            _log.warning("a provider's metadata cannot be had", issuer=self._issuer, reason=str(error))

    async def _document(self, url: str, timeout_s: float) -> bytes:
        answer = await self._ask("GET", url, timeout_s)
        if answer.status != _OK:
            raise FetchFailed(f"status {answer.status}")
        return answer.body

    def _key_source(self, metadata: Metadata, timeout_s: float) -> KeySource:
        if self._keys is None or self._keys.settings.url != metadata.jwks_uri:
            settings = JwksSettings(url=metadata.jwks_uri, timeout_s=timeout_s)
            self._keys = KeySource(settings, self._document)
        return self._keys

    async def verified(self, id_token: str, metadata: Metadata, timeout_s: float) -> tuple[Claims, str]:
        """The claims of an ID token that the provider has signed, and the algorithm: one of public keys, as `jwks` has no others.

        Raises:
            LoginRefused: it has not, or its keys cannot be had.
        """
        try:
            header = read_header(id_token, ID_TOKEN_CHARS)
            keys = await self._key_source(metadata, timeout_s).find(header.algorithm, header.kid)
            return verify(id_token, header, keys), header.algorithm
        except InvalidToken as error:
            raise LoginRefused(Reason.INVALID_ANSWER, str(error)) from None
        except KeysUnavailable:
            raise _unavailable() from None

    # -- one login ------------------------------------------------------------------------------------------------------

    async def redeem(self, code: str, flow: Flow, settings: ProviderSettings, timeout_s: float) -> Tokens:
        """Exchange a code for tokens.

        Raises:
            LoginRefused: the provider does not take it, or cannot be reached.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": flow.redirect_uri,
            "code_verifier": flow.verifier,
        }
        secret, headers = await secret_of(settings), {}
        if secret and not flow.metadata.secret_in_form:
            headers["authorization"] = _basic(flow.client_id, secret)
        else:
            form["client_id"] = flow.client_id
            if secret:
                form["client_secret"] = secret
        answer = await self._answered("POST", flow.metadata.token_endpoint, timeout_s, headers=headers, form=form)
        if answer.status != _OK:
            raise self._refused(answer)
        return _tokens_of(answer.body)

    async def userinfo(self, access_token: str, metadata: Metadata, timeout_s: float) -> dict[str, Any]:
        """What the provider says of the person besides the ID token; nothing where it has no place to ask.

        Raises:
            LoginRefused: it cannot be reached, or answers nonsense.
        """
        if metadata.userinfo_endpoint is None:
            return {}
        headers = {"authorization": f"Bearer {access_token}"}
        answer = await self._answered("GET", metadata.userinfo_endpoint, timeout_s, headers=headers)
        if answer.status != _OK:
            raise self._refused(answer)
        try:
            return json_object(answer.body)
        except ValueError:
            raise _nonsense() from None

    async def _answered(self, method: str, url: str, timeout_s: float, **parts: dict[str, str]) -> Answer:
        try:
            answer = await self._ask(method, url, timeout_s, **parts)
        except FetchFailed as error:
            _log.warning("a provider does not answer", issuer=self._issuer, reason=str(error))
            raise _unavailable() from None
        if answer.status >= _OURS:
            _log.warning("a provider has failed", issuer=self._issuer, status=answer.status)
            raise _unavailable()
        return answer

    def _refused(self, answer: Answer) -> LoginRefused:
        """A code that is not taken is somebody's who tries; anything else is for the operator to know."""
        try:
            error = str(json_object(answer.body).get("error"))
        except ValueError:
            error = ""
        if error == "invalid_grant":
            return LoginRefused(Reason.INVALID_ANSWER, "the provider does not take the code")
        shown = error if _ERROR.fullmatch(error) else "unknown"
        _log.warning("a provider refuses this server", issuer=self._issuer, status=answer.status, reason=shown)
        return LoginRefused(Reason.PROVIDER_ERROR, "the provider refuses this server")


class Providers:
    """The providers of the settings.

    Args:
        ask: sends a request.
    """

    def __init__(self, ask: Ask = ask) -> None:
        self._ask = ask
        self._known: dict[str, Provider] = {}

    def get(self, issuer: str, settings: OidcSettings) -> Provider:
        """What is known of a provider; of those that the settings do not name any more it is forgotten."""
        named = {provider.issuer for provider in settings.providers.values()}
        for gone in self._known.keys() - named:
            del self._known[gone]
        return self._known.setdefault(issuer, Provider(issuer, self._ask))


async def secret_of(settings: ProviderSettings) -> str:
    """The client's secret, read now where it stands in a file; empty for a client without one.

    Raises:
        LoginRefused: the file cannot be read.
    """
    if settings.client_secret_file is None:
        return settings.client_secret
    try:
        data, _ = await trio.to_thread.run_sync(read_small, Path(settings.client_secret_file), SECRET_FILE_BYTES)
        secret = data.decode().strip()
        if not secret or len(data) > SECRET_FILE_BYTES:
            raise ValueError("empty or too long")
    except (OSError, ValueError) as error:
        _log.error("a provider's client secret cannot be read", issuer=settings.issuer, reason=type(error).__name__)
        raise LoginRefused(Reason.PROVIDER_ERROR, "this server is not set up for the provider") from None
    return secret


def _basic(client_id: str, secret: str) -> str:
    """Both parts are encoded as in a form first (RFC 6749, 2.3.1)."""
    return "Basic " + b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


def _tokens_of(body: bytes) -> Tokens:
    try:
        found = json_object(body)
    except ValueError:
        raise _nonsense() from None
    id_token, access_token = found.get("id_token"), found.get("access_token")
    if not isinstance(id_token, str):
        raise LoginRefused(Reason.INVALID_ANSWER, "the provider gave no ID token")
    if not isinstance(access_token, str) or _ACCESS_TOKEN.fullmatch(access_token) is None:
        access_token = None  # it could not be sent in a header
    return Tokens(id_token=id_token, access_token=access_token)


def _nonsense() -> LoginRefused:
    return LoginRefused(Reason.INVALID_ANSWER, "the provider's answer cannot be read")


def _unavailable() -> LoginRefused:
    return LoginRefused(Reason.PROVIDER_UNAVAILABLE, "the provider cannot be reached just now")
