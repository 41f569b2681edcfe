"""A whole server on loopback without a store or a process: engine, table, door, cold lane. And a client that sees the bytes."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any, Final

import attrs
import h11
import trio

from hubbub.engine import Engine, Visibility
from hubbub.storage import MemoryStore
from hubbub.transport.admission import Admission
from hubbub.transport.api import Api
from hubbub.transport.auth import Authenticator
from hubbub.transport.certificates import Certificates
from hubbub.transport.cold import ColdLane, ColdSettings
from hubbub.transport.door import Door
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.http_settings import HttpSettings
from hubbub.transport.live import GUESTS_WELCOME, Live
from hubbub.transport.router import Router
from hubbub.transport.serve import ServeSettings, listen
from hubbub.transport.table import Table, TableSettings
from hubbub.transport.tls_door import TlsDoor

from .quiet import all_quiet


@attrs.frozen
class Answer:
    """One answer as a client sees it; `headers` in the order sent."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self.h11 = h11.Connection(h11.CLIENT)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """Send a request and read its answer; the connection must have been kept alive."""
        fields = [("host", "h"), *((name.replace("_", "-"), value) for name, value in headers.items())]
        if body or method in {"POST", "PATCH"}:
            fields.append(("content-length", str(len(body))))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        await self.send(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
        return await self.answer(method)

    async def answer(self, method: str = "GET") -> Answer:
        """Read one answer."""
        if self.h11.our_state is h11.DONE:
            self.h11.start_next_cycle()
        if self.h11.our_state is h11.IDLE:
            self.h11.send(h11.Request(method=method, target="/", headers=[("host", "h")]))
            self.h11.send(h11.EndOfMessage())
        response = await self._event()
        while isinstance(response, h11.InformationalResponse):
            response = await self._event()
        assert isinstance(response, h11.Response), response
        body = b""
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
        headers = [(name.decode(), value.decode("latin-1")) for name, value in response.headers]
        return Answer(response.status_code, headers, body)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        data = b""
        with contextlib.suppress(trio.BrokenResourceError):
            async for piece in self.stream:
                data += piece
        return data

    async def until(self, mark: bytes, data: bytes = b"") -> bytes:
        """What comes, up to and with the piece that has the mark."""
        while mark not in data:
            piece = await self.stream.receive_some()
            assert piece, data
            data += piece
        return data

    async def _event(self) -> Any:
        while (event := self.h11.next_event()) is h11.NEED_DATA:
            self.h11.receive_data(await self.stream.receive_some())
        return event


@attrs.define
class World:
    """A running server."""

    engine: Engine
    table: Table
    lane: ColdLane
    api: Api
    port: int
    nursery: trio.Nursery
    trusting: ssl.SSLContext | None = None
    """What its clients speak TLS with; None for plain HTTP."""

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A connection, in the hot lane. Over TLS it takes an end for one only where the server says so (close_notify)."""
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            yield Client(
                stream if self.trusting is None else trio.SSLStream(stream, self.trusting, server_hostname="localhost")
            )

    @contextlib.asynccontextmanager
    async def cold_client(self) -> AsyncIterator[Client]:
        """A connection that has fetched the page, and so is Hypercorn's."""
        async with self.client() as client:
            assert (await client.ask("GET", "/")).status == 200
            yield client

    async def token(self, name: str = "Ada") -> str:
        """A token of a new guest."""
        async with self.client() as client:
            answer = await client.ask("POST", "/api/v1/auth/guest", json.dumps({"name": name}).encode())
            return str(answer.json["token"])

    async def settle(self) -> None:
        """Let everything happen that needs no time."""
        await all_quiet()


@attrs.frozen
class Secure:
    """How a world speaks TLS."""

    certificates: Certificates
    trusting: ssl.SSLContext
    handshake_s: float = 10.0


COARSE: Final = TableSettings(tick_s=1.0)
"""A clock that waits for quiet stops at each tick of the table for a moment of real time: fewer of them."""


@contextlib.asynccontextmanager
async def serving(
    cold: ColdSettings | None = None,
    table: TableSettings | None = None,
    api: dict[str, Any] | None = None,
    secure: Secure | None = None,
) -> AsyncIterator[World]:
    """Serve while inside, a thousand seconds at most; leaving cancels, as a server that is told to stop at once."""
    with trio.fail_after(1_000):
        async with _serving(cold or ColdSettings(), table or COARSE, api or {}, secure) as world:
            yield world


@contextlib.asynccontextmanager
async def _serving(
    cold: ColdSettings, table: TableSettings, changes: dict[str, Any], secure: Secure | None
) -> AsyncIterator[World]:
    async with Engine.open(store=MemoryStore()) as engine, trio.open_nursery() as nursery:
        await engine.create("lobby", title="Lobby", visibility=Visibility.PUBLIC, exist_ok=True)
        live = Live(GUESTS_WELCOME)
        admission = changes.get("admission") or Admission(live)
        found = Table(table, gate=admission)
        auth = Authenticator(engine.store, engine.now_ms, found.start_soon)
        made = attrs.evolve(Api(engine, auth, ROUTES, live, found.start_soon, admission=admission), **changes)
        router = Router(made)
        lane = ColdLane(router, found.adopt, cold)
        door = Door(router, lane.leave, HttpSettings())
        sock = listen(ServeSettings(port=0))
        port = sock.getsockname()[1]
        make_machine = door.machine
        if secure is not None:
            make_machine = TlsDoor(secure.certificates, door.machine, lane.leave, secure.handshake_s).machine
        found.listen(sock, make_machine)
        await nursery.start(found.run)
        await nursery.start(lane.run)
        try:
            yield World(engine, found, lane, made, port, nursery, None if secure is None else secure.trusting)
        finally:
            nursery.cancel_scope.cancel()
