"""A small fake server for the bench: threads and blocking sockets, honest unless told to tamper with a reader's frames."""

import base64
import contextlib
import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

Tamper = Callable[[int, int, bytes], list[bytes]]
PING = b"\x81\x02{}"


def text_frame(body: bytes) -> bytes:
    size = len(body)
    return (bytes((0x81, size)) if size < 126 else b"\x81\x7e" + struct.pack("!H", size)) + body


def push(room: str, offset: int, text: str) -> bytes:
    data = {"type": "message.created", "message": {"text": text, "offset": offset}}
    return text_frame(json.dumps({"push": {"channel": room, "pub": {"data": data, "offset": offset}}}).encode())


def block(offset: int, text: str) -> bytes:
    data = {"type": "message.created", "message": {"text": text, "offset": offset}}
    return f"id: {offset}\nevent: message.created\ndata: {json.dumps(data)}\n\n".encode()


class FakeServer:
    """Serves rooms; `tamper(reader, offset, frame)` says what a reader is sent instead of a frame.

    Readers are numbered in the order in which they subscribe, over WebSocket or as event streams. A resume is answered
    with what `resume` makes of the events that were missed, as (offset, text).
    """

    def __init__(self) -> None:
        self.tamper: Tamper = lambda reader, offset, frame: [frame]
        self.swallow: set[int] = set()  # posts by order of arrival that are acknowledged and then forgotten
        self.refuse: set[int] = set()
        self.ping_every = 7
        self.posted = threading.Event()  # the first post has come
        self._posts = 0
        self.resume: Callable[[list[tuple[int, str]]], list[tuple[int, str]]] = lambda missed: missed
        self._logs: dict[str, list[str]] = {}
        self._readers: list[tuple[socket.socket, str, bool]] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._spawn(self._accept)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def cut(self, reader: int) -> None:
        self._readers[reader][0].shutdown(socket.SHUT_RDWR)

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with self._lock:
                    self._sockets.append(sock)
                self._spawn(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as stream, contextlib.suppress(OSError, EOFError):
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = stream.readline()
                    if not line:
                        return
                    head += line
                key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
                if key:
                    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
                    accept = base64.b64encode(digest)
                    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: " + accept + b"\r\n\r\n")
                    self._websocket(sock, stream)
                    return
                stream_of = re.search(rb"GET /api/v1/conversations/([^/]+)/events", head)
                if stream_of:
                    self._event_stream(sock, stream_of[1].decode())
                    stream.read()
                    return
                length = re.search(rb"(?i)content-length: (\d+)", head)
                stream.read(int(length[1]) if length else 0)
                body = b'{"token":"t"}'
                sock.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def _websocket(self, sock: socket.socket, stream) -> None:
        while True:
            first, length = self._exactly(stream, 2)
            size = length & 127
            if size == 126:
                (size,) = struct.unpack("!H", self._exactly(stream, 2))
            mask = self._exactly(stream, 4)
            body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self._exactly(stream, size)))
            if first & 15 == 1 and body != b"{}":
                for line in body.split(b"\n"):
                    self._command(sock, json.loads(line))

    @staticmethod
    def _exactly(stream, size: int) -> bytes:
        data = stream.read(size)
        if len(data) != size:
            raise EOFError
        return data

    def _command(self, sock: socket.socket, command: dict) -> None:
        with self._lock:
            if "connect" in command:
                reply = {"id": command["id"], "connect": {"client": "c", "ping": 25, "pong": True}}
                sock.sendall(text_frame(json.dumps(reply).encode()))
            elif "subscribe" in command:
                self._subscribe(sock, command["id"], command["subscribe"])
            else:
                self._publish(sock, command["id"], command["publish"])

    def _subscribe(self, sock: socket.socket, command_id: int, subscribe: dict) -> None:
        room = subscribe["channel"]
        log = self._logs.setdefault(room, [])
        answer = {"recoverable": True, "epoch": "e", "offset": len(log)}
        if subscribe.get("recover"):
            missed = list(enumerate(log, 1))[subscribe["offset"] :]
            pubs = [{"offset": n, "data": {"message": {"text": text}}} for n, text in self.resume(missed)]
            answer |= {"recovered": True, "publications": pubs}
        sock.sendall(text_frame(json.dumps({"id": command_id, "subscribe": answer}).encode()))
        self._readers.append((sock, room, False))

    def _event_stream(self, sock: socket.socket, room: str) -> None:
        with self._lock:
            opening = {"epoch": "e", "offset": len(self._logs.setdefault(room, []))}
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 2000\n\n"
            sock.sendall(head + f"event: stream.open\ndata: {json.dumps(opening)}\n\n".encode())
            self._readers.append((sock, room, True))

    def _publish(self, sock: socket.socket, command_id: int, publish: dict) -> None:
        number, self._posts = self._posts, self._posts + 1
        self.posted.set()
        if number in self.refuse:
            error = {"id": command_id, "error": {"code": 100, "message": "no", "temporary": True}}
            sock.sendall(text_frame(json.dumps(error).encode()))
            return
        sock.sendall(text_frame(b'{"id":%d,"publish":{}}' % command_id))
        if number in self.swallow:
            return
        room, text = publish["channel"], publish["data"]["text"]
        log = self._logs.setdefault(room, [])
        log.append(text)
        offset = len(log)
        forms = push(room, offset, text), block(offset, text)
        for index, (reader, subscribed, streams) in enumerate(self._readers):
            if subscribed == room:
                frames = self.tamper(index, offset, forms[streams])
                if (offset + index) % self.ping_every == 0:
                    frames = [b":\n\n" if streams else PING, *frames]
                with contextlib.suppress(OSError):
                    reader.sendall(b"".join(frames))


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    server = FakeServer()
    yield server
    server.close()
