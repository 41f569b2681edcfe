"""An embedder's program for tests: it signs tokens for its own users and lets them into its rooms; there are no guests.

It takes the arguments of `hubbub serve` that tests give and prints the same ready line. What its token ends is closed after a
moment, so that tests see it.
"""

from __future__ import annotations

import sys
from functools import partial

import trio

from hubbub import Engine, MemoryStore, Visibility
from hubbub.transport.jwt_settings import JwtSettings
from hubbub.transport.live import LiveSettings
from hubbub.transport.serve import ServeSettings, serve

SECRET = "the secret of an embedder, at least 32 bytes"
AUDIENCE = "chat"
ROOMS = ("news", "desk")
WRITER = "writer"
"""Subject of who owns the rooms; they are private."""
GRACE_S = 1.0


async def main(port: int) -> None:
    """Serve until stopped."""
    jwt = JwtSettings(hmac_secrets=(SECRET,), audiences=(AUDIENCE,), leeway_s=0.0, refresh_grace_s=GRACE_S)
    async with Engine.open(store=MemoryStore()) as engine, trio.open_nursery() as nursery:
        for room in ROOMS:
            await engine.create(room, visibility=Visibility.PRIVATE, owner=f"jwt:{WRITER}")
        settings = ServeSettings(port=port, live=LiveSettings(jwt=jwt))
        serving = await nursery.start(partial(serve, engine, settings))
        print(f"hubbub test ready at {serving.url}", flush=True)


if __name__ == "__main__":
    options = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=False))
    trio.run(main, int(options["--port"]))
