"""Meters: what the transports count while they work, for `/metrics`.

Invariants:
- Every label has few values, all of them our own words: a route's template, an error code, a kind of connection. A path, an
  address or a name that a client chose is never one. What no route matches is one bucket.
- Counting is synchronous, costs about a microsecond a request, and can fail nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, Literal

from ..engine.core.histogram import Histogram

Transport = Literal["rest", "events", "websocket", "sse", "http_stream", "http"]
"""Where something happened. `events` are the event streams of the REST API; `websocket`, `sse` and `http_stream` carry the
Centrifugal protocol; `http` is what never became a request of a route."""

REQUEST_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
UNMATCHED: Final = "(unmatched)"
PAGES: Final = "(pages)"
CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
_MAX_SERIES: Final = 1_000
OTHER: Final = "(other)"


class RouteMeter:
    """Answers of one route.

    Attributes:
        answers: by class of their status.
        seconds: from the request's arrival to its answer.
    """

    __slots__ = ("answers", "seconds")

    def __init__(self) -> None:
        self.answers = [0] * len(CLASSES)
        self.seconds = Histogram(REQUEST_BOUNDS_S)

    def note(self, status: int, took_s: float) -> None:
        """Count one answer."""
        self.count(status)
        self.seconds.note(took_s)

    def count(self, status: int) -> None:
        """Count an answer that has no end: of a stream."""
        self.answers[status // 100 - 1] += 1


class Meters:
    """Counters of one server; they begin at nought when it starts.

    Attributes:
        refusals: by transport and error code.
        open: connections by what they speak; those that are plain HTTP are not among them.
        partings: connections and streams that we ended with a code, by transport and code.
        logins: by kind of credential and outcome.
        limited: requests refused by a limit, by the limit's class.
    """

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], RouteMeter] = {}
        self.refusals: Counter[tuple[str, str]] = Counter()
        self.open: Counter[str] = Counter(events=0, websocket=0, sse=0, http_stream=0)
        self.partings: Counter[tuple[str, str]] = Counter()
        self.logins: Counter[tuple[str, str]] = Counter()
        self.limited: Counter[str] = Counter()

    def route(self, method: str, template: str) -> RouteMeter:
        """The meter of a route. Method and template are the route's own, never a request's."""
        key = (method, template)
        meter = self._routes.get(key)
        if meter is None:
            meter = self._routes[key] = RouteMeter()
        return meter

    def routes(self) -> Iterator[tuple[str, str, RouteMeter]]:
        """Every route that has answered so far: method, template, meter."""
        for (method, template), meter in self._routes.items():
            yield method, template, meter

    def refused(self, transport: Transport, code: str) -> None:
        """Count a refusal."""
        key = (transport, code)
        if key not in self.refusals and len(self.refusals) >= _MAX_SERIES:
            key = (transport, OTHER)
        self.refusals[key] += 1

    def parted(self, transport: Transport, code: str) -> None:
        """Count a connection or a stream that we end."""
        self.partings[transport, code] += 1

    def login(self, kind: str, *, ok: bool) -> None:
        """Count an attempt to get in: a guest, a password, a token of an identity provider."""
        self.logins[kind, "ok" if ok else "refused"] += 1
