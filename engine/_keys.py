"""Keys: whether a post that is refused was committed before, under the same idempotency key. Only the store can tell.

Look-ups are bounded, apart from pages of history, and end with the deadline of their post. Where the store is not asked, or does
not say in time, who may not know of the conversation is refused as if it were not there: neither the bound nor a slow store
tells a stranger that it is.
"""

from collections.abc import Awaitable, Callable

import trio

from ._answers import answer_with, refuse
from .core.commands import Submit
from .core.conversation import Pending
from .core.errors import EngineClosed, EngineError, NotFound, Overloaded, StoreUnavailable
from .core.messages import Ack, Record
from .core.outcomes import answer_to_repeat
from .ports import Store

_LOOK_UPS = 64


class KeyLookUps:
    """Tasks that look keys up on behalf of conversations.

    Args:
        store: who knows every key.
        spawn: starts a task that lives at most as long as the engine.
    """

    def __init__(self, store: Store, spawn: Callable[[Callable[[], Awaitable[None]]], None]) -> None:
        self._store = store
        self._spawn = spawn
        self._running = 0

    @property
    def owing(self) -> bool:
        """Keys are being looked up for somebody."""
        return self._running > 0

    def find_ack(self, epoch: str, owed: Submit | Pending, refusal: EngineError, within_s: float) -> None:
        """Answer a post with a key that is refused: with its ack when the store knows the key, else with the refusal.

        Args:
            epoch: of the conversation.
            owed: the post.
            refusal: what it comes to when its key is not known.
            within_s: the time that is left to the post, seconds.

        Raises:
            Overloaded, EngineClosed: not now; it was not answered.
        """
        hidden = isinstance(refusal, NotFound)
        if self._running < _LOOK_UPS:
            late = refusal if hidden else StoreUnavailable()
            self._spawn(lambda: self._answer(epoch, owed, refusal, late, within_s))
            self._running += 1
        elif hidden:
            refuse(owed, refusal)
        else:
            raise Overloaded("too many idempotency keys are being looked up")

    async def _answer(
        self, epoch: str, owed: Submit | Pending, refusal: EngineError, late: EngineError, within_s: float
    ) -> None:
        try:
            with trio.move_on_after(max(0.0, within_s)):
                await answer_with(owed, lambda: self._look_up(epoch, owed, refusal))
            refuse(owed, late)  # no answer yet: the time was over
        finally:
            self._running -= 1
            refuse(owed, EngineClosed())  # no answer yet: this task was cancelled

    async def _look_up(self, epoch: str, owed: Submit | Pending, refusal: EngineError) -> Ack | Record | EngineError:
        row = owed.row
        assert row.key is not None, "only keys can be looked up"
        first = await self._store.find_key(row.conversation, row.actor.id, row.key)
        return refusal if first is None else answer_to_repeat(row, first, epoch)
