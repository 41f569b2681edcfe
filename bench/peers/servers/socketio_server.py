"""The peer `python-socketio`: its asyncio server with rooms, on uvicorn, WebSocket only. Speaks `dialects/socketio.py`.

Run as a program of its own, so that nothing of hubbub is in its memory. Stores nothing.
"""

import socket
from collections import Counter

import socketio
import uvicorn

# async_handlers off: events of a connection are handled in order, without a task for each.
server = socketio.AsyncServer(
    async_mode="asgi", transports=["websocket"], allow_upgrades=False, http_compression=False, async_handlers=False
)
offsets: Counter[str] = Counter()


async def join(connection: str, room: str) -> int:
    """Make the connection a member; answer with the room's last offset."""
    await server.enter_room(connection, room)
    return offsets[room]


async def post(_connection: str, room: str, body: str) -> None:
    """Send the body to all members under the room's next offset; the answer is empty."""
    offsets[room] += 1
    await server.emit("event", (offsets[room], body), room=room)


def main() -> None:
    """Serve on a free port until the process is ended."""
    server.on("join", join)
    server.on("post", post)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"ready at http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        socketio.ASGIApp(server),
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
