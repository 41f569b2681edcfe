"""The calls of administrators about accounts: the last of them cannot be lost by any of these calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from trio.testing import MockClock

from hubbub.engine.core.principals import ServerRole

from .house import PASSWORD, House, house


async def make_ada(there: House) -> str:
    """Ada, an administrator, whose token is the one that is shown from now on; her id."""
    issued = await there.log_in("ada", ServerRole.ADMIN)
    there.token = issued.token
    return issued.credential.principal.id


@pytest.mark.parametrize(
    ("by", "method", "path", "body"),
    [
        *(
            (by, method, "/api/v1/admin/users/{id}", body)
            for by in ("herself", "the operator")
            for method, body in (
                ("PATCH", {"role": "member"}),
                ("PATCH", {"disabled": True}),
                ("PATCH", {"disabled": True, "name": "Gone"}),
                ("DELETE", None),
            )
        ),
        ("herself", "DELETE", "/api/v1/auth/me", {"password": PASSWORD}),
    ],
)
async def test_the_last_administrator_stays(
    by: str, method: str, path: str, body: Any, autojump_clock: MockClock
) -> None:
    """Demoting, disabling and deleting the only one are refused with 409, and change nothing; with another one they work."""
    async with house() as there:
        ada = await make_ada(there)
        disabled = await there.account("bob", ServerRole.ADMIN)
        assert (await there.operate("PATCH", f"/api/v1/admin/users/{disabled.id}", {"disabled": True})).status == 200
        ask = there.call if by == "herself" else there.operate
        refused = await ask(method, path.format(id=ada), body)
        assert (refused.status, json.loads(refused.body)["code"]) == (409, "conflict")
        shown = json.loads((await there.call("GET", f"/api/v1/admin/users/{ada}")).body)
        assert (shown["role"], shown["disabled_at"], shown["name"]) == ("admin", None, "ada")
        await there.account("carl", ServerRole.ADMIN)
        assert (await ask(method, path.format(id=ada), body)).status in (200, 204)
