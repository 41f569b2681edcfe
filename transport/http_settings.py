"""Bounds of HTTP/1.1 connections of the table."""

from __future__ import annotations

import attrs
from attrs.validators import ge, gt


@attrs.frozen(kw_only=True)
class HttpSettings:
    """Bounds of one HTTP connection.

    Attributes:
        max_head_bytes: longer request heads are refused.
        max_headers: requests with more headers are refused.
        head_timeout_s: how long a request head may take.
        body_timeout_s: how long a body may take.
        idle_timeout_s: how long a connection may be idle between two requests.
        response_timeout_s: how long a handler may owe its answer; longer than any deadline inside, so that it fires for a lost
            answer only.
        steps_per_turn: requests of one connection served in a turn; a step is a head, with its body where that came along, or a
            body.
        max_discard_bytes: input thrown away after a refusal.
        discard_timeout_s: how long input is thrown away after a refusal.
    """

    max_head_bytes: int = attrs.field(default=16_384, validator=gt(0))
    max_headers: int = attrs.field(default=100, validator=gt(0))
    head_timeout_s: float = attrs.field(default=10.0, validator=gt(0))
    body_timeout_s: float = attrs.field(default=30.0, validator=gt(0))
    idle_timeout_s: float = attrs.field(default=75.0, validator=gt(0))
    response_timeout_s: float = attrs.field(default=60.0, validator=gt(0))
    steps_per_turn: int = attrs.field(default=16, validator=gt(0))
    max_discard_bytes: int = attrs.field(default=16 * 1_048_576, validator=ge(0))
    discard_timeout_s: float = attrs.field(default=2.0, validator=gt(0))
