"""Who wants to know when a credential is no longer what it was: connections and streams that are open under it.

Bounded by the connections. Each is told at most once, and is gone from here before it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from ...actors import summary_of
from ...engine import EngineError
from ...engine.log import get_logger

if TYPE_CHECKING:
    from ..auth import Credential

Ended = Callable[[EngineError], None]

_log = get_logger("hubbub.transport.identity.watchers")


def _nothing() -> None:
    """Nobody watches."""


class Watchers:
    """What is open, by the id of whom it was opened for."""

    def __init__(self) -> None:
        self._watched: dict[str, dict[Ended, str]] = {}  # to the id of the token

    def add(self, credential: Credential, ended: Ended) -> Callable[[], None]:
        """Have `ended` called once; the returned function ends that, and may be called any number of times."""
        if not credential.token_id:
            return _nothing  # not one of ours: it ends with its time
        user_id = credential.principal.id
        self._watched.setdefault(user_id, {})[ended] = credential.token_id
        return partial(self._remove, user_id, ended)

    def _remove(self, user_id: str, ended: Ended) -> None:
        watched = self._watched.get(user_id)
        if watched is not None:
            watched.pop(ended, None)
            if not watched:
                del self._watched[user_id]

    def tell(self, user_id: str, error: EngineError, *, tokens: Collection[str] | None = None) -> None:
        """Tell those of a user, or only those under some of its tokens. A bug in one does not keep it from the others."""
        watched = self._watched.get(user_id, {})
        told = [ended for ended, token_id in watched.items() if tokens is None or token_id in tokens]
        for ended in told:
            self._remove(user_id, ended)
        for ended in told:
            try:
                ended(error)
            except Exception as bug:  # noqa: BLE001  a revocation must reach all that is open
                _log.error("what was open could not be told", error=summary_of(bug), exc_info=bug)

    def tokens(self) -> dict[str, str]:
        """The ids of all tokens that something is open under, with whom they stand for."""
        return {token_id: user_id for user_id, watched in self._watched.items() for token_id in watched.values()}
