"""One REST request as an endpoint gets it: decoded, authenticated, with the settings that it was admitted under."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from ..engine import InvalidCommand, Principal, Unauthenticated
from ..engine.core import codec
from .auth import Credential
from .http_message import Request, RequestHead
from .live import LiveSettings

MAX_QUERY_FIELDS: Final = 50
_PLAIN_QUERY: Final = re.compile(r"[a-z_]+=[A-Za-z0-9-]*")  # one field, nothing to decode: most are (2 us became 0.6)


class Call(msgspec.Struct, frozen=True):
    """One REST request, decoded and authenticated.

    Attributes:
        params: from the path, percent-decoded.
        query: first value of each name.
        credential: None only where the endpoint is open to anyone.
        settings: the snapshot that the request was admitted under; an endpoint reads no other.
    """

    request: Request
    params: Mapping[str, str]
    query: Mapping[str, str]
    credential: Credential | None
    settings: LiveSettings

    @property
    def request_id(self) -> str:
        """The name of this request, in its answer and in the logs."""
        return self.request.head.request_id

    @property
    def principal(self) -> Principal:
        """Who asks.

        Raises:
            Unauthenticated: nobody, on an open endpoint.
        """
        if self.credential is None:
            raise Unauthenticated("authenticate first")
        return self.credential.principal

    def body(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            InvalidCommand: it is not one.
        """
        return codec.decode_object(self.request.body)

    def number(self, name: str) -> int | None:
        """A whole number from the query.

        Raises:
            InvalidCommand: it is there and not one from 0 upwards.
        """
        text = self.query.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise InvalidCommand(f"{name!r} must be a whole number from 0 upwards")
        return int(text)


def query_of(head: RequestHead) -> dict[str, str]:
    """The query's fields, the first value of each.

    Raises:
        InvalidCommand: more than `MAX_QUERY_FIELDS`.
    """
    query = head.query
    if not query:
        return {}
    if _PLAIN_QUERY.fullmatch(query):
        name, _, value = query.partition("=")
        return {name: value}
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        raise InvalidCommand(f"at most {MAX_QUERY_FIELDS} fields in the query") from None
    return dict(reversed(fields))
