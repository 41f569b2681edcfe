"""What an engine tells a tracer: the moments of each batch, in order, whatever became of it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from hubbub.engine import Engine
from hubbub.engine.core.batch import Committed, Rejected
from hubbub.engine.tracing import BatchTrace
from hubbub.storage import MemoryStore
from hubbub.testing import FaultyStore

from .world import ROOM, Outlet, join, poison, post, subscriber_of, until


class Notes:
    """A tracer that keeps what it is told."""

    def __init__(self) -> None:
        self.traces: list[BatchTrace] = []

    def finished(self, trace: BatchTrace) -> None:
        self.traces.append(trace)


class Broken:
    """A tracer with a bug."""

    def finished(self, trace: BatchTrace) -> None:
        raise RuntimeError("a bug")


async def test_a_batch_is_told_once_with_its_moments_in_order(autojump_clock: Any) -> None:
    """Departed, sent, settled, ended; with its results and the readers of the pass."""
    notes = Notes()
    async with Engine.open(store=MemoryStore(), tracer=notes) as engine:
        await engine.create(ROOM)
        for client in ("one", "two"):
            await join(engine, subscriber_of(Outlet(), client)).wait()
        for number in range(3):
            await post(engine, str(number)).wait()
    assert [trace.results for trace in notes.traces] == [[Committed(1)], [Committed(2)], [Committed(3)]]
    for trace in notes.traces:
        assert trace.batch.sent_s is not None
        assert trace.departed_s <= trace.batch.sent_s <= trace.settled_s <= trace.ended_s
        assert trace.readers == 2


async def test_what_the_store_rejects_is_told_without_a_pass(autojump_clock: Any) -> None:
    """A batch that was withdrawn before it was sent has no time of sending, and no reader."""
    notes = Notes()
    store = MemoryStore()
    async with Engine.open(store=store, tracer=notes) as engine:
        await engine.create(ROOM)
        await join(engine, subscriber_of(Outlet(), "one")).wait()
        hold = trio.Event()

        async def commit(rows: Any, *, again: bool) -> Any:
            await hold.wait()
            return await honest(rows, again=again)

        backend: Any = store._writer._backend
        honest, backend.commit = backend.commit, commit
        await engine.create("other")
        blocking = post(engine, "first", name="other")
        await trio.testing.wait_all_tasks_blocked()
        late = post(engine, "late", timeout_s=1.0)
        await late.wait()
        await trio.sleep(1)
        hold.set()
        await blocking.wait()
    told = {trace.batch.conversation: trace for trace in notes.traces}
    assert isinstance(told[ROOM].results[0], Rejected)
    assert (told[ROOM].batch.sent_s, told[ROOM].readers) == (None, None)
    assert told["other"].batch.sent_s is not None


async def test_a_batch_that_outlives_its_actor_is_told_too(autojump_clock: Any) -> None:
    """It lands while no actor runs: its outcome is told, and that there was no pass."""
    notes, store = Notes(), FaultyStore()
    async with Engine.open(store=store, tracer=notes) as engine:
        await engine.create(ROOM)
        release = store.backend.hold()
        flying = post(engine, "flying")
        await until(lambda: store.statistics().in_flight)
        await poison(engine).wait()
        release.set()
        await flying.wait()
        await post(engine, "next").wait()
    assert [(trace.results, trace.readers) for trace in notes.traces] == [([Committed(1)], None), ([Committed(2)], 0)]


async def test_a_tracer_that_raises_costs_nobody_anything(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The post is answered and the actor lives; the log says what happened."""
    async with Engine.open(store=MemoryStore(), tracer=Broken()) as engine:
        await engine.create(ROOM)
        acks = [await post(engine, str(number)).wait() for number in range(2)]
        assert engine.statistics().crashes == 0
    assert [ack.message.offset for ack in acks] == [1, 2]
    assert "a tracer failed" in caplog.text
