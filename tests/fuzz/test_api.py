"""Every call of the API, sent what the document allows and what it forbids, by everybody who may come: schemathesis against the
real server, over the document that it serves.

The cases follow from the document alone, so a run can be repeated, and what fails is printed as a curl command. A new route is
called without a line here. Most paths get names of what is there (`Caller.known`): made-up ones would lead to nothing but 404.

Left out: event streams, which do not end (`tests/transport/test_sse.py`), and what follows from the order of calls
(`tests/simulation`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
import jsonschema
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from hubbub.engine.core.permissions import Access
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.live import LiveSettings
from hubbub.transport.openapi.calls import served
from hubbub.transport.openapi.document import document

from .conftest import House, Known

pytestmark = [pytest.mark.fuzz, pytest.mark.server, pytest.mark.postgres]

DOCUMENT = json.loads(json.dumps(document(served(ROUTES.routes, LiveSettings()))))
CALLS = schemathesis.openapi.from_dict(
    DOCUMENT, config=schemathesis.Config.from_path(Path(__file__).with_name("schemathesis.toml"))
).exclude(path=[route.path for route in ROUTES.routes if route.stream])
OPEN = {
    "nobody": {Access.ANYONE},
    "guest": {Access.ANYONE, Access.PRINCIPAL},
    "operator": {Access.ANYONE, Access.ADMIN},
}
"""What each may call; whatever else they ask for is refused."""
PROMISES = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.allow_header_conformance,
    checks.ignored_auth,
]


def has_valid_headers(case: schemathesis.Case) -> bool:
    """Whether headers match their schemas: schemathesis 4.32 sends 0 as a valid entity tag."""
    schemas = {each["name"]: each["schema"] for each in case.operation.definition.raw.get("parameters", ())}
    return all(
        jsonschema.Draft202012Validator(schemas.get(name, {})).is_valid(value) for name, value in case.headers.items()
    )


def opened_only_to_whom_it_may(who: str) -> schemathesis.CheckFunction:
    """A check that no answer but a refusal goes to somebody who may not call this."""

    def refuses(_: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case) -> None:
        access = Access(case.operation.definition.raw["x-access"])
        if access not in OPEN[who] and case.method == case.operation.method.upper():
            assert 400 <= response.status_code < 500, (
                f"{who} was answered {response.status_code} by a call for {access}"
            )

    return refuses


def lead_somewhere(case: schemathesis.Case, known: Known) -> None:
    """Put names of what is there into most paths that were made to be valid."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for name, made_up in case.path_parameters.items():
        names = known.get(name, ())
        choice = crc32(str(made_up).encode("utf-8", "surrogatepass"))
        if names and choice % 4:
            case.path_parameters[name] = names[choice % len(names)]


def call(case: schemathesis.Case, house: House, who: str) -> None:
    caller = house.caller(who, case.operation.label)
    lead_somewhere(case, caller.known)
    headers: dict[str, Any] = {} if caller.token is None else {"Authorization": f"Bearer {caller.token}"}
    promises = [*PROMISES, opened_only_to_whom_it_may(who)]
    if has_valid_headers(case):
        promises.append(checks.positive_data_acceptance)
    case.call_and_validate(base_url=house.server.url, headers=headers, checks=promises, timeout=30)


@CALLS.parametrize()
def test_by_nobody(case: schemathesis.Case, house: House) -> None:
    """Without credentials: nothing but what is open to anyone."""
    call(case, house, "nobody")


@CALLS.parametrize()
def test_by_a_guest(case: schemathesis.Case, house: House) -> None:
    """With a guest's token: nothing of accounts and admins."""
    call(case, house, "guest")


@CALLS.parametrize()
def test_by_the_operator(case: schemathesis.Case, house: House) -> None:
    """With the operator's token: what admins may, and nothing else."""
    call(case, house, "operator")


def test_this_is_what_the_server_serves(house: House) -> None:
    """The document that the cases were made from."""
    assert httpx.get(house.server.url + "/openapi.json").json() == DOCUMENT
