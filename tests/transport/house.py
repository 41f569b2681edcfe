"""An Api on a real engine in memory, for machines on fake connections: no socket, no real time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from hubbub.engine import SYSTEM, Engine, Record, TokenRecord
from hubbub.engine.core.batch import Row
from hubbub.engine.core.commands import Submit
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.permissions import Verb
from hubbub.storage import MemoryStore
from hubbub.transport.api import Api, Matched
from hubbub.transport.auditor import Auditor
from hubbub.transport.auth import GUEST_DAYS, Authenticator
from hubbub.transport.cold import ColdStatistics
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.http_message import HeadReader, Request, RequestHead, Response
from hubbub.transport.jwt import JwtAuthority
from hubbub.transport.jwt_settings import JwtSettings
from hubbub.transport.ledger import TableStatistics
from hubbub.transport.live import AccessSettings, Live, LiveSettings
from hubbub.transport.loop_lag import LoopLag
from hubbub.transport.operator import Operator, OperatorKey
from hubbub.transport.watch import Watch

OPERATOR_TOKEN = "hbo_" + "t" * 43


class GatedStore(MemoryStore):
    """A store whose look-ups of tokens wait for `gate`, and those of conversations for `records`."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = trio.Event()
        self.gate.set()
        self.records = trio.Event()
        self.records.set()

    async def load(self, conversation: ConversationId) -> Record | None:
        await self.records.wait()
        return await super().load(conversation)

    async def find_token(self, digest: bytes) -> TokenRecord | None:
        await self.gate.wait()
        return await super().find_token(digest)


@attrs.define
class Wall:
    """A wall clock that a test may put forward."""

    ahead_ms: int = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms


@attrs.define(eq=False)
class House:
    """What a test holds."""

    engine: Engine
    store: GatedStore
    api: Api
    token: str
    wall: Wall

    def restart_auth(self) -> None:
        """Forget which tokens were seen, as after a restart."""
        auth = Authenticator(self.store, self.engine.now_ms, self.api.start_soon)
        self.api = attrs.evolve(self.api, auth=auth)

    def end_token(self) -> None:
        """The guest's token ends now, as if its time were over."""
        self.wall.ahead_ms = GUEST_DAYS * 86_400_000

    def close_gate(self) -> None:
        """Keep look-ups waiting from now on."""
        self.store.gate = trio.Event()

    async def open_gate(self) -> None:
        """Let them through, and let everything settle."""
        self.store.gate.set()
        await wait_all_tasks_blocked()

    async def call(self, method: str, path: str, body: Any = None, *headers: str) -> Response:
        """Dispatch one REST request and wait for its answer."""
        head = head_of(method, path, f"Authorization: Bearer {self.token}", *headers)
        return await self.dispatch(head, b"" if body is None else json.dumps(body).encode())

    async def operate(self, method: str, path: str, body: Any = None) -> Response:
        """As `call`, with the operator's token."""
        head = head_of(method, path, f"Authorization: Bearer {OPERATOR_TOKEN}")
        return await self.dispatch(head, b"" if body is None else json.dumps(body).encode())

    async def dispatch(self, head: RequestHead, body: bytes = b"", peer: str | None = None) -> Response:
        """As `call`, for a head that a test made itself."""
        matched = self.api.match(head.method, head.path)
        assert isinstance(matched, Matched)
        answers: list[Response] = []
        answered = trio.Event()

        def respond(response: Response) -> None:
            answers.append(response)
            answered.set()

        self.api.dispatch(matched, Request(head, body, peer), respond)
        with trio.fail_after(60):
            await answered.wait()
        await wait_all_tasks_blocked()
        [answer] = answers
        return answer

    @property
    def subscribers(self) -> int:
        return sum(room.subscribers for room in self.engine.statistics().rooms)


@asynccontextmanager
async def house(*, guests: bool = True, jwt: JwtSettings | None = None) -> AsyncIterator[House]:
    """A running engine with the public conversation `lobby` and one guest, Eve."""
    store, wall = GatedStore(), Wall()
    async with Engine.open(store=store, wall=wall) as engine, trio.open_nursery() as nursery:

        def start_soon(work: Callable[[], Awaitable[None]]) -> None:
            nursery.start_soon(work)

        signed = JwtAuthority(jwt or JwtSettings(), engine.now_ms)
        auth = Authenticator(store, engine.now_ms, start_soon, signed.resolve_jwt)
        auditor = Auditor(store.audit, lambda: engine.store.health().ready, engine.now_ms)
        nursery.start_soon(auditor.run)
        await engine.create("lobby")
        token = (await auth.issue_guest("Eve")).token
        api = Api(
            engine,
            auth,
            ROUTES,
            Live(LiveSettings(access=AccessSettings(guests=guests), jwt=signed.settings)),
            start_soon,
            operator=operator_access(),
            jwt=signed,
            watch=Watch(engine.now_ms, auditor),
        )
        yield House(engine, store, api, token, wall)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def quarantine(engine: Engine, name: str) -> None:
    """Crash a conversation until it is given up: by commands that carry no row."""
    while not engine.statistics().quarantined:
        command = Submit(lambda _: None, SYSTEM, Verb.POST, cast("Row", object()), math.inf)
        engine.send(ConversationId(name), command)
        await trio.sleep(1)


def operator_access() -> Operator:
    """An operator's access where there is no table: its figures are nought."""

    def nothing(kind: type[Any]) -> Callable[[], Any]:
        return lambda: kind(**dict.fromkeys(attrs.fields_dict(kind), 0))

    key = OperatorKey.of(OPERATOR_TOKEN)
    return Operator(key=key, table=nothing(TableStatistics), cold=nothing(ColdStatistics), lag=LoopLag())


def head_of(method: str, target: str, *headers: str) -> RequestHead:
    """The head of a request, read as the server reads it."""
    line = f"{method} {target} HTTP/1.1"
    reader = HeadReader(100)
    reader.feed("\r\n".join([line, "Host: test", *headers, "", ""]).encode("latin-1"), is_last=True)
    return reader.head(line.encode())


@attrs.frozen
class Closed:
    """A Close frame."""

    code: int


def documents(data: bytes) -> list[Any]:
    """What a server's frames hold: decoded JSON documents, and the Close at the end."""
    found: list[Any] = []
    while data:
        first, length, at = data[0], data[1], 2
        if length >= 126:
            at = 4 if length == 126 else 10
            length = int.from_bytes(data[2:at], "big")
        payload, data = data[at : at + length], data[at + length :]
        assert len(payload) == length, "a whole frame"
        if first == 0x88:
            assert data == b"", "nothing after a Close"
            found.append(Closed(int.from_bytes(payload[:2], "big")))
        elif first == 0x81:
            found += [json.loads(line) for line in payload.split(b"\n")]
        else:
            assert first == 0x8A, "a pong"
    return found


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """A client's frame with a mask of zeros, which is a mask."""
    length = len(payload)
    if length < 126:
        return bytes((first, 0x80 | length)) + bytes(4) + payload
    if length < 65_536:
        return bytes((first, 0xFE)) + length.to_bytes(2, "big") + bytes(4) + payload
    return bytes((first, 0xFF)) + length.to_bytes(8, "big") + bytes(4) + payload


def commands(*each: dict[str, Any]) -> bytes:
    """Commands joined in one frame."""
    return frame(b"\n".join(json.dumps(command).encode() for command in each))
