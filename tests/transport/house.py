"""An Api on a real engine in memory, for machines on fake connections: no socket, no real time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import argon2
import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from hubbub.engine import SYSTEM, Engine, Record
from hubbub.engine.core.batch import Row
from hubbub.engine.core.commands import Submit
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.permissions import Verb
from hubbub.engine.core.principals import ServerRole
from hubbub.engine.identity.records import Holder, User
from hubbub.storage import MemoryAccounts, MemoryStore
from hubbub.transport.api import Api
from hubbub.transport.auditor import Auditor
from hubbub.transport.auth import Authenticator
from hubbub.transport.cold import ColdStatistics
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.http_message import HeadReader, Request, RequestHead, Response
from hubbub.transport.identity.accounts import Accounts, Application
from hubbub.transport.identity.passwords import Passwords
from hubbub.transport.identity.settings import IdentitySettings, SignUp
from hubbub.transport.identity.setup import Setup
from hubbub.transport.identity.tokens import Issued
from hubbub.transport.jwt import JwtAuthority
from hubbub.transport.jwt_settings import JwtSettings
from hubbub.transport.ledger import TableStatistics
from hubbub.transport.live import AccessSettings, Live, LiveSettings
from hubbub.transport.loop_lag import LoopLag
from hubbub.transport.operator import Operator, OperatorKey
from hubbub.transport.routes import Matched
from hubbub.transport.watch import Watch

OPERATOR_TOKEN = "hbo_" + "t" * 43
PASSWORD = "correct horse"


class QuickPasswords(Passwords):
    """Hashes that cost nothing and need no thread: a mocked clock would jump while one works."""

    _hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

    async def hash(self, password: str) -> str:
        await trio.lowlevel.checkpoint()
        return self._hasher.hash(password)

    async def fits(self, password: str, kept: str | None) -> bool:
        await trio.lowlevel.checkpoint()
        try:
            return kept is not None and self._hasher.verify(kept, password)
        except argon2.exceptions.VerificationError:
            return False

    @staticmethod
    def is_dated(kept: str) -> bool:
        return False


class GatedAccounts(MemoryAccounts):
    """Its look-ups of tokens wait for the gate of its store."""

    def __init__(self, store: GatedStore) -> None:
        super().__init__()
        self._store = store

    async def find_token(self, digest: bytes) -> Holder | None:
        await self._store.gate.wait()
        return await super().find_token(digest)


class GatedStore(MemoryStore):
    """A store whose look-ups of tokens wait for `gate`, and those of conversations for `records`."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = trio.Event()
        self.gate.set()
        self.records = trio.Event()
        self.records.set()
        self._accounts = GatedAccounts(self)

    async def load(self, conversation: ConversationId) -> Record | None:
        await self.records.wait()
        return await super().load(conversation)

    @property
    def accounts(self) -> MemoryAccounts:
        return self._accounts


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
    setup: Setup

    def restart_auth(self) -> None:
        """Forget which tokens were seen, as after a restart."""
        auth = Authenticator(self.store, self.engine.now_ms, self.api.start_soon)
        accounts = Accounts.over(
            self.engine, auth, self.api.start_soon, lambda: self.api.live.current.identity, self.setup, QuickPasswords()
        )
        self.api = attrs.evolve(self.api, auth=auth, accounts=accounts)

    def end_token(self) -> None:
        """The guest's token ends now, as if its time were over."""
        self.wall.ahead_ms = round(IdentitySettings().guest_s * 1000)

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

    async def log_in(self, username: str = "ada", role: ServerRole = ServerRole.MEMBER) -> Issued:
        """A session of an account, made when there is none, with the password `PASSWORD`."""
        await self.account(username, role)
        return await self.api.accounts.log_in(username, PASSWORD, "a test")

    async def account(self, username: str = "ada", role: ServerRole = ServerRole.MEMBER) -> User:
        """An account, made when there is none."""
        known = await self.store.accounts.find_username(username)
        asked = Application(username=username, password=PASSWORD)
        return known or await self.api.accounts.make_user(asked, role, self.api.live.current.identity)

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
async def house(
    *, guests: bool = True, sign_up: SignUp = SignUp.OFF, jwt: JwtSettings | None = None
) -> AsyncIterator[House]:
    """A running engine with the public conversation `lobby` and one guest, Eve."""
    store, wall = GatedStore(), Wall()
    async with Engine.open(store=store, wall=wall) as engine, trio.open_nursery() as nursery:

        def start_soon(work: Callable[[], Awaitable[None]]) -> None:
            nursery.start_soon(work)

        signed = JwtAuthority(jwt or JwtSettings(), engine.now_ms)
        access = AccessSettings(guests=guests, sign_up=sign_up)
        live = Live(LiveSettings(access=access, jwt=signed.settings))
        auth = Authenticator(store, engine.now_ms, start_soon, signed.resolve_jwt, lambda: live.current.identity)
        setup = Setup(needed=True)
        accounts = Accounts.over(engine, auth, start_soon, lambda: live.current.identity, setup, QuickPasswords())
        auditor = Auditor(store.audit, lambda: engine.store.health().ready, engine.now_ms)
        nursery.start_soon(auditor.run)
        await engine.create("lobby")
        api = Api(
            engine,
            auth,
            ROUTES,
            live,
            start_soon,
            operator=operator_access(),
            jwt=signed,
            watch=Watch(engine.now_ms, auditor),
            accounts=accounts,
        )
        token = (await api.accounts.tokens.issue_guest("Eve")).token
        yield House(engine, store, api, token, wall, setup)
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
