"""What requests are answered with: JSON documents, and problem documents (RFC 9457) for what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from ..engine import EngineError
from ..engine.core import codec
from ..engine.core.errors import WIRE
from .http_message import PROBLEM_HEADERS, Response
from .http_message import problem as bare_problem
from .http_route import Respond

JSON_HEADERS = (("content-type", "application/json"), ("cache-control", "no-store"))


def answering(respond: Respond, make: Callable[[Any], Response]) -> Callable[[Any], None]:
    """A command's reply that answers a request: a problem document for an error, else what `make` makes of the answer."""
    return lambda answer: respond(problem_of(answer) if isinstance(answer, EngineError) else make(answer))


def json_response(status: int, body: bytes, *headers: tuple[str, str]) -> Response:
    """A JSON answer."""
    return Response(status, JSON_HEADERS + headers if headers else JSON_HEADERS, body)


def about(response: Response, target: str, *, by: str = "") -> Response:
    """An answer whose audit row says what it is about, and who has acted, where the request does not.

    Args:
        target: ids or names, never a secret.
        by: the id of a caller that was recognised only while it was answered.
    """
    return msgspec.structs.replace(response, about=target, by=by)


def problem_of(error: EngineError) -> Response:
    """An error as a problem document (RFC 9457) with its stable code."""
    wire = WIRE.get(error.code, WIRE["internal"])
    document: dict[str, object] = {
        "type": f"urn:hubbub:problem:{error.code}",
        "title": wire.title,
        "status": wire.status,
        "detail": str(error),
        "code": error.code,
        "retry": error.retry.value,
    }
    headers: tuple[tuple[str, str], ...] = PROBLEM_HEADERS
    reason = getattr(error, "reason", None)
    if reason is not None:
        document["reason"] = str(reason)
    if error.retry_after_s is not None:
        document["retry_after_s"] = error.retry_after_s
        headers += (("retry-after", str(max(1, math.ceil(error.retry_after_s)))),)
    if wire.status == 401:
        headers += (("www-authenticate", 'Bearer realm="hubbub"'),)
    return Response(wire.status, headers, codec.encode_json(document), error.code, getattr(error, "quota", None))


def problem(status: int, code: str, detail: str, *headers: tuple[str, str]) -> Response:
    """A problem document for what only a transport can meet."""
    return bare_problem(status, detail, *headers, code=code)
