"""Who a token stands for, and who is told when that changes.

Tokens are opaque, kept as SHA-256 digests, shown once. A token found once is remembered for a while, so that the hot path asks no
database; the memory is bounded, and so are the look-ups in flight, because anybody can send tokens that do not exist. An
embedding program may bring tokens of its own (`TokenResolver`); they are remembered and bounded alike. While the database is
away, our own tokens are remembered for longer, so that those who are known can go on.

Invariant: once a change of a user or of its tokens has returned, no remembered token, no look-up that was in flight and nothing
that is open speaks for what was before. One server holds the database, so that all of them are in this process.

Left out: how tokens are made and ended (`identity.tokens`), accounts and passwords (`identity.accounts`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import attrs
import trio

from ..actors import summary_of
from ..engine import (
    EngineBroken,
    EngineError,
    Overloaded,
    Principal,
    Store,
    StoreUnavailable,
    Unauthenticated,
)
from ..engine.core.authors import Author
from ..engine.core.errors import CredentialChanged, TokenExpired
from ..engine.core.principals import ServerRole
from ..engine.identity.lifetimes import Lifetimes, Verdict, due_for_touch, judge
from ..engine.identity.records import Holder, TokenKind, User
from ..engine.log import get_logger
from .identity import secret
from .identity.remembered import Remembered
from .identity.settings import IdentitySettings
from .identity.watchers import Watcher, Watchers

_log = get_logger("hubbub.transport.auth")

_REMEMBERED_MS: Final = 60_000
_REMEMBERED_AWAY_MS: Final = 3_600_000  # our own tokens, while the store is away
_LOOKUPS: Final = 32
_MAX_FOREIGN_TOKEN_CHARS: Final = 4096  # signed tokens carry their claims
_RESOLVE_S: Final = 10.0
_TOUCH_MS: Final = 300_000
_TOUCHED_ITEMS: Final = 10_000
_CLOSED: Final = "the account was closed"

NEVER_MS: Final = 253_402_300_799_000
"""The last second that RFC 3339 can say: the end of what has none."""


@attrs.frozen
class Credential:
    """A principal and when its token ends, milliseconds since the epoch.

    Attributes:
        token_id: public id of the session or key; empty for what is not one of ours.
        kind: session or key, or None.
        username: what the account logs in with; None for guests and for others than ours.
    """

    principal: Principal
    expires_at_ms: int
    token_id: str = attrs.field(default="", kw_only=True)
    kind: TokenKind | None = attrs.field(default=None, kw_only=True)
    username: str | None = attrs.field(default=None, kw_only=True)


NO_CREDENTIAL: Final = Credential(
    Principal(Author("-", "-", "guest"), role=ServerRole.GUEST, scopes=frozenset()), expires_at_ms=0
)
"""Of what has not authenticated: over since ever."""

TokenResolver = Callable[[str], Awaitable[Credential | None]]
"""Whom a token of the embedding program stands for, or None for one that it does not know.

It is asked for tokens that are none of ours and that were not found in the last minute, so a token that is withdrawn still counts
for as long, and what it has opened stays open until its end (`Credential.expires_at_ms`). At most 32 are looked up at once and
each has 10 seconds. An `EngineError` that it raises is the answer; any other exception is logged and answered as an internal
error.
"""


class Authenticator:
    """Checks tokens, and tells what is open under them when they end.

    Args:
        store: keeps the digests.
        now_ms: the wall clock, milliseconds since the epoch.
        start_soon: starts a task that lives as long as the server.
        resolve: knows the embedding program's own tokens; our own are good besides.
        settings: the present settings.
    """

    def __init__(
        self,
        store: Store,
        now_ms: Callable[[], int],
        start_soon: Callable[[Callable[[], Awaitable[None]]], None],
        resolve: TokenResolver | None = None,
        settings: Callable[[], IdentitySettings] = IdentitySettings,
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._start_soon = start_soon
        self._resolve = resolve
        self._settings = settings
        self._remembered = Remembered()
        self._watchers = Watchers()
        self._lookups = 0
        self._touched: set[str] = set()
        self._is_touching = False

    # -- checking -------------------------------------------------------------------------------------------------------

    def check(self, token: str, done: Callable[[Credential | EngineError], None]) -> None:
        """Find out whom a token stands for; `done` is called once, now when it is remembered, else later."""
        ours = token.startswith(secret.PREFIXES)
        if len(token) > (secret.MAX_CHARS if ours else _MAX_FOREIGN_TOKEN_CHARS) or not (ours or self._resolve):
            done(Unauthenticated("unknown token"))
            return
        digest = secret.digest(token)
        known = self._recall(digest)
        if known is not None:
            done(_valid(known, self._now_ms()))
        elif self._lookups >= _LOOKUPS:
            done(Overloaded("too many tokens are being looked up"))
        else:
            self._lookups += 1
            self._start_soon(lambda: self._look_up(None if ours else token, digest, done))

    async def _look_up(
        self, foreign: str | None, digest: bytes, done: Callable[[Credential | EngineError], None]
    ) -> None:
        found: Credential | EngineError = StoreUnavailable()
        try:
            credential = await (self.find(digest) if foreign is None else self._ask(foreign))
            found = Unauthenticated("unknown token") if credential is None else _valid(credential, self._now_ms())
        except StoreUnavailable as error:
            known = self._recall(digest, is_away=True)
            found = error if known is None else _valid(known, self._now_ms())
        except EngineError as error:
            found = error
        finally:
            self._lookups -= 1
            done(found)

    def _recall(self, digest: bytes, *, is_away: bool = False) -> Credential | None:
        """Whom it was found to stand for, not too long ago; how long depends on whether the store can be asked."""
        known = self._remembered.get(digest)
        if known is None:
            return None
        found_ms, credential = known
        age_ms = self._now_ms() - found_ms
        if age_ms < _REMEMBERED_MS:
            return credential
        if age_ms < _REMEMBERED_AWAY_MS and credential.token_id:
            return credential if is_away or not self._store.health().ready else None
        return None

    async def find(self, digest: bytes, *, as_use: bool = True) -> Credential | None:
        """Ask the store whom one of our own tokens stands for now; None where it is unknown.

        Args:
            as_use: somebody has shown it: it is remembered, and that it is in use is written down.

        Raises:
            TokenExpired: its time is over.
            StoreUnavailable: the store cannot say.
        """
        # Asked again where something was taken back meanwhile: the answer may be from before.
        while True:
            asked = self._remembered.forgotten
            holder = await self._store.accounts.find_token(digest)
            if asked == self._remembered.forgotten:
                return None if holder is None else await self._judged(holder, digest, as_use=as_use)

    async def _judged(self, holder: Holder, digest: bytes, *, as_use: bool) -> Credential | None:
        lifetimes = Lifetimes(idle_ms=round(self._settings().session_idle_s * 1000), touch_ms=_TOUCH_MS)
        match judge(holder, digest, lifetimes, self._now_ms()):
            case Verdict.UNKNOWN:
                return None
            case Verdict.EXPIRED:
                raise TokenExpired("the token has expired")
            case Verdict.REPLAYED:
                _log.warning("a rotated session token came back: the session is ended", token_id=holder.token.id)
                await self._store.accounts.end_tokens(holder.user.id, only=holder.token.id)
                self.ended(holder.user.id, [holder.token.id], "the token was used after its rotation")
                return None
            case Verdict.GOOD:
                credential = _credential(holder)
                if not as_use:
                    return credential
                if digest == holder.token.digest:  # a former one is good for moments only
                    self._remembered.add(digest, credential, self._now_ms())
                if due_for_touch(holder, lifetimes, self._now_ms()):
                    self._touch(holder.token.id)
                return credential

    async def _ask(self, token: str) -> Credential | None:
        assert self._resolve is not None, "`check` refuses such tokens without one"
        credential = await _resolved(self._resolve, token)
        if credential is not None:
            self._remembered.add(secret.digest(token), credential, self._now_ms())
        return credential

    # -- changing -------------------------------------------------------------------------------------------------------

    def forget(self, user_id: str) -> None:
        """Ask the store anew about every token of a user: something about it may have changed."""
        self._remembered.forget(user_id)

    def changed(self, user: User) -> None:
        """A user is another principal now, or none: what is remembered is forgotten, what is open must begin anew."""
        self.forget(user.id)
        self._watchers.tell(user.id, CredentialChanged() if user.active else Unauthenticated(_CLOSED))

    def closed(self, user_id: str) -> None:
        """A user is gone."""
        self.forget(user_id)
        self._watchers.tell(user_id, Unauthenticated(_CLOSED))

    def ended(self, user_id: str, tokens: Collection[str], why: str) -> None:
        """Some tokens of a user are over."""
        self.forget(user_id)
        self._watchers.tell(user_id, Unauthenticated(why), tokens=tokens)

    def watch(self, watcher: Watcher) -> None:
        """Tell once that a credential was revoked or that its principal has changed, to what is open under it.

        Nobody is told that its time is over: that is known beforehand (`Credential.expires_at_ms`).
        """
        self._watchers.add(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """Tell it no more; may be called any number of times."""
        self._watchers.remove(watcher)

    # -- upkeep ---------------------------------------------------------------------------------------------------------

    def _touch(self, token_id: str) -> None:
        if len(self._touched) < _TOUCHED_ITEMS:
            self._touched.add(token_id)
        if not self._is_touching:
            self._is_touching = True
            self._start_soon(self._write_touched)

    async def _write_touched(self) -> None:
        """Write down which tokens were used. What fails is made up for by the next use."""
        try:
            while self._touched:
                touched, self._touched = self._touched, set()
                with contextlib.suppress(EngineError):
                    await self._store.accounts.touch_tokens(touched, now_ms=self._now_ms())
        finally:
            self._is_touching = False

    async def keep(self) -> None:
        """Run as long as the server: a token that something is open under is in use; and if it has gone unnoticed (a revocation
        whose outcome was unknown), this is where it ends."""
        while True:
            await trio.sleep(_TOUCH_MS / 1000)
            open_under = self._watchers.tokens()
            tokens = list(open_under)
            for start in range(0, len(tokens), _TOUCHED_ITEMS):
                await self._keep_some({token: open_under[token] for token in tokens[start : start + _TOUCHED_ITEMS]})

    async def _keep_some(self, tokens: dict[str, str]) -> None:
        try:
            there = await self._store.accounts.touch_tokens(tokens, now_ms=self._now_ms())
        except EngineError:
            return  # the store is away: later
        for token_id, user_id in tokens.items():
            if token_id not in there:
                self.ended(user_id, [token_id], "the token was revoked")


async def _resolved(resolve: TokenResolver, token: str) -> Credential | None:
    with trio.move_on_after(_RESOLVE_S):
        try:
            return await resolve(token)
        except EngineError:
            raise
        except Exception as error:
            _log.error("a token could not be checked", error=summary_of(error), exc_info=error)
            raise EngineBroken from error
    raise Overloaded("the token could not be checked in time")


def _credential(holder: Holder) -> Credential:
    token, user = holder.token, holder.user
    principal = Principal(user.author, role=user.role, scopes=token.scopes)
    ends = NEVER_MS if token.expires_at_ms is None else token.expires_at_ms
    return Credential(principal, ends, token_id=token.id, kind=token.kind, username=user.username)


def _valid(credential: Credential, now_ms: int) -> Credential | EngineError:
    return credential if now_ms < credential.expires_at_ms else TokenExpired("the token has expired")
