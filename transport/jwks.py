"""A JWK set that is published at a URL: fetched when it is needed, kept, fetched again as keys rotate. Bounded in size and time.

Invariants: what anybody can cause by sending tokens is one fetch per `min_refetch_s`; one fetch runs at a time, and who can be
served by the keys at hand does not wait for it; a key that was taken from the set is accepted for `refresh_s` at most while the
URL answers, and for `keep_s` while it does not; then nothing is accepted that only the set could verify.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

import attrs
import httpx
import trio

from ..engine.core.errors import StoreUnavailable
from ..engine.log import get_logger
from .jwt_keys import VerificationKey, keys_of_set, suitable

_log = get_logger("hubbub.transport.jwks")

SET_BYTES: Final = 256 * 1024
SET_KEYS: Final = 64
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

Fetch = Callable[[str, float], Awaitable[bytes]]
"""Fetch a document; arguments are the URL and the seconds it may take. Raises `FetchFailed`."""


class FetchFailed(Exception):
    """A document could not be had; the message says why and holds nothing of it."""


class KeysUnavailable(StoreUnavailable):
    """The keys that would verify a token cannot be had now; a later try may succeed."""


def secure_url(url: str) -> str:
    """Check a URL that keys, tokens or secrets are exchanged with.

    Raises:
        ValueError: it is neither https nor plain http to this machine, or carries a credential.
    """
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise ValueError("give an https URL (http only to this machine itself)")
    if parts.username is not None or parts.fragment:
        raise ValueError("the URL may hold neither a user nor a fragment")
    return url


async def fetch_document(url: str, timeout_s: float) -> bytes:
    """GET a small document. Follows no redirect, believes no proxy of the environment, reads `SET_BYTES` at most.

    Raises:
        FetchFailed: no answer in time, another status than 200, or too much.
    """
    data, reason = b"", f"no answer within {timeout_s:g} s"
    try:
        with trio.move_on_after(timeout_s) as scope:
            async with (
                httpx.AsyncClient(timeout=timeout_s, follow_redirects=False, trust_env=False) as client,
                client.stream("GET", url, headers={"accept": "application/json"}) as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise FetchFailed(f"status {answer.status_code}")
                async for piece in answer.aiter_bytes():
                    data += piece
                    if len(data) > SET_BYTES:
                        reason = f"over {SET_BYTES} bytes"
                        scope.cancel()  # leaving the loop would leave httpx's generators to the garbage collector
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchFailed(type(error).__name__) from error
    if scope.cancelled_caught:
        raise FetchFailed(reason)
    return data


@attrs.frozen(kw_only=True)
class JwksSettings:
    """Pace and bounds of one key set.

    Attributes:
        url: where it is.
        refresh_s: how old it may become before it is fetched again.
        keep_s: how old it may become when it cannot be fetched.
        min_refetch_s: between two fetches, whatever comes.
        timeout_s: of one fetch.
    """

    url: str
    refresh_s: float = 300.0
    keep_s: float = 3600.0
    min_refetch_s: float = 15.0
    timeout_s: float = 5.0


class KeySource:
    """The keys of one URL.

    Args:
        settings: pace and bounds.
        fetch: fetches a document.
    """

    def __init__(self, settings: JwksSettings, fetch: Fetch = fetch_document) -> None:
        self.settings = settings
        self._fetch = fetch
        self._keys: tuple[VerificationKey, ...] = ()
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetching: trio.Event | None = None

    async def find(self, algorithm: str, kid: str | None) -> tuple[VerificationKey, ...]:
        """The keys that may verify a token; empty when the set has none.

        Raises:
            KeysUnavailable: the set cannot be had.
        """
        found = self._suitable(algorithm, kid)
        if found and self._age_s() < self.settings.refresh_s:
            return found
        if self._fetching is None and self._may_fetch():
            await self._fetch_now()
        elif self._fetching is not None and not found:
            await self._fetching.wait()
        if self._age_s() >= self.settings.keep_s:
            raise KeysUnavailable("the keys to check the token with cannot be fetched just now")
        return self._suitable(algorithm, kid)

    def _suitable(self, algorithm: str, kid: str | None) -> tuple[VerificationKey, ...]:
        return suitable(self._keys, algorithm, kid)

    def _age_s(self) -> float:
        return float("inf") if self._fetched_at is None else trio.current_time() - self._fetched_at

    def _may_fetch(self) -> bool:
        return self._tried_at is None or trio.current_time() - self._tried_at >= self.settings.min_refetch_s

    async def _fetch_now(self) -> None:
        self._fetching = done = trio.Event()
        self._tried_at = began = trio.current_time()
        try:
            self._keys = keys_of_set(await self._fetch(self.settings.url, self.settings.timeout_s), SET_KEYS)
            self._fetched_at = began
        except (FetchFailed, ValueError) as error:
            _log.warning("a key set could not be fetched", url=self.settings.url, reason=str(error))
        finally:
            self._fetching = None
            done.set()
