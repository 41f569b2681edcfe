"""What the clients of a simulation speak: HTTP/1.1, event streams and WebSocket frames, as little as they need. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Garbled(Exception):
    """The server sent what its protocol does not allow: a bug."""


def request(method: str, path: str, token: str, *, headers: dict[str, str] | None = None, body: Any = None) -> bytes:
    """A request on a connection that is kept."""
    lines = [f"{method} {path} HTTP/1.1", "host: simulation", f"authorization: Bearer {token}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    data = b"" if body is None else json.dumps(body).encode()
    if data:
        lines += ["content-type: application/json", f"content-length: {len(data)}"]
    return "\r\n".join([*lines, "", ""]).encode() + data


@attrs.frozen
class Response:
    """An answer with its whole body."""

    status: int
    headers: dict[str, str]
    body: Any


@attrs.define
class HttpReader:
    """Answers out of bytes."""

    _data: bytearray = attrs.field(factory=bytearray)

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._data += data

    def head(self) -> tuple[int, dict[str, str]] | None:
        """Take out a head, when it is complete."""
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return None
        lines = self._data[:end].decode().split("\r\n")
        del self._data[: end + 4]
        if not lines[0].startswith("HTTP/1.1 "):
            raise Garbled(lines[0])
        fields = (line.split(":", 1) for line in lines[1:])
        return int(lines[0].split(" ")[1]), {name.lower(): value.strip() for name, value in fields}

    def response(self) -> Response | None:
        """Take out an answer, when it is complete."""
        kept = bytes(self._data)
        found = self.head()
        if found is None:
            return None
        status, headers = found
        length = int(headers.get("content-length", 0))
        if len(self._data) < length:
            self._data[:] = kept
            return None
        body = bytes(self._data[:length])
        del self._data[:length]
        return Response(status, headers, json.loads(body) if body else None)

    def rest(self) -> bytes:
        """Take out what is left."""
        data = bytes(self._data)
        self._data.clear()
        return data


@attrs.frozen
class Block:
    """One event of a stream; `id` is None for those that have none."""

    id: str | None
    event: str
    data: Any


@attrs.define
class BlockReader:
    """Events out of the bytes of an event stream."""

    _rest: bytes = b""

    def feed(self, data: bytes) -> Iterator[Block]:
        """Take bytes; give the events that they complete."""
        *raws, self._rest = (self._rest + data).split(b"\n\n")
        for raw in raws:
            fields: dict[str, str] = {}
            for line in raw.decode().split("\n"):
                name, _, value = line.partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
            if "event" in fields:
                yield Block(fields.get("id"), fields["event"], json.loads(fields["data"]))


UPGRADE = (
    b"GET /connection/websocket HTTP/1.1\r\nhost: simulation\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: c2ltdWxhdGlvbiBvbmx5IQ==\r\n\r\n"
)


def frame(opcode: int, payload: bytes) -> bytes:
    """A masked frame; the mask is zero, which changes nothing and is allowed."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


@attrs.define
class FrameReader:
    """Unmasked, unfragmented frames out of bytes."""

    _data: bytearray = attrs.field(factory=bytearray)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Take bytes; give the frames that they complete, as (opcode, payload)."""
        self._data += data
        while len(self._data) >= 2:
            first, second = self._data[0], self._data[1]
            if first & 0x70 or second & 0x80 or not first & 0x80:
                raise Garbled(f"a frame that begins with {first:02x} {second:02x}")
            size, start = second, 2
            if second >= 126:
                start = 4 if second == 126 else 10
                if len(self._data) < start:
                    return
                size = int.from_bytes(self._data[2:start], "big")
            if len(self._data) < start + size:
                return
            payload = bytes(self._data[start : start + size])
            del self._data[: start + size]
            yield first & 0x0F, payload
