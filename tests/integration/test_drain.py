"""SIGTERM under load: everybody is told, what was acknowledged is stored, and every client goes on with the next server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
import websockets

from . import sdk
from .journal import Journal, until
from .processes import Server
from .rest import Ack, Guest, guest
from .streams import Block, Cut, RawStream, follow_httpx
from .tables import read_tables

pytestmark = pytest.mark.server

ROOM = "drain"
POSTERS = 20
WITHIN_S = 30.0


@attrs.define
class Watcher:
    """What plain clients hear: of a stream and of a WebSocket, until they end."""

    blocks: list[Block] = attrs.Factory(list)
    pushes: list[dict[str, Any]] = attrs.Factory(list)
    close_code: int | None = None

    async def stream(self, url: str, token: str) -> None:
        """Read a stream to its end."""
        stream = await RawStream.open(url, token, ROOM)
        try:
            while True:
                self.blocks += await stream.blocks()
        except EOFError:
            await stream.cut(Cut.RESET)

    async def websocket(self, url: str, token: str) -> None:
        """Subscribe by hand, and listen to the end."""
        async with websockets.connect(url, proxy=None) as socket:
            await socket.send(json.dumps({"id": 1, "connect": {"token": token}}))
            await socket.send(json.dumps({"id": 2, "subscribe": {"channel": ROOM}}))
            try:
                async for text in socket:
                    for line in str(text).split("\n"):
                        self.pushes.append(json.loads(line))
            except websockets.ConnectionClosed:
                pass
            self.close_code = socket.close_code

    def types(self) -> list[str]:
        """Types of the ephemeral and durable events of the WebSocket."""
        return [each["push"]["pub"]["data"]["type"] for each in self.pushes if "pub" in each.get("push", {})]


@attrs.frozen
class Busy:
    """A room at work.

    Attributes:
        acks: by key, what was promised so far.
        stop: the posters end after their present post.
    """

    acks: dict[str, Ack]
    readers: list[Journal]
    watcher: Watcher
    posters: list[asyncio.Task[None]]
    stop: asyncio.Event


@asynccontextmanager
async def busy(server: Server) -> AsyncIterator[Busy]:
    """20 posters by REST and SDK; readers that come back by themselves; plain ones that do not."""
    acks: dict[str, Ack] = {}
    stop, watcher = asyncio.Event(), Watcher()
    readers = [Journal("SDK reader"), Journal("SSE reader")]

    async def post_on(name: str, post: Any) -> None:
        number = 0
        while not stop.is_set():
            key = f"{name}-{number}"
            acks[key] = await post(key, f"text of {key}")
            number += 1

    async with AsyncExitStack() as stack:
        who = await stack.enter_async_context(guest(server.url, "Ada"))
        await who.create(ROOM)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        client = await stack.enter_async_context(sdk.sdk(server.websocket_url, who.token))
        await sdk.follow(client, ROOM, readers[0])
        stream = group.create_task(follow_httpx(who, ROOM, readers[1]))
        plain = [
            group.create_task(watcher.stream(server.url, who.token)),
            group.create_task(watcher.websocket(server.websocket_url, who.token)),
        ]
        await until(lambda: bool(watcher.blocks) and len(watcher.pushes) >= 2, WITHIN_S, "everybody listens")
        posters = []
        for number in range(POSTERS):
            by_rest = number % 2 == 0
            post = (
                (lambda key, text: who.post(ROOM, key, text))
                if by_rest
                else (lambda k, t: sdk.post(client, ROOM, k, t))
            )
            posters.append(group.create_task(post_on(f"poster-{number}", post)))
        try:
            yield Busy(acks, readers, watcher, posters, stop)
        finally:
            stop.set()
            for task in (stream, *plain):
                task.cancel()


def test_a_drain_under_load_loses_nothing(server: Server) -> None:
    """Every acknowledged post is in Postgres at the end of the process, all are told, and all resume on the next server."""
    asyncio.run(_drain_under_load(server))


async def _drain_under_load(server: Server) -> None:
    async with busy(server) as room:
        acks, readers, watcher = room.acks, room.readers, room.watcher
        await until(lambda: len(acks) >= 200, WITHIN_S, "a busy room")
        assert server.process is not None
        server.process.terminate()
        before = dict(acks)
        assert await asyncio.to_thread(server.process.wait) == 0
        at_end = dict(acks)
        await until(lambda: watcher.close_code is not None, WITHIN_S, "the plain WebSocket has ended")
        assert watcher.close_code == 3001
        assert watcher.types().count("server.draining") == 1
        heard = [block.event for block in watcher.blocks]
        assert heard.count("server.draining") == 1
        assert (heard[-1], watcher.blocks[-1].data) == ("stream.end", {"code": "shutdown"})
        assert len(at_end) >= len(before)
        await asyncio.to_thread(server.start)
        tables = await read_tables(server, ROOM)
        tables.check()
        assert {key: (ack.id, ack.offset) for key, ack in at_end.items()}.items() <= tables.keys.items()
        await until(lambda: min(reader.resumed for reader in readers) >= 1, WITHIN_S, "all readers are back")
        wanted = len(acks) + 100
        await until(lambda: len(acks) >= wanted, WITHIN_S, "posts go on")
        room.stop.set()
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*room.posters)
        tables = await read_tables(server, ROOM)
        tables.check()
        for reader in readers:
            await reader.reach(tables.head, WITHIN_S)
            reader.check(tables.events)
            assert not reader.resets, f"{reader.name} was told that something may be missing"


def test_who_comes_while_it_drains_is_told_to_come_again(server: Server) -> None:
    """With a post in flight the port answers on: not ready, no post, no upgrade, a stream that ends at once."""
    asyncio.run(_come_while_draining(server))


async def _come_while_draining(server: Server) -> None:
    async with guest(server.url, "Ada") as who:
        await who.create(ROOM)
        await who.post(ROOM, "first", "text")
        assert server.process is not None
        pids = server.process.postgres_pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            last = asyncio.create_task(who.post(ROOM, "last", "text of last"))
            await asyncio.sleep(0.3)  # it is with the server, which waits for its database
            server.process.terminate()
            await _refused_but_told(server, who)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        acked = await asyncio.wait_for(last, WITHIN_S)
        assert acked.tries == 1
        assert await asyncio.to_thread(server.process.wait) == 0
        await asyncio.to_thread(server.start)
        assert (await read_tables(server, ROOM)).keys["last"] == (acked.id, acked.offset)


async def not_ready(http: httpx.AsyncClient) -> httpx.Response:
    """Ask until the server says that it is not ready."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            answer = await http.get("/health/ready")
            if answer.status_code != 200:
                return answer
            await asyncio.sleep(0.02)


async def _refused_but_told(server: Server, who: Guest) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=10, trust_env=False) as http:
        ready = await not_ready(http)
        assert (ready.status_code, (await http.get("/health")).status_code) == (503, 200)
        posted = await http.post(
            f"/api/v1/conversations/{ROOM}/messages", json={"text": "late"}, headers=who.authorization
        )
        assert (posted.status_code, posted.json()["code"]) == (503, "closed")
        assert int(posted.headers["retry-after"]) > 0
        late = await http.get(
            f"/api/v1/conversations/{ROOM}/events", headers=who.authorization | {"last-event-id": "1"}
        )
        assert (late.status_code, late.headers["content-type"]) == (200, "text/event-stream")
        assert late.text == 'retry: 2000\nevent: stream.end\ndata: {"code":"shutdown"}\n\n'
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(server.websocket_url, proxy=None)
    assert refused.value.response.status_code == 503
    assert int(refused.value.response.headers["retry-after"]) > 0


def test_load_balancers_are_given_notice() -> None:
    """With serve.notice_s readiness says no while everything is still served; then it drains."""
    server = Server()
    config = server.home / "hubbub.toml"
    config.write_text("[serve]\nnotice_s = 3.0\n")
    try:
        server.start("--config", str(config))
        asyncio.run(_notice(server))
    finally:
        server.discard()


async def _notice(server: Server) -> None:
    async with guest(server.url, "Ada") as who:
        await who.create(ROOM)
        assert server.process is not None
        server.process.terminate()
        ready = await not_ready(who.http)
        assert ready.json()["problems"] == ["the server is about to stop"]
        assert (await who.post(ROOM, "late", "still taken")).tries == 1
        assert await asyncio.to_thread(server.process.wait) == 0
