"""Who wants to know when a credential is no longer what it was: connections and streams that are open under it.

Bounded by the connections. Each is told at most once, and is gone from here before it is told. Every connection is in here, so
that it costs no object of its own: most users have one, which stands here itself; only several have a dictionary.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Protocol

from ...actors import summary_of
from ...engine import EngineError
from ...engine.log import get_logger

if TYPE_CHECKING:
    from ..auth import Credential

_log = get_logger("hubbub.transport.identity.watchers")


class Watcher(Protocol):
    """Something that is open under a credential. Told apart by identity."""

    @property
    def credential(self) -> Credential:
        """Under which it is open; always of the same user while it is watched."""

    def credential_ended(self, error: EngineError) -> None:
        """The credential was revoked (`Unauthenticated`), or its principal has changed (`CredentialChanged`).

        Called from another task of the same thread; it must not wait.
        """


class Watchers:
    """What is open, by the id of whom it was opened for."""

    def __init__(self) -> None:
        self._watched: dict[str, Watcher | dict[Watcher, None]] = {}

    def __len__(self) -> int:
        return sum(len(found) if isinstance(found, dict) else 1 for found in self._watched.values())

    def add(self, watcher: Watcher) -> None:
        """Have it told, once. Nothing happens where the credential is none of ours: that ends with its time."""
        credential = watcher.credential
        if not credential.token_id:
            return
        user_id = credential.principal.id
        found = self._watched.get(user_id)
        if found is None:
            self._watched[user_id] = watcher
        elif isinstance(found, dict):
            found[watcher] = None
        elif found is not watcher:
            self._watched[user_id] = {found: None, watcher: None}

    def remove(self, watcher: Watcher) -> None:
        """Have it told no more; may be called any number of times, also for one that was never added."""
        user_id = watcher.credential.principal.id
        found = self._watched.get(user_id)
        if found is watcher:
            del self._watched[user_id]
        elif isinstance(found, dict):
            found.pop(watcher, None)
            if not found:
                del self._watched[user_id]

    def tell(self, user_id: str, error: EngineError, *, tokens: Collection[str] | None = None) -> None:
        """Tell those of a user, or only those under some of its tokens. A bug in one does not keep it from the others."""
        told = [each for each in self._of(user_id) if tokens is None or each.credential.token_id in tokens]
        for watcher in told:
            self.remove(watcher)
        for watcher in told:
            try:
                watcher.credential_ended(error)
            except Exception as bug:  # noqa: BLE001  a revocation must reach all that is open
                _log.error("what was open could not be told", error=summary_of(bug), exc_info=bug)

    def tokens(self) -> dict[str, str]:
        """The ids of all tokens that something is open under, with whom they stand for."""
        return {each.credential.token_id: user_id for user_id in self._watched for each in self._of(user_id)}

    def _of(self, user_id: str) -> Iterable[Watcher]:
        found = self._watched.get(user_id)
        if found is None:
            return ()
        return tuple(found) if isinstance(found, dict) else (found,)
