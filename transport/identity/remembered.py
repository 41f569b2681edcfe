"""What was found out about tokens, kept for a while, so that the hot path asks no database.

Bounded: the one that was found longest ago goes. What stands for a user can be forgotten at once, by the user's id.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..auth import Credential

REMEMBERED_ITEMS: Final = 50_000


class Remembered:
    """Credentials by the digest of their token.

    Args:
        items: most that are kept.
    """

    def __init__(self, items: int = REMEMBERED_ITEMS) -> None:
        self._items = items
        self._found: OrderedDict[bytes, tuple[int, Credential]] = OrderedDict()
        self._digests: dict[str, list[bytes]] = {}  # by the id of whom they stand for
        self.forgotten = 0
        """How often something was forgotten on purpose: what was asked before that may be out of date."""

    def __len__(self) -> int:
        return len(self._found)

    def get(self, digest: bytes) -> tuple[int, Credential] | None:
        """When it was found, on the clock of `add`, and what."""
        return self._found.get(digest)

    def add(self, digest: bytes, credential: Credential, now_ms: int) -> None:
        """Remember what was found just now."""
        self._remove(digest)
        self._found[digest] = (now_ms, credential)
        self._digests.setdefault(credential.principal.id, []).append(digest)
        if len(self._found) > self._items:
            self._remove(next(iter(self._found)))

    def forget(self, user_id: str) -> None:
        """Forget every token that stands for somebody."""
        self.forgotten += 1
        for digest in list(self._digests.get(user_id, ())):
            self._remove(digest)

    def _remove(self, digest: bytes) -> None:
        known = self._found.pop(digest, None)
        if known is None:
            return
        user_id = known[1].principal.id
        digests = self._digests[user_id]
        digests.remove(digest)
        if not digests:
            del self._digests[user_id]
