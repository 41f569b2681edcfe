"""What a server does behind the load's back must show in the result, and what it does not do must not."""

import contextlib
import threading

import attrs
import pytest

from hubbub.bench import run as runs
from hubbub.bench.arrange import Options
from hubbub.bench.run import run_traffic
from hubbub.bench.scenarios import FANOUT_A, Acts, ClosedLoop, OpenLoop, Traffic
from hubbub.bench.server import Server

from .quiet import Quiet

SMALL = attrs.evolve(FANOUT_A, subscribers=12, load=ClosedLoop(5), seconds=0.4, warm_up_s=0.1)
ROOMS = Traffic(name="rooms", title="", rooms=7, subscribers=21, load=OpenLoop(200), seconds=0.5, warm_up_s=0.1)


@pytest.fixture(autouse=True)
def short_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "DRAIN_S", 1.5)


def run(fake_server, scenario, posters: int = 3):
    options = Options(posters=posters, sample=100)
    return run_traffic(Server(url=fake_server.url), scenario=scenario, options=options, live=Quiet())


def figures(result) -> dict[str, float]:
    return {figure.name: figure.value for figure in result.figures}


def test_a_post_in_another_room_is_reported(fake_server) -> None:
    """An event that reaches a room that it was not posted to is corrupt, and missing where it belongs."""
    publish = fake_server._publish

    def misroute(sock, command_id: int, command: dict) -> None:
        room = command["channel"]
        if fake_server._posts == 9:
            command = command | {"channel": room[:-1] + ("0" if room[-1] != "0" else "1")}
        publish(sock, command_id, command)

    fake_server._publish = misroute
    result = run(fake_server, ROOMS)
    assert result.broken == ("posts_lost", "corrupted")
    assert (result.verdict.posts_lost, result.verdict.corrupted) == (1, 1)


def test_deliveries_long_after_the_ack_are_waited_for(fake_server) -> None:
    """A post that was acknowledged and arrives later is late, not lost, and the last one that a reader misses is."""
    timers: list[threading.Timer] = []

    def tamper(reader: int, offset: int, frame: bytes) -> list[bytes]:
        def send() -> None:
            with contextlib.suppress(OSError):
                fake_server._readers[reader][0].sendall(frame)

        if (reader, offset) != (3, 10):
            timers.append(threading.Timer(0.4, send))
            timers[-1].start()
        return []

    fake_server.tamper = tamper
    fake_server.ping_every = 10**9
    result = run(fake_server, attrs.evolve(SMALL, load=OpenLoop(20)))
    for timer in timers:
        timer.join()
    assert (result.verdict.posts_acked, result.verdict.lost, result.broken) == (10, 1, ("lost",))
    assert figures(result)["delivery_p50_ms"] >= 400


def test_posts_without_an_answer_count_in_the_latency(fake_server) -> None:
    """What never was answered took at least as long as it was waited for."""
    command_of = fake_server._command

    def forget(sock, command: dict) -> None:
        if "publish" in command and command["id"] % 10 == 0:
            return
        command_of(sock, command)

    fake_server._command = forget
    result = run(fake_server, ROOMS)
    assert result.notes[0] == "12 posts without an answer 1.5 s after the last one"
    assert "did not keep up" in result.notes[1]
    assert figures(result)["ack_p99_ms"] > 1500
    assert figures(result)["ack_p50_ms"] < 1000


def test_a_poster_that_is_cut_is_reported(fake_server) -> None:
    """A posting connection that ends early fails the run like that of a reader."""
    publish = fake_server._publish

    def cut(sock, command_id: int, command: dict) -> None:
        publish(sock, command_id, command)
        if fake_server._posts == 9:
            sock.shutdown(2)

    fake_server._publish = cut
    result = run(fake_server, ROOMS)
    assert result.broken == ("cut_off",)
    assert result.verdict.cut_off == 1
    assert result.notes[0].startswith("1 connections cut off: while posting: ")


def test_readers_of_rooms_of_one_come_and_go(fake_server) -> None:
    """Who leaves is replaced first: a post that is made meanwhile has a reader, and none is called lost."""
    result = run(fake_server, attrs.evolve(ROOMS, subscribers=7, seconds=1.5, acts=Acts(turnover=80)))
    assert result.broken == ()
    assert result.verdict.readers > 40


@pytest.mark.parametrize("answer", ["closes", "is silent"])
def test_a_newcomer_that_is_not_let_in_is_reported(fake_server, answer: str) -> None:
    """A server that lets nobody in while the load goes on has cut them off, whether it says so or not."""
    subscribe = fake_server._subscribe
    seen: list[str] = []

    def refuse(sock, command_id: int, command: dict) -> None:
        seen.append(command["channel"])
        if len(seen) <= 21:
            subscribe(sock, command_id, command)
        elif answer == "closes":
            sock.shutdown(2)

    fake_server._subscribe = refuse
    result = run(fake_server, attrs.evolve(ROOMS, acts=Acts(turnover=40)))
    assert result.broken == ("cut_off",)
    assert result.verdict.cut_off == len(seen) - 21 > 5
