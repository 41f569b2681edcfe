"""An asyncio loop that is a guest in trio: it has no thread and never waits; a trio task waits for its descriptor.

The loop is asyncio's own, with its own selector. A **turn** runs what is ready until nothing is, and returns. Turns are taken
by `serve`, whenever the selector's descriptor is readable or a timer is due, and by whoever has just asked the loop for
something and wants it begun at once (`turn`): a query then leaves in the caller's own step, and its answer costs one wake-up.

Measured on 3.11, a prepared statement over a unix socket: an asyncio loop whose callbacks go through a trio channel one by one
(trio-asyncio) cost five wake-ups a query; this one costs one.

Invariants: turns do not nest; a callback's error is `on_error`'s; what that raises, and an order to exit, ends the loop: `serve`
raises it, and no turn is taken any more. Time is trio's, so that a test's clock rules here, too.

Left out: signals, subprocesses, threads that call in other than by `call_soon_threadsafe`; systems whose selector has no
descriptor of its own (Windows).
"""

import asyncio
import selectors
from asyncio import events
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final, NoReturn

import trio

_ROUNDS: Final = 64  # of callbacks that schedule callbacks, before trio's tasks get their turn


class GuestLoop(asyncio.SelectorEventLoop):
    """The loop. Belongs to the thread of one trio run.

    Args:
        on_error: asyncio's exception handler: gets the context of an error that belongs to nobody.
    """

    _stopping: bool
    _ready: Any
    _scheduled: Any

    def __init__(self, on_error: Callable[[dict[str, Any]], None]) -> None:
        self._turning = True  # what is scheduled while it is made needs no waking
        self._stirred = False
        self._on_error = on_error
        self._failure: BaseException | None = None
        self._due = float("inf")  # what `serve` waits for at the latest
        self._clock = trio.lowlevel.current_clock()
        self._guest_selector = selectors.DefaultSelector()
        super().__init__(self._guest_selector)
        self._stopping = True  # asyncio's word for: do not wait in the selector
        self._turning = False

    def time(self) -> float:
        """Trio's clock. Threads ask, too: asyncio's debug mode times the look-up of a host's name where that is done."""
        return self._clock.current_time()

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """As in asyncio; wakes the loop when called from outside a turn."""
        handle = super().call_soon(callback, *args, context=context)
        self._stir()
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As in asyncio; wakes the loop when called from outside a turn, because it may be due before all others."""
        handle = super().call_at(when, callback, *args, context=context)
        self._stir()
        return handle

    def _stir(self) -> None:
        if not self._turning and not self._stirred:
            self._stirred = True
            self._write_to_self()  # type: ignore[attr-defined]  # a byte in the selector's own socket

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Hand an error that belongs to nobody to `on_error`; asyncio would hide what that raises itself."""
        self._on_error(context)

    @trio.lowlevel.enable_ki_protection
    def turn(self) -> None:
        """Run what is ready, and what that makes ready, without waiting. Never raises; a no-op inside a turn."""
        if self._turning or self._failure is not None or self.is_closed():
            return
        self._turning = True
        outer = events._get_running_loop()
        events._set_running_loop(self)
        try:
            for _ in range(_ROUNDS):
                self._run_once()  # type: ignore[attr-defined]
                if not self._ready:
                    break
        except BaseException as exc:  # noqa: BLE001  `serve` raises it, in the task that the loop belongs to
            self._failure = exc
        finally:
            events._set_running_loop(outer)
            self._turning = self._stirred = False
        if self._ready or self._failure is not None or self._next_due() < self._due:
            self._stir()  # `serve` has to see to it

    def _next_due(self) -> float:
        """When the next timer is due; it may be a cancelled one."""
        return self._scheduled[0].when() if self._scheduled else float("inf")

    async def serve(self) -> NoReturn:
        """Take turns until cancelled.

        Raises:
            BaseException: what ended the loop.
        """
        while True:
            self.turn()
            if self._failure is not None:
                raise self._failure
            self._due = self._next_due()
            with trio.move_on_at(self._due):
                await trio.lowlevel.wait_readable(self._guest_selector.fileno())

    def close(self) -> None:
        """Take a last turn, for what closed connections leave to be done, and close."""
        if not self.is_closed():
            self._failure = None
            self.turn()
        super().close()
