"""The server's half of a WebSocket for tests of dialects: accepts the upgrade, reads and writes frames by wsproto."""

import base64
import hashlib
import re

import attrs
from wsproto.connection import Connection, ConnectionType
from wsproto.events import Ping, Pong, TextMessage

from hubbub.bench.dialects import Handshake, Step

MASK = b"abcd"


class Serving:
    """One connection as its server sees it; nothing is sent by itself."""

    def __init__(self, handshake: Handshake) -> None:
        self._frames = Connection(ConnectionType.SERVER)
        head = handshake.start()
        self.path = head.split(b" ")[1].decode()
        key = re.search(rb"Sec-WebSocket-Key: (\S+)\r\n", head)
        assert key
        digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        accept = base64.b64encode(digest)
        self.accepted = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"

    def text(self, text: str) -> bytes:
        return self._frames.send(TextMessage(data=text))

    def ping(self, body: bytes) -> bytes:
        return self._frames.send(Ping(payload=body))

    def read(self, data: bytes) -> list[str]:
        """What the client has sent: texts, and pongs as `pong BODY`."""
        self._frames.receive_data(data)
        heard: list[str] = []
        for event in self._frames.events():
            if isinstance(event, TextMessage):
                heard.append(event.data)
            elif isinstance(event, Pong):
                heard.append(f"pong {bytes(event.payload).decode()}")
        return heard


def feed_cut(handshake: Handshake, data: bytes, sizes: list[int]) -> Step:
    """Feed bytes in pieces of these sizes, then the rest; after `joined` what was not fed belongs to its rest."""
    send, at = b"", 0
    for size in [*sizes, len(data)]:
        step = handshake.feed(data[at : at + size])
        send, at = send + step.send, at + size
        if step.joined:
            return Step(send, attrs.evolve(step.joined, rest=step.joined.rest + data[at:]))
    return Step(send)
