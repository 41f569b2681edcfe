"""A JWK set that is published at a URL: fetched when it is needed, kept, fetched again as keys rotate. Bounded in size and time.

Invariants: what anybody can cause by sending tokens is one fetch per `min_refetch_s`; one fetch runs at a time, and who can be
served by the keys at hand does not wait for it; a key that was taken from the set is accepted for `refresh_s` at most while the
URL answers, and for `keep_s` while it does not; then nothing is accepted that only the set could verify.
"""

from __future__ import annotations

from typing import Final

import attrs
import trio

from ..engine.core.errors import StoreUnavailable
from ..engine.log import get_logger
from .fetch import Fetch, FetchFailed, fetch_document
from .jwt_keys import VerificationKey, keys_of_set, suitable

_log = get_logger("hubbub.transport.jwks")

SET_KEYS: Final = 64
WAITERS: Final = 8
"""Tokens with unknown key ids that may wait for a fetch."""


class KeysUnavailable(StoreUnavailable):
    """The keys that would verify a token cannot be had now; a later try may succeed."""


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
        self._waiting = 0

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
            await self._wait_for(self._fetching)
        if self._age_s() >= self.settings.keep_s:
            raise KeysUnavailable("the keys to check the token with cannot be fetched just now")
        return self._suitable(algorithm, kid)

    async def _wait_for(self, fetching: trio.Event) -> None:
        """Wait for the fetch that runs. Whoever waits holds up one of the few look-ups of tokens, of guests' too, and anybody can
        send ids that do not exist: so few wait where there is a set already."""
        if self._keys and self._waiting >= WAITERS:
            raise KeysUnavailable("the keys to check the token with are being fetched")
        self._waiting += 1
        try:
            await fetching.wait()
        finally:
            self._waiting -= 1

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
