"""A blocking client for tests of dialects against real servers: one connection, everything it hears in a list."""

import os
import socket
from typing import Self

from hubbub.bench.dialects import Answer, Dialect, Join, Joined, Pinged, Publication, Word
from hubbub.bench.server import Server

TIMEOUT_S = 10.0


class Member:
    def __init__(self, dialect: Dialect, server: Server, room: str | None) -> None:
        self.mask = os.urandom(4)
        self.heard: list[Word] = []
        self.raw = b""  # all bytes since it joined
        self._dialect = dialect
        self._sock = socket.create_connection((server.host, server.port), TIMEOUT_S)
        self._rest = b""
        self.joined = self._join(Join(host=f"{server.host}:{server.port}", token="", room=room, mask=self.mask))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._sock.close()

    def _join(self, join: Join) -> Joined:
        handshake = self._dialect.handshake(join)
        self._sock.sendall(handshake.start())
        while True:
            step = handshake.feed(self._read())
            self._sock.sendall(step.send)
            if step.joined:
                self.heard += step.joined.missed
                self._take(step.joined.rest)
                return step.joined

    def _read(self) -> bytes:
        data = self._sock.recv(65536)
        if not data:
            raise EOFError("closed by the server")
        return data

    def _take(self, data: bytes) -> None:
        self.raw += data
        self._rest += data
        frames, rest_at = self._dialect.split(self._rest)
        self._rest = self._rest[rest_at:]
        for frame in frames:
            for word in self._dialect.words(frame, self.mask):
                if isinstance(word, Pinged):
                    self._sock.sendall(word.reply)
                self.heard.append(word)

    def post(self, command_id: int, room: str, text: str) -> None:
        self._sock.sendall(self._dialect.publish(command_id, room, text, f"key-{command_id}", self.mask))

    def events(self, count: int) -> list[Publication]:
        """The first events, waiting for as many."""
        return [word for word in self._wait(Publication, count) if isinstance(word, Publication)]

    def answers(self, count: int) -> list[Answer]:
        """The first answers, waiting for as many."""
        return [word for word in self._wait(Answer, count) if isinstance(word, Answer)]

    def _wait(self, kind: type[Word], count: int) -> list[Word]:
        while sum(isinstance(word, kind) for word in self.heard) < count:
            self._take(self._read())
        return [word for word in self.heard if isinstance(word, kind)]
