"""What a route says about itself, beside what its row of the endpoint table says already.

A route without a body, a query and an answer of its own needs `Doc(tag="...", status=204)` and no more. Bodies are types that
msgspec can turn into JSON Schema: structs, attrs classes, literals, `Annotated` with `msgspec.Meta`. Title and text come from the
endpoint's docstring; what follows from the row (credentials, bounds, overload) is added by `document` and not repeated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from ...engine.core.errors import WIRE

JSON: Final = "application/json"


def _known_codes(_: object, field: attrs.Attribute[tuple[str, ...]], codes: tuple[str, ...]) -> None:
    unknown = sorted(set(codes) - WIRE.keys())
    if unknown:
        raise ValueError(f"{field.name}: {', '.join(unknown)} is not in the table of errors")


@attrs.frozen(kw_only=True)
class Answer:
    """One way in which a call ends well.

    Attributes:
        status: HTTP status.
        body: type of the body; None where it has none, or is no JSON.
        media_type: of the body; a text of it where `body` is None.
        headers: names of headers in `parameters.ANSWER_HEADERS`, besides those that every answer has.
        text: a sentence on when this is the answer; the status' own phrase when left out.
    """

    status: int = 200
    body: Any = None
    media_type: str | None = None
    headers: tuple[str, ...] = ()
    text: str = ""


@attrs.frozen(kw_only=True, eq=False)
class Doc:
    """The description of one route; equal to itself only, since rows of the table are keys of a cache.

    Attributes:
        tag: the chapter that it stands in.
        answer: type of the JSON body of its usual answer; None where it has none.
        status: status of that answer.
        media_type: its type where it is no JSON.
        text: a sentence on that answer.
        answer_headers: headers of that answer (`parameters.ANSWER_HEADERS`).
        also: other answers that are no errors.
        body: type of the JSON body that it takes; None where it takes none.
        body_optional: whether the body may be left out.
        query: a struct whose fields are the parameters of the query.
        params: types of names in the path that are not the usual ones (`parameters.PATH`).
        headers: request headers that it looks at (`parameters.REQUEST_HEADERS`).
        problems: codes of errors that do not follow from its row.
        name: its operation id; the endpoint's name when left out.
    """

    tag: str
    answer: Any = None
    status: int = 200
    media_type: str | None = None
    text: str = ""
    answer_headers: tuple[str, ...] = ()
    also: tuple[Answer, ...] = ()
    body: Any = None
    body_optional: bool = False
    query: type | None = None
    params: Mapping[str, Any] = attrs.field(factory=dict)
    headers: tuple[str, ...] = ()
    problems: tuple[str, ...] = attrs.field(default=(), validator=_known_codes)
    name: str | None = None

    @property
    def answers(self) -> tuple[Answer, ...]:
        """All answers that are no errors, the usual one first."""
        first = Answer(
            status=self.status,
            body=self.answer,
            media_type=self.media_type,
            headers=self.answer_headers,
            text=self.text,
        )
        return (first, *self.also)
