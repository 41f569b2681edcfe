"""Opening a connection on a real socket: refusals are HTTP answers that other people's clients can read, in both lanes."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from hubbub.transport.address import ProxySettings
from hubbub.transport.admission import Admission
from hubbub.transport.credentials import COOKIE
from hubbub.transport.limit_settings import LimitSettings, Profile
from hubbub.transport.live import GUESTS_WELCOME, AccessSettings, Live, LiveSettings
from hubbub.transport.manners import HttpManners, Manners

from .world import Answer, Client, World, serving

THEIRS = "https://evil.example"
HELLO = {"id": 1, "connect": {}}


def dial(world: World, *, origin: str | None = None, **headers: str) -> str:
    """Open a WebSocket with somebody else's client; its first reply."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"ws://127.0.0.1:{world.port}/connection/websocket"
    with connect(url, origin=origin, additional_headers=fields, proxy=None) as socket:  # type: ignore[arg-type]
        socket.send(json.dumps(HELLO))
        return str(socket.recv())


async def dial_soon(world: World, **headers: Any) -> str:
    return await trio.to_thread.run_sync(partial(dial, world, **headers))


@contextmanager
def refused(status: int) -> Iterator[pytest.ExceptionInfo[InvalidStatus]]:
    """The client sees this status instead of 101, with a problem document."""
    with pytest.raises(InvalidStatus) as caught:
        yield caught
    response = caught.value.response
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body or b"")["status"] == status


async def test_a_bad_bearer_is_401_before_the_upgrade() -> None:
    """Not 101 and a close code."""
    async with serving() as world:
        with refused(401):
            await dial_soon(world, authorization="Bearer hbg_nobody")


async def test_a_foreign_origin_is_403_before_the_upgrade() -> None:
    """Whatever credential comes along: a page somewhere must not speak with our user's cookie."""
    async with serving() as world:
        token = await world.token()
        with refused(403):
            await dial_soon(world, origin=THEIRS, cookie=f"{COOKIE}={token}")
        with refused(403):
            await dial_soon(world, origin="null", authorization=f"Bearer {token}")
        ours = f"http://127.0.0.1:{world.port}"
        assert '"connect"' in await dial_soon(world, origin=ours, cookie=f"{COOKIE}={token}")


async def test_a_named_origin_connects_by_token_at_once() -> None:
    """Naming an origin while the server runs lets its pages in; its cookies stay out unless credentials are allowed."""
    async with serving(api={"manners": (manners := Manners())}) as world:
        token = await world.token()
        with refused(403):
            await dial_soon(world, origin=THEIRS, authorization=f"Bearer {token}")
        manners.replace(HttpManners(cors_origins=(THEIRS,)))
        assert '"connect"' in await dial_soon(world, origin=THEIRS, authorization=f"Bearer {token}")
        with pytest.raises(Exception, match="3500"):
            await dial_soon(world, origin=THEIRS, cookie=f"{COOKIE}={token}")
        manners.replace(HttpManners(cors_origins=(THEIRS,), cors_credentials=True))
        assert '"connect"' in await dial_soon(world, origin=THEIRS, cookie=f"{COOKIE}={token}")


async def test_a_store_that_is_away_is_503_before_the_upgrade() -> None:
    """A credential that cannot be looked up is not one that is bad."""
    async with serving(api={"live": Live(GUESTS_WELCOME)}) as world:

        async def away(_: bytes) -> None:
            from hubbub.engine import StoreUnavailable

            raise StoreUnavailable

        world.api.engine.store.accounts.find_token = away  # type: ignore[method-assign]
        with refused(503):
            await dial_soon(world, authorization="Bearer hbg_somebody")


LIMITED = LiveSettings(
    access=AccessSettings(guests=True),
    proxies=ProxySettings(trusted=("127.0.0.1",)),  # this machine is limited once a proxy is named
    limits=LimitSettings(connect=Profile(rate=1, period_s=3600, burst=2)),
)


async def test_too_many_connections_are_429_before_the_upgrade() -> None:
    """By the address of the client, also over plain HTTP; another address is let in."""
    live = Live(LIMITED)
    async with serving(api={"live": live, "admission": Admission(live)}) as world:
        token = await world.token()
        for _ in range(2):
            await dial_soon(world, authorization=f"Bearer {token}", x_forwarded_for="203.0.113.7")
        with refused(429) as caught:
            await dial_soon(world, authorization=f"Bearer {token}", x_forwarded_for="203.0.113.7")
        assert int(caught.value.response.headers["retry-after"]) >= 1
        for kind in ("sse", "http_stream"):
            async with world.client() as client:
                await client.send(opening(kind, HELLO, "X-Forwarded-For: 203.0.113.7"))
                answer = await client.answer("GET" if kind == "sse" else "POST")
                assert (answer.status, answer.json["code"]) == (429, "rate_limited")
        await dial_soon(world, authorization=f"Bearer {token}", x_forwarded_for="203.0.113.8")


# -- over plain HTTP, in both lanes -----------------------------------------------------------------------------------


def opening(kind: str, hello: dict[str, Any], *headers: str) -> bytes:
    """The request that opens a stream."""
    command = json.dumps(hello)
    if kind == "sse":
        lines = [f"GET /connection/sse?cf_connect={urllib.parse.quote(command)} HTTP/1.1"]
        return "\r\n".join([*lines, "Host: h", *headers, "", ""]).encode()
    lines = ["POST /connection/http_stream HTTP/1.1", f"Content-Length: {len(command)}"]
    return "\r\n".join([*lines, "Host: h", *headers, "", command]).encode()


@pytest.mark.parametrize("kind", ["sse", "http_stream"])
@pytest.mark.parametrize("cold", [False, True], ids=["hot", "cold"])
async def test_a_connection_is_the_same_from_both_lanes(patient_clock: MockClock, kind: str, cold: bool) -> None:
    """A socket of Hypercorn's comes back for it, and commands may come by a connection of either lane."""
    async with serving() as world:
        token = await world.token()
        async with world.cold_client() if cold else world.client() as client, world.cold_client() as other:
            await client.send(opening(kind, {"id": 1, "connect": {"token": token}}))
            data = await client.until(b'"session"')
            assert data.startswith(b"HTTP/1.1 200 ")
            start = data.index(b'{"id"')
            names = json.loads(data[start:].split(b"\n")[0])["connect"]
            for number, poster in enumerate((other, other), start=2):
                command = json.dumps({"id": number, "subscribe" if number == 2 else "ping": {"channel": "lobby"}})
                body = {"session": names["session"], "node": names["node"], "data": command}
                assert (await poster.ask("POST", "/emulation", json.dumps(body).encode())).status == 204
                await client.until(b'{"id":%d' % number)
        await world.settle()
        assert len(world.api.emulated) == 0
        assert sum(room.subscribers for room in world.engine.statistics().rooms) == 0


@pytest.mark.parametrize("kind", ["sse", "http_stream"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [(["Authorization: Bearer hbg_x"], 401), ([f"Origin: {THEIRS}"], 403), (["Origin: null"], 403)],
)
async def test_refusals_are_the_same_from_both_lanes(
    patient_clock: MockClock, kind: str, headers: list[str], status: int
) -> None:
    """A status and a problem document."""
    async with serving() as world:
        for lane in (world.client, world.cold_client):
            async with lane() as client:
                await client.send(opening(kind, HELLO, *headers))
                answer = await client.answer("GET" if kind == "sse" else "POST")
                assert (answer.status, answer.json["status"]) == (status, status)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/connection/sse", "GET"),
        ("HEAD", "/connection/sse", "GET"),
        ("GET", "/connection/http_stream", "POST"),
        ("OPTIONS", "/connection/http_stream", "POST"),
        ("GET", "/emulation", "POST"),
    ],
)
async def test_other_methods_are_405(patient_clock: MockClock, method: str, path: str, allowed: str) -> None:
    """With those that there are."""
    async with serving() as world:
        for lane in (world.client, world.cold_client):
            async with lane() as client:
                answer = await client.ask(method, path)
                assert (answer.status, answer.header("allow")) == (405, allowed)


@pytest.mark.parametrize("path", ["/connection/http_stream", "/emulation"])
async def test_a_browser_may_ask_first(patient_clock: MockClock, path: str) -> None:
    """Both take JSON, so a page of another origin asks before it sends."""

    async def ask(client: Client, origin: str) -> Answer:
        asked = {"access_control_request_method": "POST", "access_control_request_headers": "content-type"}
        return await client.ask("OPTIONS", path, origin=origin, **asked)

    async with serving(api={"manners": Manners(HttpManners(cors_origins=(THEIRS,)))}) as world:
        for lane in (world.client, world.cold_client):
            async with lane() as client:
                granted = await ask(client, THEIRS)
                assert (granted.status, granted.header("access-control-allow-methods")) == (204, "POST")
                assert granted.header("access-control-allow-headers") == "content-type"
                assert (await ask(client, "https://other.example")).status == 403


async def test_an_opening_body_is_bounded(patient_clock: MockClock) -> None:
    """413 before it is read, in both lanes."""
    async with serving() as world:
        for lane in (world.client, world.cold_client):
            async with lane() as client:
                await client.send(b"POST /connection/http_stream HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n")
                assert (await client.answer("POST")).status == 413
