"""The simulated network behaves as TCP may: order within a link, windows, ends, resets, silence."""

import random

import pytest
import trio

from hubbub.transport.poller import HUNG_UP, READABLE, WRITABLE

from .host import Host
from .network import LinkBroken, Network, Timeline


@pytest.fixture
async def net(nursery):
    """A network with a host that listens."""
    timeline = Timeline()
    nursery.start_soon(timeline.run)
    network = Network(random.Random(1), timeline, 100)
    network.host = Host()
    network.host.poller.register(3, READABLE)
    return network


async def connected(net):
    """A link and its server's socket, watched for everything."""
    link = net.connect()
    await trio.sleep(1)
    socket, _ = net.host.listener.accept()
    net.host.poller.register(socket.fileno(), READABLE | WRITABLE)
    return link, socket


async def test_bytes_arrive_in_order_and_later(net, autojump_clock):
    """What one side sends the other receives, in order, after the delay, also in crumbs."""
    net.weather.crumb_bytes = 3
    link, socket = await connected(net)
    await link.send(b"hello there")
    with pytest.raises(BlockingIOError):
        socket.recv(100)
    await trio.sleep(1)
    assert socket.recv(5) + socket.recv(100) == b"hello there"
    assert socket.send(b"general") == 7
    got = b""
    while len(got) < 7:
        got += await link.receive()
    assert got == b"general"


async def test_a_reader_that_takes_nothing_fills_the_window(net, autojump_clock):
    """A write is taken in part, then refused, until the reader takes bytes; then the poller says so."""
    link, socket = await connected(net)
    assert socket.send(b"x" * 250) == 100
    with pytest.raises(BlockingIOError):
        socket.send(b"y")
    await trio.sleep(1)
    assert not socket.ready() & WRITABLE
    assert int.from_bytes(socket.getsockopt(0, 0, 16)[8:], "little") == 100
    await link.receive()
    assert socket.ready() & WRITABLE
    assert (socket.fileno(), WRITABLE) in net.host.poller.poll(10)


async def test_a_sender_waits_for_room(net, autojump_clock):
    """The client's send waits while the server does not read."""
    link, socket = await connected(net)
    with trio.move_on_after(5) as scope:
        await link.send(b"x" * 150)
    assert scope.cancelled_caught
    assert len(socket.recv(1000)) == 100


async def test_a_cut_link_tells_both_sides_and_loses_what_was_under_way(net, autojump_clock):
    """A reset raises on both sides; what had not arrived never does."""
    link, socket = await connected(net)
    await link.send(b"lost")
    link.cut()
    assert socket.ready() & HUNG_UP
    with pytest.raises(ConnectionResetError):
        socket.recv(10)
    with pytest.raises(BrokenPipeError):
        socket.send(b"x")
    with pytest.raises(LinkBroken):
        await link.receive()


async def test_a_silent_link_tells_the_client_late_and_the_server_never(net, autojump_clock):
    """Half-open: the server's writes are swallowed until the window is full, the client gives up by itself."""
    link, socket = await connected(net)
    link.lose()
    assert socket.send(b"x" * 250) == 100
    with trio.fail_after(20), pytest.raises(LinkBroken):
        await link.receive()
    with pytest.raises(BlockingIOError):
        socket.recv(1)


async def test_an_end_is_read_after_everything_before_it(net, autojump_clock):
    """Closing is ordered behind the bytes, in both directions; closing over unread input resets."""
    link, socket = await connected(net)
    socket.send(b"bye")
    socket.shutdown(1)
    assert await link.receive() == b"bye"
    assert await link.receive() == b""
    await link.send(b"late")
    await trio.sleep(1)
    socket.close()
    with pytest.raises(LinkBroken):
        await link.send(b"x")


async def test_a_dead_host_refuses_and_its_links_break(net, autojump_clock):
    """After a kill its links are reset and nobody can connect; after a power cut they are silent."""
    link, _ = await connected(net)
    net.host.die(silently=False)
    with pytest.raises(LinkBroken):
        await link.receive()
    with pytest.raises(LinkBroken):
        net.connect()


async def test_descriptors_are_reused_and_a_poller_forgets(net, autojump_clock):
    """The lowest free descriptor is given again, as systems do."""
    _, first = await connected(net)
    net.host.poller.unregister(first.fileno())
    first.close()
    _, second = await connected(net)
    assert second.fileno() == first.fileno()
    assert net.host.open_sockets == 2
