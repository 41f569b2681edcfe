"""Dedupe: recently acked idempotency keys of one conversation. The store knows all the others.

Bounded by `max_items` and by `max_bytes`, because an ack carries its message; the oldest is forgotten first (forgetting costs
a look-up in the store, never a wrong answer). Keys in flight are the conversation's own business: they share a row.
"""

from collections import OrderedDict

import attrs

from .messages import Ack

_OVERHEAD_BYTES = 800  # an ack's objects besides the texts


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

    @property
    def size_bytes(self) -> int:
        """About what remembering it costs."""
        return _OVERHEAD_BYTES + 2 * len(self.ack.message.text) + len(self.ack.message.meta_json or b"")


class Dedupe:
    """The last acked keys, each with its first ack."""

    __slots__ = ("_acked", "max_bytes", "max_items", "size_bytes")

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self._acked: OrderedDict[Scope, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._acked)

    def acked(self, scope: Scope) -> Known | None:
        """The first ack of a key, if it is remembered here."""
        return self._acked.get(scope)

    def acknowledge(self, scope: Scope, digest: bytes, ack: Ack) -> None:
        """Remember that a post with this key was committed, or found committed; a key that is known keeps its first ack."""
        if scope in self._acked:
            return
        known = self._acked[scope] = Known(digest, ack)
        self.size_bytes += known.size_bytes
        while len(self._acked) > self.max_items or self.size_bytes > self.max_bytes:
            _, oldest = self._acked.popitem(last=False)
            self.size_bytes -= oldest.size_bytes
