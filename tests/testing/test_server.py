"""The test server: real clients on a free port, with tokens of the embedding program's own."""

from __future__ import annotations

import httpx
import pytest
import trio

from hubbub import Author, Engine, Overloaded, Principal
from hubbub.testing import open_test_engine, open_test_server
from hubbub.transport.auth import Credential


async def me(url: str, token: str) -> httpx.Response:
    """Whom a token stands for, as the server says."""
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {token}"}) as client:
        return await client.get("/api/v1/auth/me")


class Desk:
    """An authenticator that knows the token `ada` and fails as told."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.asked: list[str] = []
        self.error: Exception | None = None

    async def authenticate(self, token: str) -> Credential | None:
        self.asked.append(token)
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        if token.startswith("ada"):
            return Credential(Principal(Author("ada", "Ada")), self.engine.now_ms() + 60_000)
        return None


async def test_guests_are_served_and_the_port_is_closed_afterwards() -> None:
    """A guest's token is good without an authenticator; leaving the block ends the server, not the engine."""
    async with open_test_engine() as engine:
        async with open_test_server(engine) as url:
            async with httpx.AsyncClient(base_url=url) as client:
                made = (await client.post("/api/v1/auth/guest", json={"name": "Ada"})).json()
            assert (await me(url, made["token"])).json()["user"]["name"] == "Ada"
        with pytest.raises(httpx.ConnectError):
            await me(url, made["token"])


async def test_an_authenticator_is_asked_once_and_not_for_guests() -> None:
    """What it knows is remembered; what it does not know is looked for among the session tokens."""
    async with open_test_engine() as engine:
        desk = Desk(engine)
        async with open_test_server(engine, authenticate=desk.authenticate) as url:
            async with httpx.AsyncClient(base_url=url) as client:
                guest = (await client.post("/api/v1/auth/guest", json={"name": "Bob"})).json()["token"]
            assert [(await me(url, token)).status_code for token in ("ada", "ada", guest, "eve")] == [
                200,
                200,
                200,
                401,
            ]
            long = "ada" + "x" * 3000
            assert (await me(url, long)).status_code == 200
        assert desk.asked == ["ada", "eve", long]


async def test_an_authenticator_that_fails_is_an_answer() -> None:
    """An error of the engine's is given as it is, a bug as an internal error; the server goes on."""
    async with open_test_engine() as engine:
        desk = Desk(engine)
        async with open_test_server(engine, authenticate=desk.authenticate) as url:
            desk.error = Overloaded("the directory is slow")
            assert (await me(url, "ada")).json()["code"] == "overloaded"
            desk.error = RuntimeError("a secret of the embedder")
            answer = await me(url, "ada")
            assert (answer.status_code, answer.json()["code"]) == (500, "internal")
            assert "secret" not in answer.text
            desk.error = None
            assert (await me(url, "ada")).status_code == 200


async def test_what_the_test_raises_comes_out_as_it_is() -> None:
    """No group of an inner nursery around it."""
    async with open_test_engine() as engine:
        with pytest.raises(KeyError, match="mine"):
            async with open_test_server(engine):
                raise KeyError("mine")
