"""A real server that speaks TLS by flag, with other people's clients: httpx, curl's manners, websockets, the stock SDK."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import httpx
import httpx_sse
import pytest
from websockets.asyncio.client import connect

from ..certificates import Certificate, make_certificate
from ..serverproc import ServerProcess, data_folder, start_server, wait_until
from . import sdk
from .journal import Journal, until
from .rest import Guest, guest

pytestmark = pytest.mark.server

ROOM = "over:tls"
WITHIN_S = 20.0
SOON_S = 5.0


@attrs.frozen
class Place:
    """A server and its certificate."""

    server: ServerProcess
    certificate: Certificate
    home: Path

    @property
    def url(self) -> str:
        return self.server.url.replace("127.0.0.1", "localhost")

    @property
    def websocket_url(self) -> str:
        return self.url.replace("https://", "wss://") + "/connection/websocket"

    def health(self, trusting: ssl.SSLContext) -> dict[str, object]:
        found: dict[str, object] = httpx.get(self.url + "/health", verify=trusting, trust_env=False).json()
        return found


@pytest.fixture
def place() -> Iterator[Place]:
    with data_folder() as data:
        home = data.parent
        certificate = make_certificate(home)
        server = start_server(
            data, "--tls-cert", str(certificate.cert), "--tls-key", str(certificate.key), "--log-level", "info"
        )
        try:
            yield Place(server, certificate, home)
            assert "Traceback" not in server.output()
        finally:
            server.close()


def test_clients_are_served(place: Place) -> None:
    """The ready line says https; REST by both versions of HTTP, event streams by both, a WebSocket, and the SDK over wss."""
    assert place.server.url.startswith("https://")
    asyncio.run(_scenario(place))


async def _scenario(place: Place) -> None:
    trusting = place.certificate.client()
    journal = Journal("centrifuge-python over wss")
    async with AsyncExitStack() as stack:
        who = await stack.enter_async_context(guest(place.url, "Ada", trusting))
        await who.create(ROOM)
        client = await stack.enter_async_context(sdk.sdk(place.websocket_url, who.token, trusting))
        await sdk.follow(client, ROOM, journal, WITHIN_S)
        for version, http2 in (("HTTP/1.1", False), ("HTTP/2", True)):
            web = await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=place.url,
                    verify=place.certificate.client(),
                    http2=http2,
                    trust_env=False,
                    headers={"authorization": f"Bearer {who.token}"},
                )
            )
            assert (await web.get("/health")).http_version == version
            assert (await web.get("/")).status_code == 200
            await _stream(web, who, f"over-{version}")
        await asyncio.gather(*[sdk.post(client, ROOM, f"sdk-{number}", "by the SDK") for number in range(50)])
        await until(lambda: len(journal.seen) == 52, WITHIN_S, "all arrived")
        async with connect(place.websocket_url, ssl=place.certificate.client(), proxy=None) as socket:
            await socket.send(json.dumps({"id": 1, "connect": {"token": who.token}}))
            assert '"connect"' in str(await asyncio.wait_for(socket.recv(), WITHIN_S))


async def _stream(web: httpx.AsyncClient, who: Guest, key: str) -> None:
    """What is posted arrives at once, and is not kept back."""
    path = f"/api/v1/conversations/{ROOM}/events"
    async with httpx_sse.aconnect_sse(web, "GET", path, timeout=SOON_S) as source:
        events = source.aiter_sse()
        assert (await anext(events)).event == "stream.open"
        await who.post(ROOM, key, "hello")
        assert (await anext(events)).event == "message.created"


def test_a_renewal_drops_nobody(place: Place) -> None:
    """Half a renewal is refused and seen in health; the whole one serves the new certificate, by SIGHUP or by itself."""
    old, new = place.certificate, make_certificate(place.home, "new")
    old_trust = ssl.create_default_context(cafile=str(shutil.copy(old.cert, place.home / "old.pem")))
    with httpx.Client(base_url=place.url, verify=old_trust, trust_env=False) as kept:
        assert kept.get("/health").json()["config"]["reload"] == "ok"
        _replace(new.cert, old.cert)
        wait_until(lambda: kept.get("/health").json()["config"]["reload"] == "failed", "half a renewal is seen")
        assert place.health(old_trust)["status"] == "ok"
        _replace(new.key, old.key)
        wait_until(lambda: kept.get("/health").json()["config"]["reload"] == "ok", "the whole one is taken")
        with pytest.raises(httpx.ConnectError):
            place.health(old_trust)
        assert place.health(new.client())["status"] == "ok"


def _replace(source: Path, target: Path) -> None:
    """As programs that renew do: another file takes its place."""
    scratch = target.with_name(target.name + ".new")
    shutil.copy(source, scratch)
    scratch.replace(target)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--tls-cert", "chain.pem"], "belong together"),
        (["--tls-cert", "lost.pem", "--tls-key", "lost.pem"], "lost.pem cannot be read"),
    ],
)
def test_a_start_without_a_usable_pair_says_so(flags: list[str], said: str) -> None:
    """At once, in one line, and before anything is started."""
    with data_folder() as data, pytest.raises(AssertionError, match=said) as caught:
        start_server(data, *flags)
    assert "Traceback" not in str(caught.value)
