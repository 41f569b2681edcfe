"""Bad input over WebSocket: what each wrong frame and command is answered (docs/protocol.md, "Bad input"), and that
nothing is left of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from hubbub.engine import Draft
from hubbub.transport.centrifugal_settings import SocketSettings

from .hostile import UPGRADE, Closed, Socket, World, masked, request, world

KIB = 1024
DEEP = b"[" * 10_000 + b"]" * 10_000
SUBSCRIBE = {"subscribe": {"channel": "lobby"}}


def upgrade(*headers: str) -> bytes:
    return UPGRADE + b"".join(line.encode("latin-1") + b"\r\n" for line in headers) + b"\r\n"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (request("GET", "/connection/websocket"), 426, "upgrade_required"),
        (upgrade().replace(b"GET", b"POST"), 405, "method_not_allowed"),
        (upgrade().replace(b"Version: 13", b"Version: 8"), 426, "upgrade_required"),
        (upgrade().replace(b"dGhl", b"????"), 400, "invalid_request"),
        (upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"), 426, "upgrade_required"),
        (upgrade("Origin: http://evil.example"), 403, "forbidden"),
        (upgrade("Origin: null"), 403, "forbidden"),
        (upgrade("Origin: http://["), 403, "forbidden"),
        (upgrade("Authorization: Bearer wrong"), 401, "unauthenticated"),
        (upgrade("Authorization: Basic x"), 401, "unauthenticated"),
        (upgrade("Content-Length: 1") + b"x", 400, "invalid_request"),
    ],
    ids=["no-upgrade", "POST", "version", "key", "1.0", "origin", "null", "no-url", "token", "basic", "body"],
)
async def test_a_bad_handshake_is_answered_in_http(data: bytes, status: int, code: str) -> None:
    """The refusal comes before the upgrade, as a problem document, and the connection ends."""
    async with world() as server:
        peer = await server.peer()
        answer = await peer.ask(data)
        assert (answer.status, answer.code) == (status, code)
        assert await peer.rest() == b""


async def test_compression_and_other_protocols_are_not_taken_up() -> None:
    """The handshake succeeds without them; a client that compresses all the same breaks the protocol."""
    async with world() as server:
        peer = await server.peer()
        await peer.send(
            upgrade("Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: centrifuge-protobuf")
        )
        answer = await peer.answer()
        assert answer.status == 101
        assert not {"sec-websocket-extensions", "sec-websocket-protocol"} & set(answer.headers)
        socket = Socket(peer.stream)
        await socket.frame(0xC1, b"\xaa\x00")
        assert (await socket.end()).code == 1002


FRAMES: dict[str, tuple[bytes, int]] = {
    "binary": (masked(0x82, b"{}"), 1003),
    "binary-head-alone": (masked(0x82, b"", length=10_000), 1003),
    "not-utf8": (masked(0x81, b'{"id":1,"ping":{"a":"\xff"}}'), 1007),
    "not-utf8-fragments": (masked(0x01, b'"\xe2\x82') + masked(0x80, b'\x41"'), 1007),
    "10MB": (masked(0x81, b"", length=10_000_000), 1009),
    "2**63": (masked(0x81, b"", length=2**63 - 1), 1009),
    "fragments-too-long": (masked(0x01, b"x" * 100_000) + masked(0x00, b"x" * 50_000), 1009),
    "too-many-fragments": (masked(0x01) + masked(0x00) * 2_000, 1009),
    "unmasked": (b"\x81\x02{}", 1002),
    "rsv1": (masked(0xC1, b"{}"), 1002),
    "rsv2": (masked(0xA1, b"{}"), 1002),
    "opcode-3": (masked(0x83, b"{}"), 1002),
    "opcode-11": (masked(0x8B, b""), 1002),
    "continuation-alone": (masked(0x80, b"{}"), 1002),
    "text-inside-text": (masked(0x01, b"{") + masked(0x81, b"{}"), 1002),
    "long-ping": (masked(0x89, b"x" * 126), 1002),
    "fragmented-ping": (masked(0x09, b""), 1002),
    "wasteful-length": (b"\x81\xfe\x00\x02\0\0\0\0{}", 1002),
    "close-code-999": (masked(0x88, b"\x03\xe7"), 1002),
    "close-code-1005": (masked(0x88, b"\x03\xed"), 1002),
    "close-half-code": (masked(0x88, b"\x03"), 1002),
    "close-not-utf8": (masked(0x88, b"\x03\xe8\xff"), 1007),
    "close": (masked(0x88, b"\x03\xe8bye"), 1000),
    "close-empty": (masked(0x88), 1000),
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("connected", [False, True])
async def test_a_bad_frame_closes_with_the_code_of_the_standard(name: str, connected: bool) -> None:
    """Before and after `connect`; the subscriptions go with the connection."""
    data, code = FRAMES[name]
    async with world() as server:
        socket = await (server.socket() if connected else server.upgraded())
        if connected:
            assert "subscribe" in await socket.command(**SUBSCRIBE)
        await socket.send(data)
        assert (await socket.end()).code == code


DISCONNECTS: dict[str, bytes] = {
    "not-json": b"hello",
    "half-json": b'{"id":2,',
    "array": b"[]",
    "number": b"7",
    "null": b"null",
    "array-of-commands": b'[{"id":2,"ping":{}}]',
    "without-id": b'{"subscribe":{"channel":"lobby"}}',
    "id-0": b'{"id":0,"ping":{}}',
    "negative-id": b'{"id":-1,"ping":{}}',
    "huge-id": b'{"id":4294967296,"ping":{}}',
    "endless-id": b'{"id":' + b"9" * 50_000 + b',"ping":{}}',
    "fraction-id": b'{"id":2.5,"ping":{}}',
    "text-id": b'{"id":"2","ping":{}}',
    "channel-number": b'{"id":2,"subscribe":{"channel":7}}',
    "offset-text": b'{"id":2,"subscribe":{"channel":"lobby","recover":true,"offset":"1"}}',
    "verb-is-list": b'{"id":2,"publish":[]}',
    "surrogate-without-id": b'{"subscribe":{"channel":"\\ud800"}}',
    "surrogate-in-broken-json": b'{"id":2,"subscribe":{"channel":"\\ud800"}',
    "deep": b'{"id":2,"publish":{"channel":"lobby","data":' + DEEP + b"}}",
    "connect-twice": b'{"id":2,"connect":{}}',
    "bom": b'\xef\xbb\xbf{"id":2,"ping":{}}',
}


@pytest.mark.parametrize("name", DISCONNECTS)
async def test_a_malformed_command_disconnects_with_3501(name: str) -> None:
    """The terminal code: a client that writes this will write it again. What came before it in the frame is answered."""
    async with world() as server:
        socket = await server.socket()
        await socket.frame(0x81, b'{"id":1,"ping":{}}\n' + DISCONNECTS[name] + b'\n{"id":3,"ping":{}}')
        assert await socket.replies(1) == [{"id": 1, "ping": {}}]
        assert await socket.end() == Closed(3501, "bad request")


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ({"id": 1, "connect": {"token": "wrong"}}, 3500),
        ({"id": 1, "connect": {"token": "x" * 5_000}}, 3500),
        ({"id": 1, "connect": {}}, 3500),
        ({"connect": {}}, 3501),
        ({"id": 1, **SUBSCRIBE}, 3501),
        ({"id": 1, "publish": {"channel": "lobby", "data": {"text": "x"}}}, 3501),
        ({}, 3501),
    ],
    ids=["unknown-token", "long-token", "no-token", "no-id", "subscribe", "publish", "pong"],
)
async def test_nothing_is_carried_out_before_connect(first: dict[str, Any], code: int) -> None:
    """A bad token is 3500, any other first command 3501; commands behind it in the frame are not looked at."""
    async with world() as server:
        socket = await server.upgraded()
        await socket.say(first, {"id": 2, "publish": {"channel": "lobby", "data": {"text": "unheard"}}})
        assert (await socket.end()).code == code
        assert (await server.call("GET", "/conversations/lobby/messages")).json["messages"] == []


def publish(data: Any, channel: str = "lobby") -> dict[str, Any]:
    return {"publish": {"channel": channel, "data": data}}


def recover(offset: int, epoch: str = "") -> dict[str, Any]:
    return {"subscribe": {"channel": "lobby", "recover": True, "offset": offset, "epoch": epoch}}


def rpc(method: str, data: Any) -> dict[str, Any]:
    return {"rpc": {"method": method, "data": data}}


ERRORS: list[tuple[dict[str, Any], int]] = [
    ({}, 104),
    ({"dance": {}}, 104),
    ({"refresh": {}}, 107),
    ({"sub_refresh": {"channel": "lobby", "token": "x"}}, 103),
    ({"send": {"data": {}}}, 104),
    (rpc("dance", {}), 104),
    ({"rpc": {}}, 104),
    (rpc("post", None), 107),
    (rpc("post", []), 107),
    (rpc("post", {}), 107),
    (rpc("post", {"conversation": 7, "text": "x"}), 107),
    (rpc("post", {"conversation": "nowhere", "text": "x"}), 102),
    (rpc("history", {"conversation": "lobby", "limit": 501}), 107),
    (rpc("history", {"conversation": "lobby", "limit": True}), 107),
    (rpc("history", {"conversation": "lobby", "after": -1}), 107),
    (rpc("history", {"conversation": "lobby", "after": 2**63}), 107),
    (rpc("history", {"conversation": "lobby", "after": 1, "before": 2}), 107),
    (rpc("typing", {"conversation": "../lobby"}), 107),
    (rpc("conversation", {"conversation": "nowhere"}), 102),
    ({"subscribe": {}}, 107),
    ({"subscribe": {"channel": "no/slash"}}, 107),
    ({"subscribe": {"channel": "a%2Fb"}}, 107),
    ({"subscribe": {"channel": "x" * 129}}, 107),
    ({"subscribe": {"channel": "x" * 100_000}}, 107),
    ({"subscribe": {"channel": "tab\there"}}, 107),
    ({"subscribe": {"channel": "nul\0"}}, 107),
    ({"subscribe": {"channel": "l\u00f6bby"}}, 107),
    ({"subscribe": {"channel": ".."}}, 107),
    ({"subscribe": {"channel": "nowhere"}}, 102),
    (recover(-1), 107),
    (recover(2**63), 107),
    (recover(10**30), 107),
    ({"history": {"channel": "nowhere"}}, 102),
    ({"history": {"channel": "lobby", "since": {"offset": -1}}}, 107),
    ({"history": {"channel": "lobby", "limit": 5, "since": {"offset": 9_999}}}, 112),
    ({"history": {"channel": "lobby", "limit": 5, "since": {"offset": 0, "epoch": "wrong"}}}, 112),
    ({"presence": {"channel": "nowhere"}}, 102),
    ({"presence_stats": {"channel": ""}}, 107),
    *[(publish(data), 107) for data in (None, [], [1], 5, "text", True, {}, {"text": None}, {"text": 1}, {"text": []})],
    (publish({"text": "x", "meta": 5}), 107),
    (publish({"text": "x", "reply_to": "y"}), 107),
    (publish({"text": "x", "idempotency_key": "two words"}), 107),
    (publish({"text": "x", "idempotency_key": "k" * 256}), 107),
    (publish({"text": "x", "meta": json.loads("[" * 40 + "]" * 40)}), 107),
    (publish({"text": ""}), 422),
    (publish({"text": "a\0b"}), 422),
    (publish({"text": "a\ud800b"}), 422),
    ({"subscribe": {"channel": "a\udfffb"}}, 422),
    (publish({"text": "x" * (64 * KIB + 1)}), 413),
    (publish({"text": "x", "meta": {"a": "x" * 8 * KIB}}), 413),
    (publish({"text": "x"}, "nowhere"), 102),
    (publish({"text": "x"}, "a/b"), 107),
]


async def test_a_command_that_cannot_be_carried_out_gets_an_error_reply() -> None:
    """Each has its code and its id, and the connection goes on; the last command succeeds."""
    async with world() as server:
        socket = await server.socket()
        for verb, code in ERRORS:
            reply = await socket.command(**verb)
            assert reply.get("error", {}).get("code") == code, (str(verb)[:80], reply)
            assert reply["error"]["message"]
        assert await socket.command(**publish({"text": "x"})) == {"id": socket.count, "publish": {}}


async def test_a_key_used_for_another_body() -> None:
    """The error is 422; a repeat is answered as the first was."""
    async with world() as server:
        socket = await server.socket()
        first = await socket.command(**rpc("post", {"conversation": "lobby", "text": "a", "idempotency_key": "k"}))
        again = await socket.command(**rpc("post", {"conversation": "lobby", "text": "a", "idempotency_key": "k"}))
        assert first["rpc"] == again["rpc"]
        assert await socket.error(**publish({"text": "b", "idempotency_key": "k"})) == 422


async def test_positions_that_cannot_be_resumed() -> None:
    """Another epoch and an offset from the future are answered `recovered: false`, and the subscription is live."""
    async with world() as server:
        for wrong in (recover(0, "wrong"), recover(5), recover(2**63 - 1)):
            socket = await server.socket()
            reply = (await socket.command(**wrong))["subscribe"]
            assert (reply["was_recovering"], reply["recovered"]) == (True, False)
            assert "publications" not in reply
            await socket.close()


async def test_subscriptions_out_of_order() -> None:
    """Twice is 105; ending what was never begun is fine; ending it in the same frame answers both."""
    async with world() as server:
        socket = await server.socket()
        assert (await socket.command(unsubscribe={"channel": "lobby"}))["unsubscribe"] == {}
        assert (await socket.command(unsubscribe={"channel": "no/slash"}))["unsubscribe"] == {}
        assert "subscribe" in await socket.command(**SUBSCRIBE)
        assert await socket.error(**SUBSCRIBE) == 105
        await socket.command(unsubscribe={"channel": "lobby"})
        await socket.say(
            {"id": 101, **SUBSCRIBE}, {"id": 102, "unsubscribe": {"channel": "lobby"}}, {"id": 103, **SUBSCRIBE}
        )
        replies = {reply["id"]: reply for reply in await socket.replies(3)}
        assert replies[101]["error"]["code"] == 409
        assert "unsubscribe" in replies[102]
        assert "subscribe" in replies[103]
        assert (await socket.command(presence_stats={"channel": "lobby"}))["presence_stats"]["num_clients"] == 1


async def test_leaving_before_the_answer_leaves_nothing() -> None:
    """Connections that go while their token or their subscription is being looked up; the world's count is the check."""
    async with world() as server:
        for cut in (1, 2):
            for _ in range(20):
                socket = await server.upgraded()
                commands = [{"id": 1, "connect": {"token": server.token}}, {"id": 2, **SUBSCRIBE}]
                await socket.say(*commands[:cut])
                await socket.close()


async def test_one_subscription_too_many() -> None:
    """The 1,001st is refused with 106 and the others stay."""
    async with world() as server:
        names = [f"room-{n}" for n in range(1_001)]
        for name in names:
            await server.engine.create(name)
        socket = await server.socket()
        for start in range(0, 1_001, 100):
            await socket.say(
                *({"id": start + n + 1, "subscribe": {"channel": name}} for n, name in enumerate(names[start:][:100]))
            )
        replies = {reply["id"]: reply for reply in await socket.replies(1_001)}
        assert replies[1_001]["error"]["code"] == 106
        assert all("subscribe" in replies[n] for n in range(1, 1_001))
        await server.engine.conversation("room-7").post(Draft("still there", author="bot"))
        [push] = await socket.replies(1)
        assert push["push"]["channel"] == "room-7"


HURRY = SocketSettings(handshake_s=0.2, ping_s=0.2, pong_s=0.6)


async def test_who_says_nothing_is_disconnected() -> None:
    """3502 without `connect`, also when WebSocket pings come; 3012 without an answer to the ping."""
    async with world(socket=HURRY) as server:
        silent, pinging, deaf = await server.upgraded(), await server.upgraded(), await server.socket()

        async def ping_on() -> None:
            while True:
                await pinging.frame(0x89, b"x")
                await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ping_on)
            assert await silent.end() == Closed(3502, "stale")
            assert await pinging.end() == Closed(3502, "stale")
            nursery.cancel_scope.cancel()
        assert await deaf.end() == Closed(3012, "no pong")


async def test_commands_are_no_pong() -> None:
    """A client that talks but does not answer the ping is disconnected all the same; one that answers stays."""
    async with world(socket=HURRY) as server:
        talker, polite = await server.socket(), await server.socket()

        async def talk(socket: Socket, word: bytes) -> None:
            while True:
                await socket.frame(0x81, word)
                await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, talker, b'{"id":9,"ping":{}}')
            nursery.start_soon(talk, polite, b"{}")
            assert (await talker.end()).code == 3012
            assert "ping" in await polite.command(ping={})
            nursery.cancel_scope.cancel()


async def _half_a_socket(server: World, data: bytes) -> None:
    socket = await server.socket()
    await socket.send(data)
    await socket.stream.send_eof()
    assert await socket.rest() == b""


async def test_a_frame_cut_in_the_middle() -> None:
    """The peer's end without a Close frame ends the connection, wherever it comes."""
    frame = masked(0x81, b'{"id":1,"ping":{}}')
    async with world() as server, trio.open_nursery() as nursery:
        for cut in range(1, len(frame)):
            nursery.start_soon(_half_a_socket, server, frame[:cut])
