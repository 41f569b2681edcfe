"""The description of the API: valid, complete, and made from the table that serves."""

from __future__ import annotations

import json
from typing import Any

import attrs
import openapi_spec_validator
import pytest
from msgspec import Struct

from hubbub.engine.core.errors import WIRE
from hubbub.engine.core.permissions import Access
from hubbub.engine.core.principals import Scope
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.live import LiveSettings
from hubbub.transport.manners import HttpManners
from hubbub.transport.openapi.calls import rendered, served
from hubbub.transport.openapi.doc import Answer, Doc
from hubbub.transport.openapi.document import document
from hubbub.transport.routes import Route, Routes

from ..world import serving

DOCUMENT = document(ROUTES.routes)
OPERATIONS = [
    pytest.param(method, path, operation, id=operation["operationId"])
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
]


class Asked(Struct):
    """What is asked."""

    must: int
    may: str = ""


def thing(api: Any, call: Any, respond: Any) -> None:
    """Do a thing. It is done
    at once.

    Nobody ``knows`` why.
    """


def row(**changes: Any) -> Route:
    return Route(**{"method": "GET", "path": "/thing", "endpoint": thing, "doc": Doc(tag="Things"), **changes})


def described(**changes: Any) -> Any:
    route = row(**changes)
    return document([route])["paths"][route.path][route.method.lower()]


def test_it_is_valid_openapi() -> None:
    """The validator of the specification accepts it, and so does JSON."""
    openapi_spec_validator.validate(json.loads(json.dumps(DOCUMENT)))


def test_every_route_is_in_it() -> None:
    """Method by method; nothing else is."""
    told = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert told == {(route.method, route.path) for route in ROUTES.routes}


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_every_operation_says_what_it_needs(method: str, path: str, operation: dict[str, Any]) -> None:
    """A title of one short line, a chapter, who may call, an answer that is no error, and refusals anybody may meet."""
    assert 3 <= len(operation["summary"]) <= 90, operation["summary"]
    assert not operation["summary"].endswith(".")
    assert operation["tags"]
    statuses = set(operation["responses"])
    assert any(status < "400" for status in statuses)
    assert {"400", "429", "500", "503"} <= statuses
    if operation["x-access"] == "anyone":
        assert operation["security"] == []
    else:
        assert operation["security"]
        assert {"401", "403"} <= statuses
        assert operation["x-scope"] in {scope.value for scope in Scope}
    if method in {"post", "put", "patch"} and "requestBody" in operation:
        assert {"413", "422"} <= statuses
        assert operation["x-max-body-bytes"] > 0


def test_every_code_that_is_told_exists() -> None:
    """And stands under the status that the table of errors gives it."""
    responses = DOCUMENT["components"]["responses"]
    assert responses
    for name, response in responses.items():
        for code in response["x-codes"]:
            assert name.startswith(str(WIRE[code].status))


def test_text_comes_from_the_docstring() -> None:
    """The first sentence is the title, the others are the text."""
    found = described()
    assert (found["operationId"], found["summary"]) == ("thing", "Do a thing")
    assert found["description"] == "It is done at once.\n\nNobody `knows` why."


def test_parameters_come_from_path_struct_and_names() -> None:
    """Those of the query are the fields of a struct; names in paths and headers are known."""
    found = described(
        path="/conversations/{id}", doc=Doc(tag="T", query=Asked, headers=("If-Match",), params={"id": int})
    )
    told = [(each["name"], each["in"], each["required"]) for each in found["parameters"]]
    assert told == [
        ("id", "path", True),
        ("must", "query", True),
        ("may", "query", False),
        ("If-Match", "header", False),
    ]
    assert found["parameters"][0]["schema"] == {"type": "integer"}
    assert "412" in found["responses"]
    assert "404" in found["responses"]


def test_answers_and_refusals_of_one_status_stand_together() -> None:
    """A 503 with a body of its own may be a problem document as well."""
    found = described(doc=Doc(tag="T", answer=int, also=(Answer(status=503, body=Asked), Answer(status=304))))
    assert set(found["responses"]["503"]["content"]) == {"application/json", "application/problem+json"}
    assert found["responses"]["304"]["description"] == "Not Modified"
    assert "content" not in found["responses"]["304"]


def test_access_and_scope_are_told() -> None:
    """As extensions, and as the credentials that are needed."""
    found = described(access=Access.ADMIN, scope=Scope.ADMIN)
    assert (found["x-access"], found["x-scope"]) == ("admin", "admin")
    assert "x-scope" not in described(access=Access.ANYONE)


def test_a_route_without_doc_and_two_of_one_name_are_refused() -> None:
    """Nothing is served in silence."""
    with pytest.raises(ValueError, match="GET /thing has no doc"):
        document([row(doc=None)])
    with pytest.raises(ValueError, match="two routes are called thing"):
        document([row(), row(path="/other")])
    assert len(document([row(), row(path="/other", doc=Doc(tag="T", name="other"))])["paths"]) == 2


def test_an_unknown_code_is_refused() -> None:
    """A problem that no error has."""
    with pytest.raises(ValueError, match="teapot"):
        Doc(tag="T", problems=("teapot",))


async def test_it_is_served_and_asked_for_again_by_its_tag(patient_clock) -> None:
    """To anyone; 304 to who has it."""
    async with serving() as world, world.client() as client:
        answer = await client.ask("GET", "/openapi.json")
        assert (answer.status, answer.header("content-type")) == (200, "application/json")
        assert answer.json == json.loads(json.dumps(DOCUMENT))
        etag = answer.header("etag")
        assert etag
        again = await client.ask("GET", "/openapi.json", if_none_match=etag)
        assert (again.status, again.body, again.header("etag")) == (304, b"", etag)


async def test_what_is_switched_off_is_absent(patient_clock) -> None:
    """From the document, and 404 when it is asked for; at once when the settings change."""
    extra = row(access=Access.ANYONE, there=lambda settings: settings.access.guests, endpoint=_say_nothing)
    async with serving(api={"routes": Routes((*ROUTES.routes, extra))}) as world, world.client() as client:
        assert "/thing" in (await client.ask("GET", "/openapi.json")).json["paths"]
        assert (await client.ask("GET", "/thing")).status == 204
        current = world.api.live.current
        world.api.live.replace(attrs.evolve(current, access=attrs.evolve(current.access, guests=False)))
        assert "/thing" not in (await client.ask("GET", "/openapi.json")).json["paths"]
        assert (await client.ask("GET", "/thing")).json["code"] == "not_found"
        world.api.live.replace(attrs.evolve(world.api.live.current, http=HttpManners(docs=False)))
        assert (await client.ask("GET", "/openapi.json")).status == 404


def _say_nothing(api: Any, call: Any, respond: Any) -> None:
    """Say nothing."""
    from hubbub.transport.http_message import Response

    respond(Response(204))


def test_it_is_made_once() -> None:
    """As long as the same routes are served, it is the same object."""
    routes = served(ROUTES.routes, LiveSettings())
    assert rendered(routes) is rendered(served(ROUTES.routes, LiveSettings(generation=7)))
