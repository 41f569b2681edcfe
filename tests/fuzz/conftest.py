"""One real server with an embedded Postgres for all cases, and those who call it. They share it because starting one takes longer
than all the cases of a call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import httpx
import pytest

from hubbub.operator_token import load

from ..serverproc import ServerProcess, data_folder, running_server


@attrs.frozen
class House:
    """A server, and tokens of those who call it.

    Attributes:
        known: by the name that a path gives them, ids of what is there.
    """

    server: ServerProcess
    known: dict[str, list[str]]
    _tokens: dict[tuple[str, str], str] = attrs.field(factory=dict, repr=False)

    def token_of(self, who: str, call: str) -> str | None:
        """The token with which somebody makes a call: one for each call, so that one's logout is no other's. None for nobody."""
        if who == "nobody":
            return None
        if who == "operator":
            return load(self.server.data_dir)
        if (who, call) not in self._tokens:
            self._tokens[who, call] = self.ask("POST", "/api/v1/auth/guest", {"name": "Fuzz"})["token"]
        return self._tokens[who, call]

    def ask(self, method: str, path: str, body: object = None, token: str | None = None) -> dict[str, Any]:
        """A call that goes well."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        answer = httpx.request(method, self.server.url + path, json=body, headers=headers, timeout=30)
        assert answer.is_success, answer.text
        return dict(answer.json())


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A server with a conversation and a message in it; it is well at the end."""
    with data_folder() as data, running_server(data) as server:
        there = House(server, {"id": ["lobby"]})
        posted = there.ask(
            "POST", "/api/v1/conversations/lobby/messages", {"text": "hello"}, there.token_of("guest", "")
        )
        there.known["message"] = [posted["id"]]
        yield there
        assert there.ask("GET", "/health/ready")["status"] == "ready"
        assert "Traceback" not in server.output()
