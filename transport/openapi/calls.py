"""`/openapi.json`: the description of the API as this server serves it now.

It is made when it is first asked for and kept as long as the table of what is served stays the same; 16 such tables at most.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

import attrs

from ...engine.core import codec
from ...engine.core.permissions import Access
from ..api import Api
from ..call import Call
from ..entity_tag import is_known, quoted
from ..http_message import Response
from ..http_route import Respond
from ..live import LiveSettings
from ..routes import Route
from .doc import Answer, Doc
from .document import document

PATH: Final = "/openapi.json"


@attrs.frozen
class Rendered:
    """A document as bytes, with its entity tag."""

    body: bytes
    etag: str


def served(routes: tuple[Route, ...], settings: LiveSettings) -> tuple[Route, ...]:
    """The routes that are there under these settings."""
    return tuple(route for route in routes if route.there is None or route.there(settings))


@lru_cache(maxsize=16)
def rendered(routes: tuple[Route, ...]) -> Rendered:
    """The document of these routes."""
    body = codec.encode_json(document(routes))
    return Rendered(body, quoted(hashlib.sha256(body).hexdigest()[:32]))


def show_openapi(api: Api, call: Call, respond: Respond) -> None:
    """This document.

    It describes what is served under the present settings: what is switched off is not in it.
    """
    found = rendered(served(api.routes.routes, call.settings))
    headers = (("etag", found.etag), ("cache-control", "no-cache"))
    if is_known(call.request.head.header("if-none-match"), found.etag):
        respond(Response(HTTPStatus.NOT_MODIFIED.value, headers))
    else:
        respond(Response(HTTPStatus.OK.value, (("content-type", "application/json"), *headers), found.body))


DOCUMENT_ROUTES: Final = (
    Route(
        method="GET",
        path=PATH,
        endpoint=show_openapi,
        access=Access.ANYONE,
        there=lambda settings: settings.http.docs,
        doc=Doc(
            tag="Server",
            answer=dict[str, Any],
            answer_headers=("ETag", "Cache-Control"),
            headers=("If-None-Match",),
            also=(Answer(status=304, headers=("ETag", "Cache-Control"), text="It is still what it was."),),
        ),
    ),
)
