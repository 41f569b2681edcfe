"""Every call of the API, sent what the document allows and what it forbids, by everybody who may come: schemathesis against the
real server, over the document that it serves.

The cases follow from the document alone, so a run can be repeated, and what fails is printed as a curl command. A new route is
called without a line here. Most paths get names of what is there (`Caller.known`): made-up ones would lead to nothing but 404.

Each case is sent by every caller in turn, because making it costs more than sending it. Who may have a 2xx is judged by tables
that are written by hand (`judge`); a server whose own check is gone is caught.

Left out: event streams, which do not end (`tests/transport/test_sse.py`), and what follows from the order of calls
(`test_story`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
import jsonschema
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from hubbub.transport.endpoints import ROUTES
from hubbub.transport.live import LiveSettings
from hubbub.transport.openapi.calls import served
from hubbub.transport.openapi.document import document

from .callers import CALLERS, Caller, House, Known
from .judge import Counts, is_open_to, may_have_it

pytestmark = [pytest.mark.fuzz, pytest.mark.server, pytest.mark.postgres]

DOCUMENT = json.loads(json.dumps(document(served(ROUTES.routes, LiveSettings()))))
CALLS = schemathesis.openapi.from_dict(
    DOCUMENT, config=schemathesis.Config.from_path(Path(__file__).with_name("schemathesis.toml"))
).exclude(path=[route.path for route in ROUTES.routes if route.stream])
SETTINGS = {"PUT /api/v1/admin/config"}
"""What changes the server for everybody after it."""
ASK_FOR_ANOTHER = {"POST /api/v1/auth/login", "POST /api/v1/auth/refresh"}
"""What may answer 401 to somebody whose credential is good: another one was shown, or it was refreshed half a minute ago."""
OUT_OF_REACH = {
    "POST /api/v1/setup",
    "POST /api/v1/auth/signup",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/upgrade",
    "DELETE /api/v1/auth/me",
    "GET /api/v1/auth/oidc/{provider}/login",
    "GET /api/v1/auth/oidc/{provider}/callback",
    "DELETE /api/v1/auth/identities/{id}",
    "POST /emulation",
    "DELETE /api/v1/admin/quarantined/{id}",
    "GET /.well-known/security.txt",
}
"""What no made-up request gets done: it needs a password, a provider, a stream, or what this server has not."""
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


def only_for_whom_it_is(caller: Caller) -> schemathesis.CheckFunction:
    """A check that what a caller may not call refuses it, and that nothing is done in a conversation for who may not do it."""

    def refuses(_: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case) -> None:
        operation = case.operation
        if case.method != operation.method.upper():
            return
        why = may_have_it(caller, operation.label, operation.definition.raw, case.path_parameters)
        assert why is None or 400 <= response.status_code < 500, (
            f"{caller.who} was answered {response.status_code} by {operation.label}, though {why}"
        )

    return refuses


def lead_somewhere(case: schemathesis.Case, made_up: Mapping[str, Any], known: Known) -> None:
    """Put names of what is there into most paths that were made to be valid."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for name, value in made_up.items():
        names = known.get(name, ())
        choice = crc32(str(value).encode("utf-8", "surrogatepass"))
        case.path_parameters[name] = names[choice % len(names)] if names and choice % 4 else value


def call(case: schemathesis.Case, house: House, counts: Counts, caller: Caller) -> None:
    """One case by one caller."""
    label = case.operation.label
    promises = [*PROMISES, only_for_whom_it_is(caller)]
    if has_valid_headers(case):
        promises.append(checks.positive_data_acceptance)
    answer = case.call_and_validate(
        base_url=house.server.url,
        session=house.http,
        headers=dict(caller.headers),
        cookies=dict(caller.cookies),
        checks=promises,
        timeout=30,
    )
    house.heard(caller.who, case.method, answer.status_code)
    if case.method == case.operation.method.upper():
        counts.note(caller.who, label, answer.status_code)


@CALLS.parametrize()
def test_by_everybody(case: schemathesis.Case, house: House, counts: Counts) -> None:
    """Whatever is sent, and whoever sends it, the answer is one that the document has for that caller."""
    made_up, generated = dict(case.path_parameters), dict(case.headers)
    for who in CALLERS:
        caller = house.caller(who, case.operation.label, case.path)
        lead_somewhere(case, made_up, caller.known)
        case.headers.update(generated)
        if caller.cookies:
            case.headers.pop("Authorization", None)  # of a made-up token, which would be believed to be meant
        try:
            call(case, house, counts, caller)
        except Exception as error:
            error.add_note(f"asked by: {who}")
            raise
        finally:
            if case.operation.label in SETTINGS:
                house.settle()


def test_everybody_got_somewhere(counts: Counts) -> None:
    """Credentials held all the time, and most of what somebody may call was done for them at least once."""
    operations = {each.ok().label: each.ok().definition.raw for each in CALLS.get_all_operations()}
    for who in CALLERS:
        if counts.called(who) < operations.keys():
            pytest.skip("only some of the calls were made")
        allowed = {label for label, operation in operations.items() if is_open_to(who, operation)}
        if who != "nobody":
            assert allowed & counts.unknown(who) <= ASK_FOR_ANOTHER, who
        reachable = allowed - OUT_OF_REACH
        missed = reachable - counts.served(who)
        assert len(missed) <= len(reachable) // 4, f"{who} got nowhere with {sorted(missed)}"


def test_this_is_what_the_server_serves(house: House) -> None:
    """The document that the cases were made from."""
    assert httpx.get(house.server.url + "/openapi.json").json() == DOCUMENT
