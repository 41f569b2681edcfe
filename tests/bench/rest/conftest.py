"""A small REST server for the bench: threads and blocking sockets, honest unless told what to do to a post or to an answer."""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

LIMIT = 50


class FakeRest:
    """Keeps rooms in lists. Posts are counted from 0 in the order of their arrival.

    Attributes:
        forget: Posts that are acknowledged and not stored.
        double: Posts that are stored twice.
        alter: Posts that are stored with another text.
        early: Posts that are stored before the one in front of them, and acknowledged as if they were not.
        other_id: Posts that are stored with another id than was acknowledged.
        refuse: Posts that are answered with 503 and not stored.
        mute: Posts that are neither answered nor stored, on a connection that stays open.
        hang: Posts at which the connection is closed without an answer.
        tamper: Changes the body of the answer to a GET of this number, from 0.
    """

    def __init__(self) -> None:
        self.forget: set[int] = set()
        self.double: set[int] = set()
        self.alter: set[int] = set()
        self.early: set[int] = set()
        self.other_id: set[int] = set()
        self.refuse: set[int] = set()
        self.hang: set[int] = set()
        self.mute: set[int] = set()
        self.tamper: Callable[[int, bytes], bytes] = lambda number, body: body
        self.chunked = False
        self.posted = threading.Event()
        self._rooms: dict[str, list[dict]] = {}
        self._posts = self._gets = 0
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

    def _spawn(self, target: Callable, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._sockets.append(sock)
            self._spawn(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    more = sock.recv(65536)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                found = re.search(rb"(?i)content-length: (\d+)", head)
                size = int(found[1]) if found else 0
                while len(data) < size:
                    data += sock.recv(65536)
                body, data = data[:size], data[size:]
                method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
                with self._lock:
                    status, answer = self._route(method, target, body)
                if not status:
                    return
                if status > 0:
                    sock.sendall(self._wire(status, answer))

    def _wire(self, status: int, body: bytes) -> bytes:
        if self.chunked:
            return b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
                status,
                len(body),
                body,
            )
        return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)

    def _route(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        path, _, query = target.partition("?")
        if path.endswith("/auth/guest"):
            return 201, b'{"token":"t"}'
        if path.endswith("/conversations"):
            self._rooms[json.loads(body)["id"]] = []
            return 201, b"{}"
        room = path.split("/")[4]
        if method == "POST":
            return self._post(room, json.loads(body)["text"])
        answer = self._page(room, query) if path.endswith("/messages") else self._record(room)
        number, self._gets = self._gets, self._gets + 1
        return 200, self.tamper(number, json.dumps(answer).encode())

    def _post(self, room: str, text: str) -> tuple[int, bytes]:
        number, self._posts = self._posts, self._posts + 1
        self.posted.set()
        if number in self.hang:
            return 0, b""
        if number in self.mute:
            return -1, b""
        if number in self.refuse:
            return 503, b'{"code":"overloaded"}'
        log = self._rooms[room]
        ack = {"id": f"m{number}", "offset": len(log) + 1, "text": text}
        if number in self.forget:
            return 201, json.dumps(ack).encode()
        stored = dict(ack)
        if number in self.alter:
            stored["text"] = text[:-3] + "..."
        if number in self.other_id:
            stored["id"] = "another"
        log.append(stored)
        if number in self.double:
            log.append(dict(stored, offset=len(log) + 1))
        if number in self.early:
            log[-2:] = [dict(log[-1], offset=len(log) - 1), dict(log[-2], offset=len(log))]
        return 201, json.dumps(ack).encode()

    def _page(self, room: str, query: str) -> dict:
        log = self._rooms[room]
        if after := re.search(r"after=(\d+)", query):
            page = log[int(after[1]) :][:LIMIT]
            more = bool(page) and page[-1]["offset"] < len(log)
            return {"messages": page, "next": page[-1]["offset"] if more else None, "previous": None}
        limit = int(re.search(r"limit=(\d+)", query)[1])
        page = log[-limit:]
        return {"messages": page, "next": None, "previous": page[0]["offset"] if len(log) > limit else None}

    def _record(self, room: str) -> dict:
        return {"id": room, "offset": len(self._rooms[room])}


@pytest.fixture
def fake_rest() -> Iterator[FakeRest]:
    server = FakeRest()
    yield server
    server.close()
