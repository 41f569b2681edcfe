"""One real server with an embedded Postgres for all cases, and those who call it. They share it because starting one takes longer
than all the cases of a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import httpx
import pytest

from hubbub.operator_token import load

from ..serverproc import ServerProcess, data_folder, running_server

Known = Mapping[str, tuple[str, ...]]
"""By the name that a path gives them, ids of what is there."""


@attrs.frozen
class Caller:
    """Somebody who makes calls.

    Attributes:
        token: None for nobody.
        known: what they may name; among it what is their own.
    """

    token: str | None
    known: Known


@attrs.frozen
class House:
    """A server, and who calls it."""

    server: ServerProcess
    _callers: dict[tuple[str, str], Caller] = attrs.field(factory=dict, repr=False)

    def caller(self, who: str, call: str) -> Caller:
        """Who makes one kind of call: a guest of its own for each, so that one's logout or ban is no other's."""
        if (who, call) not in self._callers:
            self._callers[who, call] = self._made(who)
        return self._callers[who, call]

    def _made(self, who: str) -> Caller:
        if who == "guest":
            return self._guest()
        token = load(self.server.data_dir) if who == "operator" else None
        return Caller(token, {"id": ("lobby",)})

    def _guest(self) -> Caller:
        """Somebody with a conversation of their own, and a message in it."""
        issued = self.ask("POST", "/api/v1/auth/guest", {"name": "Fuzz"})
        token = issued["token"]
        room = self.ask("POST", "/api/v1/conversations", {}, token)["id"]
        posted = self.ask("POST", f"/api/v1/conversations/{room}/messages", {"text": "hello"}, token)
        return Caller(token, {"id": (room, "lobby"), "message": (posted["id"],), "user": (issued["user"]["id"],)})

    def ask(self, method: str, path: str, body: object = None, token: str | None = None) -> dict[str, Any]:
        """A call that goes well."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        answer = httpx.request(method, self.server.url + path, json=body, headers=headers, timeout=30)
        assert answer.is_success, answer.text
        return dict(answer.json())


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A server that is well at the end."""
    with data_folder() as data, running_server(data) as server:
        there = House(server)
        yield there
        assert there.ask("GET", "/health/ready")["status"] == "ready"
        assert "Traceback" not in server.output()
