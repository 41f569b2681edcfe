"""Bodies of the calls about limits, as types; see `shapes`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ...engine.core.buckets import MAX_PERIOD_S, MAX_RATE
from ..limit_settings import PROFILES, Counted
from .parameters import Whole

LimitName = Literal[tuple(PROFILES)]  # type: ignore[valid-type]  # the table is the one place where they stand
Rate = Annotated[int, Meta(ge=1, le=MAX_RATE, description="Requests a period in the long run.")]
Period = Annotated[int, Meta(ge=1, le=MAX_PERIOD_S, description="Seconds.")]
Burst = Annotated[int, Meta(ge=1, le=MAX_RATE, description="Requests at once after a pause.")]


class NewLimit(Struct):
    """How much and how fast."""

    rate: Rate
    period_s: Period
    burst: Burst
    on: Annotated[bool, Meta(description="False lets any number through.")] | UnsetType = UNSET


class Limit(Struct):
    """A limit as it holds now."""

    name: str
    counted_by: Counted
    rate: Rate
    period_s: Period
    burst: Burst
    on: bool
    source: Literal["admin", "configuration"]
    buckets: Annotated[int, Meta(ge=0, description="Who is counted apart now.")]
    crowded: Annotated[int, Meta(ge=0, description="Requests that had to share a bucket with others.")]
    refused: Annotated[int, Meta(ge=0, description="Requests refused.")]


class OpenRequests(Struct):
    """Requests being carried out."""

    now: Whole
    most: Whole
    refused: Whole


class OpenByAddress(Struct):
    """What is open by address."""

    addresses: Annotated[int, Meta(ge=0, description="Addresses that have some open.")]
    refused: Whole


class OpenAddresses(Struct):
    """Sockets, streams with WebSockets, and connections that have not authenticated."""

    sockets: OpenByAddress
    streams: OpenByAddress
    strangers: OpenByAddress


class Open(Struct):
    """What is open now."""

    requests: OpenRequests
    addresses: OpenAddresses


class Limits(Struct):
    """All limits, and what is open now."""

    on: bool
    factor: Whole
    limits: list[Limit]
    open: Open
