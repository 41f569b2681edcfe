"""The stock SDKs with credentials of accounts: a session token and an API key, revoked, and of somebody whose role changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import httpx
import pytest
from centrifuge.exceptions import ReplyError

from ..serverproc import ServerProcess, data_folder, running_server
from .test_identity import PASSWORD, bearer, set_up
from .test_tokens import SDKS
from .token_clients import OpenClient, Shop, Told, python_client

pytestmark = pytest.mark.server


@attrs.define(eq=False)
class Fixed(Shop):
    """Has one token, and gives it to whoever asks."""

    token: str = ""

    def mint(self, channel: str) -> str | None:
        return self.token


@attrs.define(eq=False)
class Office:
    """A server with the administrator root, and what root does by REST."""

    server: ServerProcess
    http: httpx.Client
    root: dict[str, str]

    @property
    def websocket_url(self) -> str:
        """Where SDKs connect."""
        return self.server.url.replace("http", "ws", 1) + "/connection/websocket"

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """One call, by root unless another credential is given; it must succeed."""
        answer = self.http.request(method, f"/api/v1{path}", json=body, headers=headers or self.root)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def credential(self, kind: str, username: str) -> tuple[str, str]:
        """A token of that kind, and the path under which it is ended by its user."""
        body = {"username": username, "password": PASSWORD}
        session = self.call("POST", "/auth/login", body)["token"]
        if kind == "session":
            [one] = [each for each in self.sessions(session) if each["current"]]
            return session, f"/auth/sessions/{one['id']}"
        key = self.call("POST", "/auth/keys", {"scopes": ["read", "write", "admin"]}, bearer(session))
        return key["key"], f"/auth/keys/{key['id']}"

    def sessions(self, token: str) -> list[Any]:
        """One's own."""
        return list(self.call("GET", "/auth/sessions", headers=bearer(token))["sessions"])


async def revoked(office: Office, sdk: OpenClient, kind: str) -> None:
    """It connects; its credential is revoked; it is told, and stays away."""
    token, path = office.credential(kind, "ada")
    other, _ = office.credential("session", "ada")
    async with sdk(office.websocket_url, Fixed(token=token)) as told:
        await told.wait("connected")
        await asyncio.to_thread(office.call, "DELETE", path, None, bearer(other))
        await told.wait("disconnected", code=3500)
        assert (told.count("connected"), told.count("connecting")) == (1, 1)


@pytest.mark.parametrize("sdk", SDKS)
def test_a_revoked_credential_ends_its_connection_for_good(sdk: OpenClient) -> None:
    """3500, after which the SDKs do not come back; for session tokens and for keys."""

    async def scenario(there: Office) -> None:
        for kind in ("session", "key"):
            await revoked(there, sdk, kind)

    in_office(scenario)


def test_a_changed_role_counts_after_a_reconnect_of_the_sdk() -> None:
    """4002, after which it comes back with the same credential, as who it is now: a member, to whom the vault does not exist."""

    async def scenario(there: Office) -> None:
        [ada] = there.call("GET", "/admin/users?matching=ada")["users"]
        for kind in ("session", "key"):
            there.call("PATCH", f"/admin/users/{ada['id']}", {"role": "admin"})
            token, _ = there.credential(kind, "ada")
            async with python_client(there.websocket_url, Fixed(token=token)) as told:
                await told.wait("connected")
                assert await asks_for_the_vault(told) == "vault"
                await asyncio.to_thread(there.call, "PATCH", f"/admin/users/{ada['id']}", {"role": "member"})
                await told.wait("connecting", code=4002)
                await told.wait("connected", 2)
                assert await asks_for_the_vault(told) == 102

    in_office(scenario)


async def asks_for_the_vault(told: Told) -> Any:
    """Its id as who asks sees it, else the code of the refusal."""
    assert told.client is not None
    try:
        return (await told.client.rpc("conversation", {"conversation": "vault"})).data["id"]
    except ReplyError as error:
        return error.code


def in_office(scenario: Callable[[Office], Awaitable[None]]) -> None:
    """Carry a scenario out on a server with root, ada, an administrator, and a private conversation of root's."""
    with (
        data_folder() as data,
        running_server(data, guests=False) as server,
        httpx.Client(base_url=server.url, timeout=30.0) as http,
    ):
        root = bearer(set_up(server, http).json()["token"])
        http.cookies.clear()
        there = Office(server, http, root)
        there.call("POST", "/admin/users", {"username": "ada", "password": PASSWORD, "role": "admin"})
        there.call("POST", "/conversations", {"id": "vault"})

        async def bounded() -> None:
            async with asyncio.timeout(90.0):
                await scenario(there)

        asyncio.run(bounded())
