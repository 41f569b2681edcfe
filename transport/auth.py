"""Who a token stands for. Session tokens are opaque, kept as SHA-256 digests, shown once.

A token found once is remembered for a while, so that the hot path asks no database; the memory is bounded, and so are the
look-ups in flight, because anybody can send tokens that do not exist. An embedding program may bring tokens of its own
(`TokenResolver`); they are remembered and bounded alike. While the database is away, session tokens are remembered for longer,
so that those who are known can go on.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import attrs
import trio

from ..actors import summary_of
from ..engine import (
    Author,
    EngineBroken,
    EngineError,
    Overloaded,
    Principal,
    Store,
    StoreUnavailable,
    TokenRecord,
    Unauthenticated,
)
from ..engine.core.errors import TokenExpired
from ..engine.core.ids import display_name, uuid7
from ..engine.log import get_logger

_log = get_logger("hubbub.transport.auth")

_REMEMBERED_ITEMS = 50_000
_REMEMBERED_MS = 60_000
_REMEMBERED_AWAY_MS = 3_600_000  # session tokens, while the store is away
_PRUNE_EVERY_MS = 3_600_000
_PRUNE_PAUSE_S = 1.0
_LOOKUPS = 32
_MAX_TOKEN_CHARS = 512
_MAX_FOREIGN_TOKEN_CHARS = 4096  # signed tokens carry their claims
_RESOLVE_S = 10.0
_SESSION_PREFIX = "hbg_"
_DAY_MS = 86_400_000

GUEST_DAYS = 30


@attrs.frozen
class Credential:
    """A principal and when its token ends, milliseconds since the epoch."""

    principal: Principal
    expires_at_ms: int


TokenResolver = Callable[[str], Awaitable[Credential | None]]
"""Whom a token of the embedding program stands for, or None for one that it does not know.

It is asked for tokens that are no guest's and that were not found in the last minute, so a token that is withdrawn still counts
for as long, and what it has opened stays open until its end (`Credential.expires_at_ms`). At most 32 are looked up at once and
each has 10 seconds. An `EngineError` that it raises is the answer; any other exception is logged and answered as an internal
error.
"""


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
        resolve: knows the embedding program's own tokens; session tokens are good besides.
    """

    def __init__(
        self,
        store: Store,
        now_ms: Callable[[], int],
        start_soon: Callable[[Callable[[], Awaitable[None]]], None],
        resolve: TokenResolver | None = None,
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._start_soon = start_soon
        self._resolve = resolve
        self._max_token_chars = _MAX_TOKEN_CHARS if resolve is None else _MAX_FOREIGN_TOKEN_CHARS
        self._remembered: OrderedDict[bytes, tuple[int, Credential]] = OrderedDict()  # with when it was found
        self._lookups = 0
        self._prune_at_ms = 0

    async def issue_guest(self, name: str) -> Issued:
        """Make a guest with a fresh id and a token that ends in 30 days; durable when this returns.

        Raises:
            Unprocessable: not a fit name.
            StoreUnavailable: nothing was issued.
        """
        author_name = display_name(name)
        now = self._now_ms()
        author = Author("guest-" + uuid7(now, secrets.randbits(74)), author_name, "guest")
        token = _SESSION_PREFIX + secrets.token_urlsafe(32)
        record = TokenRecord(_digest(token), author, now, now + GUEST_DAYS * _DAY_MS)
        await self._store.add_token(record)
        if now >= self._prune_at_ms:
            self._prune_at_ms = now + _PRUNE_EVERY_MS
            self._start_soon(self._prune)
        return Issued(token, self._remember(record.digest, _kept(record)))

    def check(self, token: str, done: Callable[[Credential | EngineError], None]) -> None:
        """Find out whom a token stands for; `done` is called once, now when it is remembered, else later."""
        digest = _digest(token)
        known = self._recall(token, digest)
        if known is not None:
            done(_valid(known, self._now_ms()))
        elif len(token) > self._max_token_chars:
            done(Unauthenticated("unknown token"))
        elif self._lookups >= _LOOKUPS:
            done(Overloaded("too many tokens are being looked up"))
        else:
            self._lookups += 1
            self._start_soon(lambda: self._look_up(token, digest, done))

    async def _look_up(self, token: str, digest: bytes, done: Callable[[Credential | EngineError], None]) -> None:
        found: Credential | EngineError = StoreUnavailable()
        try:
            credential = await self._find(token, digest)
            found = (
                Unauthenticated("unknown token")
                if credential is None
                else _valid(self._remember(digest, credential), self._now_ms())
            )
        except StoreUnavailable as error:
            known = self._recall(token, digest, is_away=True)
            found = error if known is None else _valid(known, self._now_ms())
        except EngineError as error:
            found = error
        finally:
            self._lookups -= 1
            done(found)

    def _recall(self, token: str, digest: bytes, *, is_away: bool = False) -> Credential | None:
        """Whom it was found to stand for, not too long ago; how long depends on whether the store can be asked."""
        known = self._remembered.get(digest)
        if known is None:
            return None
        found_ms, credential = known
        age_ms = self._now_ms() - found_ms
        if age_ms < _REMEMBERED_MS:
            return credential
        if age_ms < _REMEMBERED_AWAY_MS and token.startswith(_SESSION_PREFIX):
            return credential if is_away or not self._store.health().ready else None
        return None

    async def _find(self, token: str, digest: bytes) -> Credential | None:
        if self._resolve is not None and not token.startswith(_SESSION_PREFIX):
            credential = await _ask(self._resolve, token)
            if credential is not None:
                return credential
        record = await self._store.find_token(digest)
        return None if record is None else _kept(record)

    def _remember(self, digest: bytes, credential: Credential) -> Credential:
        self._remembered[digest] = (self._now_ms(), credential)
        self._remembered.move_to_end(digest)
        if len(self._remembered) > _REMEMBERED_ITEMS:
            self._remembered.popitem(last=False)
        return credential

    async def _prune(self) -> None:
        """Forget tokens that ended more than a day ago, in steps. What fails is made up for by the next time."""
        with contextlib.suppress(EngineError):
            more = True
            while more:
                more = await self._store.prune_tokens(self._now_ms() - _DAY_MS) > 0
                await trio.sleep(_PRUNE_PAUSE_S)


async def _ask(resolve: TokenResolver, token: str) -> Credential | None:
    with trio.move_on_after(_RESOLVE_S):
        try:
            return await resolve(token)
        except EngineError:
            raise
        except Exception as error:
            _log.error("a token could not be checked", error=summary_of(error), exc_info=error)
            raise EngineBroken from error
    raise Overloaded("the token could not be checked in time")


def _kept(record: TokenRecord) -> Credential:
    return Credential(Principal(record.author), record.expires_at_ms)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _valid(credential: Credential, now_ms: int) -> Credential | EngineError:
    return credential if now_ms < credential.expires_at_ms else TokenExpired("the token has expired")
