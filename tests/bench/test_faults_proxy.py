"""The proxy on real sockets: what it forwards, and what each fault does to a wire."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import pytest
import trio
import trio.testing

from hubbub.bench.faults.crowd import until
from hubbub.bench.faults.proxy import Proxy, open_proxy, to_port

SOON_S = 5.0


class Wires:
    """A proxy before a server that echoes."""

    def __init__(self, proxy: Proxy, stack: AsyncExitStack, ends: list[trio.SocketStream]) -> None:
        self.proxy = proxy
        self.ends = ends
        self._stack = stack

    async def open(self) -> trio.SocketStream:
        """A connection, closed at the end of the test."""
        return await self._stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", self.proxy.port))

    async def connect(self) -> trio.SocketStream:
        """A connection that works."""
        stream = await self.open()
        await stream.send_all(b"hello")
        with trio.fail_after(SOON_S):
            assert await read(stream, 5) == b"hello"
        return stream


@asynccontextmanager
async def echoing() -> AsyncIterator[Wires]:
    """Wires for one test."""
    ends: list[trio.SocketStream] = []

    async def echo(stream: trio.SocketStream) -> None:
        ends.append(stream)
        try:
            async for data in stream:
                await stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, echo, 0)
        port = listeners[0].socket.getsockname()[1]
        async with open_proxy(to_port(lambda: port)) as proxy, AsyncExitStack() as stack:
            proxy.seed(Random(1))
            yield Wires(proxy, stack, ends)
        nursery.cancel_scope.cancel()


async def read(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        if not more:
            break
        data += more
    return data


async def test_bytes_go_through_in_order() -> None:
    """Without a fault it is not there."""
    async with echoing() as wires:
        stream = await wires.connect()
        sent = Random(2).randbytes(300_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, sent)
            with trio.fail_after(SOON_S):
                assert await read(stream, len(sent)) == sent
        await stream.aclose()
        assert await until(lambda: wires.proxy.links == 0, SOON_S)


async def test_a_cut_resets_within_the_bytes() -> None:
    """A part of what is under way arrives at most, then the connection is reset; idle ones are reset too."""
    async with echoing() as wires:
        busy, idle = await wires.connect(), await wires.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wires.proxy.cut)
            await trio.testing.wait_all_tasks_blocked()
            await busy.send_all(bytes(2000))
            with trio.fail_after(SOON_S):
                assert len(await read_until_broken(busy)) < 2000
                assert await read_until_broken(idle) == b""
        assert wires.proxy.links == 0


async def read_until_broken(stream: trio.SocketStream) -> bytes:
    data = b""
    while True:
        try:
            more = await stream.receive_some()
        except trio.BrokenResourceError:
            return data
        assert more, "closed politely"
        data += more


async def test_truncation_ends_politely_and_passes() -> None:
    """Links end with a FIN after some bytes, new ones too, until it is over."""
    async with echoing() as wires:
        stream = await wires.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wires.proxy.truncate, 0.3)
            await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(bytes(20_000))
            with trio.fail_after(SOON_S):
                assert len(await read(stream, 20_000)) < 20_000
        await wires.connect()


async def test_silence_can_be_resumed() -> None:
    """Nothing arrives while it lasts, everything afterwards, also on connections that were made meanwhile."""
    async with echoing() as wires:
        stream = await wires.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wires.proxy.silence, 0.2)
            await trio.testing.wait_all_tasks_blocked()
            late = await wires.open()
            for one in (stream, late):
                await one.send_all(b"again")
            with trio.move_on_after(0.1) as scope:
                await stream.receive_some()
            assert scope.cancelled_caught
        wires.proxy.resume()
        for one in (stream, late):
            with trio.fail_after(SOON_S):
                assert await read(one, 5) == b"again"


async def test_the_far_side_never_hears_of_a_half_open_end() -> None:
    """The near ends are reset, the server keeps its end until the link is released, and new connections work."""
    async with echoing() as wires:
        stream = await wires.connect()
        assert await wires.proxy.silence(0.05) == 1
        wires.proxy.give_up()
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await wires.connect()
        assert wires.proxy.links == 2
        wires.proxy.release()
        assert await until(lambda: wires.proxy.links == 1, SOON_S)
        assert len(wires.ends) == 2


async def test_delay_holds_up_and_keeps_the_order() -> None:
    """Chunks come late, all of them, in order."""
    async with echoing() as wires:
        stream = await wires.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wires.proxy.delay, 0.3)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(4):
                await stream.send_all(bytes([number]))
                await trio.sleep(0.02)
            with trio.fail_after(SOON_S):
                assert await read(stream, 4) == bytes(range(4))
        assert wires.proxy.touched > 0
