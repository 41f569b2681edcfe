"""The guest loop: what asyncio promises, in turns that trio takes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Never

import pytest
import trio
from trio.testing import MockClock

from hubbub.storage._guest import GuestLoop


def refuse(context: dict[str, Any]) -> Never:
    raise AssertionError(context)


@asynccontextmanager
async def served() -> AsyncIterator[GuestLoop]:
    loop = GuestLoop(refuse)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.serve)
        await trio.testing.wait_all_tasks_blocked()
        yield loop
        nursery.cancel_scope.cancel()
    loop.close()


async def test_a_turn_runs_what_callbacks_schedule_and_does_not_wait() -> None:
    """A coroutine gets as far as it can within the turn of whoever began it."""
    loop = GuestLoop(refuse)
    seen: list[int] = []

    async def work() -> None:
        for number in range(3):
            seen.append(number)
            await asyncio.sleep(0)
        await asyncio.sleep(3600)

    task = loop.create_task(work())
    loop.turn()
    assert seen == [0, 1, 2]
    assert not task.done()
    task.cancel()
    loop.close()
    assert task.cancelled()


async def test_a_turn_ends_though_its_callbacks_go_on_for_ever() -> None:
    """Trio's tasks are not starved by a callback that schedules itself, and it is not forgotten either."""
    async with served() as loop:
        count = 0

        def again() -> None:
            nonlocal count
            count += 1
            loop.call_soon(again)

        loop.call_soon(again)
        loop.turn()
        before = count
        assert before
        while count <= before:
            await trio.lowlevel.checkpoint()


async def test_what_is_scheduled_from_outside_wakes_the_loop() -> None:
    """Neither `call_soon` nor a thread's call needs a turn to be taken by hand."""
    async with served() as loop:
        called = trio.Event()
        loop.call_soon(called.set)
        await called.wait()
        assert (
            await trio.to_thread.run_sync(lambda: asyncio.run_coroutine_threadsafe(asyncio.sleep(0, 7), loop).result(5))
            == 7
        )


async def test_timers_follow_trios_clock_whoever_sets_them(autojump_clock: MockClock) -> None:
    """A timer set in a turn by hand, or from outside, that is due before all others shortens the wait."""
    async with served() as loop:
        began, done = trio.current_time(), trio.Event()
        loop.call_later(50, lambda: None)
        loop.create_task(asyncio.sleep(20)).add_done_callback(lambda _: done.set())
        loop.turn()
        await done.wait()
        assert trio.current_time() - began == pytest.approx(20, abs=0.1)
        sooner = trio.Event()
        loop.call_later(10, sooner.set)
        await sooner.wait()
        assert trio.current_time() - began == pytest.approx(30, abs=0.1)


async def test_threads_may_ask_for_the_time() -> None:
    """In asyncio's debug mode (`python -X dev`) the look-up of a host's name does, in a thread of the loop's executor."""
    async with served() as loop:
        loop.set_debug(True)
        found = trio.Event()
        looking = loop.create_task(loop.getaddrinfo("127.0.0.1", 5432, type=socket.SOCK_STREAM))
        looking.add_done_callback(lambda _: found.set())
        loop.turn()
        await found.wait()
        assert looking.result()[0][4] == ("127.0.0.1", 5432)


async def test_sockets_are_served() -> None:
    """Bytes come and go through asyncio's transports."""
    ours, theirs = socket.socketpair()
    async with served() as loop:
        reader, writer = None, None
        opened = trio.Event()

        async def echo() -> None:
            nonlocal reader, writer
            reader, writer = await asyncio.open_connection(sock=ours)
            writer.write(await reader.readexactly(4))
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            opened.set()

        task = loop.create_task(echo())
        loop.turn()
        with trio.socket.from_stdlib_socket(theirs) as peer:
            await peer.send(b"ping")
            assert await peer.recv(4) == b"ping"
            await opened.wait()
        assert task.done()


async def test_turns_do_not_nest() -> None:
    """A callback that asks for a turn does not run its successors before it has returned."""
    loop = GuestLoop(refuse)
    order: list[str] = []

    def first() -> None:
        loop.turn()
        order.append("first")

    loop.call_soon(first)
    loop.call_soon(order.append, "second")
    loop.turn()
    assert order == ["first", "second"]
    loop.close()


async def test_what_ends_the_loop_is_raised_by_serve_alone() -> None:
    """Whoever took the turn goes on; no turn is taken any more."""

    def end() -> Never:
        raise SystemExit(3)

    seen: list[int] = []

    async def take_turns() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.serve)
            await trio.testing.wait_all_tasks_blocked()
            loop.call_soon(end)
            loop.turn()
            loop.call_soon(seen.append, 1)
            loop.turn()
            await trio.sleep_forever()

    loop = GuestLoop(refuse)
    with pytest.RaisesGroup(SystemExit):
        await take_turns()
    assert not seen
    loop.close()


async def test_errors_of_callbacks_are_handed_over() -> None:
    """The loop goes on when the handler has taken the error, and ends when the handler fails."""
    errors: list[object] = []

    def handle(context: dict[str, Any]) -> None:
        errors.append(context.get("exception"))
        if len(errors) > 1:
            raise MemoryError

    loop = GuestLoop(handle)
    with pytest.RaisesGroup(MemoryError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.serve)
            await trio.testing.wait_all_tasks_blocked()
            loop.call_soon(lambda: 1 / 0)
            await trio.testing.wait_all_tasks_blocked()
            assert [type(error) for error in errors] == [ZeroDivisionError]
            loop.call_soon(lambda: 1 / 0)
            await trio.sleep_forever()
    loop.close()
