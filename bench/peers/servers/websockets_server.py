"""The peer `websockets`: the library's asyncio server and its `broadcast()`, on uvloop. Speaks `dialects/plain.py`.

Run as a program of its own, so that nothing of hubbub is in its memory. Stores nothing.
"""

import asyncio
from collections import defaultdict

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed


class Room:
    """Who is in it, and how many posts it has had."""

    def __init__(self) -> None:
        self.members: set[ServerConnection] = set()
        self.offset = 0


rooms: defaultdict[str, Room] = defaultdict(Room)


async def talk(connection: ServerConnection) -> None:
    """Serve one connection until it is closed."""
    joined: Room | None = None
    try:
        async for message in connection:
            assert isinstance(message, str)
            verb, _, rest = message.partition(" ")
            if verb == "post":
                command_id, name, body = rest.split(" ", 2)
                room = rooms[name]
                room.offset += 1
                broadcast(room.members, f"event {room.offset} {body}")
                await connection.send(f"ok {command_id}")
            elif verb == "join":
                joined = rooms[rest]
                joined.members.add(connection)
                await connection.send(f"joined {joined.offset}")
    except ConnectionClosed:
        pass  # the other side is gone; so is its membership, below
    finally:
        if joined is not None:
            joined.members.discard(connection)


async def main() -> None:
    """Serve on a free port until the process is ended."""
    async with serve(talk, "127.0.0.1", 0, compression=None, backlog=2048) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(f"ready at http://127.0.0.1:{port}", flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main())
