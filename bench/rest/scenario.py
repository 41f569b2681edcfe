"""The REST load shapes and what each must hold. Data only, frozen; budgets as in `bench/scenarios.py`."""

from __future__ import annotations

from typing import Final, Literal

import attrs

from ..scenarios import Budget, ClosedLoop, Load

Part = Literal["posts", "reads"]


@attrs.frozen(kw_only=True)
class Rest:
    """Keep-alive connections that ask over REST, one request in flight on each.

    Posts go to the rooms in turn, each connection to one room. Holds: every 201 is stored once, as it was posted, and
    the posts of a connection in their order. Reads ask in turn for the newest page of a room, from memory, and for its
    record, while nothing is posted. Holds: every answer is right.

    Attributes:
        rooms: Rooms that the connections are spread over.
        page_items: Messages of a page; each room is filled with so many and a few more before reads begin.
    """

    name: str
    title: str
    part: Part
    load: Load
    connections: int = 64
    rooms: int = 16
    page_items: int = 50
    text_bytes: int = 120
    seconds: float = 10.0
    warm_up_s: float = 2.0
    budgets: tuple[Budget, ...] = ()


REST_POSTS: Final = Rest(
    name="rest-posts",
    title="durable posts/s over REST, 64 connections",
    part="posts",
    load=ClosedLoop(64),
    budgets=(Budget("posts_per_s", 3_000, 8_000, at_least=True),),
)
REST_READS: Final = Rest(
    name="rest-reads",
    title="cached reads/s over REST, 64 connections: newest pages of 50 and records",
    part="reads",
    load=ClosedLoop(64),
    budgets=(Budget("reads_per_s", 8_000, 15_000, at_least=True),),
)
