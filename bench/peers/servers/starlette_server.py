"""The peer `starlette`: a WebSocket endpoint on uvicorn that loops over the room's members. Speaks `dialects/plain.py`.

The loop awaits each member's `send_text` in turn, as the framework's examples do; one member that does not read holds
up the room. Run as a program of its own, so that nothing of hubbub is in its memory. Stores nothing.
"""

import socket
from collections import defaultdict

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


class Room:
    """Who is in it, and how many posts it has had."""

    def __init__(self) -> None:
        self.members: set[WebSocket] = set()
        self.offset = 0


rooms: defaultdict[str, Room] = defaultdict(Room)


async def _broadcast(room: Room, event: str) -> None:
    for member in list(room.members):
        try:
            await member.send_text(event)
        except (WebSocketDisconnect, RuntimeError):  # what Starlette and uvicorn raise for one that is gone
            room.members.discard(member)


async def talk(connection: WebSocket) -> None:
    """Serve one connection until it is closed."""
    await connection.accept()
    joined: Room | None = None
    try:
        async for message in connection.iter_text():
            verb, _, rest = message.partition(" ")
            if verb == "post":
                command_id, name, body = rest.split(" ", 2)
                room = rooms[name]
                room.offset += 1
                await _broadcast(room, f"event {room.offset} {body}")
                await connection.send_text(f"ok {command_id}")
            elif verb == "join":
                joined = rooms[rest]
                joined.members.add(connection)
                await connection.send_text(f"joined {joined.offset}")
    finally:
        if joined is not None:
            joined.members.discard(connection)


def main() -> None:
    """Serve on a free port until the process is ended."""
    app = Starlette(routes=[WebSocketRoute("/{path:path}", talk)])
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"ready at http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
