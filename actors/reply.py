"""The answer to one call, given exactly once.

An `Answer` is the caller's half, a `Reply` the actor's. The first of these settles it, everything after is ignored:
a value, an error, the caller leaving (deadline or cancellation), the actor's end, or the reply being dropped unanswered.

Dropping is noticed by the reply's finaliser, which is why caller and actor hold different objects: on CPython at once,
for a reply in a reference cycle when the collector runs, and whatever happens the caller's deadline is the last resort.
"""

import contextlib
from typing import Generic, Literal, TypeVar

import trio

R = TypeVar("R")
AnswerState = Literal["pending", "value", "error", "dropped", "abandoned"]


class Answer(Generic[R]):
    """The caller's half: waits for the outcome. One task waits at a time."""

    __slots__ = ("_error", "_value", "_waiter", "state")

    def __init__(self) -> None:
        self.state: AnswerState = "pending"
        self._value: R | None = None
        self._error: Exception | None = None
        self._waiter: trio.lowlevel.Task | None = None

    def set(self, value: R) -> bool:
        """Settle with a value; False when it was settled before."""
        if self.state != "pending":
            return False
        self._value = value
        self._settle("value")
        return True

    def fail(self, error: Exception) -> bool:
        """Settle with an error, raised at the caller; False when it was settled before."""
        if self.state != "pending":
            return False
        self._error = error
        self._settle("error")
        return True

    def drop(self) -> None:
        """The actor let go of the reply without answering."""
        if self.state == "pending":
            self._settle("dropped")

    def abandon(self) -> None:
        """The caller left; later answers are ignored."""
        if self.state == "pending":
            self._settle("abandoned")

    async def wait(self) -> None:
        """Wait until it is settled. Cancellation leaves it pending."""
        if self.state != "pending":
            await trio.lowlevel.checkpoint()
            return
        self._waiter = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort_wait)

    def unwrap(self) -> R:
        """The value, or raise the error. Only once state is "value" or "error"."""
        if self._error is not None:
            raise self._error
        assert self.state == "value"
        return self._value  # type: ignore[return-value]  # R may itself include None; the state says it was set

    def _settle(self, state: AnswerState) -> None:
        self.state = state
        if self._waiter is not None:
            trio.lowlevel.reschedule(self._waiter)
            self._waiter = None

    def _abort_wait(self, _: object) -> trio.lowlevel.Abort:
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED


class Reply(Generic[R]):
    """The actor's half of a call: answer once, now or later, from any task of trio's thread.

    Made by `ActorRef.call`. Letting go of it unanswered tells the caller ActorDied.
    """

    __slots__ = ("_answer", "_token")

    def __init__(self, answer: Answer[R]) -> None:
        self._answer = answer
        self._token = trio.lowlevel.current_trio_token()

    def set(self, value: R) -> bool:
        """Answer with a value. Returns False, and does nothing, when answered before or the caller has left."""
        return self._answer.set(value)

    def fail(self, error: Exception) -> bool:
        """Answer with an error, which `call` raises. Returns False as `set` does."""
        return self._answer.fail(error)

    @property
    def answered(self) -> bool:
        """True once nobody waits any more: answered, or the caller has left."""
        return self._answer.state != "pending"

    def __del__(self) -> None:
        if self._answer.state == "pending":
            # The collector may run in any thread, so the news goes through the token. A finished run has no caller.
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._answer.drop)
