"""The bench with shapes that do not divide evenly, against a fake server: nothing may be called lost that is not."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import attrs
import pytest

from hubbub.bench.arrange import Options
from hubbub.bench.errors import BenchError
from hubbub.bench.run import run_traffic
from hubbub.bench.run_storms import run_reconnect
from hubbub.bench.scenarios import FANOUT_A, ClosedLoop, OpenLoop, Reconnect
from hubbub.bench.server import Server

from .quiet import Quiet

SMALL = attrs.evolve(FANOUT_A, subscribers=12, load=ClosedLoop(5), seconds=0.4, warm_up_s=0.1)
RECONNECT = Reconnect(name="reconnect", title="", rooms=2, subscribers=10, missed=6)


@pytest.mark.parametrize(("rooms", "readers", "processes"), [(3, 10, 1), (3, 12, 2), (5, 11, 3), (1, 4, 2), (2, 6, 3)])
def test_each_room_misses_the_same(fake_server, rooms: int, readers: int, processes: int) -> None:
    """However rooms and readers divide, each room gets its posts while nobody reads, and each reader all of them."""
    scenario = attrs.evolve(RECONNECT, rooms=rooms, subscribers=readers)
    options = Options(posters=2, processes=processes)
    result = run_reconnect(Server(url=fake_server.url), scenario=scenario, options=options, live=Quiet())
    assert (result.broken, result.verdict.received) == ((), 6 * readers)
    assert result.verdict.posts_acked == 6 * rooms


def test_posts_that_are_refused_cannot_be_missed(fake_server) -> None:
    """A refusal while nobody reads is an error of its own, and no loss."""
    fake_server.refuse = {3}
    with pytest.raises(BenchError, match="not all acknowledged"):
        run_reconnect(Server(url=fake_server.url), scenario=RECONNECT, options=Options(posters=2), live=Quiet())


def test_a_generator_without_readers_is_refused(fake_server) -> None:
    """It would post where it cannot see anything, and call all of it lost."""
    options = Options(posters=2, processes=2)
    scenario = attrs.evolve(SMALL, subscribers=1)
    with pytest.raises(BenchError, match="1 readers are too few for 1 rooms and 2 generators"):
        run_traffic(Server(url=fake_server.url), scenario=scenario, options=options, live=Quiet())


def test_rooms_that_nobody_reads_are_refused(fake_server) -> None:
    """What is missed in them would be called lost."""
    scenario = attrs.evolve(RECONNECT, rooms=4, subscribers=2)
    with pytest.raises(BenchError, match="2 readers are too few for 4 rooms"):
        run_reconnect(Server(url=fake_server.url), scenario=scenario, options=Options(posters=2), live=Quiet())


def test_every_generator_has_a_poster(fake_server) -> None:
    """One posting connection for two generators becomes one for each."""
    options = Options(posters=1, processes=2)
    result = run_traffic(Server(url=fake_server.url), scenario=SMALL, options=options, live=Quiet())
    assert result.broken == ()
    assert result.verdict.posts_acked > 20


def test_stalled_readers_without_posts_are_no_crash(fake_server) -> None:
    """A run that delivers nothing has nothing to compare, and says so by leaving it out."""
    scenario = attrs.evolve(SMALL, load=OpenLoop(0.01), stalled_percent=20)
    result = run_traffic(Server(url=fake_server.url), scenario=scenario, options=Options(posters=1), live=Quiet())
    assert result.broken == ()
    assert result.figure("p99_shift_percent") is None


@pytest.fixture
def closed_url() -> Iterator[str]:
    class Closed(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(403)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Closed) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_without_guests_is_a_clear_error(closed_url: str) -> None:
    """The message says what to do."""
    with pytest.raises(BenchError, match="lets no guests in; start it with --guests"):
        run_traffic(Server(url=closed_url), scenario=SMALL, options=Options(), live=Quiet())
