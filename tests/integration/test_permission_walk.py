"""The permission walk: every call, on a real server over real sockets, by every kind of person, in every kind of conversation,
compared with the table that people read (`tests/permission_table.py`).

`tests/mutation/permissions.py` removes one check at a time, and the walk has to notice.
"""

from __future__ import annotations

import json
import math
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import attrs
import pytest
import trio

from hubbub.engine import SYSTEM, Author, Block, ConversationKind, Engine, Principal, Record, Role, Visibility
from hubbub.engine.core.batch import Row
from hubbub.engine.core.commands import Submit
from hubbub.engine.core.compose import LATEST_MS
from hubbub.engine.core.errors import WIRE
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.invites import Invite
from hubbub.engine.core.members import Member
from hubbub.engine.core.permissions import Verb
from hubbub.engine.core.principals import ALL_SCOPES, Scope, ServerRole
from hubbub.storage import MemoryStore
from hubbub.transport.auth import Credential
from hubbub.transport.centrifugal_verbs import METHODS, VERBS
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.live import GUESTS_WELCOME
from hubbub.transport.operator import OperatorKey
from hubbub.transport.security_txt import SecurityTxtSettings
from hubbub.transport.serve import ServeSettings, serve

from ..permission_table import ANNOUNCEMENT, BLOCKED, DIRECT, ELSEWHERE, PEOPLE, PRIVATE, PUBLIC, Cell, cells, told
from ..transport.configuration import Written
from ..transport.town import Directory
from .hostile import UPGRADE, Answer, Closed, Peer, Socket, request

OPERATOR_TOKEN = "hbo_" + "w" * 43
STATUS_OF = {wire.reply_code: wire.status for wire in WIRE.values()}
HANDSHAKE = "GET /connection/websocket"
STREAMS = ("GET /connection/sse", "POST /connection/http_stream")
UNAUTHENTICATED = {3500, 3501}
ROLES = {"viewer": Role.VIEWER, "member": Role.MEMBER, "moderator": Role.MODERATOR, "owner": Role.OWNER}
SERVER_ROLES = {"guest": ServerRole.GUEST, "admin": ServerRole.ADMIN, "admin-key": ServerRole.ADMIN}
SCOPES = {"admin-key": ALL_SCOPES - {Scope.ADMIN}, "read-key": frozenset({Scope.READ})}
CONTACT = SecurityTxtSettings(contact=("mailto:a@example.org",), expires=datetime(2100, 1, 1, tzinfo=UTC))
KINDS = {
    "direct": ConversationKind.DIRECT,
    "blocked": ConversationKind.DIRECT,
    "announcement": ConversationKind.ANNOUNCEMENT,
}
CELLS = cells()


def author(who: str) -> Author:
    return Author(who, who, "guest" if who == "guest" else "user")


def conversation_of(cell: Cell) -> ConversationId:
    """Each cell has a conversation of its own, so that none sees what another did."""
    return ConversationId(f"{cell.kind}.{zlib.crc32(cell.call.encode()):08x}.{cell.who}")


def principals() -> dict[str, Principal]:
    """By token, which is the name."""
    grants = frozenset(conversation_of(cell) for cell in CELLS if cell.who == "granted")
    return {
        who: Principal(
            author(who),
            role=SERVER_ROLES.get(who, ServerRole.MEMBER),
            scopes=SCOPES.get(who, ALL_SCOPES),
            grants=grants if who == "granted" else frozenset(),
        )
        for who in {cell.who for cell in CELLS} - {"nobody", "bad", "operator"}
    }


def record_of(cell: Cell) -> Record:
    """A conversation with everybody in it who is to be in it."""
    members = [Member(author(who), role, 1) for who, role in ROLES.items()]
    members.append(Member(author("read-key"), Role.OWNER, 1))
    members.append(Member(author("user"), Role.VIEWER, 1))
    members.append(Member(author("muted"), Role.MEMBER, 1, muted_until_ms=LATEST_MS))
    members += [Member(author(who), Role.MEMBER, 0, banned=True) for who in ("banned", "outlaw")]
    if cell.kind in {"direct", "blocked"}:
        one = cell.who if cell.who in {"blocked", "blocker"} else "read-key"
        members = [Member(author(who), Role.MEMBER, 1) for who in ("member", one)]
    name = conversation_of(cell)
    return Record(
        id=name,
        title=name,
        visibility=Visibility.PUBLIC if cell.kind in {"public", "announcement"} else Visibility.PRIVATE,
        owner="owner",
        epoch="e",
        offset=0,
        created_at_ms=1,
        kind=KINDS.get(cell.kind, ConversationKind.ROOM),
        members={member.user.id: member for member in members},
    )


@attrs.define(eq=False)
class Walk:
    """A server, and people on their way through it."""

    engine: Engine
    port: int
    peers: dict[str, Peer] = attrs.field(factory=dict)
    sockets: dict[str, Socket] = attrs.field(factory=dict)
    opened: list[Peer] = attrs.field(factory=list)

    async def get(self, cell: Cell) -> str:
        """What somebody gets who makes the call: `ok` or a status."""
        names = await self._prepare(cell)
        call, body = _filled(cell.call, names), json.loads(_filled(json.dumps(cell.body), names))
        kind, _, name = call.partition(" ")
        if call == HANDSHAKE:
            return await self._shake_hands(cell.who)
        if call in STREAMS:
            return (await self._open_stream(cell.who, call))[0]
        if kind in {"command", "rpc"}:
            return await self._command(cell.who, kind, name, names["id"], body)
        return _outcome(await self._rest(cell.who, kind, name, body))

    async def _prepare(self, cell: Cell) -> dict[str, str]:
        """Make the cell's own conversation and invite; returns the names that stand in its call."""
        if cell.kind == "server":
            if "{ill}" in cell.call:
                if cell.expected == "ok":
                    await self._quarantine()
                return {"ill": "ill", "id": "ill"}
            names = {
                "id": "lobby",
                "name": "admin",
                "provider": "none",
                "username": "nobody",
                "who": cell.who,
                "user": "user",
            }  # `name` of a limit
            if cell.call == "POST /emulation":
                names["session"] = (await self._open_stream("stranger", STREAMS[1]))[1]
            return names
        record = record_of(cell)
        await self.engine.store.create(record)
        token = f"hbi_{record.id}"
        invite = Invite(
            id=self.engine.fresh_id(),
            digest=sha256(token.encode()).digest(),
            conversation=record.id,
            role=Role.MEMBER,
            made_by=author("owner"),
            made_as=Role.OWNER,
            created_at_ms=1,
            expires_at_ms=LATEST_MS,
        )
        await self.engine.store.invites.add(invite, most=1)
        if cell.kind == "blocked":
            for blocker, blocked in (("member", "blocked"), ("blocker", "member")):
                await self.engine.store.blocks.add(Block(blocker, author(blocked), 1), most=1)
        user = "user" if cell.kind not in {"direct", "blocked"} else "read-key" if cell.who == "member" else "member"
        return {"id": record.id, "user": user, "self": cell.who, "token": token, "invite": invite.id}

    async def _quarantine(self) -> None:
        """Crash a conversation until it is given up, by commands that carry no row."""
        await self.engine.create("ill", exist_ok=True)
        while not self.engine.quarantined():
            self.engine.send(
                ConversationId("ill"), Submit(lambda _: None, SYSTEM, Verb.POST, cast("Row", object()), math.inf)
            )
            await trio.sleep(0.02)

    async def _rest(self, who: str, method: str, path: str, body: Any) -> Answer:
        data = request(method, path, body, token=_token(who))
        if path.endswith("/events"):
            peer = await self._connect(Peer)
            await peer.send(data)
            head = await peer.until(b"\r\n")
            return Answer(int(head.split()[1]), {}, b"")
        if who not in self.peers:
            self.peers[who] = await self._connect(Peer)
        return await self.peers[who].ask(data)

    async def _shake_hands(self, who: str) -> str:
        token = _token(who)
        socket = await self._connect(Socket)
        credential = b"" if token is None else f"Authorization: Bearer {token}\r\n".encode()
        await socket.send(UPGRADE + credential + b"\r\n")
        answer = await socket.answer()
        return "ok" if answer.status == 101 else _outcome(answer)

    async def _open_stream(self, who: str, call: str) -> tuple[str, str]:
        """Open a connection over HTTP by the credential of its request; the outcome, and its session."""
        method, _, path = call.partition(" ")
        hello = {"id": 1, "connect": {}}
        query = f"?cf_connect={quote(json.dumps(hello))}" if method == "GET" else ""
        peer = await self._connect(Peer)
        await peer.send(request(method, path + query, None if query else hello, token=_token(who)))
        status = int((await peer.until(b"\r\n\r\n")).split()[1])
        if status != 200:
            return str(status), ""
        first = json.loads((await peer.until(b"}\n")).removeprefix(b"data: "))
        if "connect" in first:
            return "ok", first["connect"]["session"]
        assert first["push"]["disconnect"]["code"] in UNAUTHENTICATED, first
        return "401", ""

    async def _command(self, who: str, kind: str, name: str, channel: str, body: Any) -> str:
        if who not in self.sockets:
            found = await self._socket(who)
            if isinstance(found, Closed):
                assert found.code in UNAUTHENTICATED, found
                return "401"
            self.sockets[who] = found
        if name == "connect":
            return "ok"
        if kind == "rpc":
            command = {"rpc": {"method": name, "data": {"conversation": channel} | body}}
        else:
            command = {name: {} if name == "ping" else {"channel": channel} | (body or {})}
        reply = await self.sockets[who].command(**command)
        return str(STATUS_OF[reply["error"]["code"]]) if "error" in reply else "ok"

    async def _socket(self, who: str) -> Socket | Closed:
        """A connected WebSocket, or how it was closed."""
        socket = await self._connect(Socket)
        await socket.send(UPGRADE + b"\r\n")
        assert (await socket.answer()).status == 101
        token = _token(who)
        await socket.say({"id": 1, "connect": {} if token is None else {"token": token}})
        answer = await socket.event()
        socket.count = 1
        return answer if isinstance(answer, Closed) else socket

    async def _connect(self, kind: type[Any]) -> Any:
        peer = kind(await trio.open_tcp_stream("127.0.0.1", self.port))
        self.opened.append(peer)
        return peer

    async def aclose(self) -> None:
        for peer in self.opened:
            await peer.close()


def _token(who: str) -> str | None:
    return {"nobody": None, "operator": OPERATOR_TOKEN}.get(who, who)


def _filled(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text


def _outcome(answer: Answer) -> str:
    return "ok" if answer.status < 300 else str(answer.status)


@asynccontextmanager
async def walking() -> AsyncIterator[Walk]:
    known = principals()

    async def resolve(token: str) -> Credential | None:
        found = known.get(token)
        return None if found is None else Credential(found, LATEST_MS)

    async with Engine.open(store=MemoryStore()) as engine, trio.open_nursery() as nursery:
        serving = await nursery.start(
            partial(
                serve,
                operator=OperatorKey.of(OPERATOR_TOKEN),
                authenticate=resolve,
                configuration=Written(),
                people=Directory({"somebody": author("somebody")}),
            ),
            engine,
            ServeSettings(port=0, live=attrs.evolve(GUESTS_WELCOME, security_txt=CONTACT)),
        )
        walk = Walk(engine, int(serving.url.rpartition(":")[2]))
        try:
            yield walk
        finally:
            await walk.aclose()
            nursery.cancel_scope.cancel()


def test_every_call_has_its_line() -> None:
    """Routes, RPC methods and commands: a new one fails here until the table says who may."""
    served = {f"{route.method} {route.path}" for route in ROUTES.routes} | {HANDSHAKE, *STREAMS, "command connect"}
    served |= {f"rpc {name}" for name in METHODS} | {f"command {name}" for name in VERBS}
    assert told() == served
    assert not {cell.call for cell in CELLS} & set(ELSEWHERE)


def test_people_read_the_same_table() -> None:
    """The page shows the blocks that are walked, line by line."""
    page = Path(__file__).parents[2].joinpath("docs/permissions.md").read_text()
    for block in (PEOPLE, PUBLIC, PRIVATE, DIRECT, BLOCKED, ANNOUNCEMENT):
        assert block.strip("\n") in page


@pytest.mark.parametrize("kind", sorted({cell.kind for cell in CELLS}))
async def test_everybody_gets_what_the_table_says(kind: str) -> None:
    """Allowed, 401, 403, 404 and 409, cell by cell; all differences are told at once."""
    wrong: dict[str, list[str]] = defaultdict(list)
    walked = 0
    with trio.fail_after(300):
        async with walking() as walk:
            for cell in CELLS:
                if cell.kind == kind:
                    found = await walk.get(cell)
                    walked += 1
                    if found != cell.expected:
                        wrong[f"{cell.row}: {cell.call}"].append(f"{cell.who} gets {found}, not {cell.expected}")
    assert walked > 100
    assert not wrong, "\n".join(f"{call}: {'; '.join(those)}" for call, those in wrong.items())
