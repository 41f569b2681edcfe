"""The stock npm SDK under Node.js, as a reader and a poster (`tests/node/client.mjs`)."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from .journal import Journal, until
from .rest import Ack

HERE = Path(__file__).resolve().parent.parent / "node"
INSTALLED = shutil.which("node") is not None and (HERE / "node_modules" / "centrifuge").is_dir()


class NodeClient:
    """The program and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process, journal: Journal, posts: int) -> None:
        self._process = process
        self._posts = posts
        self.journal = journal
        self.acks: list[Ack] = []
        self.failed = ""
        self.transports: list[str] = []
        """By which way each of its connections came about."""

    async def post_all(self, within_s: float) -> list[Ack]:
        """Have it post, and wait for all acks."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        what = f"{self._posts} acks under Node.js"
        await until(lambda: len(self.acks) == self._posts or bool(self.failed), within_s, what)
        assert not self.failed, self.failed
        return self.acks

    async def read(self) -> None:
        """Read its lines until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            document = json.loads(line)
            if "event" in document:
                self.journal.take(document["event"])
            elif "ack" in document:
                self.acks.append(Ack(**document["ack"]))
            elif "connected" in document:
                self.transports.append(document["connected"]["transport"])
            elif "subscribed" in document:
                subscribed = document["subscribed"]
                if subscribed["wasRecovering"]:
                    self.journal.resumed += subscribed["recovered"]
                    self.journal.resets += not subscribed["recovered"]
                self.journal.ready.set()
            else:
                self.failed = document["failed"]
                self.journal.ready.set()


@asynccontextmanager
async def node_client(
    websocket_url: str, token: str, conversation: str, journal: Journal, posts: int, transports: str = ""
) -> AsyncIterator[NodeClient]:
    """The program, subscribed, for as long as the context is open.

    Args:
        transports: those that it may use, in their order; none for WebSocket alone.
    """
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / "client.mjs"), websocket_url, token, conversation, str(posts), transports,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
    )  # fmt: skip
    client = NodeClient(process, journal, posts)
    reading = asyncio.create_task(client.read())
    try:
        async with asyncio.timeout(15.0):
            await journal.ready.wait()
        assert not client.failed, client.failed
        yield client
    finally:
        process.kill()
        await process.wait()
        await reading
