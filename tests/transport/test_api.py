"""Routes, credentials, origins, problem documents, and how one request is carried out."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import attrs
import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from hubbub.engine import EngineError, InvalidCommand, Overloaded, StoreUnavailable
from hubbub.engine.core.errors import WIRE, OutcomeUnknown, RateLimited, RecoveryFailed, RecoveryReason
from hubbub.engine.core.permissions import Access
from hubbub.transport.answers import problem_of
from hubbub.transport.api import WAITS, Api
from hubbub.transport.call import Call, query_of
from hubbub.transport.credentials import bearer_of, cookie_of, foreign_origin, same_origin
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.http_message import Request, Response
from hubbub.transport.http_route import Respond
from hubbub.transport.identity import secret
from hubbub.transport.router import nowhere
from hubbub.transport.routes import Matched, Route, Routes

from ..logs import capture_logs
from .house import head_of, house

# -- routes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/v1/conversations", {}),
        ("HEAD", "/api/v1/conversations", {}),
        ("GET", "/api/v1/conversations/a.b", {"id": "a.b"}),
        ("POST", "/api/v1/conversations/a/messages", {"id": "a"}),
        ("GET", "/api/v1/conversations/a\nb", {"id": "a\nb"}),
        ("DELETE", "/api/v1/conversations", {"GET", "HEAD", "POST"}),
        ("DELETE", "/api/v1/conversations/a", {"GET", "HEAD", "PATCH"}),
        ("get", "/health", {"GET", "HEAD"}),
        ("POST", "/api/v1/conversations/a/events", {"GET"}),
        ("GET", "/api/v1/conversations/", set()),
        ("GET", "/api/v1/conversations/a/", set()),
        ("GET", "/api/v1/conversations/a/b/messages", set()),
        ("GET", "/api/v1/conversations//messages", set()),
        ("GET", "/API/v1/version", set()),
        ("GET", "//health", set()),
        ("GET", "", set()),
    ],
)
def test_a_path_is_matched_as_a_whole(method: str, path: str, expected: dict[str, str] | set[str]) -> None:
    """The route with what the path names, or the methods that the path has."""
    found = ROUTES.match(method, path)
    if isinstance(expected, dict):
        assert isinstance(found, Matched)
        assert found.params == expected
    else:
        assert found == expected


def test_nowhere() -> None:
    """404 for no path, 405 with the methods for another method."""
    assert (nowhere(frozenset()).status, json.loads(nowhere(frozenset()).body)["code"]) == (404, "not_found")
    refused = nowhere(frozenset({"POST", "GET"}))
    assert (refused.status, dict(refused.headers)["allow"]) == (405, "GET, POST")


# -- who asks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("Bearer   abc", "abc"),
        ("Bearer", ""),
        ("Basic abc", ""),
        ("", ""),
        ("abc", ""),
    ],
)
def test_bearer(header: str, expected: str) -> None:
    """An Authorization header of another kind is a wrong credential, not a missing one."""
    assert bearer_of(head_of("GET", "/", f"Authorization: {header}")) == expected
    assert bearer_of(head_of("GET", "/")) is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["hubbub_session=abc"], "abc"),
        (["a=b; hubbub_session=abc; c=d"], "abc"),
        (['hubbub_session="abc"'], "abc"),
        (["a=b", "hubbub_session=abc"], "abc"),
        (["hubbub_session="], ""),
        (["hubbub_sessions=abc"], None),
        (["x=hubbub_session"], None),
        (["hubbub_session"], None),
        ([";;;=hubbub_session=;"], None),
        (['theme={"a":1}; foo[bar]=1; expires=foo; hubbub_session=abc'], "abc"),
        (['hubbub_session="' + chr(92) + "1" * 50], chr(92) + "1" * 50),
    ],
)
def test_cookie(lines: list[str], expected: str | None) -> None:
    """Among others, quoted, in two headers; malformed ones are none."""
    assert cookie_of(head_of("GET", "/", *(f"Cookie: {line}" for line in lines))) == expected


@pytest.mark.parametrize(
    ("origin", "same"),
    [
        ("http://test", True),
        ("https://TEST", True),
        ("http://test:80", False),
        ("http://test.evil", False),
        ("http://evil@test", False),
        ("null", False),
        ("", False),
        ("test", False),
        ("http://[", False),
        ("http://test, http://test", False),
        (None, False),
    ],
)
def test_origin(origin: str | None, same: bool) -> None:
    """A page is of this origin when its Origin names the host that was asked; whatever is no URL is foreign."""
    head = head_of("GET", "/", *([] if origin is None else [f"Origin: {origin}"]))
    assert same_origin(head) is same
    assert foreign_origin(head) is (origin is not None and not same)


def test_origin_without_a_host() -> None:
    """An empty Host is the host of no page."""
    assert not same_origin(msgspec.structs.replace(head_of("GET", "/"), headers=((b"host", b""), (b"origin", b"null"))))


def test_query() -> None:
    """The first of each name; more fields than anybody needs are refused."""
    assert query_of(head_of("GET", "/?a=1&b=&a=2&%C3%A9=%20&c")) == {"a": "1", "b": "", "\u00e9": " ", "c": ""}
    assert query_of(head_of("GET", "/?" + "&".join(["a=1"] * 50))) == {"a": "1"}
    with pytest.raises(InvalidCommand):
        query_of(head_of("GET", "/?" + "&".join(["a=1"] * 51)))


@given(st.text(alphabet="abz=&%;+1 -_.", max_size=20).filter(str.isascii))
def test_every_query_is_read_as_the_standard_library_reads_it(query: str) -> None:
    """The short way for the usual query gives what the long way gives."""
    head = msgspec.structs.replace(head_of("GET", "/"), query=query)
    assert query_of(head) == dict(reversed(parse_qsl(query, keep_blank_values=True)))


# -- problem documents ------------------------------------------------------------------------------------------------


def _codes() -> list[type[EngineError]]:
    found: list[type[EngineError]] = []
    todo: list[type[EngineError]] = [EngineError]
    while todo:
        kind = todo.pop()
        found.append(kind)
        todo += kind.__subclasses__()
    return found


@pytest.mark.parametrize("kind", _codes())
def test_every_error_has_its_problem_document(kind: type[EngineError]) -> None:
    """Status and title from the one table, the code and the retry advice from the error."""
    wire = WIRE[kind.code]
    error = kind.__new__(kind)
    Exception.__init__(error, "a sentence")
    answer = problem_of(error)
    document = json.loads(answer.body)
    assert answer.status == wire.status == document["status"]
    assert (document["code"], document["title"], document["retry"]) == (kind.code, wire.title, kind.retry.value)
    assert document["type"] == f"urn:hubbub:problem:{kind.code}"
    assert ("www-authenticate" in dict(answer.headers)) is (wire.status == 401)


@pytest.mark.parametrize(
    ("error", "field", "value"),
    [
        (Overloaded(retry_after_s=0.2), "retry-after", "1"),
        (RateLimited("slow down", retry_after_s=7), "retry-after", "7"),
        (StoreUnavailable(), "retry-after", "2"),
        (OutcomeUnknown(), "retry-after", "1"),
        (RecoveryFailed(RecoveryReason.AHEAD), "reason", "ahead"),
    ],
)
def test_errors_that_say_more(error: EngineError, field: str, value: str) -> None:
    """When to come back, in whole seconds and never 0; why a position cannot be resumed."""
    answer = problem_of(error)
    assert (dict(answer.headers) | json.loads(answer.body))[field] == value


# -- carrying out -----------------------------------------------------------------------------------------------------


def _endpoint(work: Callable[[], Any]) -> Callable[[Api, Call, Respond], None]:
    def endpoint(api: Api, call: Call, respond: Respond) -> None:
        respond(Response(work()))

    return endpoint


def _waiting(work: Callable[[], Awaitable[Response]]) -> Callable[[Api, Call, Respond], None]:
    return lambda api, call, respond: api.later(work, respond)


def _broken() -> int:
    raise ZeroDivisionError("a secret")


async def _broken_later() -> Response:
    raise ZeroDivisionError("a secret")


async def _refused_later() -> Response:
    raise Overloaded


@pytest.mark.parametrize("looked_up", [False, True])
@pytest.mark.parametrize(
    ("endpoint", "status", "errors"),
    [
        (_endpoint(lambda: 204), 204, 0),
        (_endpoint(_broken), 500, 1),
        (_waiting(_broken_later), 500, 1),
        (_waiting(_refused_later), 503, 0),
    ],
    ids=["good", "broken", "broken-later", "refused-later"],
)
async def test_a_request_is_answered_whatever_happens(
    endpoint: Any, status: int, errors: int, looked_up: bool, autojump_clock: MockClock
) -> None:
    """Our bug is a 500 without details and one line in the log, also when it is met after a look-up."""
    async with house() as there:
        if looked_up:
            there.restart_auth()
        route = Route(method="GET", path="/x", endpoint=endpoint)
        answers: list[Response] = []
        head = head_of("GET", "/x", f"Authorization: Bearer {there.token}")
        with capture_logs() as logs:
            there.api.dispatch(Matched(route, {}), Request(head, b""), answers.append)
            await wait_all_tasks_blocked()
        [answer] = answers
        assert answer.status == status
        assert b"secret" not in answer.body
        assert sum(entry["log_level"] == "error" for entry in logs) == errors


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", [], 401),
        ("GET", ["Authorization: Bearer wrong"], 401),
        ("GET", ["Cookie: hubbub_session=wrong"], 401),
        ("GET", ["Authorization: Bearer <TOKEN>"], 204),
        ("GET", ["Cookie: hubbub_session=<TOKEN>"], 204),
        ("GET", ["Cookie: hubbub_session=<TOKEN>", "Origin: http://evil"], 204),
        ("POST", ["Authorization: Bearer <TOKEN>", "Origin: http://evil"], 204),
        ("POST", ["Cookie: hubbub_session=<TOKEN>"], 403),
        ("POST", ["Cookie: hubbub_session=<TOKEN>", "Origin: http://evil"], 403),
        ("POST", ["Cookie: hubbub_session=<TOKEN>", "Origin: http://test"], 403),
        ("POST", ["Cookie: hubbub_session=<TOKEN>", "Origin: http://test", "X-CSRF-Token: <CSRF>"], 204),
        ("POST", ["Cookie: hubbub_session=<TOKEN>", "Origin: http://evil", "X-CSRF-Token: <CSRF>"], 403),
        ("POST", ["Cookie: hubbub_session=<TOKEN>", "X-CSRF-Token: <CSRF>"], 403),
        ("POST", ["Cookie: hubbub_session=<TOKEN>", "Origin: http://test", "X-CSRF-Token:"], 403),
        ("POST", ["Cookie: hubbub_session=<TOKEN>", "Origin: http://test", "X-CSRF-Token: <OTHER>"], 403),
        ("POST", ["Cookie: hubbub_session=<TOKEN>", "Origin: http://test", "X-CSRF-Token: <TOKEN>"], 403),
        ("POST", ["Cookie: hubbub_session=<TOKEN>", "Origin: http://test", "X-CSRF-Token: <CSRF>, <CSRF>"], 403),
        ("POST", ["Cookie: hubbub_session=hbg_gone", "Origin: http://test"], 401),
        ("POST", ["Cookie: hubbub_session=<TOKEN>", "Authorization: Bearer wrong"], 401),
        ("POST", ["Cookie: hubbub_session=<TOKEN>", "Authorization: Basic x"], 401),
        ("POST", ["X-Api-Key: <TOKEN>"], 204),
        ("POST", ["X-Goog-Api-Key: <TOKEN>", "Origin: http://evil"], 204),
        ("GET", ["X-Api-Key: wrong"], 401),
        ("POST", ["X-Api-Key: <TOKEN>", "Authorization: Bearer wrong"], 401),
        ("POST", ["X-Api-Key:", "Cookie: hubbub_session=<TOKEN>", "Origin: http://test"], 403),
    ],
)
async def test_credentials(method: str, headers: list[str], status: int, autojump_clock: MockClock) -> None:
    """A bearer is asked for by the program that sends it; a cookie must come from our own page, with the CSRF token of its own
    session, when it changes something."""
    async with house() as there:
        routes = Routes((Route(method=method, path="/x", endpoint=_endpoint(lambda: 204)),))
        there.api = attrs.evolve(there.api, routes=routes)
        other = (await there.api.accounts.tokens.issue_guest("Mallory")).token
        values = {"CSRF": secret.csrf_of(there.token), "OTHER": secret.csrf_of(other), "TOKEN": there.token}
        sent = [re.sub(r"<(\w+)>", lambda found: values[found[1]], header) for header in headers]
        assert (await there.dispatch(head_of(method, "/x", *sent))).status == status


@pytest.mark.parametrize(("method", "status"), [("GET", 204), ("POST", 403)])
async def test_open_routes_and_foreign_pages(method: str, status: int, autojump_clock: MockClock) -> None:
    """A page elsewhere may look at what is open, and may not make its visitors guests."""
    async with house() as there:
        routes = Routes((Route(method=method, path="/x", endpoint=_endpoint(lambda: 204), access=Access.ANYONE),))
        there.api = attrs.evolve(there.api, routes=routes)
        assert (await there.dispatch(head_of(method, "/x", "Origin: http://evil"))).status == status


async def test_calls_that_wait_for_the_store_are_bounded(autojump_clock: MockClock) -> None:
    """They outlive their connections, so only so many may wait; the next are told to come back, and places free up."""
    async with house() as found:
        gate = trio.Event()
        answers: list[Response] = []

        async def wait() -> Response:
            await gate.wait()
            return Response(204)

        for _ in range(WAITS + 3):
            found.api.later(wait, answers.append)
        assert [answer.status for answer in answers] == [503, 503, 503]
        gate.set()
        await wait_all_tasks_blocked()
        assert [answer.status for answer in answers[3:]] == [204] * WAITS
        found.api.later(wait, answers.append)
        await wait_all_tasks_blocked()
        assert answers[-1].status == 204
