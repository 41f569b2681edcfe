"""Bad input on event streams, and readers that leave at the wrong moment (docs/protocol.md, "Bad input")."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
import trio

from hubbub.engine import Draft
from hubbub.engine.core.principals import ServerRole
from hubbub.engine.identity.records import TokenKind, TokenRecord, User

from .hostile import Peer, World, request, world

EVENTS = "/conversations/lobby/events"


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        (EVENTS, ["Last-Event-ID: x"], 400, "invalid_request"),
        (EVENTS, ["Last-Event-ID: -1"], 400, "invalid_request"),
        (EVENTS, ["Last-Event-ID: 1.5"], 400, "invalid_request"),
        (EVENTS, ["Last-Event-ID: " + "9" * 30], 400, "invalid_request"),
        (EVENTS, ["Last-Event-ID: \u00b2"], 400, "invalid_request"),
        (EVENTS, ["Last-Event-ID: 1", "Last-Event-ID: 2"], 400, "invalid_request"),
        (EVENTS + "?after=x", [], 400, "invalid_request"),
        (EVENTS + "?after=-5", [], 400, "invalid_request"),
        (EVENTS + "?after=%00", [], 400, "invalid_request"),
        (EVENTS + "?after=" + "9" * 19, [], 400, "invalid_request"),
        (EVENTS + "?" + "a=1&" * 60, [], 400, "invalid_request"),
        ("/conversations/nowhere/events", [], 404, "not_found"),
        ("/conversations/a%20b/events", [], 400, "invalid_request"),
        (EVENTS, ["Content-Length: 3"], 400, "invalid_request"),
        (EVENTS, ["Authorization: Bearer wrong"], 401, "unauthenticated"),
        (EVENTS, ["Cookie: x=y"], 401, "unauthenticated"),
    ],
)
async def test_what_cannot_be_streamed_is_refused_in_http(
    path: str, headers: list[str], status: int, code: str
) -> None:
    """A problem document instead of a stream, and the connection ends."""
    async with world() as server:
        token = None if status == 401 else server.token
        peer = await server.peer()
        answer = await peer.ask(request("GET", "/api/v1" + path, None, *headers, token=token))
        assert (answer.status, answer.code) == (status, code)
        assert await peer.rest() == b""


async def _blocks(peer: Peer, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        block = (await peer.until(b"\n\n")).decode()
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and line[0] != ":")
        if fields:
            found.append(fields)
    return found


@pytest.mark.parametrize(
    ("query", "header", "reason"),
    [
        ("?after=999", None, "ahead"),
        ("", "999", "ahead"),
        ("?after=0&epoch=wrong", None, "epoch_changed"),
        ("?epoch=wrong", "1", "epoch_changed"),
        ("?after=999", "0", None),
        ("?after=nonsense", "0", None),
        ("?after=", None, None),
    ],
)
async def test_a_position_that_cannot_be_resumed_is_reset(query: str, header: str | None, reason: str | None) -> None:
    """`stream.reset` says why and where the head is, and the stream goes on live; the header beats the query."""
    async with world() as server:
        await server.engine.conversation("lobby").post(Draft("one", author="bot"))
        headers = [] if header is None else [f"Last-Event-ID: {header}"]
        peer = await server.stream(EVENTS + query, *headers)
        if reason is not None:
            [reset] = await _blocks(peer, 1)
            assert (reset["event"], reset["id"]) == ("stream.reset", "1")
            assert json.loads(reset["data"])["reason"] == reason
        elif header == "0":
            assert (await _blocks(peer, 1))[0]["id"] == "1"
        await server.engine.conversation("lobby").post(Draft("two", author="bot"))
        assert (await _blocks(peer, 1))[0]["id"] == "2"


async def test_what_is_sent_behind_the_request_is_ignored() -> None:
    """Garbage on an open stream changes nothing; closing the sending side ends it."""
    async with world() as server:
        peer = await server.stream(EVENTS)
        await peer.send(bytes(range(256)) * 1_000)
        await server.engine.conversation("lobby").post(Draft("one", author="bot"))
        assert (await _blocks(peer, 1))[0]["id"] == "1"
        await peer.stream.send_eof()
        assert await peer.rest() == b""


async def _strange_token(server: World, number: int) -> str:
    """A valid token that the server has not seen yet, so that it must be looked up."""
    token = f"hbg_strange_{number}"
    now = server.engine.now_ms()
    stranger = User(id=f"stranger-{number}", name="Stranger", role=ServerRole.GUEST, created_at_ms=now)
    record = TokenRecord(
        digest=sha256(token.encode()).digest(),
        id=f"token-{number}",
        user=stranger.id,
        kind=TokenKind.SESSION,
        created_at_ms=now,
        last_used_at_ms=now,
        expires_at_ms=now + 60_000,
    )
    await server.engine.store.accounts.add_guest(stranger, record)
    return token


async def test_leaving_while_the_token_is_looked_up_leaves_nothing() -> None:
    """Streams and sockets whose peer goes at once; the world's count is the check."""
    async with world() as server:
        for number in range(20):
            token = await _strange_token(server, number)
            peer = await server.peer()
            await peer.send(request("GET", "/api/v1" + EVENTS, None, token=token))
            await peer.close()
        with trio.fail_after(5):
            while server.count().subscribers:  # noqa: ASYNC110  counters have no event
                await trio.sleep(0.01)
