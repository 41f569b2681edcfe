"""The real server behind nginx and Caddy, with the files of docs/deploy: what is promised holds for clients on the other side."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from ..serverproc import data_folder, start_server
from . import sdk
from .journal import Journal, until
from .processes import Server
from .proxies import Proxy, installed, proxy
from .rest import Guest, guest
from .tables import read_tables

pytestmark = [pytest.mark.server, pytest.mark.proxy]

PROXIES = [
    pytest.param(name, marks=pytest.mark.skipif(not installed(name), reason=f"{name} is not installed"))
    for name in ("nginx", "caddy")
]
ROOM = "behind:proxy"
WITHIN_S = 20.0
SOON_S = 5.0  # a proxy that keeps streams back does so until its buffer is full, which here is never


@pytest.fixture(params=PROXIES)
def behind(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    assert server.process is not None
    with proxy(request.param, tmp_path, server.process.port) as found:
        yield found


def test_clients_are_served_through_it(server: Server, behind: Proxy) -> None:
    """REST, refusals, the SDK, both kinds of stream; a kill and a drain that lose nothing and say what they are."""
    asyncio.run(_scenario(server, behind))


async def _scenario(server: Server, behind: Proxy) -> None:
    journal = Journal(f"centrifuge-python behind {behind.name}")
    async with AsyncExitStack() as stack:
        who = await stack.enter_async_context(guest(behind.url, "Ada", behind.trusting()))
        await who.create(ROOM)
        await _refusals_pass(behind, who)
        await _streams_are_not_kept_back(who)
        client = await stack.enter_async_context(sdk.sdk(behind.websocket_url, who.token, behind.trusting()))
        await sdk.follow(client, ROOM, journal, WITHIN_S)
        await asyncio.gather(*[sdk.post(client, ROOM, f"sdk-{number}", "by the SDK") for number in range(50)])
        for times, end in enumerate((server.kill, server.stop), start=1):
            posts = asyncio.gather(*[who.post(ROOM, f"{end.__name__}-{number}", "by REST") for number in range(50)])
            await asyncio.to_thread(end)
            await asyncio.to_thread(server.start)
            await posts
            await until(lambda times=times: journal.resumed == times, WITHIN_S, f"resumed {times} times")
        await journal.reach((await _record(who))["offset"], WITHIN_S)
        tables = await read_tables(server, ROOM)
        tables.check()
        journal.check(tables.events[2:])  # two were there before it
        assert journal.resets == 0
        await _drain_is_said(server, behind, who)


async def _record(who: Guest) -> dict[str, Any]:
    answer = await who.http.get(f"/api/v1/conversations/{ROOM}", headers=who.authorization)
    found: dict[str, Any] = answer.json()
    return found


async def _refusals_pass(behind: Proxy, who: Guest) -> None:
    """What hubbub answers is what a client sees, also before an upgrade; Host and Origin are compared as they were sent."""
    lost = await who.http.get("/api/v1/nope", headers={"x-request-id": "r1"})
    assert (lost.status_code, lost.json()["code"], lost.headers["x-request-id"]) == (404, "not_found", "r1")
    long = await who.http.post(
        f"/api/v1/conversations/{ROOM}/messages", content=b"x" * 1_100_000, headers=who.authorization
    )
    assert (long.status_code, long.json()["code"]) == (413, "too_large")
    for headers, origin, status in (
        ({"authorization": "Bearer hbg_nobody"}, None, 401),
        (who.authorization, "https://evil.example", 403),
    ):
        with pytest.raises(InvalidStatus) as refused:
            await _dial(behind, headers, origin)
        assert refused.value.response.status_code == status
    async with await _dial(behind, {"cookie": f"hubbub_session={who.token}"}, behind.url) as socket:
        await socket.send(json.dumps({"id": 1, "connect": {}}))
        assert "connect" in json.loads(await socket.recv())


async def _dial(behind: Proxy, headers: dict[str, str], origin: str | None = None) -> ClientConnection:
    return await connect(
        behind.websocket_url,
        ssl=behind.trusting(),
        additional_headers=headers,
        origin=origin,  # type: ignore[arg-type]
        proxy=None,
    )


async def _streams_are_not_kept_back(who: Guest) -> None:
    """A single short event arrives while its stream is open, by either kind; whoever leaves is seen to have left."""
    async with asyncio.timeout(WITHIN_S):
        path = f"/api/v1/conversations/{ROOM}/events"
        async with httpx_sse.aconnect_sse(who.http, "GET", path, headers=who.authorization) as source:
            events = source.aiter_sse()
            async with asyncio.timeout(SOON_S):
                assert (await anext(events)).event == "stream.open"
                await who.post(ROOM, "for-sse", "soon")
                while (await anext(events)).event != "message.created":
                    pass
        hello = json.dumps({"id": 1, "connect": {"token": who.token}})
        async with who.http.stream("POST", "/connection/http_stream", content=hello) as stream:
            lines = stream.aiter_lines()
            async with asyncio.timeout(SOON_S):
                names = json.loads(await anext(lines))["connect"]
                subscribe = json.dumps({"id": 2, "subscribe": {"channel": ROOM}})
                said = {"session": names["session"], "node": names["node"], "data": subscribe}
                assert (await who.http.post("/emulation", json=said)).status_code == 204
                assert "subscribe" in json.loads(await anext(lines))
                await who.post(ROOM, "for-http-stream", "soon")
                assert "pub" in json.loads(await anext(lines))["push"]
        clients = 1
        while clients:
            await asyncio.sleep(0.05)
            answer = await who.http.get(f"/api/v1/conversations/{ROOM}/presence", headers=who.authorization)
            clients = answer.json()["clients"]


async def _drain_is_said(server: Server, behind: Proxy, who: Guest) -> None:
    """SIGTERM reaches readers through the proxy as 3001 and as `stream.end`; nothing acknowledged is lost."""
    path = f"/api/v1/conversations/{ROOM}/events"
    async with httpx_sse.aconnect_sse(who.http, "GET", path, headers=who.authorization) as source:
        events = source.aiter_sse()
        assert (await anext(events)).event == "stream.open"
        async with await _dial(behind, who.authorization) as socket:
            await socket.send(json.dumps({"id": 1, "connect": {}}))
            assert "connect" in json.loads(await socket.recv())
            assert await asyncio.to_thread(server.stop) == 0
            async with asyncio.timeout(SOON_S):
                await socket.wait_closed()
                assert (socket.close_code, socket.close_reason) == (3001, "shutdown")
                last = [sse async for sse in events][-1]
                assert (last.event, json.loads(last.data)["code"]) == ("stream.end", "shutdown")
    await asyncio.to_thread(server.start)


# -- what the proxy tells the server ----------------------------------------------------------------------------------


class _Echo(BaseHTTPRequestHandler):
    """Answers with the headers that it was sent."""

    def do_GET(self) -> None:
        body = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("name", PROXIES)
def test_it_believes_no_client_about_addresses(name: str, tmp_path: Path) -> None:
    """The server is told the address that the proxy saw, once; and host, port and scheme as the client used them."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as backend:
        thread = threading.Thread(target=backend.serve_forever)
        thread.start()
        try:
            with proxy(name, tmp_path, backend.server_port) as found:
                spoofed = {"x-forwarded-for": "6.6.6.6", "forwarded": "for=6.6.6.6", "x-forwarded-proto": "gopher"}
                answer = httpx.get(found.url, headers=spoofed, verify=found.trusting(), trust_env=False)
        finally:
            backend.shutdown()
            thread.join()
    headers = answer.json()
    values = dict(headers)
    assert [value for key, value in headers if key == "x-forwarded-for"] == ["127.0.0.1"]
    assert (values["host"], values["x-forwarded-proto"]) == (f"localhost:{found.port}", "https")
    assert "forwarded" not in values


@pytest.mark.parametrize("name", PROXIES)
def test_its_log_holds_no_secret(name: str, tmp_path: Path) -> None:
    """The connect command, and so the token, stands in the query of /connection/sse: no log of a proxy's shall have it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as backend:
        thread = threading.Thread(target=backend.serve_forever)
        thread.start()
        try:
            with proxy(name, tmp_path, backend.server_port) as found:
                secrets = {"authorization": "Bearer s3cret", "cookie": "hubbub_session=s3cret"}
                url = f"{found.url}/connection/sse?cf_connect=s3cret"
                httpx.get(url, headers=secrets, verify=found.trusting(), trust_env=False)
        finally:
            backend.shutdown()
            thread.join()
    said = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert "/connection/sse" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("name", PROXIES)
def test_limits_hold_behind_it(name: str, tmp_path: Path) -> None:
    """With the proxy named as trusted, a client is limited by its own address, whatever it says that this is."""
    config = tmp_path / "hubbub.toml"
    config.write_text('[proxies]\ntrusted = ["127.0.0.1/32"]\n')
    with data_folder() as data:
        process = start_server(data, "--config", str(config), limits=True)
        try:
            with (
                proxy(name, tmp_path, process.port) as found,
                httpx.Client(base_url=found.url, verify=found.trusting(), trust_env=False) as http,
            ):
                answers = [
                    http.post("/api/v1/auth/guest", json={"name": "x"}, headers={"x-forwarded-for": f"10.0.0.{number}"})
                    for number in range(32)
                ]
        finally:
            process.close()
    statuses = [answer.status_code for answer in answers]
    assert (statuses[:30], statuses[-1]) == ([201] * 30, 429)
    assert int(answers[-1].headers["retry-after"]) >= 1
