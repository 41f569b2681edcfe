"""Traces of posts for OpenTelemetry: the engine's `PostTracer`, made of the SDK, and what sends the spans to a collector.

A post that is chosen becomes one trace:

    post                accepted .. end of the fan-out
    ├── mailbox         accepted .. handed to the store: the mailbox, and the batch before it
    ├── queue           .. the transaction begins
    ├── commit          .. the outcome is known
    └── fan-out         .. the pass over the readers has ended, the poster's answer included

Invariants:
- A span holds ids, an offset, counts, and a refusal's code. Never a text, a name, a token or an address.
- Which posts are chosen follows from their ids (the random bits of a UUIDv7), so one that is not chosen costs no more than
  that look, and a whole batch is never chosen for one of its rows.
- Spans are made when all is over, so nothing is open while a post is on its way; they wait in the SDK's queue, which is bounded
  (2,048; what comes when it is full is left out) and sent from a thread of the SDK's.

This module is imported only where traces are asked for: it needs the extra ``hubbub[otel]``.
Left out: a `traceparent` that a client sends. Its word would choose what is traced here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import attrs
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context

from .engine.core.batch import Rejected, Result, Row
from .engine.tracing import BatchTrace, PostTracer
from .transport.version import version

_SEND_TIMEOUT_S: Final = 3
"""Of one request to the collector, its retries included; and so of what is left at the end."""
_NOTHING: Final = Context()
_RANDOM_DIGITS: Final = 8
"""The last hexadecimal digits of a UUIDv7; all of them are random."""


class PostSpans:
    """Makes spans of the posts that are chosen.

    Args:
        tracer: the SDK's.
        sample: the share of posts that is chosen, 0 to 1.
        wall_ns: nanoseconds since the epoch, of the clock that `Row.at_ms` is of.
    """

    def __init__(self, tracer: Tracer, sample: float, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._tracer = tracer
        self._below = int(sample * 16**_RANDOM_DIGITS)
        self._wall_ns = wall_ns

    def finished(self, trace: BatchTrace) -> None:
        """See `hubbub.engine.tracing.PostTracer`."""
        chosen = [pair for pair in zip(trace.batch.rows, trace.results, strict=True) if self._chosen(pair[0])]
        if not chosen:
            return
        epoch_ns = self._wall_ns() - int(trace.ended_s * 1e9)  # of the engine's clock
        for row, result in chosen:
            self._emit(trace, row, result, epoch_ns)

    def _chosen(self, row: Row) -> bool:
        return int(row.id[-_RANDOM_DIGITS:], 16) < self._below

    def _emit(self, trace: BatchTrace, row: Row, result: Result, epoch_ns: int) -> None:
        accepted_ns = row.at_ms * 1_000_000
        attributes: dict[str, str | int] = {
            "hubbub.conversation.id": row.conversation,
            "hubbub.message.id": row.id,
            "hubbub.event.type": str(row.type),
            "hubbub.outcome": type(result).__name__.lower(),
            "hubbub.batch.rows": len(trace.batch.rows),
        }
        if not isinstance(result, Rejected):
            attributes["hubbub.offset"] = result.offset
        if trace.readers is not None:
            attributes["hubbub.readers"] = trace.readers
        post = self._tracer.start_span(
            "post", kind=SpanKind.SERVER, attributes=attributes, start_time=accepted_ns, context=_NOTHING
        )
        if isinstance(result, Rejected):
            post.set_status(Status(StatusCode.ERROR, result.error.code))
        context, began_ns = set_span_in_context(post, _NOTHING), accepted_ns
        for name, ended_s in _stages(trace):
            ended_ns = max(began_ns, epoch_ns + int(ended_s * 1e9))  # a wall clock may have been set
            self._tracer.start_span(name, context=context, start_time=began_ns).end(ended_ns)
            began_ns = ended_ns
        post.end(began_ns)


def _stages(trace: BatchTrace) -> Iterator[tuple[str, float]]:
    """Each stage that there was, and its end in seconds of the engine's clock."""
    yield "mailbox", trace.departed_s
    if trace.batch.sent_s is None:
        yield "queue", trace.settled_s
    else:
        yield "queue", trace.batch.sent_s
        yield "commit", trace.settled_s
    if trace.readers is not None:
        yield "fan-out", trace.ended_s


@attrs.frozen
class Tracing:
    """The tracer of a server, and its way to the collector.

    Attributes:
        tracer: for `Engine.open`.
        close: send what waits, for a few seconds at most, and end. It blocks: to be called when the loop has ended.
    """

    tracer: PostTracer
    close: Callable[[], None]

    @classmethod
    def to(cls, endpoint: str, sample: float) -> Tracing:
        """Send to a collector.

        Args:
            endpoint: the URL that takes traces, OTLP in HTTP.
            sample: the share of posts that is traced, 0 to 1.

        Raises:
            ImportError: the exporter is not installed.
        """
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter,  # a processor of one's own needs none
        )

        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_SEND_TIMEOUT_S)
        return cls.through(BatchSpanProcessor(exporter), sample)

    @classmethod
    def through(cls, processor: SpanProcessor, sample: float) -> Tracing:
        """Give the spans to a processor of the SDK's, for programs that have their own. Arguments as in `to`."""
        resource = Resource.create({"service.name": "hubbub", "service.version": version()})
        provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(processor)
        return cls(PostSpans(provider.get_tracer("hubbub", version()), sample), provider.shutdown)
