"""One request id, from the client's header over the access log to the rows of the store, and to no other client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx
import pytest
from websockets.sync.client import connect

from ..serverproc import wait_until
from .processes import Server

pytestmark = pytest.mark.server

ROOM = "traced"
PATH = "/api/v1/conversations/" + ROOM
MESSAGES = PATH + "/messages"
EVENTS = "select type, body->>'text', request_id from events where conversation = $1 order by \"offset\""
MAKING = "select null, null, request_id from conversations where id = $1"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with its access log on."""
    found = Server()
    try:
        found.start("--log-level", "info", "--log-format", "json")
        yield found
        found.check_log()
    finally:
        found.discard()


async def _read(server: Server, statement: str) -> list[tuple[Any, ...]]:
    where = {"host": server.socket_directory, "port": 5432, "user": "hubbub", "database": "hubbub"}
    connection = await asyncpg.connect(**where, timeout=10)
    try:
        return [tuple(row) for row in await connection.fetch(statement, ROOM)]
    finally:
        await connection.close()


def rows(server: Server, statement: str = EVENTS) -> list[tuple[Any, ...]]:
    """What the store holds of the room: type, text and request id."""
    return asyncio.run(_read(server, statement))


def access_line(server: Server, request_id: str) -> dict[str, Any]:
    """The one line of the access log with this id; it may be written just after the answer."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        assert server.process is not None
        lines = [json.loads(line) for line in server.process.output().splitlines() if line.startswith("{")]
        found[:] = [line for line in lines if line.get("request_id") == request_id and line["event"] == "request"]
        return bool(found)

    wait_until(there, f"a line for {request_id}")
    assert len(found) == 1
    return found[0]


def somebody(server: Server, name: str) -> httpx.Client:
    """A guest's client."""
    answer = httpx.post(server.url + "/api/v1/auth/guest", json={"name": name}, trust_env=False)
    bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
    return httpx.Client(base_url=server.url, headers=bearer, trust_env=False)


def ask(client: httpx.Client, request_id: str, method: str, path: str, **body: Any) -> httpx.Response:
    """A call that has a name."""
    answer = client.request(method, path, json=body, headers={"X-Request-Id": request_id})
    answer.raise_for_status()
    assert answer.headers["x-request-id"] == request_id
    return answer


def test_one_id_leads_from_the_access_log_to_the_rows(server: Server) -> None:
    """Whatever REST writes into a conversation: its making, a message, a change of it and of its members."""
    with somebody(server, "Ada") as ada, somebody(server, "Bob") as bob:
        ask(ada, "made-1", "POST", "/api/v1/conversations", id=ROOM, visibility="public")
        ask(ada, "abc-1234567890", "POST", MESSAGES, text="by name")
        ask(ada, "renamed-1", "PATCH", PATH, title="Traced")
        ask(bob, "joined-1", "POST", PATH + "/join")
        unnamed = ada.post(MESSAGES, json={"text": "without"})
        given = unnamed.headers["x-request-id"]
        ask(ada, "longest/" + "x" * 120, "POST", MESSAGES, text="longest")
    assert rows(server, MAKING) == [(None, None, "made-1")]
    found = rows(server)
    assert found == [
        ("message.created", "by name", "abc-1234567890"),
        ("conversation.updated", None, "renamed-1"),
        ("member.joined", None, "joined-1"),
        ("message.created", "without", given),
        ("message.created", "longest", "longest/" + "x" * 120),
    ]
    posts = [access_line(server, name) for _, text, name in found if text is not None]
    assert {(line["method"], line["status"], line["conversation"]) for line in posts} == {("POST", 201, ROOM)}
    assert access_line(server, "made-1")["route"] == "/api/v1/conversations"


def test_what_comes_by_a_connection_has_the_id_that_opened_it(server: Server) -> None:
    """A WebSocket and a stream over HTTP: the line of the access log and the rows agree."""
    with somebody(server, "Ada") as ada, somebody(server, "Bob") as bob:
        ask(ada, "made-1", "POST", "/api/v1/conversations", id=ROOM, visibility="public")
        token = bob.headers["Authorization"].removeprefix("Bearer ")
        hello = {"id": 1, "connect": {"token": token}}
        headers = {"X-Request-Id": "socket-1"}
        with connect(server.websocket_url, proxy=None, additional_headers=headers) as socket:
            publish = {"id": 2, "publish": {"channel": ROOM, "data": {"text": "published"}}}
            post = {"id": 3, "rpc": {"method": "post", "data": {"conversation": ROOM, "text": "posted"}}}
            join = {"id": 4, "rpc": {"method": "join", "data": {"conversation": ROOM}}}
            for command in (hello, publish, post, join):
                socket.send(json.dumps(command))
                reply = json.loads(socket.recv(timeout=20))
                assert "error" not in reply, reply
        headers = {"X-Request-Id": "stream-1"}
        with bob.stream("POST", "/connection/http_stream", content=json.dumps(hello), headers=headers) as stream:
            lines = stream.iter_lines()
            names = json.loads(next(lines))["connect"]
            publish = {"id": 2, "publish": {"channel": ROOM, "data": {"text": "emulated"}}}
            said = {"session": names["session"], "node": names["node"], "data": json.dumps(publish)}
            ask(bob, "said-1", "POST", "/emulation", **said)
            assert json.loads(next(lines))["id"] == 2
    assert rows(server) == [
        ("message.created", "published", "socket-1"),
        ("message.created", "posted", "socket-1"),
        ("member.joined", None, "socket-1"),
        ("message.created", "emulated", "stream-1"),
    ]
    assert access_line(server, "socket-1")["status"] == 101
    assert access_line(server, "stream-1")["route"] == "/connection/http_stream"


def test_nobody_is_shown_it(server: Server) -> None:
    """Not in deliveries, history, event streams or records: what one sends to be found in the logs is no news to others."""
    mark = "mark-7f3a"
    with somebody(server, "Ada") as ada, somebody(server, "Bob") as bob:
        ask(ada, mark, "POST", "/api/v1/conversations", id=ROOM, visibility="public")
        token = bob.headers["Authorization"].removeprefix("Bearer ")
        seen: list[str] = []
        with connect(server.websocket_url, proxy=None) as socket:
            commands = [{"id": 1, "connect": {"token": token}}, {"id": 2, "subscribe": {"channel": ROOM}}]
            socket.send("\n".join(map(json.dumps, commands)))
            while '"id":2' not in "".join(seen):
                seen.append(str(socket.recv(timeout=20)))
            ask(ada, mark, "POST", MESSAGES, text="for all")
            ask(ada, mark, "PATCH", PATH, title="Shown")
            while '"title":"Shown"' not in seen[-1]:
                seen.append(str(socket.recv(timeout=20)))
            socket.send(json.dumps({"id": 3, "history": {"channel": ROOM, "limit": -1}}))
            seen.append(str(socket.recv(timeout=20)))
        seen += [bob.get(path).text for path in (MESSAGES, PATH, "/api/v1/conversations")]
        with bob.stream("GET", PATH + "/events", params={"after": 0}) as stream:
            lines = stream.iter_lines()
            while not seen[-1].startswith("event: conversation.updated"):
                seen.append(next(lines))
            seen.append(next(lines))
    assert {name for _, _, name in rows(server)} == {mark}
    assert "for all" in "".join(seen)
    assert mark not in "".join(seen)
