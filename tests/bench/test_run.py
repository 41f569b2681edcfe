"""The whole bench, generator process included, against a fake server whose faults are known."""

import os

import attrs
import pytest

from hubbub.bench.arrange import Options
from hubbub.bench.errors import BenchError
from hubbub.bench.report.figures import KNOWN
from hubbub.bench.report.slo import parse
from hubbub.bench.run import run_traffic
from hubbub.bench.run_search import run_search
from hubbub.bench.run_storms import run_connect, run_idle, run_reconnect
from hubbub.bench.scenarios import (
    FANOUT_A,
    FANOUT_B,
    IDLE_D,
    Acts,
    ClosedLoop,
    OpenLoop,
    Reconnect,
    Searched,
    Sizes,
    Storm,
    Traffic,
    Transport,
)
from hubbub.bench.server import Server

from .quiet import Quiet

SMALL = attrs.evolve(FANOUT_A, subscribers=12, load=ClosedLoop(5), seconds=0.4, warm_up_s=0.1)


def figures(result) -> dict[str, float]:
    return {figure.name: figure.value for figure in result.figures}


def run(fake_server, scenario=SMALL, processes: int = 1):
    options = Options(posters=3, processes=processes, sample=4)
    return run_traffic(Server(url=fake_server.url), scenario=scenario, options=options, live=Quiet())


def test_an_honest_server_holds(fake_server) -> None:
    """Nothing is amiss, every reader got every acknowledged post, and the figures agree with each other."""
    result = run(fake_server)
    verdict = result.verdict
    assert result.broken == ()
    assert verdict.posts_acked > 20
    assert verdict.received == 12 * verdict.posts_acked
    found = figures(result)
    assert found["deliveries"] > 0
    assert 0 < found["delivery_p50_ms"] <= found["delivery_p99_ms"] <= found["delivery_max_ms"]


def tampering():
    """Two lost, one doubled, one swapped for three of the readers."""
    held: list[bytes] = []

    def tamper(reader: int, offset: int, frame: bytes) -> list[bytes]:
        if reader == 3 and offset in (5, 11):
            return []
        if reader == 4 and offset == 7:
            return [frame, frame]
        if reader == 5 and offset == 9:
            held.append(frame)
            return []
        if reader == 5 and offset == 10:
            return [frame, *held]
        return [frame]

    return tamper


@pytest.mark.parametrize("transport", list(Transport))
def test_faults_are_reported_exactly(fake_server, transport) -> None:
    """Two lost, one doubled, one swapped for three of the readers are counted as just that, over either transport."""
    fake_server.tamper = tampering()
    result = run(fake_server, attrs.evolve(SMALL, transport=transport))
    verdict = result.verdict
    assert (verdict.lost, verdict.duplicated, verdict.reordered, verdict.cut_off) == (2, 1, 1, 0)
    assert verdict.received == 12 * verdict.posts_acked - 2
    assert result.broken == ("lost", "duplicated", "reordered")


def test_an_acknowledged_post_that_is_forgotten_is_lost(fake_server) -> None:
    """Gapless offsets do not hide a post that was acknowledged and never stored."""
    fake_server.swallow = {4, 9}
    result = run(fake_server)
    assert (result.verdict.posts_lost, result.broken) == (2, ("posts_lost",))


def test_a_changed_text_is_reported(fake_server) -> None:
    """An event that does not say what was posted is corrupt, though its offset is right."""

    def tamper(reader: int, offset: int, frame: bytes) -> list[bytes]:
        text_end = frame.index(b'", "offset"')
        return [frame[: text_end - 1] + b"!" + frame[text_end:] if offset == 6 else frame]

    fake_server.tamper = tamper
    assert run(fake_server).broken == ("posts_lost", "corrupted")


def test_a_cut_reader_is_reported_as_cut(fake_server) -> None:
    """A connection that ends early is not counted as loss, and still fails the run."""

    def tamper(reader: int, offset: int, frame: bytes) -> list[bytes]:
        if reader == 2 and offset == 6:
            fake_server.cut(2)
        return [frame]

    fake_server.tamper = tamper
    verdict = run(fake_server).verdict
    assert (verdict.cut_off, verdict.lost) == (1, 0)
    assert verdict.undelivered > 0


def test_refused_posts_are_told_and_break_nothing(fake_server) -> None:
    """An error reply is no acknowledgement, and the closed loop goes on."""
    fake_server.refuse = {2, 3, 4}
    result = run(fake_server)
    assert result.broken == ()
    assert result.notes == ("3 posts refused: 100 no",)
    assert result.verdict.posts_acked > 20


def test_an_open_loop_keeps_its_rate_over_two_processes(fake_server) -> None:
    """Readers shared by two generators get what one of them posts, at the asked rate."""
    scenario = attrs.evolve(FANOUT_B, subscribers=7, load=OpenLoop(50), seconds=0.5, warm_up_s=0.1)
    result = run(fake_server, scenario, processes=2)
    assert result.broken == ()
    assert result.verdict.posts_acked == 30
    assert result.verdict.received == 7 * 30
    assert len(result.generators) == 2


def test_idle_connections_are_counted(fake_server) -> None:
    """The idle scenario connects all of them and loses none."""
    scenario = attrs.evolve(IDLE_D, connections=20, seconds=0.1)
    result = run_idle(Server(url=fake_server.url), scenario=scenario, options=Options(posters=0), live=Quiet())
    assert (result.verdict.readers, result.broken) == (20, ())
    assert figures(result)["connects_per_s"] > 0


def test_no_server_is_a_clear_error() -> None:
    """A refused connection names the address."""
    with pytest.raises(BenchError, match=r"nobody answers at http://127\.0\.0\.1:9"):
        run_traffic(Server(url="http://127.0.0.1:9"), scenario=SMALL, options=Options(), live=Quiet())


ROOMS = Traffic(name="rooms", title="", rooms=7, subscribers=21, load=OpenLoop(200), seconds=0.5, warm_up_s=0.1)


def test_every_room_is_held_to_its_own_offsets(fake_server) -> None:
    """Posts go to all rooms in turn; a loss in one of them is one loss."""
    fake_server.tamper = lambda reader, offset, frame: [] if (reader, offset) == (8, 3) else [frame]
    result = run(fake_server, ROOMS)
    assert result.verdict.posts_acked == 120
    assert (result.verdict.lost, result.broken) == (1, ("lost",))
    assert result.verdict.received == 3 * 120 - 1


@pytest.mark.parametrize("sizes", list(Sizes))
def test_rooms_are_shared_by_processes(fake_server, sizes) -> None:
    """Two generators, each with rooms of its own, post at the asked rate together and lose nothing."""
    result = run(fake_server, attrs.evolve(ROOMS, sizes=sizes), processes=2)
    assert result.broken == ()
    assert result.verdict.readers == 21
    assert result.verdict.posts_acked == 120


def test_a_window_is_told_second_by_second(fake_server) -> None:
    """Each second of the window has its figures, and together they are those of the window."""
    result = run(fake_server, attrs.evolve(ROOMS, seconds=2.5))
    series = {each.name: each for each in result.series}
    assert series["posts_per_s"].at_s == [1.0, 2.0]
    first, second = series["posts_per_s"].values
    assert first + second * 1.5 == pytest.approx(2.5 * figures(result)["posts_per_s"], rel=0.1)
    assert result.curves[0].name == "delivery"
    assert 300 < result.curves[0].count < 3 * result.verdict.posts_acked  # of the sampled readers


RECONNECT = Reconnect(name="reconnect", title="", rooms=2, subscribers=10, missed=6)


def test_returning_readers_get_what_they_missed(fake_server) -> None:
    """All come back, each to the posts that were made while nobody read."""
    options = Options(posters=2, processes=2)
    result = run_reconnect(Server(url=fake_server.url), scenario=RECONNECT, options=options, live=Quiet())
    assert (result.broken, result.verdict.received) == ((), 60)
    assert figures(result)["not_caught_up"] == 0


def test_faults_in_a_resume_are_reported_exactly(fake_server) -> None:
    """A server that forgets one missed event, sends one twice and two in the wrong order is called just that."""

    def resume(missed: list[tuple[int, str]]) -> list[tuple[int, str]]:
        one, _two, three, four, five, six = missed
        return [one, four, three, five, five, six]

    fake_server.resume = resume
    options = Options(posters=2)
    result = run_reconnect(Server(url=fake_server.url), scenario=RECONNECT, options=options, live=Quiet())
    verdict = result.verdict
    assert (verdict.lost, verdict.duplicated, verdict.reordered) == (10, 10, 10)
    assert verdict.posts_lost == 2


def test_a_storm_is_counted(fake_server) -> None:
    """Every connection of a storm is subscribed and timed."""
    storm = Storm(name="connect", title="", rooms=3, connections=30)
    result = run_connect(Server(url=fake_server.url), scenario=storm, options=Options(), live=Quiet())
    assert (result.verdict.readers, result.broken) == (33, ())
    assert result.curves[0].count == 30


def test_stalled_readers_are_not_judged(fake_server) -> None:
    """Readers that stop on purpose miss what comes then; the others are compared before and after."""
    scenario = attrs.evolve(SMALL, load=OpenLoop(400), stalled_percent=25)
    result = run(fake_server, scenario)
    assert result.broken == ()
    assert figures(result)["stalled_readers"] == 3
    assert result.verdict.received < 12 * result.verdict.posts_acked
    assert "p99_shift_percent" in figures(result)


def test_readers_come_and_go(fake_server) -> None:
    """With turnover more readers than seats are judged, and those that left are held to what they got."""
    scenario = attrs.evolve(ROOMS, acts=Acts(turnover=40))
    result = run(fake_server, scenario)
    assert result.broken == ()
    assert result.verdict.readers > 30
    assert figures(result)["join_p50_ms"] > 0


def test_a_search_finds_the_rate_that_is_kept(fake_server) -> None:
    """Readers lose events above a rate: the search ends below it, and says how every try went."""
    shape = attrs.evolve(ROOMS, rooms=1, subscribers=4, seconds=0.5, warm_up_s=0)
    scenario = Searched(name="search", title="", traffic=shape, first_per_s=20, precision=2)
    fake_server.tamper = lambda reader, offset, frame: [] if offset > 30 else [frame]
    found = run_search(
        Server(url=fake_server.url),
        scenario=scenario,
        objectives=parse("lost=0"),
        options=Options(posters=2),
        live=Quiet(),
    )
    assert (found.broken, figures(found)["highest_rate_per_s"]) == ((), 40)
    assert figures(found)["lowest_rate_not_kept_per_s"] == 80
    assert found.notes[0] == "20.0 posts/s kept: lost=0 (0)"
    assert "not kept" in found.notes[2]
    assert "broken: posts_lost" in found.notes[2]


def test_every_figure_is_known(fake_server) -> None:
    """What a scenario reports can be part of a service level, and has a meaning on the page."""
    server = Server(url=fake_server.url, pid=os.getpid())
    options = Options(posters=2)
    idle = attrs.evolve(IDLE_D, connections=20, seconds=0.1)
    storm = Storm(name="connect", title="", rooms=3, connections=30)
    results = [
        run_traffic(server, scenario=attrs.evolve(SMALL, stalled_percent=9), options=options, live=Quiet()),
        run_traffic(server, scenario=attrs.evolve(ROOMS, acts=Acts(turnover=20)), options=options, live=Quiet()),
        run_idle(server, scenario=idle, options=options, live=Quiet()),
        run_connect(server, scenario=storm, options=options, live=Quiet()),
        run_reconnect(server, scenario=RECONNECT, options=options, live=Quiet()),
    ]
    found = {figure.name for result in results for figure in result.figures}
    assert found - KNOWN.keys() == set()


def test_a_run_is_told_second_by_second_by_all_generators(fake_server) -> None:
    """No second is shown before every generator has told of it."""
    live = Quiet()
    scenario = attrs.evolve(ROOMS, seconds=3)
    run_traffic(Server(url=fake_server.url), scenario=scenario, options=Options(posters=2, processes=2), live=live)
    assert [len(sample.generator_cpu_percent) for sample in live.samples] == [2, 2, 2]
    assert [sample.acks_per_s for sample in live.samples] == pytest.approx([200] * 3, rel=0.15)


def test_a_server_that_does_not_keep_up_is_told(fake_server) -> None:
    """A fixed rate that the server does not take is a note: its latency is that of a queue."""
    fake_server.refuse = set(range(20, 2000))
    scenario = attrs.evolve(ROOMS, rooms=1, subscribers=2, seconds=1.0, warm_up_s=0)
    result = run(fake_server, scenario)
    assert any("did not keep up" in note for note in result.notes)
    assert figures(result)["refused"] >= 150
