"""Request ids: which are taken over, and where they appear."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.ids import MAX_REQUEST_ID_CHARS
from hubbub.engine.core.permissions import Access
from hubbub.engine.log import get_logger
from hubbub.transport import request_id
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.http_message import Response
from hubbub.transport.routes import Route, Routes

from .world import serving


@pytest.mark.parametrize(
    "given", [b"1", b"018f-7a.b_c~d", b"Root=1-67891233-abcdef012345678912345678", b"a" * 128, b"YWJj/+=="]
)
def test_a_sound_id_is_kept(given: bytes) -> None:
    """UUIDs, trace ids of proxies and Base64 pass."""
    assert request_id.accepted(given).encode() == given


@pytest.mark.parametrize(
    "given", [None, b"", b"a" * 129, b"a b", b'a"b', b"a\\b", b"a,b", b"<script>", b"a\tb", "ä".encode(), b"a\x00"]
)
def test_anything_else_is_replaced(given: bytes | None) -> None:
    """What is missing, too long, or could mean something in a header, a log line or JSON gets a fresh one."""
    found = request_id.accepted(given)
    assert len(found) == 24
    assert int(found, 16) >= 0


@given(st.binary())
def test_an_id_needs_no_escaping_anywhere(data: bytes) -> None:
    """Whatever is sent, what stands for it in JSON and in a header is as long as it is."""
    found = request_id.accepted(data)
    assert json.dumps(found) == f'"{found}"'
    assert 1 <= len(found) <= MAX_REQUEST_ID_CHARS


def test_fresh_ids_differ() -> None:
    """Ten thousand of them."""
    assert len({request_id.fresh() for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize("cold", [False, True])
async def test_it_is_in_answer_problem_call_and_log(patient_clock, cold, caplog):
    """One id leads from the client's log to ours, at once and after a wait, in both lanes; the next request has its own."""
    log = get_logger("hubbub.test")
    calls = []

    def now(api, call, respond):
        calls.append(call.request_id)
        log.info("at once")
        respond(Response(200))

    def later(api, call, respond):
        async def work():
            log.info("later")
            return Response(200)

        api.later(work, respond)

    extra = (
        Route(method="GET", path="/now", endpoint=now, access=Access.ANYONE),
        Route(method="GET", path="/later", endpoint=later, access=Access.ANYONE),
    )
    caplog.set_level(logging.INFO, "hubbub.test")
    async with (
        serving(api={"routes": Routes(ROUTES.routes + extra)}) as world,
        world.cold_client() if cold else world.client() as client,
    ):
        first = await client.ask("GET", "/now", x_request_id="mine-1")
        second = await client.ask("GET", "/later", x_request_id="mine-2")
        problem = await client.ask("GET", "/api/v1/auth/me", x_request_id="mine-3")
        fresh = await client.ask("GET", "/now")
    assert [answer.header("x-request-id") for answer in (first, second, problem)] == ["mine-1", "mine-2", "mine-3"]
    assert problem.json["request_id"] == "mine-3"
    assert calls == ["mine-1", fresh.header("x-request-id")]
    assert [record.fields["request_id"] for record in caplog.records] == ["mine-1", "mine-2", calls[1]]  # type: ignore[attr-defined]
    log.info("no request")
    assert "request_id" not in caplog.records[-1].fields  # type: ignore[attr-defined]
