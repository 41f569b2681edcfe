"""Tracing: the way of a batch of posts through an engine, told once, when it is over. The port; no tracing library is met here.

A batch has five moments: it departs (its rows leave the conversation for the store), it is sent (the transaction that settles
it begins), it is settled (the outcome is known), it is published (the pass over the readers has ended). The fifth comes first
and is each row's own: `Row.at_ms`, when the transport had read the request and made a command of it.

Without a tracer nothing is noted. Left out: what is refused before it departs, or by the store's queue; a batch whose actor
crashes in the pass; readers that were slow and got the event later than the pass; what a transport does before a command and
after an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from .core.batch import Batch, Result


@attrs.define(eq=False)
class BatchTrace:
    """The way of one batch. Times are seconds of the engine's clock.

    Attributes:
        departed_s: when it was handed to the store. `Batch.sent_s` is when the store was asked.
        settled_s: when the outcome was known.
        ended_s: when the pass over the readers had ended; without a pass, when its posters had been answered.
        readers: push subscribers of the room at the end of the pass; None where there was no pass: nothing was new, or the actor
            had died, and the next one publishes what it finds in the log.
    """

    batch: Batch
    departed_s: float
    results: Sequence[Result] = ()
    settled_s: float = 0.0
    ended_s: float = 0.0
    readers: int | None = None


class PostTracer(Protocol):
    """Takes the ways of batches. It is called on the engine's thread for every batch, so it must not wait."""

    def finished(self, trace: BatchTrace) -> None:
        """A batch has come to its end, at `trace.ended_s`, which is now. What this raises is logged and goes no further.

        Args:
            trace: holds texts, which a tracer leaves alone; not to be kept.
        """
        ...
