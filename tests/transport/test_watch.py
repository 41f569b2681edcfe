"""What is noted of every request: the access log and the audit log, through the one dispatch."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from trio.testing import MockClock

from hubbub.engine import EngineError, StoreUnavailable
from hubbub.engine.audit import AuditRow
from hubbub.transport.api import Api
from hubbub.transport.auditor import QUEUE_ROWS
from hubbub.transport.call import Call
from hubbub.transport.http_message import Response
from hubbub.transport.http_route import Respond
from hubbub.transport.routes import Route

from ..logs import capture_logs
from .house import OPERATOR_TOKEN, House, head_of, house, quarantine

RELEASE = "/api/v1/admin/quarantined/"


def accesses(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The access log, without what takes how long."""
    found = [dict(log) for log in logs if log["event"] == "request"]
    assert all(log.pop("duration_ms") >= 0 for log in found)
    return found


async def rows(there: House) -> list[AuditRow]:
    """The audit log, oldest first."""
    return (await there.store.audit.page(before=None, limit=100))[::-1]


async def test_a_request_is_one_line_of_the_access_log(autojump_clock: MockClock) -> None:
    """Template, status, who, which conversation, which request; not what was asked, sent or shown."""
    async with house() as there:
        with capture_logs(access=True) as logs:
            path = "/api/v1/conversations/lobby/messages"
            await there.call("POST", path, {"text": "the rollout is done"}, "X-Request-Id: r-1")
            await there.call("GET", path + "?after=0&around=secretlooking", None, "X-Request-Id: r-2")
            await there.dispatch(head_of("GET", path, "X-Request-Id: r-3"))
        me = json.loads((await there.call("GET", "/api/v1/auth/me")).body)["user"]["id"]
        route = {"event": "request", "log_level": "info", "route": "/api/v1/conversations/{id}/messages"}
        about = {**route, "conversation": "lobby"}
        assert accesses(logs) == [
            {**about, "method": "POST", "status": 201, "request_id": "r-1", "principal": me},
            {**about, "method": "GET", "status": 400, "code": "invalid_request", "request_id": "r-2", "principal": me},
            {**about, "method": "GET", "status": 401, "code": "unauthenticated", "request_id": "r-3"},
        ]
        told = str(logs)
        assert not [secret for secret in (there.token, "rollout", "secretlooking") if secret in told]


async def test_an_error_is_logged_under_its_request(autojump_clock: MockClock) -> None:
    """A bug of an endpoint names the request, at once and in what it does later, and quotes nothing."""
    text = "the rollout is done"

    def fail(api: Api, call: Call, respond: Respond) -> None:
        raise KeyError(text)

    def fail_later(api: Api, call: Call, respond: Respond) -> None:
        async def work() -> Response:
            raise ValueError(f"bad text {text!r}")

        api.later(work, respond)

    async with house() as there:
        for endpoint in (fail, fail_later):
            route = Route(method="GET", path="/x", endpoint=endpoint)
            there.api = attrs.evolve(there.api, routes=type(there.api.routes)((route,)))
            with capture_logs() as logs:
                assert (await there.call("GET", "/x", None, "X-Request-Id: r-9")).status == 500
            [told] = [log for log in logs if log["log_level"] == "error"]
            assert told["request_id"] == "r-9"
            assert text not in str(told)


async def test_a_control_call_leaves_one_row(autojump_clock: MockClock) -> None:
    """Actor, action, target, status, request; calls that only read leave none."""
    async with house() as there:
        await quarantine(there.engine, "lobby")
        await there.operate("GET", "/api/v1/admin/quarantined")
        assert await rows(there) == []
        head = head_of("DELETE", RELEASE + "lobby", f"Authorization: Bearer {OPERATOR_TOKEN}", "X-Request-Id: r-5")
        assert (await there.dispatch(head)).status == 204
        [row] = await rows(there)
        assert (row.actor, row.action, row.target) == ("operator", "DELETE /api/v1/admin/quarantined/{id}", "lobby")
        assert (row.status, row.code, row.request_id) == (204, "", "r-5")


async def test_refused_control_calls_leave_rows_too(autojump_clock: MockClock) -> None:
    """Who was recognised is named; who was not is nobody; what came of it is told."""
    async with house() as there:
        me = json.loads((await there.call("GET", "/api/v1/auth/me")).body)["user"]["id"]
        await there.dispatch(head_of("DELETE", RELEASE + "a"))
        await there.call("DELETE", RELEASE + "b")
        await there.operate("DELETE", RELEASE + "c")
        assert [(row.actor, row.target, row.status, row.code) for row in await rows(there)] == [
            ("", "a", 401, "unauthenticated"),
            (me, "b", 403, "forbidden"),
            ("operator", "c", 404, "not_found"),
        ]


async def test_what_cannot_be_recorded_is_not_done(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no row has room any more, a control call is refused and changes nothing; everything else goes on."""
    async with house() as there:
        await quarantine(there.engine, "lobby")

        async def away(_: object) -> EngineError:
            raise StoreUnavailable

        auditor = there.api.watch.auditor
        assert auditor is not None
        with monkeypatch.context() as patched:
            patched.setattr(there.store.audit, "add", away)
            for _ in range(QUEUE_ROWS):
                auditor.promise(runs_server=True)
            answer = await there.operate("DELETE", RELEASE + "lobby")
            assert (answer.status, json.loads(answer.body)["code"]) == (503, "overloaded")
            assert len(there.engine.quarantined()) == 1
            assert (await there.call("GET", "/api/v1/auth/me")).status == 200


async def test_pages_of_the_audit_log(autojump_clock: MockClock) -> None:
    """The newest first; `next` leads on to the end; one actor's alone; bad questions are refused."""
    async with house() as there:
        for number in range(5):
            await there.operate("DELETE", RELEASE + str(number))
            await there.dispatch(head_of("DELETE", RELEASE + f"x{number}"))
        seen: list[str] = []
        query = "?limit=3"
        while True:
            page = json.loads((await there.operate("GET", "/api/v1/admin/audit" + query)).body)
            seen += [row["target"] for row in page["rows"]]
            if page["next"] is None:
                break
            query = f"?limit=3&before={page['next']}"
        assert sorted(seen) == sorted([*"01234", *(f"x{number}" for number in range(5))])
        mine = json.loads((await there.operate("GET", "/api/v1/admin/audit?actor=operator")).body)["rows"]
        assert sorted(row["target"] for row in mine) == [*"01234"]
        assert {row["action"] for row in mine} == {"DELETE /api/v1/admin/quarantined/{id}"}
        for bad in ("?limit=0", "?limit=501", "?before=x", "?actor=" + "a" * 200):
            assert (await there.operate("GET", "/api/v1/admin/audit" + bad)).status == 400, bad
        assert (await there.call("GET", "/api/v1/admin/audit")).status == 403


async def test_a_change_that_came_by_no_call_leaves_a_row(autojump_clock: MockClock) -> None:
    """A file that was read again, a signal: in order with the calls."""
    async with house() as there:
        there.api.watch.reloaded("file", ["access.guests", "limits.on"], True)
        there.api.watch.reloaded("signal", (), False)
        await there.operate("DELETE", RELEASE + "x")
        first, second, third = await rows(there)
        assert (first.actor, first.action, first.target) == ("file", "config.reload", "access.guests limits.on")
        assert (first.status, first.code) == (200, "")
        assert (second.actor, second.target, second.status, second.code) == ("signal", "", 422, "unprocessable")
        assert third.target == "x"
