"""From the endpoint table to an OpenAPI 3.1 document.

Everything that follows from a row is said here once: which credentials, which refusals anybody may meet, how long a body may be.
The document is a value of plain dicts; making it takes some milliseconds, so whoever serves it keeps it (`calls`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from ...engine.core.errors import WIRE
from ...engine.core.permissions import Access
from ..credentials import COOKIE
from ..limit_settings import Action
from ..routes import Route
from ..version import version
from .doc import JSON, Answer, Doc
from .parameters import ANSWER_HEADERS, ON_EVERY_ANSWER, PATH, REQUEST_HEADERS, Header
from .shapes import Problem

PROBLEM_JSON: Final = "application/problem+json"
_NAME_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f]*$"  # what any path may hold, once it is percent-decoded
_REF: Final = "#/components/schemas/{name}"
_LIMITS: Final = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
_EVERYBODY: Final = ("invalid_request", "rate_limited", "overloaded", "closed", "internal")
_STORE: Final = ("store_unavailable", "fenced")
_CONVERSATION: Final = ("not_found", "quarantined", "outcome_unknown")
_WITH_BODY: Final = ("too_large", "unprocessable")
_ABOUT: Final = """\
The REST interface of hubbub. Every answer carries `X-Request-Id`. Every refusal is a problem document (RFC 9457) whose `code` is
stable; `Retry-After` says when asking again may help. Lists are paged by keys: `next` is what to ask for the rest.

What any request can meet, whatever its path: 400 where the head cannot be read, 404 and 405 for paths and methods that are not
here, 408 where it does not arrive in time, 413 and 431 where it is too long, 417, 501 and 505 for what HTTP knows and this server
does not.

State-changing calls by cookie must come from a page of this origin, or of one that the operator has named.
The WebSocket at `/connection/websocket` speaks the Centrifugal client protocol in JSON."""


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Describe routes.

    Args:
        routes: those that are served now, each with its `doc`.

    Raises:
        ValueError: a route has no doc, or two have one operation id.
    """
    rows = [(route, _doc_of(route)) for route in routes]
    components = _Components(_types_of(rows))
    for _, doc in rows:
        components.let_null_stand_for_nothing(doc.body)
    paths: dict[str, dict[str, Any]] = {}
    seen: set[str] = set()
    for route, doc in rows:
        operation = _operation(route, doc, components)
        if operation["operationId"] in seen:
            raise ValueError(f"two routes are called {operation['operationId']}: give one a Doc.name")
        seen.add(operation["operationId"])
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    tags = dict.fromkeys(doc.tag for _, doc in rows)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hubbub",
            "version": version(),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "x-problems": {code: {"title": wire.title, "status": wire.status} for code, wire in WIRE.items()},
        "components": {
            "schemas": components.schemas,
            "responses": components.responses,
            "headers": {header.name: _header(header, components) for header in ANSWER_HEADERS.values()},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


_SECURITY_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A session token, an API key, or a token of the embedding program.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The session of a browser; calls that change something need more, see above.",
    },
}


class _Components:
    """What routes share: JSON Schemas of types, and refusals."""

    def __init__(self, types: Iterable[Any]) -> None:
        unique: list[Any] = []
        for each in types:
            if each not in unique:
                unique.append(each)
        found, self.schemas = msgspec.json.schema_components(unique, ref_template=_REF)
        self.responses: dict[str, dict[str, Any]] = {}
        self._found = list(zip(unique, found, strict=True))

    def of(self, type_: Any) -> dict[str, Any]:
        """The schema of a type that was given at the beginning."""
        return next(schema for known, schema in self._found if known == type_)

    def let_null_stand_for_nothing(self, body: Any) -> None:
        """Say of a body that null is taken where a field may be left out, as `codec` reads every body."""
        schema = self.schemas.get(getattr(getattr(body, "__origin__", body), "__name__", ""), {})
        for name, each in schema.get("properties", {}).items():
            if name not in schema.get("required", ()):
                schema["properties"][name] = _or_null(each)

    def refusal(self, status: int, codes: list[str]) -> dict[str, str]:
        """A reference to the answer with these codes, which many routes share."""
        name = ".".join([str(status), *codes])
        if name not in self.responses:
            self.responses[name] = _refusal(status, codes, self)
        return {"$ref": f"#/components/responses/{name}"}

    def fields(self, struct: type) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """The properties of a struct, and which of them must be there."""
        whole = self.schemas[struct.__name__]
        return whole["properties"], whole.get("required", [])


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    null = {"type": "null"}
    if null in schema.get("anyOf", ()):
        return schema
    return {"anyOf": [schema, null]}


def _doc_of(route: Route) -> Doc:
    if route.doc is None:
        raise ValueError(f"{route.method} {route.path} has no doc")
    return route.doc


def _types_of(rows: Iterable[tuple[Route, Doc]]) -> Iterable[Any]:
    yield Problem
    for headers in (REQUEST_HEADERS, ANSWER_HEADERS):
        yield from (header.type for header in headers.values())
    yield from PATH.values()
    for _, doc in rows:
        yield from doc.params.values()
        yield from (each for each in (doc.body, doc.query) if each is not None)
        yield from (answer.body for answer in doc.answers if answer.body is not None)


def _operation(route: Route, doc: Doc, components: _Components) -> dict[str, Any]:
    summary, text = _texts(route)
    operation: dict[str, Any] = {
        "operationId": doc.name or route.endpoint.__name__.lstrip("_"),
        "summary": summary,
        "tags": [doc.tag],
        "x-access": route.access.value,
        "security": [] if route.access is Access.ANYONE else [{name: []} for name in _SECURITY_SCHEMES],
    }
    if text:
        operation["description"] = text
    if route.access is not Access.ANYONE:
        operation["x-scope"] = route.scope.value
    parameters = [*_in_path(route, doc, components), *_in_query(doc, components), *_in_headers(doc, components)]
    if parameters:
        operation["parameters"] = parameters
    if doc.body is not None:
        operation["requestBody"] = {
            "required": not doc.body_optional,
            "content": {JSON: {"schema": components.of(doc.body)}},
        }
    if route.max_body_bytes:
        operation["x-max-body-bytes"] = route.max_body_bytes
    operation["responses"] = _responses(route, doc, components)
    return operation


def _texts(route: Route) -> tuple[str, str]:
    """Title and text of a route: the first sentence and the others of its endpoint's docstring."""
    paragraphs = (inspect.getdoc(route.endpoint) or f"{route.endpoint.__name__}.").split("\n\n")
    first, *rest = [" ".join(paragraph.split()).replace("``", "`") for paragraph in paragraphs]
    title, _, more = first.partition(". ")
    return title.removesuffix("."), "\n\n".join(filter(None, (more, *rest)))


def _in_path(route: Route, doc: Doc, components: _Components) -> Iterable[dict[str, Any]]:
    for name in _NAME_IN_PATH.findall(route.path):
        schema = components.of(doc.params.get(name) or PATH[name])
        if schema.get("type") == "string" and "pattern" not in schema:
            schema = {**schema, "pattern": _NO_CONTROLS}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(doc: Doc, components: _Components) -> Iterable[dict[str, Any]]:
    if doc.query is None:
        return
    properties, required = components.fields(doc.query)
    for name, schema in properties.items():
        yield {"name": name, "in": "query", "required": name in required, "schema": schema}


def _in_headers(doc: Doc, components: _Components) -> Iterable[dict[str, Any]]:
    for name in doc.headers:
        header = REQUEST_HEADERS[name.lower()]
        schema = components.of(header.type)
        yield {"name": header.name, "in": "header", "required": False, "description": header.text, "schema": schema}


def _header(header: Header, components: _Components) -> dict[str, Any]:
    return {"description": header.text, "schema": components.of(header.type)}


def _responses(route: Route, doc: Doc, components: _Components) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for answer in doc.answers:
        found[str(answer.status)] = _good(answer, () if route.action is Action.FREE else _LIMITS, components)
    codes: dict[int, list[str]] = {}
    for code in dict.fromkeys((*_refusals(route, doc), *doc.problems)):
        codes.setdefault(WIRE[code].status, []).append(code)
    for status, those in sorted(codes.items()):
        good = found.get(str(status))
        if good is None:
            found[str(status)] = components.refusal(status, those)
        else:  # a readiness check answers 503 with a body of its own, and may be refused with 503, too
            refusal = _refusal(status, those, components)
            good |= {"content": good["content"] | refusal["content"], "x-codes": those}
    return found


def _refusals(route: Route, doc: Doc) -> Iterable[str]:
    """Codes of the errors that follow from a row of the table."""
    yield from _EVERYBODY
    if route.access is not Access.ANYONE:
        yield from ("unauthenticated", "forbidden", *_STORE)
    elif route.method != "GET":
        yield "forbidden"
    if route.stream:
        yield "limit_exceeded"
    if route.max_body_bytes:
        yield from _WITH_BODY
    if "{" in route.path:
        yield "not_found"
    if "/conversations/{id}" in route.path:
        yield from _CONVERSATION
    if "if-match" in [name.lower() for name in doc.headers]:
        yield "precondition_failed"


def _good(answer: Answer, more: tuple[str, ...], components: _Components) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": answer.text or HTTPStatus(answer.status).phrase,
        "headers": _header_refs((*answer.headers, *more, *ON_EVERY_ANSWER)),
    }
    if answer.body is not None:
        found["content"] = {answer.media_type or JSON: {"schema": components.of(answer.body)}}
    elif answer.media_type is not None:
        found["content"] = {answer.media_type: {"schema": {"type": "string"}}}
    return found


def _refusal(status: int, codes: list[str], components: _Components) -> dict[str, Any]:
    headers = list(ON_EVERY_ANSWER)
    if status in {429, 503}:
        headers.append("retry-after")
    if status == 429:
        headers += _LIMITS
    if status == 401:
        headers.append("www-authenticate")
    return {
        "description": "; ".join(f"`{code}`: {WIRE[code].title}" for code in codes),
        "headers": _header_refs(headers),
        "content": {PROBLEM_JSON: {"schema": components.of(Problem)}},
        "x-codes": codes,
    }


def _header_refs(names: Iterable[str]) -> Mapping[str, dict[str, str]]:
    headers = [ANSWER_HEADERS[name.lower()] for name in names]
    return {header.name: {"$ref": f"#/components/headers/{header.name}"} for header in headers}
