"""The peers, and how each is set up. Data only; `docs/peers.md` says why and what is different in kind."""

from __future__ import annotations

from typing import Final

import attrs

from .prepare import CServer, NodeServer, NotPackaged, PythonServer, Recipe


@attrs.frozen(kw_only=True)
class Peer:
    """One way to send a room's messages.

    Attributes:
        name: As `--peer` takes it.
        dialect: What it speaks, see `dialects`.
        settings: What was set to make it fast, in a few words.
    """

    name: str
    title: str
    dialect: str
    settings: str
    recipe: Recipe


FLOOR: Final = "epoll-c"
PEERS: Final = (
    Peer(
        name=FLOOR,
        title="C, epoll",
        dialect="plain",
        settings="one thread; a turn's posts joined, one write a member",
        recipe=CServer("epoll.c"),
    ),
    Peer(
        name="websockets",
        title="websockets, broadcast()",
        dialect="plain",
        settings="asyncio server on uvloop, no compression",
        recipe=PythonServer("websockets_server.py", ("websockets", "uvloop")),
    ),
    Peer(
        name="starlette",
        title="Starlette on uvicorn, loop",
        dialect="plain",
        settings="websockets-sansio, uvloop, httptools, no compression",
        recipe=PythonServer("starlette_server.py", ("starlette", "uvicorn", "uvloop", "httptools", "websockets")),
    ),
    Peer(
        name="python-socketio",
        title="python-socketio on uvicorn",
        dialect="socketio",
        settings="WebSocket only, websockets-sansio, uvloop, httptools, no compression",
        recipe=PythonServer("socketio_server.py", ("python-socketio", "uvicorn", "uvloop", "httptools", "websockets")),
    ),
    Peer(
        name="ws",
        title="ws on Node.js, loop",
        dialect="plain",
        settings="no compression, one buffer for all members",
        recipe=NodeServer("ws_server.js", "ws"),
    ),
    Peer(
        name="socket.io",
        title="Socket.IO on Node.js",
        dialect="socketio",
        settings="WebSocket only, no compression, first request dropped",
        recipe=NodeServer("socketio_server.js", "socket.io"),
    ),
    Peer(
        name="uwebsockets",
        title="uWebSockets.js",
        dialect="plain",
        settings="",
        recipe=NotPackaged("its binaries are given out on GitHub only, not by the npm registry"),
    ),
)
BY_NAME: Final = {peer.name: peer for peer in PEERS}
