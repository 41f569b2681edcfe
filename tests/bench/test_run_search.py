"""When a rate of a search counts as kept, and what its result admits."""

import attrs
import pytest

from hubbub.bench import run_search as searches
from hubbub.bench.arrange import Options
from hubbub.bench.invariants import Verdict
from hubbub.bench.report import Figure, GeneratorUse, Result
from hubbub.bench.report.slo import parse
from hubbub.bench.scenarios import OpenLoop, Searched, Traffic
from hubbub.bench.server import Server

from .quiet import Quiet

SERVER = Server(url="http://127.0.0.1:1")
SHAPE = Traffic(name="search", title="", subscribers=1, load=OpenLoop(1), seconds=5)


def search(monkeypatch: pytest.MonkeyPatch, acked, bound_above: float = 1e9) -> Result:
    """A search from 3/s of a server that acknowledges what `acked` says of a rate."""

    def run_traffic(server, *, scenario, options, live) -> Result:
        rate = scenario.load.rate_per_s
        bound = rate > bound_above
        return Result.of(
            scenario=scenario,
            options=attrs.asdict(options),
            server=server,
            started_at=0.0,
            figures=[Figure("posts_per_s", acked(rate), "1/s")],
            verdict=Verdict(),
            generators=(GeneratorUse(99 if bound else 10, bound),),
            notes=(),
        )

    monkeypatch.setattr(searches, "run_traffic", run_traffic)
    return searches.run_search(
        SERVER,
        scenario=Searched(name="search", title="", traffic=SHAPE, first_per_s=3, precision=2),
        objectives=parse("lost=0"),
        options=Options(),
        live=Quiet(),
    )


def test_one_post_at_the_edge_of_the_window_is_no_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 15 posts in 5 s one may be acknowledged just behind the end; two that are missing are a backlog."""
    found = search(monkeypatch, lambda rate: rate - (0.2 if rate < 5 else 0.4))
    assert found.figure("highest_rate_per_s").value == 3
    assert found.figure("lowest_rate_not_kept_per_s").value == 6


def test_a_search_that_the_generator_ended_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate that was kept is then not the server's highest."""
    found = search(monkeypatch, lambda rate: min(rate, 20), bound_above=20)
    assert found.figure("highest_rate_per_s").value == 12
    assert found.figure("lowest_rate_not_kept_per_s") is None
    assert not found.valid
    assert found.invalid_because == ("a generator was at its limit at 24.0 posts/s: the server may keep more",)


def test_a_search_without_limit_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own limit is what a search is for."""
    found = search(monkeypatch, lambda rate: min(rate, 20))
    assert found.valid
    assert found.figure("highest_rate_per_s").value == 12
