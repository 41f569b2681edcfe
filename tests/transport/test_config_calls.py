"""The configuration on the wire: for admins, and what anyone may know of it."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from trio.testing import MockClock

from hubbub.engine import Conflict, PreconditionFailed
from hubbub.transport.config_calls import ConfigStatus, SettingsRefused

from .configuration import Written
from .house import OPERATOR_TOKEN, House, head_of, house

CONFIG = "/api/v1/admin/config"


def furnished(there: House, configuration: Written) -> Written:
    """Give a house this configuration."""
    there.api = attrs.evolve(there.api, configuration=configuration)
    return configuration


async def put(there: House, body: bytes, *headers: str) -> tuple[int, dict[str, Any]]:
    """Change the configuration as the operator."""
    head = head_of("PUT", CONFIG, f"Authorization: Bearer {OPERATOR_TOKEN}", *headers)
    answer = await there.dispatch(head, body)
    return answer.status, json.loads(answer.body)


async def test_what_an_admin_sees(autojump_clock: MockClock) -> None:
    """All settings, who said them, how the last reload went, and a tag to change them by."""
    async with house() as there:
        status = ConfigStatus(generation=3, ok=False, at_ms=0, problems=("a: b",), needs_restart=("serve.port",))
        furnished(there, Written(status=status))
        answer = await there.operate("GET", CONFIG)
        assert (answer.status, dict(answer.headers)["etag"]) == (200, '"3.abc"')
        assert json.loads(answer.body) == {
            "generation": 3,
            "reload": {
                "result": "failed",
                "at": "1970-01-01T00:00:00.000Z",
                "problems": ["a: b"],
                "needs_restart": ["serve.port"],
            },
            "settings": {"access": {"guests": True}},
            "origins": {"access.guests": "hubbub.toml:2"},
        }


async def test_what_anyone_sees(autojump_clock: MockClock) -> None:
    """The generation, and whether the last reload went well; neither names nor lines of files."""
    async with house() as there:
        found = furnished(there, Written())
        for ok, word in ((True, "ok"), (False, "failed")):
            found.status = ConfigStatus(generation=3, ok=ok, problems=("/etc/hubbub.toml:3: x",))
            answer = await there.dispatch(head_of("GET", "/health"))
            expected = {"status": "ok", "config": {"generation": 3, "reload": word}}
            assert (answer.status, json.loads(answer.body)) == (200, expected)


async def test_it_is_for_admins(autojump_clock: MockClock) -> None:
    """401 for nobody, 403 for a guest, and nothing is asked of it."""
    async with house() as there:
        found = furnished(there, Written())
        for method in ("GET", "PUT"):
            assert (await there.dispatch(head_of(method, CONFIG), b"{}")).status == 401
            assert (await there.call(method, CONFIG, {})).status == 403
        assert found.merged == []


@pytest.mark.parametrize(
    ("header", "tags"),
    [((), None), (('If-Match: "3.abc"',), {"3.abc"}), (('If-Match: "1", "2"',), {"1", "2"}), (("If-Match: *",), None)],
)
async def test_a_change(header: tuple[str, ...], tags: set[str] | None, autojump_clock: MockClock) -> None:
    """The patch, the tag it is meant for, and who wants it."""
    async with house() as there:
        found = furnished(there, Written())
        status, document = await put(there, b'{"access": {"guests": null}}', *header)
        assert (status, document["generation"]) == (200, 3)
        assert found.merged == [({"access": {"guests": None}}, tags, "operator")]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PreconditionFailed("others"), 412, "precondition_failed"),
        (Conflict("fixed"), 409, "conflict"),
        (SettingsRefused(["a: x", "b: y"]), 422, "unprocessable"),
    ],
)
async def test_a_change_that_is_refused(error: Exception, status: int, code: str, autojump_clock: MockClock) -> None:
    """Each with its status and code; what is not acceptable is listed."""
    async with house() as there:
        furnished(there, Written(error=error))
        found, document = await put(there, b"{}")
        assert (found, document["code"]) == (status, code)
        if isinstance(error, SettingsRefused):
            assert document["problems"] == ["a: x", "b: y"]
            assert "problems" in document["detail"]
        [row] = await there.store.audit.page(before=None, limit=5)
        assert (row.status, row.code, row.target) == (status, code, "")


async def test_the_row_of_a_change_names_its_keys(autojump_clock: MockClock) -> None:
    """Each setting that was said something of, dotted; never a value."""
    async with house() as there:
        furnished(there, Written())
        await put(
            there, b'{"access": {"guests": null, "sign_up": "open"}, "limits": {"post": {"rate": 4711}}, "oidc": {}}'
        )
        [row] = await there.store.audit.page(before=None, limit=5)
        assert row.action == "PUT " + CONFIG
        assert row.target == "access.guests access.sign_up limits.post.rate oidc"


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b'{"a":' * 5000 + b"1" + b"}" * 5000])
async def test_a_body_that_is_no_table(body: bytes, autojump_clock: MockClock) -> None:
    """400, and nothing is asked of the configuration."""
    async with house() as there:
        found = furnished(there, Written())
        status, document = await put(there, body)
        assert (status, document["code"]) == (400, "invalid_request")
        assert found.merged == []


async def test_a_server_without_a_configuration(autojump_clock: MockClock) -> None:
    """An embedder passes settings: there is nothing to see or to change here."""
    async with house() as there:
        assert (await there.operate("GET", CONFIG)).status == 404
        assert json.loads((await there.dispatch(head_of("GET", "/health"))).body) == {"status": "ok"}
