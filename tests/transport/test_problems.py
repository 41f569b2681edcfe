"""Every refusal is a problem document: each is provoked here in both lanes, and held against the one schema that is published."""

from __future__ import annotations

import json
from typing import Any

import attrs
import jsonschema
import msgspec
import pytest

from hubbub.engine.core.errors import WIRE
from hubbub.engine.core.permissions import Access
from hubbub.transport.cold import ColdSettings
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.http_route import Respond
from hubbub.transport.openapi.shapes import Problem
from hubbub.transport.routes import Route, Routes
from hubbub.transport.table import TableSettings

from .world import Answer, serving

ROOM = "/api/v1/conversations/lobby"
SOCKET = "GET /connection/websocket"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
BEARER = "Authorization: Bearer {token}\r\n"


def closed_schema() -> dict[str, Any]:
    """The published schema, under which a member that it does not name is an error here."""
    [reference], components = msgspec.json.schema_components([Problem], ref_template="#/$defs/{name}")
    components["Problem"]["additionalProperties"] = False
    return {**reference, "$defs": components}


SCHEMA = jsonschema.Draft202012Validator(closed_schema())


def checked(answer: Answer, status: int, code: str) -> Answer:
    """The answer, once it is what a problem must be."""
    assert (answer.status, answer.header("content-type")) == (status, "application/problem+json"), answer
    SCHEMA.validate(answer.json)
    assert (answer.json["status"], answer.json["code"]) == (status, code)
    assert answer.json["request_id"] == answer.header("x-request-id")
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("cache-control") == "no-store"
    if answer.json.get("retry_after_s") is not None:
        assert int(answer.header("retry-after") or 0) >= 1
    return answer


def request(line: str, fields: str = "", body: str = "") -> str:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{line} HTTP/1.1\r\nHost: h\r\n{fields}{length}\r\n{body}"


# name: (status, code, what is sent); {token} is a guest's
ASKED: dict[str, tuple[int, str, str]] = {
    # what is read before anything is routed
    "garbage": (400, "invalid_request", "\x16\x03\x01garbage\r\n\r\n"),
    "no host": (400, "invalid_request", "GET /health HTTP/1.1\r\n\r\n"),
    "bad header": (400, "invalid_request", request("GET /health", "A b: c\r\n")),
    "bad target": (400, "invalid_request", request("GET /%ff")),
    "long head": (431, "too_large", request("GET /health", f"X: {'a' * 20_000}\r\n")),
    "many headers": (431, "too_large", request("GET /health", "".join(f"X-{n}: y\r\n" for n in range(120)))),
    "other version": (505, "http_version_not_supported", "GET / HTTP/0.9\r\n\r\n"),
    "http2": (505, "http_version_not_supported", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "connect": (501, "not_implemented", request("CONNECT h:80")),
    "coding": (501, "not_implemented", request("POST /api/v1/auth/guest", "Transfer-Encoding: gzip\r\n")),
    "two lengths": (400, "invalid_request", request("POST /x", "Content-Length: 1\r\nContent-Length: 2\r\n")),
    # bodies
    "long body": (413, "too_large", request("POST /api/v1/auth/guest", body="x" * 5_000)),
    "body where none is": (413, "too_large", request("GET /api/v1/version", body="{}")),
    "expectation": (417, "expectation_failed", request("POST /api/v1/auth/guest", "Expect: wonder\r\n", "{}")),
    "late body": (408, "request_timeout", request("POST /api/v1/auth/guest", "Content-Length: 9\r\n")),
    "bad chunk": (400, "invalid_request", request("POST /api/v1/auth/guest", "Transfer-Encoding: chunked\r\n", "")),
    "no json": (400, "invalid_request", request("POST /api/v1/auth/guest", body="{")),
    "bad text": (422, "unprocessable", request("POST /api/v1/auth/guest", body='{"name":""}')),
    # paths and methods
    "no such call": (404, "not_found", request("GET /api/v1/nope")),
    "no such call, body": (404, "not_found", request("POST /api/v1/nope", body="{}")),
    "no such page": (404, "not_found", request("GET /nope")),
    "no such file": (404, "not_found", request("GET /static/nope.js")),
    "method of a call": (405, "method_not_allowed", request("DELETE /api/v1/version")),
    "method of a page": (405, "method_not_allowed", request("DELETE /")),
    "method of a stream": (405, "method_not_allowed", request(f"HEAD {ROOM}/events").replace("HEAD", "PUT")),
    # who asks
    "nobody": (401, "unauthenticated", request("GET /api/v1/auth/me")),
    "wrong token": (401, "unauthenticated", request("GET /api/v1/auth/me", "Authorization: Bearer x\r\n")),
    "foreign page": (403, "forbidden", request("POST /api/v1/auth/guest", "Origin: https://evil\r\n", '{"name":"A"}')),
    "not the owner": (403, "forbidden", request(f"PATCH {ROOM}", BEARER, '{"title":"x"}')),
    # what is asked
    "bad query": (400, "invalid_request", request("GET /api/v1/conversations?limit=x", BEARER)),
    "no such room": (404, "not_found", request("GET /api/v1/conversations/nope", BEARER)),
    "taken": (409, "conflict", request("POST /api/v1/conversations", BEARER, '{"id":"lobby"}')),
    "long text": (413, "too_large", request(f"POST {ROOM}/messages", BEARER, json.dumps({"text": "x" * 70_000}))),
    # streams and sockets, before they are that
    "stream of nobody": (401, "unauthenticated", request(f"GET {ROOM}/events")),
    "stream of no room": (404, "not_found", request("GET /api/v1/conversations/nope/events", BEARER)),
    "stream with a body": (400, "invalid_request", request(f"GET {ROOM}/events", body="x")),
    "no upgrade": (426, "upgrade_required", request(SOCKET)),
    "upgrade by POST": (405, "method_not_allowed", request("POST /connection/websocket")),
    "bad key": (400, "invalid_request", request(SOCKET, UPGRADE.replace("ZQ==", ""))),
    "socket of a wrong token": (401, "unauthenticated", request(SOCKET, UPGRADE + "Authorization: Bearer x\r\n")),
    "socket of a foreign page": (403, "forbidden", request(SOCKET, UPGRADE + "Origin: https://evil\r\n")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "cold"),
    # A connection that has come to the cold lane has spoken HTTP before.
    [(name, cold) for name in ASKED for cold in (False, True) if not (cold and name == "garbage")],
)
async def test_a_refusal_is_a_problem_document(patient_clock, name, cold):
    """Status, type, schema, request id; whoever owns the connection."""
    status, code, sent = ASKED[name]
    if name == "bad chunk":
        sent += "zz\r\n"
    async with serving() as world:
        token = await world.token()
        async with world.cold_client() if cold else world.client() as client:
            await client.send(sent.replace("{token}", token).encode("latin-1"))
            checked(await client.answer("HEAD" if sent.startswith("HEAD") else "GET"), status, code)


@pytest.mark.parametrize("cold", [False, True], ids=["hot", "cold"])
async def test_a_bug_and_a_lost_answer_are_problem_documents(patient_clock, cold, caplog):
    """500 where an endpoint fails, 503 where it never answers."""

    def bug(api: Any, call: Any, respond: Respond) -> None:
        raise ValueError("a bug")

    def silence(api: Any, call: Any, respond: Respond) -> None:
        pass

    extra = (
        Route(method="GET", path="/bug", endpoint=bug, access=Access.ANYONE),
        Route(method="GET", path="/silence", endpoint=silence, access=Access.ANYONE),
    )
    async with (
        serving(api={"routes": Routes(ROUTES.routes + extra)}) as world,
        world.cold_client() if cold else world.client() as client,
    ):
        checked(await client.ask("GET", "/bug"), 500, "internal")
        checked(await client.ask("GET", "/silence"), 503, "outcome_unknown")


async def test_a_full_server_says_so_in_a_problem_document(patient_clock):
    """Both when the table is full, where the request is not even read, and when the cold lane is."""
    async with (
        serving(table=attrs.evolve(TableSettings(), max_connections=1)) as world,
        world.client() as first,
        world.client() as second,
    ):
        assert (await first.ask("GET", "/health")).status == 200
        answer = await second.answer()
        assert (answer.status, answer.header("content-type")) == (503, "application/problem+json")
        SCHEMA.validate(answer.json)
        assert answer.header("retry-after") == "5"
    async with (
        serving(cold=ColdSettings(max_connections=1)) as world,
        world.cold_client() as busy,
        world.client() as other,
    ):
        await busy.send(request("POST /api/v1/auth/guest", "Content-Length: 9\r\n").encode())
        await world.settle()
        checked(await other.ask("GET", "/"), 503, "overloaded")


def test_every_code_of_the_engine_fits_the_schema() -> None:
    """Also those that no request here can provoke."""
    for code, wire in WIRE.items():
        document = {"type": f"urn:hubbub:problem:{code}", "title": wire.title, "status": wire.status, "detail": "x"}
        SCHEMA.validate(document | {"code": code, "retry": "never", "request_id": "r"})
