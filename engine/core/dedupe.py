"""Dedupe: idempotency keys in flight and recently acked in one conversation. The store knows all the others.

Bounded twice: keys in flight by the posts in flight, acked ones by `max_items`, the oldest forgotten first (forgetting costs a
look-up in the store, never a wrong answer).
"""

from collections import OrderedDict

import attrs

from .messages import Ack


@attrs.frozen
class Scope:
    """What an idempotency key is unique in, besides its conversation."""

    author: str
    key: str


@attrs.frozen
class Known:
    """A key that was acked: the hash of its request and the first ack."""

    digest: bytes
    ack: Ack


class Dedupe:
    """Recently acked keys, and the digest of each key in flight."""

    __slots__ = ("_acked", "_flying", "max_items")

    def __init__(self, max_items: int) -> None:
        self.max_items = max_items
        self._acked: OrderedDict[Scope, Known] = OrderedDict()
        self._flying: dict[Scope, bytes] = {}

    def acked(self, scope: Scope) -> Known | None:
        """The first ack of a key, if it is remembered here."""
        return self._acked.get(scope)

    def flying(self, scope: Scope) -> bytes | None:
        """The digest of the post in flight with this key, if there is one."""
        return self._flying.get(scope)

    def start(self, scope: Scope, digest: bytes) -> None:
        """A post with this key is in flight now."""
        self._flying[scope] = digest

    def fail(self, scope: Scope) -> None:
        """The post in flight ended without an ack; the key is free again."""
        self._flying.pop(scope, None)

    def acknowledge(self, scope: Scope, digest: bytes, ack: Ack) -> None:
        """The post in flight was committed, or found committed, with this ack."""
        self._flying.pop(scope, None)
        self._acked[scope] = Known(digest, ack)
        if len(self._acked) > self.max_items:
            self._acked.popitem(last=False)
