"""The whole REST load, generator process included, against a fake server whose lies are known."""

import attrs
import pytest

from hubbub.bench.errors import BenchError
from hubbub.bench.rest import run as runs
from hubbub.bench.rest.run import Options, run_rest
from hubbub.bench.rest.scenario import REST_POSTS, REST_READS, Rest
from hubbub.bench.scenarios import ClosedLoop, OpenLoop
from hubbub.bench.server import Server

from ..quiet import Quiet

SMALL = {"connections": 6, "rooms": 2, "load": ClosedLoop(6), "seconds": 0.4, "warm_up_s": 0.1, "page_items": 5}
POSTS: Rest = attrs.evolve(REST_POSTS, **SMALL)
READS: Rest = attrs.evolve(REST_READS, **SMALL)


def run(fake_rest, scenario=POSTS):
    return run_rest(Server(url=fake_rest.url), scenario=scenario, options=Options(), live=Quiet())


def counts(result) -> dict[str, int]:
    """What is not 0 in the verdict, besides how much was done."""
    return {
        name: value
        for name, value in attrs.asdict(result.verdict).items()
        if value and name not in ("received", "posts_acked")
    }


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("scenario", [POSTS, READS, attrs.evolve(POSTS, load=OpenLoop(200))])
def test_an_honest_server_holds(fake_rest, scenario, chunked) -> None:
    """Nothing is amiss in either part, with bodies of either form, in an open and in a closed loop."""
    fake_rest.chunked = chunked
    result = run(fake_rest, scenario)
    figures = {figure.name: figure.value for figure in result.figures}
    name, latency = ("posts", "ack") if scenario.part == "posts" else ("reads", "read")
    assert counts(result) == {}
    assert result.broken == ()
    assert result.verdict.posts_acked >= 20
    assert result.verdict.received >= 20
    assert figures[f"{name}_per_s"] > 0
    assert 0 < figures[f"{latency}_p50_ms"] <= figures[f"{latency}_max_ms"]
    assert [curve.name for curve in result.curves] == [latency]
    assert {f"{name}_per_s", f"{latency}_p99_ms"} <= {series.name for series in result.series}


@pytest.mark.parametrize(
    ("lie", "found"),
    [
        ({"forget": {7, 31}}, {"posts_lost": 2}),
        ({"double": {7}}, {"posts_doubled": 1}),
        ({"alter": {7, 8, 9}}, {"corrupted": 3}),
        ({"other_id": {9}}, {"corrupted": 1}),
        ({"early": {40}}, {"reordered": 2}),
        ({"forget": {5}, "double": {11}, "alter": {17}}, {"posts_lost": 1, "posts_doubled": 1, "corrupted": 1}),
    ],
)
def test_lies_are_reported_exactly(fake_rest, lie, found) -> None:
    """What the server loses, doubles, alters or moves is counted as that, and as nothing else."""
    for name, numbers in lie.items():
        setattr(fake_rest, name, numbers)
    result = run(fake_rest)
    assert counts(result) == found
    assert set(result.broken) == set(found)


def test_wrong_reads_are_counted(fake_rest) -> None:
    """Other bytes are parsed: a space more is right, another text or offset is not; each wrong answer counts."""

    def tamper(number: int, body: bytes) -> bytes:
        if number == 20:
            return body + b" "
        return body.replace(b'"offset": 1', b'"offset": 2') if 30 <= number < 34 else body

    fake_rest.tamper = tamper
    result = run(fake_rest, READS)
    assert counts(result) == {"corrupted": 4}


def test_refusals_are_told_and_break_nothing(fake_rest) -> None:
    """A refused post was not promised; the result says how many there were, and why."""
    fake_rest.refuse = {3, 4}
    result = run(fake_rest)
    assert counts(result) == {}
    assert "2 requests refused: 503 overloaded" in result.notes


def test_requests_without_an_answer_count_in_the_latency(fake_rest, monkeypatch) -> None:
    """What never was answered took at least as long as it was waited for."""
    monkeypatch.setattr(runs, "DRAIN_S", 0.7)
    fake_rest.mute = {20, 30, 40}
    result = run(fake_rest, attrs.evolve(POSTS, load=OpenLoop(100)))
    assert result.notes == ("3 requests without an answer 0.7 s after the last one",)
    assert result.figure("ack_max_ms").value > 700
    assert result.broken == ()


def test_a_connection_that_is_cut_off_is_reported(fake_rest) -> None:
    """The others go on; the run says which promise broke."""
    fake_rest.hang = {9}
    result = run(fake_rest)
    assert counts(result) == {"cut_off": 1}
    assert "1 connections cut off: closed by the server" in result.notes


def test_nobody_there_is_an_error() -> None:
    """A run that could not be made has no result."""
    with pytest.raises(BenchError, match="nobody answers"):
        run_rest(Server(url="http://127.0.0.1:9"), scenario=POSTS, options=Options(), live=Quiet())


def test_a_server_that_ends_every_connection_is_an_error(fake_rest) -> None:
    """Without a connection nothing can be measured; the reason is told."""
    fake_rest.hang = set(range(1000))
    with pytest.raises(BenchError, match="the last connection ended: closed by the server"):
        run(fake_rest)


def test_rooms_that_cannot_be_filled_are_an_error(fake_rest) -> None:
    """Reads need something to read."""
    fake_rest.refuse = set(range(1000))
    with pytest.raises(BenchError, match="could not be filled"):
        run(fake_rest, READS)
