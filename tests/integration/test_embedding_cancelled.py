"""The embedding example on the embedded Postgres, cancelled at random points: nothing stays behind, nothing acked is missing."""

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import trio

from hubbub import Draft, EmbeddedSettings, Engine, EngineError, PostgresStore, open_embedded

pytestmark = pytest.mark.postgres

ROUNDS = 8


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the unprivileged Postgres user may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="hubbub-cancel-"))
    path.chmod(0o711)
    yield path / "data"
    shutil.rmtree(path, ignore_errors=True)


async def embed(data: Path, acked: dict[str, int], rng: random.Random) -> None:
    """What an embedder writes: a store, an engine, posters and a reader."""
    async with (
        open_embedded(EmbeddedSettings(data)) as postgres,
        PostgresStore.open(postgres.connect_args) as store,
        Engine.open(store=store) as engine,
        trio.open_nursery() as nursery,
    ):
        room = await engine.create("room", exist_ok=True)

        async def talk(name: str) -> None:
            while True:
                key = f"{name}-{rng.getrandbits(64):x}"
                ack = await room.post(Draft(key, author=name, idempotency_key=key))
                acked[key] = ack.cursor.offset

        async def read() -> None:
            async with room.subscribe(since=0) as events:
                expected = 1
                async for event in events:
                    assert event.offset == expected
                    expected += 1

        nursery.start_soon(read)
        for author in ("ada", "bob", "cyd"):
            nursery.start_soon(talk, author)


async def stored(data: Path) -> dict[str, int]:
    """Everything in the log, by text."""
    async with (
        open_embedded(EmbeddedSettings(data)) as postgres,
        PostgresStore.open(postgres.connect_args) as store,
        Engine.open(store=store) as engine,
    ):
        room = await engine.create("room", exist_ok=True)
        found: dict[str, int] = {}
        after: int | None = 0
        while after is not None:
            page = await room.history(after=after, limit=500)
            for message in page.messages:
                assert message.text not in found
                found[message.text] = message.offset
            after = page.next
        return found


def left_behind(data: Path) -> list[str]:
    """Postgres processes that still run in the data directory."""
    names = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(data) in line or str(data) in (process.info["cwd"] or ""):
            names.append(line)
    return names


def cancel_rounds(data: Path, rounds: int, seed: int) -> int:
    """Run and cancel so often; returns how many posts were acked."""
    rng = random.Random(seed)
    acked: dict[str, int] = {}
    trio.run(stored, data)  # the cluster is made once, so that the points of cancellation are spread over the example
    descriptors = psutil.Process().num_fds()
    for _ in range(rounds):

        async def run() -> None:
            with trio.move_on_after(rng.uniform(0.0, 0.6)):
                await embed(data, acked, rng)

        try:
            trio.run(run)
        except* EngineError:
            pass  # the example does not catch what it is told when the engine drains
        assert left_behind(data) == []
        assert psutil.Process().num_fds() == descriptors
    found = trio.run(stored, data)
    assert {key: found.get(key) for key in acked} == acked
    assert sorted(found.values()) == list(range(1, len(found) + 1))
    return len(acked)


def test_cancelled_at_random_points_leaves_nothing_and_loses_nothing(place: Path) -> None:
    """No task, descriptor or Postgres process stays, and every acked post is stored once at its offset."""
    assert cancel_rounds(place, ROUNDS, seed=7) > 0
