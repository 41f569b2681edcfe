"""The client's side of the wire: WebSocket frames and the Centrifugal JSON protocol, bytes in and out. Pure.

Written here and not taken from a library because the generator must see the bytes of whole frames (it compares them
between readers) and handle thousands of connections in one process. Only what a hubbub server sends is understood:
unfragmented, unmasked text and control frames; anything else is a `WireError`, which ends that connection.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

import attrs
import msgspec

PATH: Final = "/connection/websocket"
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
SERVER_PING: Final = b"{}"
MAX_HEAD_BYTES: Final = 16 * 1024
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WireError(Exception):
    """The server sent what this client does not understand."""


# msgspec structs: decoded straight from the bytes, unknown fields skipped, about 1 us a document.
class Message(msgspec.Struct, frozen=True):
    """The message of an event; ours have a text."""

    text: str = ""


class Event(msgspec.Struct, frozen=True):
    """The data of a publication; only message events have a message."""

    message: Message | None = None


class Publication(msgspec.Struct, frozen=True):
    """One event of a channel; offset 0: an ephemeral one, without a place in the log."""

    data: Event = Event()
    offset: int = 0


class Push(msgspec.Struct, frozen=True):
    """What a server sends unasked; only publications matter here."""

    pub: Publication | None = None


class Subscribed(msgspec.Struct, frozen=True):
    """Answer to a subscribe: live from the offset after this one; to a resume, with what was missed before it."""

    offset: int = 0
    epoch: str = ""
    recovered: bool = True
    publications: list[Publication] = msgspec.field(default_factory=list)


class Refusal(msgspec.Struct, frozen=True):
    """An error reply."""

    code: int
    message: str = ""


class Document(msgspec.Struct, frozen=True):
    """Any one JSON document of the server: a reply (with an id), a push, or neither (a ping)."""

    id: int = 0
    error: Refusal | None = None
    subscribe: Subscribed | None = None
    push: Push | None = None


class _Send(msgspec.Struct, omit_defaults=True):
    id: int
    connect: dict[str, str] | None = None
    subscribe: dict[str, object] | None = None
    publish: dict[str, object] | None = None
    rpc: dict[str, object] | None = None


@attrs.frozen
class Frame:
    """A whole frame within some bytes, from `start` to `end`."""

    start: int
    end: int
    opcode: int
    body: bytes


_documents: Final = msgspec.json.Decoder(Document)
_encode: Final = msgspec.json.Encoder().encode


def split(data: bytes) -> tuple[list[Frame], int]:
    """The whole frames at the start of some bytes, and where the first unfinished one begins.

    Raises:
        WireError: A frame is fragmented, masked or of an unknown kind.
    """
    frames: list[Frame] = []
    at, size = 0, len(data)
    while size - at >= 2:
        first, length = data[at], data[at + 1]
        if first not in (0x80 | TEXT, 0x80 | CLOSE, 0x80 | PING, 0x80 | PONG) or length > 127:
            raise WireError(f"unexpected frame head {first:02x} {length:02x}")
        body = at + {126: 4, 127: 10}.get(length, 2)
        if length >= 126:
            if size < body:
                break
            length = int.from_bytes(data[at + 2 : body], "big")
        if size < body + length:
            break
        frames.append(Frame(at, body + length, first & 0x0F, data[body : body + length]))
        at = body + length
    return frames, at


def documents(body: bytes) -> list[Document]:
    """The JSON documents of a text frame, one a line.

    Raises:
        WireError: One of them is not such a document.
    """
    try:
        return [_documents.decode(line) for line in body.split(b"\n") if line]
    except msgspec.DecodeError as exc:
        raise WireError(f"not a document of the protocol: {exc}") from exc


def frame(body: bytes, mask: bytes, opcode: int = TEXT) -> bytes:
    """A client's frame: whole and masked with these 4 bytes."""
    size = len(body)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    key = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(body, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return head + mask + masked


def connect(command_id: int, token: str) -> bytes:
    """The connect command."""
    return _encode(_Send(command_id, connect={"token": token}))


def subscribe(command_id: int, room: str) -> bytes:
    """The subscribe command: live from now on, without recovery."""
    return _encode(_Send(command_id, subscribe={"channel": room}))


def resume(command_id: int, room: str, offset: int, epoch: str) -> bytes:
    """The subscribe command that asks for everything after an offset, then live."""
    wanted: dict[str, object] = {"channel": room, "recover": True, "offset": offset, "epoch": epoch}
    return _encode(_Send(command_id, subscribe=wanted))


def rpc(command_id: int, method: str, data: dict[str, object]) -> bytes:
    """A call of a method; its reply carries the result, which is not looked at."""
    return _encode(_Send(command_id, rpc={"method": method, "data": data}))


def publish(command_id: int, room: str, text: str, idempotency_key: str) -> bytes:
    """The publish command: a durable post; its reply is the acknowledgement."""
    data = {"text": text, "idempotency_key": idempotency_key}
    return _encode(_Send(command_id, publish={"channel": room, "data": data}))


def upgrade(host: str, key: bytes, path: str = PATH) -> bytes:
    """The request head that opens a WebSocket; `key` is 16 bytes in base64."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n\r\n"
    ).encode()


def upgraded(data: bytes, key: bytes) -> bytes | None:
    """What follows the answer to `upgrade`; None while its head is unfinished.

    Raises:
        WireError: The answer is not an acceptance of this key, or its head is too long.
    """
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        if len(data) > MAX_HEAD_BYTES:
            raise WireError("the answer's head does not end")
        return None
    lines = head.split(b"\r\n")
    if lines[0].split(b" ")[1:2] != [b"101"]:
        raise WireError(f"no upgrade: {lines[0].decode('latin-1')}")
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    fields = (line.partition(b":") for line in lines[1:])
    if not any(n.strip().lower() == b"sec-websocket-accept" and v.strip() == accept for n, _, v in fields):
        raise WireError("no upgrade: wrong Sec-WebSocket-Accept")
    return rest
