"""Tenure: who a connection of the Centrifugal protocol is, and for how long its tokens let it be. No I/O, no clock.

A signed token ends, and the stock SDKs fetch another at the moment it does. So what was opened with one stays open for a grace
past the token's end, and nothing new is opened with it. Credentials of the server's own end when they end.

Invariant: what a subscription token opens is open while that token (or the one that replaced it) lasts, and no longer than its
subscription.
"""

from __future__ import annotations

from typing import Final

import attrs

from ..engine.core.ids import ConversationId
from ..engine.core.principals import Principal
from .auth import NO_CREDENTIAL, Credential
from .jwt import JwtCredential


def ttl_s(ends_at_ms: int, now_ms: int) -> int:
    """How long a token is good, in the protocol's whole seconds: from 1 upwards, because SDKs fetch another one at 0 at once."""
    return max(1, (ends_at_ms - now_ms) // 1000)


class Tenure:
    """The tokens that one connection lives by.

    Args:
        credential: the connection's own.
        grace_s: how long what a signed token opened stays open past its end.
    """

    __slots__ = ("_ends_ms", "_grace_s", "_passes", "credential")

    def __init__(self, credential: Credential, grace_s: float) -> None:
        self.credential = credential
        self._grace_s = grace_s
        self._ends_ms = self._end_of(credential)
        self._passes: dict[ConversationId, int] | None = None  # until when; most connections have none

    @property
    def _grace_ms(self) -> int:
        return round(
            self._grace_s * 1000
        )  # not kept: a number of its own for each connection, and few have signed tokens

    @property
    def principal(self) -> Principal:
        """Who the connection is, with what its subscription tokens open for reading."""
        own = self.credential.principal
        return attrs.evolve(own, grants=own.grants.union(self._passes)) if self._passes else own

    @property
    def token_ends_at_ms(self) -> int | None:
        """When the client should have fetched another token; None where its credential is none that is fetched anew."""
        return self.credential.ends_at_ms if isinstance(self.credential, JwtCredential) else None

    def renew(self, credential: Credential) -> frozenset[ConversationId]:
        """Live by another token of the same user; returns what is not open for reading any more."""
        before = self.principal.grants
        self.credential = credential
        self._ends_ms = self._end_of(credential)
        return before - self.principal.grants

    def admit(self, channel: ConversationId, ends_at_ms: int) -> None:
        """A subscription token opens a conversation for reading, or goes on doing so."""
        if self._passes is None:
            self._passes = {}
        self._passes[channel] = ends_at_ms + self._grace_ms

    def has_pass(self, channel: ConversationId) -> bool:
        """Whether a subscription token opens it."""
        return self._passes is not None and channel in self._passes

    def withdraw(self, channel: ConversationId) -> bool:
        """Its subscription is over; whether a token had opened it."""
        return self._passes is not None and self._passes.pop(channel, None) is not None

    def left_s(self, now_ms: int) -> float:
        """Seconds until the next token ends for good; 0 or less when one has."""
        ends = min(self._ends_ms, *self._passes.values()) if self._passes else self._ends_ms
        return (ends - now_ms) / 1000

    def is_over(self, now_ms: int) -> bool:
        """Whether the connection has to end."""
        return now_ms >= self._ends_ms

    def take_over(self, now_ms: int) -> list[ConversationId]:
        """Withdraw the subscription tokens that have ended for good; returns their conversations."""
        over = [channel for channel, ends in (self._passes or {}).items() if now_ms >= ends]
        for channel in over:
            self.withdraw(channel)
        return over

    def _end_of(self, credential: Credential) -> int:
        if isinstance(credential, JwtCredential):
            return max(credential.ends_at_ms + self._grace_ms, credential.expires_at_ms)
        return credential.expires_at_ms


NOBODY: Final = Tenure(NO_CREDENTIAL, 0.0)
"""Of a connection that has not authenticated: over since ever."""
