"""Who a token stands for. Session tokens are opaque, kept as SHA-256 digests, shown once.

A token found once is remembered for a while, so that the hot path asks no database; the memory is bounded, and so are the
look-ups in flight, because anybody can send tokens that do not exist.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import attrs

from ..engine import Author, EngineError, Overloaded, Principal, Store, StoreUnavailable, TokenRecord, Unauthenticated
from ..engine.core.ids import display_name, uuid7

_REMEMBERED_ITEMS = 50_000
_REMEMBERED_MS = 60_000
_LOOKUPS = 32
_MAX_TOKEN_CHARS = 512
_DAY_MS = 86_400_000

GUEST_DAYS = 30


@attrs.frozen
class Credential:
    """A principal and when its token ends, milliseconds since the epoch."""

    principal: Principal
    expires_at_ms: int


@attrs.frozen
class Issued:
    """A fresh token, shown this once."""

    token: str
    credential: Credential


class Authenticator:
    """Issues and checks session tokens.

    Args:
        store: keeps the digests.
        now_ms: the wall clock, milliseconds since the epoch.
        start_soon: starts a task that lives as long as the server.
    """

    def __init__(
        self, store: Store, now_ms: Callable[[], int], start_soon: Callable[[Callable[[], Awaitable[None]]], None]
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._start_soon = start_soon
        self._remembered: OrderedDict[bytes, tuple[int, Credential]] = OrderedDict()
        self._lookups = 0

    async def issue_guest(self, name: str) -> Issued:
        """Make a guest with a fresh id and a token that ends in 30 days; durable when this returns.

        Raises:
            Unprocessable: not a fit name.
            StoreUnavailable: nothing was issued.
        """
        author_name = display_name(name)
        now = self._now_ms()
        author = Author("guest-" + uuid7(now, secrets.randbits(74)), author_name, "guest")
        token = "hbg_" + secrets.token_urlsafe(32)
        record = TokenRecord(_digest(token), author, now, now + GUEST_DAYS * _DAY_MS)
        await self._store.add_token(record)
        return Issued(token, self._remember(record))

    def check(self, token: str, done: Callable[[Credential | EngineError], None]) -> None:
        """Find out whom a token stands for; `done` is called once, now when it is remembered, else later."""
        digest = _digest(token)
        known = self._remembered.get(digest)
        now = self._now_ms()
        if known is not None and now < known[0]:
            done(_valid(known[1], now))
        elif len(token) > _MAX_TOKEN_CHARS:
            done(Unauthenticated("unknown token"))
        elif self._lookups >= _LOOKUPS:
            done(Overloaded("too many tokens are being looked up"))
        else:
            self._lookups += 1
            self._start_soon(lambda: self._look_up(digest, done))

    async def _look_up(self, digest: bytes, done: Callable[[Credential | EngineError], None]) -> None:
        found: Credential | EngineError = StoreUnavailable()
        try:
            record = await self._store.find_token(digest)
            found = (
                Unauthenticated("unknown token") if record is None else _valid(self._remember(record), self._now_ms())
            )
        except EngineError as error:
            found = error
        finally:
            self._lookups -= 1
            done(found)

    def _remember(self, record: TokenRecord) -> Credential:
        credential = Credential(Principal(record.author), record.expires_at_ms)
        self._remembered[record.digest] = (self._now_ms() + _REMEMBERED_MS, credential)
        self._remembered.move_to_end(record.digest)
        if len(self._remembered) > _REMEMBERED_ITEMS:
            self._remembered.popitem(last=False)
        return credential


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _valid(credential: Credential, now_ms: int) -> Credential | EngineError:
    return credential if now_ms < credential.expires_at_ms else Unauthenticated("the token has expired")
