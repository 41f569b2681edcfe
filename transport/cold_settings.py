"""Bounds of the cold lane, apart from its code: reading settings loads no Hypercorn."""

from __future__ import annotations

import attrs
from attrs.validators import gt


@attrs.frozen(kw_only=True)
class CallSettings:
    """Bounds of one request in the cold lane; they follow `HttpSettings`.

    Attributes:
        max_head_bytes: longer request heads are refused.
        max_headers: requests with more headers are refused.
        body_timeout_s: how long a body may take.
        response_timeout_s: how long a handler may owe its answer.
    """

    max_head_bytes: int = attrs.field(default=16_384, validator=gt(0))
    max_headers: int = attrs.field(default=100, validator=gt(0))
    body_timeout_s: float = attrs.field(default=30.0, validator=gt(0))
    response_timeout_s: float = attrs.field(default=60.0, validator=gt(0))


@attrs.frozen(kw_only=True)
class ColdSettings:
    """Bounds of the cold lane.

    Attributes:
        max_connections: connections served here at once.
        idle_s: how long a connection may be idle, or a request head may take.
        stall_s: how long a reader may take no byte of an answer.
        max_head_bytes: longer request heads are refused.
        lifespan_s: how long the pages may take to start, and to end.
        calls: bounds of one request.
    """

    max_connections: int = attrs.field(default=2_000, validator=gt(0))
    idle_s: float = attrs.field(default=75.0, validator=gt(0))
    stall_s: float = attrs.field(default=20.0, validator=gt(0))
    max_head_bytes: int = attrs.field(default=16_384, validator=gt(0))
    lifespan_s: float = attrs.field(default=5.0, validator=gt(0))
    calls: CallSettings = attrs.field(factory=CallSettings)
