"""Turns, failures and absences of a comparison, with small runs against the fake server of the bench."""

import contextlib
from collections.abc import Iterator

import attrs

from hubbub.bench.arrange import Options
from hubbub.bench.errors import BenchError
from hubbub.bench.peers.prepare import Unavailable
from hubbub.bench.peers.rounds import Comparison, compare
from hubbub.bench.scenarios import FANOUT_A, IDLE_D, ClosedLoop
from hubbub.bench.server import Server

from ..quiet import Quiet

SHAPES = {
    "A": attrs.evolve(FANOUT_A, subscribers=6, load=ClosedLoop(2), seconds=0.3, warm_up_s=0.1, budgets=()),
    "D": attrs.evolve(IDLE_D, connections=20, seconds=0.1, budgets=()),
}


@attrs.define(kw_only=True)
class Turn:
    """A contender at the fake server that writes down when it is started."""

    name: str
    url: str
    turns: list[str]
    fails: Exception | None = None
    title: str = "t"
    dialect: str | None = None
    settings: str = "s"
    durable: bool = False

    @contextlib.contextmanager
    def start(self) -> Iterator[tuple[Server, str]]:
        self.turns.append(self.name)
        if self.fails:
            raise self.fails
        yield Server(url=self.url), "1.0"


def run(contenders: list[Turn], shapes=SHAPES, rounds: int = 1, said: list[str] | None = None) -> Comparison:
    live = Quiet(said if said is not None else [])
    options = Options(posters=2, sample=2)
    return compare(contenders, shapes, rounds=rounds, options=options, command="c", live=live)


def test_everyone_has_a_turn_in_every_round(fake_server) -> None:
    """Rounds go to and fro, and their results become one with a spread."""
    turns: list[str] = []
    said: list[str] = []
    only_a = {"A": SHAPES["A"]}
    found = run([Turn(name=name, url=fake_server.url, turns=turns) for name in "xy"], only_a, 2, said)
    assert turns == ["x", "y", "y", "x"]
    assert [standing.name for standing in found.standings] == ["x", "y"]
    for standing in found.standings:
        result = standing.results["A"]
        assert (standing.versions, len(result.runs), result.broken, result.verdict.lost) == ("1.0", 2, (), 0)
        assert result.figure("deliveries_per_s").spread is not None
    assert said[0] == "round 1 of 2, A, x: starting"


def test_who_cannot_run_is_listed_and_not_asked_again(fake_server) -> None:
    """The reason is kept, the others are measured in all shapes."""
    turns: list[str] = []
    absent = Turn(name="absent", url="", turns=turns, fails=Unavailable("no compiler"))
    found = run([absent, Turn(name="x", url=fake_server.url, turns=turns)])
    assert turns == ["absent", "x", "x"]
    assert found.unavailable == {"absent": "no compiler"}
    assert [(standing.name, [*standing.results]) for standing in found.standings] == [("x", ["A", "D"])]


def test_a_run_that_fails_is_told_beside_the_others(fake_server) -> None:
    """One server that does not come up does not end the comparison."""
    turns: list[str] = []
    failing = Turn(name="bad", url="", turns=turns, fails=BenchError("ended with code 1"))
    found = run([failing, Turn(name="x", url=fake_server.url, turns=turns)], {"A": SHAPES["A"]})
    bad, good = found.standings
    assert (bad.failed, bad.results) == ({"A": "ended with code 1"}, {})
    assert good.results["A"].broken == ()
