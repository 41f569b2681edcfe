"""Where an actor lives: what outlives its incarnations, and the handle others hold.

A `Place` owns the mailbox, the calls that wait for an answer, and the monitors. Its owner (a supervisor's child, a
registry's slot) tells it when an incarnation ends and when the actor ends for good.

Invariants:
- a call is answered exactly once: a value, a typed error, ActorDied, or CallTimeout
- when an incarnation ends, every call whose message it had taken and not answered fails with ActorDied; calls whose
  message is still in the mailbox wait for the next incarnation
- after `finish` the mailbox is closed and empty and no call waits

Left out: starting, restarting and stopping.
"""

from collections.abc import Callable
from typing import Generic, Literal, TypeVar

import attrs
import trio

from .errors import ActorDied, CallTimeout, MailboxClosed
from .mailbox import Mailbox, MailboxStatistics
from .reply import Answer, Reply

M = TypeVar("M")
R = TypeVar("R")


@attrs.frozen
class Exit:
    """Why an actor, or one incarnation of it, ended.

    Attributes:
        reason: "normal" (it ended by itself), "crashed" (`error` says how), "shutdown" (it was stopped or cancelled).
        error: what it crashed with.
    """

    reason: Literal["normal", "crashed", "shutdown"]
    error: Exception | None = None


class _Ending:
    """One end that monitors wait for; made only when somebody asks."""

    __slots__ = ("event", "exit")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.exit: Exit | None = None

    def reached(self, reason: Exit) -> None:
        self.exit = reason
        self.event.set()


class Monitor:
    """Waits for the end of an actor. Holds nothing open: it may simply be dropped."""

    __slots__ = ("_ending",)

    def __init__(self, ending: _Ending) -> None:
        self._ending = ending

    @property
    def exit(self) -> Exit | None:
        """The exit, or None as long as it has not ended."""
        return self._ending.exit

    async def wait(self) -> Exit:
        """Wait for the end and return it. May be called again, and by several tasks."""
        await self._ending.event.wait()
        assert self._ending.exit is not None
        return self._ending.exit


class Place(Generic[M]):
    """Mailbox, waiting calls and monitors of one actor, across its incarnations."""

    __slots__ = ("_calls", "_end", "_incarnation_end", "ended", "in_hand", "mailbox", "name")

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.mailbox: Mailbox[M] = Mailbox(capacity, name)
        self.in_hand: list[M] | None = None
        """The batch that the running incarnation handles just now."""
        self.ended: Exit | None = None
        self._calls: dict[Answer[object], int] = {}
        self._end: _Ending | None = None
        self._incarnation_end: _Ending | None = None

    def put(self, message: M) -> None:
        """Put into the mailbox; raises as `Mailbox.put` does."""
        self.mailbox.put(message)

    async def call(self, make_message: Callable[[Reply[R]], M], timeout_s: float) -> R:
        """See `ActorRef.call`."""
        answer: Answer[R] = Answer()
        try:
            # The actor must hold the only reference to the reply, so that dropping it is noticed: no local for it here.
            self.put(make_message(Reply(answer)))
        except MailboxClosed as exc:
            answer.abandon()
            raise ActorDied(self.name, self.ended.error if self.ended else exc) from exc
        except BaseException:
            answer.abandon()
            raise
        self._calls[answer] = self.mailbox.accepted  # type: ignore[index]  # only failed from here, never set
        try:
            with trio.move_on_after(timeout_s):
                await answer.wait()
        finally:
            answer.abandon()
            del self._calls[answer]  # type: ignore[arg-type]
        if answer.state == "abandoned":
            raise CallTimeout(self.name, timeout_s)
        if answer.state == "dropped":
            raise ActorDied(self.name, None)
        return answer.unwrap()

    def monitor(self, *, incarnation: bool) -> Monitor:
        """See `ActorRef.monitor`."""
        if self.ended is not None:
            ending = _Ending()
            ending.reached(self.ended)
            return Monitor(ending)
        if incarnation:
            self._incarnation_end = self._incarnation_end or _Ending()
            return Monitor(self._incarnation_end)
        self._end = self._end or _Ending()
        return Monitor(self._end)

    def end_incarnation(self, reason: Exit) -> list[M]:
        """Note that the incarnation ended; fails the calls it had taken.

        Returns:
            The batch it was handling, which it may have handled in part.
        """
        lost = self.in_hand or []
        self.in_hand = None
        taken = self.mailbox.taken
        self.fail_calls(lambda: ActorDied(self.name, reason.error), up_to=taken)
        if self._incarnation_end is not None:
            self._incarnation_end.reached(reason)
            self._incarnation_end = None
        return lost

    def finish(self, reason: Exit) -> list[M]:
        """The actor ends for good: close the mailbox, fail every call, tell the monitors. Idempotent.

        Returns:
            The messages that nobody will read.
        """
        self.mailbox.close()
        unread = self.mailbox.get_batch_nowait()
        self.fail_calls(lambda: ActorDied(self.name, reason.error))
        if self.ended is None:
            self.ended = reason
        for ending in (self._incarnation_end, self._end):
            if ending is not None:
                ending.reached(self.ended)
        self._end = self._incarnation_end = None
        return unread

    def reopen(self) -> None:
        """Undo `finish`: an empty mailbox, and monitors of a new end."""
        self.mailbox = Mailbox(self.mailbox.capacity, self.name)
        self.ended = None

    def fail_calls(self, make_error: Callable[[], Exception], *, up_to: int | None = None) -> None:
        """Fail waiting calls, those of the first `up_to` messages only when it is given. One error object per call."""
        for answer, number in list(self._calls.items()):
            if up_to is None or number <= up_to:
                answer.fail(make_error())


@attrs.frozen(eq=False)
class ActorRef(Generic[M]):
    """What others hold of an actor. Stays valid across restarts; sends are refused once the actor has ended."""

    _place: Place[M] = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """The actor's name."""
        return self._place.name

    def cast(self, message: M) -> None:
        """Send without waiting for an answer. Never waits.

        Messages of one sender are handled in order. A message whose batch crashes the actor is lost.

        Raises:
            MailboxFull: refused, nothing was stored.
            MailboxClosed: the actor stops or has ended.
            Quarantined: the key of a registry gave up.
        """
        self._place.put(message)

    async def call(self, make_message: Callable[[Reply[R]], M], *, timeout_s: float) -> R:
        """Send a message that carries a reply, and wait for the answer.

        Args:
            make_message: builds the message around the reply, for example ``lambda reply: Get("x", reply)``; it must not
                keep the reply elsewhere.
            timeout_s: how long to wait, in seconds.

        Returns:
            What the actor answered.

        Raises:
            CallTimeout: no answer in time. The actor may still carry the request out.
            ActorDied: the actor ended before it answered, dropped the reply, or had ended before.
            MailboxFull: refused, nothing was stored.
            Quarantined: the key of a registry gave up.
            Exception: what the actor passed to `Reply.fail`.

        Cancelling the caller breaks nothing: the message stays, its answer is dropped.
        """
        return await self._place.call(make_message, timeout_s)

    def monitor(self, *, incarnation: bool = False) -> Monitor:
        """Watch for the end of the actor.

        Args:
            incarnation: wait for the end of the running incarnation (or of the next, while none runs) instead of the end
                for good.
        """
        return self._place.monitor(incarnation=incarnation)

    def statistics(self) -> MailboxStatistics:
        """The mailbox's figures."""
        return self._place.mailbox.statistics()
