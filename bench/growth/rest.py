"""Tokens and rooms over HTTP: many rooms at once, on a few kept connections."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Final

from ..errors import BenchError
from ..server import Server

_LANES: Final = 16
_TIMEOUT_S: Final = 30.0


def guest(server: Server) -> str:
    """The token of a new guest.

    Raises:
        BenchError: there is none to be had.
    """
    connection = HTTPConnection(server.host, server.port, timeout=_TIMEOUT_S)
    with contextlib.closing(connection):
        try:
            connection.request("POST", "/api/v1/auth/guest", json.dumps({"name": "bench"}), _JSON)
            return str(json.loads(connection.getresponse().read())["token"])
        except (OSError, HTTPException, ValueError, KeyError) as error:
            raise BenchError(f"no guest at {server.url}: {error!r}") from error


_JSON: Final = {"Content-Type": "application/json"}


def create(server: Server, token: str, rooms: Sequence[str]) -> None:
    """Create public rooms; the server works on some at the same time.

    Raises:
        BenchError: one was refused.
    """
    lanes = [socket.create_connection((server.host, server.port), _TIMEOUT_S) for _ in range(min(_LANES, len(rooms)))]
    try:
        for at in range(0, len(rooms), len(lanes)):
            some = rooms[at : at + len(lanes)]
            for lane, room in zip(lanes, some, strict=False):
                lane.sendall(_request(server, token, room))
            for lane, room in zip(lanes, some, strict=False):
                _check(lane, room)
    except OSError as error:
        raise BenchError(f"rooms could not be made at {server.url}: {error}") from error
    finally:
        for lane in lanes:
            lane.close()


def _request(server: Server, token: str, room: str) -> bytes:
    body = json.dumps({"id": room, "visibility": "public"}).encode()
    head = (
        f"POST /api/v1/conversations HTTP/1.1\r\nHost: {server.host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _check(lane: socket.socket, room: str) -> None:
    response = HTTPResponse(lane)
    try:
        response.begin()
        response.read()
    except HTTPException as error:
        raise BenchError(f"room {room} could not be made: {error!r}") from error
    if response.status != 201:
        raise BenchError(f"room {room} was refused with {response.status}")
