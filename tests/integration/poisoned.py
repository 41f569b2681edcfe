"""An embedder's program for tests: a server in which every post to the room `poison` crashes that room's actor.

It takes the arguments of `hubbub serve` that tests give and prints the same ready line. Nothing of the server is patched: the
store that is handed to the engine is faulty, as one of an embedder could be.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from hubbub import Engine, MemoryStore
from hubbub.engine.core.batch import Batch
from hubbub.operator_token import keep
from hubbub.transport.live import GUESTS_WELCOME
from hubbub.transport.operator import OperatorKey
from hubbub.transport.serve import ServeSettings, Serving, serve


class PoisonedStore(MemoryStore):
    """Cannot take what is said in one room."""

    def submit(self, batch: Batch) -> None:
        if batch.conversation == "poison":
            raise RuntimeError("this store has a bug")
        super().submit(batch)


async def main(port: int, data: Path) -> None:
    """Serve until stopped."""
    async with Engine.open(store=PoisonedStore()) as engine, trio.open_nursery() as nursery:
        await engine.create("poison")
        settings = ServeSettings(port=port, live=GUESTS_WELCOME)
        key = OperatorKey.of(keep(data))

        async def run(*, task_status: trio.TaskStatus[Serving]) -> None:
            await serve(engine, settings, operator=key, task_status=task_status)

        serving: Serving = await nursery.start(run)
        print(f"hubbub test ready at {serving.url}", flush=True)


if __name__ == "__main__":
    options = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=False))
    trio.run(main, int(options["--port"]), Path(options["--data"]))
