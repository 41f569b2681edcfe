"""How tokens of our own are made, rotated and ended. Each is shown once, when it is made.

Whatever is ended here is over at once for all that is remembered and open (`Authenticator`), also where the store could not say
whether it is stored: then the store is asked at the next look.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from ...engine import EngineError, Unauthenticated
from ...engine.core.ids import display_name, uuid7
from ...engine.core.principals import ALL_SCOPES, Scope, ServerRole
from ...engine.identity.ports import AccountStore
from ...engine.identity.records import TokenKind, TokenRecord, User
from ..auth import Authenticator, Credential
from . import secret
from .settings import IdentitySettings

OVERLAP_MS: Final = 30_000
"""How long a session's former token is good: requests are in flight, and answers get lost."""

_PRUNE_EVERY_MS: Final = 3_600_000
_PRUNE_PAUSE_S: Final = 1.0
_DAY_MS: Final = 86_400_000
_REVOKED: Final = "the token was revoked"


@attrs.frozen
class Issued:
    """A fresh token, shown this once."""

    token: str = attrs.field(repr=False)
    credential: Credential


class Tokens:
    """Makes, rotates and ends tokens.

    Args:
        store: keeps their digests.
        auth: is told.
        now_ms: the wall clock, milliseconds since the epoch.
        start_soon: starts a task that lives as long as the server.
        settings: the present settings.
    """

    def __init__(
        self,
        store: AccountStore,
        auth: Authenticator,
        now_ms: Callable[[], int],
        start_soon: Callable[[Callable[[], Awaitable[None]]], None],
        settings: Callable[[], IdentitySettings] = IdentitySettings,
    ) -> None:
        self._store = store
        self._auth = auth
        self._now_ms = now_ms
        self._start_soon = start_soon
        self._settings = settings
        self._prune_at_ms = 0

    def fresh_id(self) -> str:
        """A new id for a user, a token, an invitation."""
        return uuid7(self._now_ms(), secrets.randbits(74))

    async def issue_guest(self, name: str, label: str = "") -> Issued:
        """Make a guest with a fresh id and a token that ends in 30 days; durable when this returns.

        Raises:
            Unprocessable: not a fit name.
            StoreUnavailable: nothing was issued.
        """
        now = self._now_ms()
        user = User(id="guest-" + self.fresh_id(), name=display_name(name), role=ServerRole.GUEST, created_at_ms=now)
        ends = now + round(self._settings().guest_s * 1000)
        token, record = self._make(secret.GUEST, user, label, ALL_SCOPES, ends)
        await self._store.add_guest(user, record)
        self._prune_sometimes()
        return await self._issued(token)

    async def issue_session(self, user: User, label: str = "") -> Issued:
        """Log a user in. Of more sessions than a user may have, the oldest is over.

        Raises:
            NotFound: the user is gone, or may not act.
            StoreUnavailable, OutcomeUnknown: nobody has the token that may have been kept.
        """
        settings = self._settings()
        ends = self._now_ms() + round(settings.session_s * 1000)
        token, record = self._make(secret.SESSION, user, label, ALL_SCOPES, ends)
        await self._store.add_token(record)
        keep = settings.sessions_per_user
        evicted = await self._store.evict_tokens(user.id, TokenKind.SESSION, keep=keep, newest=record.id)
        if evicted:
            self._auth.ended(user.id, evicted, "another login has ended this session")
        self._prune_sometimes()
        return await self._issued(token)

    async def issue_key(self, user: User, label: str, scopes: frozenset[Scope], expires_at_ms: int | None) -> Issued:
        """Make an API key. Raises as `issue_session`."""
        token, record = self._make(secret.KEY, user, label, scopes, expires_at_ms)
        await self._store.add_token(record)
        return await self._issued(token)

    def _make(
        self, prefix: str, user: User, label: str, scopes: frozenset[Scope], expires_at_ms: int | None
    ) -> tuple[str, TokenRecord]:
        token, now = secret.make(prefix), self._now_ms()
        record = TokenRecord(
            digest=secret.digest(token),
            id=self.fresh_id(),
            user=user.id,
            kind=TokenKind.KEY if prefix == secret.KEY else TokenKind.SESSION,
            label=label,
            scopes=scopes,
            created_at_ms=now,
            last_used_at_ms=now,
            expires_at_ms=expires_at_ms,
        )
        return token, record

    async def _issued(self, token: str) -> Issued:
        """Read back whom it stands for: the user may have changed since it was read for making the token."""
        is_use = not token.startswith(secret.KEY)  # who logs in is there; a key may wait for years
        credential = await self._auth.find(secret.digest(token), as_use=is_use)
        if credential is None:
            raise Unauthenticated(_REVOKED)
        return Issued(token, credential)

    async def rotate_session(self, credential: Credential, token: str, *, expires_at_ms: int) -> Issued:
        """Give a session another token; `token`, the one it has, is good for another 30 seconds and ends the session after that.

        Raises:
            Unauthenticated: it is not the session's token any more.
        """
        rotated = await self._rotate(
            credential.principal.id,
            credential.token_id,
            secret.make(secret.SESSION),
            former=secret.digest(token),
            overlap_ms=OVERLAP_MS,
            expires_at_ms=expires_at_ms,
        )
        if rotated is None:
            raise Unauthenticated("the token was rotated before")
        return rotated

    async def rotate_key(self, record: TokenRecord, *, overlap_ms: int) -> Issued | None:
        """Give a key another token; the one before is good for `overlap_ms` more. None where the key is gone."""
        rotated = await self._rotate(
            record.user,
            record.id,
            secret.make(secret.KEY),
            former=None,
            overlap_ms=overlap_ms,
            expires_at_ms=record.expires_at_ms,
        )
        if overlap_ms == 0:  # what is open was opened with the one before
            self._auth.ended(record.user, [record.id], "the key was rotated")
        return rotated

    async def _rotate(
        self,
        user_id: str,
        token_id: str,
        fresh: str,
        *,
        former: bytes | None,
        overlap_ms: int,
        expires_at_ms: int | None,
    ) -> Issued | None:
        now = self._now_ms()
        try:
            record = await self._store.rotate_token(
                user_id,
                token_id,
                secret.digest(fresh),
                former=former,
                now_ms=now,
                former_until_ms=now + overlap_ms,
                expires_at_ms=expires_at_ms,
            )
        finally:
            self._auth.forget(user_id)
        return None if record is None else await self._issued(fresh)

    async def end(
        self, user_id: str, *, kind: TokenKind | None = None, only: str | None = None, keep: str | None = None
    ) -> bool:
        """End tokens of a user, as `AccountStore.end_tokens`. Whether there were any."""
        try:
            ended = await self._store.end_tokens(user_id, kind=kind, only=only, keep=keep)
        finally:
            self._auth.forget(user_id)
        self._auth.ended(user_id, ended, _REVOKED)
        return bool(ended)

    def _prune_sometimes(self) -> None:
        now = self._now_ms()
        if now >= self._prune_at_ms:
            self._prune_at_ms = now + _PRUNE_EVERY_MS
            self._start_soon(self._prune)

    async def _prune(self) -> None:
        """Forget tokens that ended more than a day ago, in steps. What fails is made up for by the next time."""
        with contextlib.suppress(EngineError):
            more = True
            while more:
                more = await self._store.prune_tokens(self._now_ms() - _DAY_MS) > 0
                await trio.sleep(_PRUNE_PAUSE_S)
