"""`/.well-known/...`: what is found there by rule. Of one answer all is of one snapshot of the settings."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from ..engine import NotFound
from ..engine.core.permissions import Access
from .api import Api
from .call import Call
from .http_message import Response
from .http_route import Respond
from .openapi.doc import Doc
from .routes import Route
from .security_txt import security_txt


def show_security_txt(api: Api, call: Call, respond: Respond) -> None:
    """Whom to tell of a weakness (RFC 9116)."""
    text = security_txt(call.settings.security_txt)
    if text is None:
        raise NotFound("there is no security.txt")
    headers = (("content-type", "text/plain; charset=utf-8"), ("cache-control", "max-age=300"))
    respond(Response(HTTPStatus.OK.value, headers, text.encode()))


WELL_KNOWN_ROUTES: Final = (
    Route(
        method="GET",
        path="/.well-known/security.txt",
        endpoint=show_security_txt,
        access=Access.ANYONE,
        doc=Doc(tag="Server", media_type="text/plain", problems=("not_found",)),
    ),
)
