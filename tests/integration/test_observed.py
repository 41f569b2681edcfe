"""What a busy server tells of itself: figures that agree with its clients, and logs that hold no secret and no message."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from hubbub.operator_token import FILE_NAME

from ..serverproc import ServerProcess, data_folder, running_server

pytestmark = pytest.mark.server

TEXTS = [f"quarterly figures of unit {number} are embarrassing" for number in range(20)]
META = "meta-nobody-may-read"
QUERY = "around-nobody-may-read"
Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A server that logs all it has to say, for programs."""
    with data_folder() as data, running_server(data, "--log-level", "debug", "--log-format", "json") as running:
        yield running


def operator_token(server: ServerProcess) -> str:
    return (server.data_dir / FILE_NAME).read_text().strip()


def client(server: ServerProcess, token: str | None = None, **headers: str) -> httpx.Client:
    bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=server.url, headers=bearer | headers, trust_env=False)


def figures(server: ServerProcess) -> Figures:
    """Every series of `/metrics`."""
    with client(server, operator_token(server)) as operator:
        page = operator.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def lines(server: ServerProcess) -> list[dict[str, Any]]:
    """What the server has logged."""
    return [json.loads(line) for line in server.output().splitlines() if line.startswith("{")]


def guest(server: ServerProcess, name: str) -> str:
    """A guest's token."""
    answer = httpx.post(server.url + "/api/v1/auth/guest", json={"name": name}, trust_env=False)
    return str(answer.json()["token"])


@contextmanager
def talking(server: ServerProcess, token: str, room: str) -> Iterator[ClientConnection]:
    """A WebSocket that follows a room."""
    url = server.url.replace("http", "ws") + "/connection/websocket"
    with connect(url, proxy=None) as socket:
        asked = [{"id": 1, "connect": {"token": token}}, {"id": 2, "subscribe": {"channel": room}}]
        socket.send("\n".join(map(json.dumps, asked)))
        replies: list[str] = []
        while len(replies) < len(asked):
            replies += str(socket.recv(timeout=20)).splitlines()
        assert [list(json.loads(reply)) for reply in replies] == [["id", "connect"], ["id", "subscribe"]]
        yield socket


def grown(before: Figures, after: Figures, name: str, **labels: str) -> float:
    """By how much a series rose; one that was not there began at nought."""
    key = (name, tuple(sorted(labels.items())))
    return after[key] - before.get(key, 0)


def test_the_figures_are_the_clients_own_counts(server: ServerProcess) -> None:
    """Posts, deliveries, answers and refusals by class, connections by kind."""
    token = guest(server, "Ada")
    path = "/api/v1/conversations/counted/messages"
    with client(server, token) as ada:
        ada.post("/api/v1/conversations", json={"id": "counted", "visibility": "public"}).raise_for_status()
        before = figures(server)
        with talking(server, token, "counted") as one, talking(server, token, "counted") as two:
            statuses = [ada.post(path, json={"text": text}).status_code for text in TEXTS]
            statuses += [ada.post(path, json={"text": 7}).status_code for _ in range(3)]
            one.send(json.dumps({"id": 3, "publish": {"channel": "nowhere", "data": {"text": "x"}}}))
            heard = [read_events(one, len(TEXTS)), read_events(two, len(TEXTS))]
            open_now = figures(server)
    assert heard == [TEXTS, TEXTS]
    assert statuses == [201] * len(TEXTS) + [400] * 3
    template = "/api/v1/conversations/{id}/messages"
    posted = {"method": "POST", "route": template}
    assert grown(before, open_now, "hubbub_requests_total", **posted, status="2xx") == len(TEXTS)
    assert grown(before, open_now, "hubbub_requests_total", **posted, status="4xx") == 3
    assert grown(before, open_now, "hubbub_request_seconds_count", **posted) == len(statuses)
    assert grown(before, open_now, "hubbub_refusals_total", transport="rest", code="invalid_request") == 3
    assert grown(before, open_now, "hubbub_refusals_total", transport="websocket", code="not_found") == 1
    assert grown(before, open_now, "hubbub_writer_rows_total") == len(TEXTS)
    assert grown(before, open_now, "hubbub_deliveries_total") == 2 * len(TEXTS)
    assert grown(before, open_now, "hubbub_connections_open", kind="websocket") == 2
    upgraded = {"method": "GET", "route": "/connection/websocket", "status": "1xx"}
    assert grown(before, open_now, "hubbub_requests_total", **upgraded) == 2


def read_events(socket: ClientConnection, count: int) -> list[str]:
    """The texts of so many messages."""
    heard: list[str] = []
    while len(heard) < count:
        for line in str(socket.recv(timeout=20)).splitlines():
            push = json.loads(line).get("push")
            if push is not None and "pub" in push:
                heard.append(push["pub"]["data"]["message"]["text"])
    return heard


def test_a_busy_run_logs_no_secret_and_no_message(server: ServerProcess) -> None:
    """Every way in, rightly and wrongly: no token, text, meta or query value is in any line, at any level; every line is JSON."""
    token, wrong = guest(server, "Eve"), "hbg_" + "W" * 43
    path = "/api/v1/conversations/busy/messages"
    with client(server, token, **{"X-Request-Id": "busy-1"}) as eve:
        eve.post("/api/v1/conversations", json={"id": "busy", "visibility": "public"}).raise_for_status()
        with talking(server, token, "busy") as socket:
            for number, text in enumerate(TEXTS):
                body, key = {"text": text, "meta": {"note": META}}, {"Idempotency-Key": f"k-{number}"}
                eve.post(path, json=body, headers=key).raise_for_status()
            read_events(socket, len(TEXTS))
            bad = {"conversation": "busy", "text": TEXTS[0] + chr(0)}
            socket.send(json.dumps({"id": 9, "rpc": {"method": "post", "data": bad}}))
            socket.recv(timeout=20)
        eve.get(path, params={"around": QUERY})
        eve.post(path, content=b'{"text": "' + TEXTS[1].encode())
        eve.post("/api/v1/conversations/" + wrong + "/typing", json={"text": TEXTS[2]})
        with eve.stream("GET", "/api/v1/conversations/busy/events", params={"after": 0}) as stream:
            next(stream.iter_lines())
    with client(server, None, Cookie=f"hubbub_session={token}") as tab:
        assert tab.get("/api/v1/auth/me").status_code == 200
    for credential in (wrong, operator_token(server)):
        with client(server, credential) as nobody:
            nobody.get(path, params={"token": token})
            nobody.delete("/api/v1/admin/quarantined/busy")
    url, bearer = server.url.replace("http", "ws") + "/connection/websocket", {"Authorization": f"Bearer {wrong}"}
    with pytest.raises(InvalidStatus), connect(url, additional_headers=bearer, proxy=None):
        pass
    told = server.output()
    logged = lines(server)
    assert {line["event"] for line in logged} >= {"request", "audit"}
    assert [line["route"] for line in logged if line.get("request_id") == "busy-1"]
    secrets = [token, wrong, operator_token(server), META, QUERY, *TEXTS, "quarterly", "embarrassing"]
    assert [secret for secret in secrets if secret in told] == []
    assert [line for line in told.splitlines() if not line.startswith(("{", "hubbub ", "make the first"))] == []


def test_every_control_call_is_in_the_audit_log(server: ServerProcess) -> None:
    """What the operator and others tried, the newest first, found by the request's id in the log, too."""
    token = guest(server, "Mallory")
    with client(server, token) as mallory, client(server, operator_token(server)) as operator:
        mallory.delete("/api/v1/admin/quarantined/lobby", headers={"X-Request-Id": "try-1"})
        operator.delete("/api/v1/admin/quarantined/lobby", headers={"X-Request-Id": "try-2"})
        rows = operator.get("/api/v1/admin/audit", params={"limit": 2}).json()["rows"]
        me = mallory.get("/api/v1/auth/me").json()["user"]["id"]
    assert [(row["actor"], row["target"], row["status"], row["request_id"]) for row in rows] == [
        ("operator", "lobby", 404, "try-2"),
        (me, "lobby", 403, "try-1"),
    ]
    assert {line["request_id"] for line in lines(server) if line["event"] == "audit"} >= {"try-1", "try-2"}


def raw(server: ServerProcess, sent: bytes) -> bytes:
    """What comes back for these bytes, to the end of the connection."""
    where = httpx.URL(server.url)
    with socket.create_connection((where.host, where.port or 80), timeout=20) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        found = b""
        while piece := sock.recv(65_536):
            found += piece
    return found


def test_what_no_endpoint_serves_is_counted_and_logged(server: ServerProcess) -> None:
    """Pages; paths and methods that are not there, in both lanes; heads and bodies that are none. No path is told."""
    before, known = figures(server), len(lines(server))
    with client(server) as http:
        assert [http.get(path).status_code for path in ("/", "/admin", "/static/app.js", "/favicon.ico")] == [200] * 4
        assert http.get("/static/nobody-may-read.js").status_code == 404
        assert http.get("/nobody-may-read").status_code == 404
        assert http.get("/api/v1/nobody-may-read").status_code == 404
        assert http.delete("/health").status_code == 405
        assert http.put("/api/v1/nobody-may-read", content=b"x").status_code == 404
        assert http.request("PROPFIND", "/api/v1/nobody-may-read").status_code == 404
        assert http.post("/api/v1/auth/guest", content=b"x" * 5_000).status_code == 413
    assert raw(server, b"nobody may read\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    after = figures(server)
    pages, lost = {"route": "(pages)"}, {"route": "(unmatched)", "status": "4xx"}
    assert grown(before, after, "hubbub_requests_total", method="GET", status="2xx", **pages) == 4
    assert grown(before, after, "hubbub_requests_total", method="GET", **lost) == 3
    assert grown(before, after, "hubbub_requests_total", method="DELETE", **lost) == 1
    assert grown(before, after, "hubbub_requests_total", method="PUT", **lost) == 1
    assert grown(before, after, "hubbub_requests_total", method="POST", **lost) == 1
    assert grown(before, after, "hubbub_requests_total", method="(other)", **lost) == 2
    assert grown(before, after, "hubbub_refusals_total", transport="http", code="not_found") == 5
    assert grown(before, after, "hubbub_refusals_total", transport="http", code="method_not_allowed") == 1
    assert grown(before, after, "hubbub_refusals_total", transport="http", code="too_large") == 1
    assert grown(before, after, "hubbub_refusals_total", transport="http", code="invalid_request") == 1
    assert not [series for series in after if "nobody" in str(series)]
    told = [line for line in lines(server)[known:] if line["event"] == "request"]
    assert [line["route"] for line in told].count("(pages)") == 4
    assert [line["route"] for line in told].count("(unmatched)") == 8
    assert "nobody" not in str(told)
