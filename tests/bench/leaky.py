"""A server that leaks memory, tasks and descriptors, for the test of the soak. It takes the arguments of `hubbub serve`.

The leak stands beside the server, in the program that embeds it; nothing of the server is changed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import attrs
import trio

from hubbub import Engine, MemoryStore
from hubbub.operator_token import keep
from hubbub.transport.limit_settings import LimitSettings
from hubbub.transport.live import GUESTS_WELCOME
from hubbub.transport.operator import OperatorKey
from hubbub.transport.serve import ServeSettings, Serving, serve

LEAK_BYTES = 512 * 1024


async def leak(nursery: trio.Nursery) -> NoReturn:
    """Five times a second: half a mebibyte, a descriptor, a task."""
    kept: list[object] = []
    while True:
        kept.append(bytearray(os.urandom(64)) * (LEAK_BYTES // 64))
        kept.append(Path(os.devnull).open("rb"))  # noqa: ASYNC230, SIM115  it is to be left open
        nursery.start_soon(trio.sleep_forever)
        await trio.sleep(0.2)


async def main(data: Path) -> None:
    """Serve until stopped."""
    async with Engine.open(store=MemoryStore()) as engine, trio.open_nursery() as nursery:
        key = OperatorKey.of(keep(data))

        async def run(*, task_status: trio.TaskStatus[Serving]) -> None:
            await serve(
                engine,
                ServeSettings(port=0, live=attrs.evolve(GUESTS_WELCOME, limits=LimitSettings(on=False))),
                operator=key,
                task_status=task_status,
            )

        serving: Serving = await nursery.start(run)
        nursery.start_soon(leak, nursery)
        print(f"hubbub leaky ready at {serving.url}", flush=True)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[sys.argv.index("--data") + 1]))
