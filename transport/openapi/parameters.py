"""Names in paths and headers that mean the same in every route, with their JSON Schemas."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import attrs
from msgspec import Meta

ConversationId = Annotated[
    str,
    Meta(
        pattern="^[A-Za-z0-9._:-]{1,128}$",
        description="A conversation: chosen by who made it, or a UUID made by the server.",
        examples=["lobby"],
        extra_json_schema={"not": {"enum": [".", ".."]}},
    ),
]
ServerId = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="An id made by the server: a UUID of version 7 in lower case.",
        extra_json_schema={"format": "uuid"},
    ),
]
Timestamp = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        description="RFC 3339 in UTC with milliseconds.",
        examples=["2026-11-21T05:36:00.123Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
USER_ID_CHARS: Final = 255
UserId = Annotated[str, Meta(min_length=1, max_length=USER_ID_CHARS, description="A user.")]
Offset = Annotated[int, Meta(ge=0, description="A place in a conversation's log; the first event has offset 1.")]

PATH: Final[dict[str, Any]] = {"id": ConversationId, "message": ServerId, "user": UserId}
"""Types of names in paths; a `Doc` may say otherwise for its own path."""


@attrs.frozen
class Header:
    """A header.

    Attributes:
        name: as it is written.
        type: of its value.
        text: what it means.
    """

    name: str
    type: Any
    text: str


def _table(*headers: Header) -> dict[str, Header]:
    return {header.name.lower(): header for header in headers}


Whole = Annotated[int, Meta(ge=0)]
RequestId = Annotated[str, Meta(pattern="^[A-Za-z0-9._~:/+=@-]{1,128}$")]
EntityTags = Annotated[str, Meta(pattern=r'^(\*|(W/)?"[!#-~]*"( ?, ?(W/)?"[!#-~]*"){0,31})$', examples=["*"])]

REQUEST_HEADERS: Final = _table(
    Header(
        "Idempotency-Key",
        Annotated[str, Meta(pattern="^[!-~]{1,255}$")],
        "The same key by the same author in the same conversation gives the same answer, for ever: a lost answer is asked for"
        " again without harm.",
    ),
    Header(
        "If-Match",
        EntityTags,
        "Change it only if it still has one of these ETags; otherwise the answer is 412.",
    ),
    Header(
        "If-None-Match",
        EntityTags,
        "Send it only if it has none of these ETags; otherwise the answer is 304.",
    ),
    Header(
        "Last-Event-ID",
        Annotated[str, Meta(max_length=256)],
        "The last id that was seen: the stream goes on behind it. It beats `after`.",
    ),
    Header(
        "X-CSRF-Token", Annotated[str, Meta(max_length=256)], "For calls by cookie: the token bound to the session."
    ),
    Header("X-Request-Id", RequestId, "A name for this request; it comes back, and stands in the server's log."),
)
"""Headers of requests."""

ANSWER_HEADERS: Final = _table(
    Header("Allow", str, "The methods that the path has."),
    Header("Cache-Control", str, "Answers to principals are kept by no cache."),
    Header("ETag", Annotated[str, Meta(pattern='^"[!#-~]*"$')], "The version of what was asked for, for If-Match."),
    Header("Idempotency-Replayed", Literal["true"], "This is the answer to an earlier request with the same key."),
    Header("Location", str, "Where what was made is found."),
    Header("RateLimit-Limit", Whole, "Requests that the strictest limit allows at once."),
    Header("RateLimit-Remaining", Whole, "How many of them are left."),
    Header("RateLimit-Reset", Whole, "Seconds until the limit is whole again."),
    Header("Retry-After", Whole, "Seconds to wait before asking again."),
    Header("Set-Cookie", str, "The session, for browsers."),
    Header("WWW-Authenticate", str, "How to authenticate."),
    Header("X-Request-Id", RequestId, "The name of the request, for support and logs."),
)
"""Headers of answers."""

ON_EVERY_ANSWER: Final = ("x-request-id",)
