"""The hostile harness against servers whose faults are known, and a short run of it against a real one."""

import json

import attrs
import pytest
from click.testing import CliRunner

from hubbub.bench.cli import bench
from hubbub.bench.hostile.attacks import find
from hubbub.bench.hostile.run import Options, run_attack
from hubbub.bench.server import Server, started

OPTIONS = Options(readers=6, posters=2, rate_per_s=20, seconds=0.6, control=False, drain_s=1.0)


def small(name: str, **changes: object):
    """An attack of a second by a few connections; how fast this machine is now is not the test's business."""
    return attrs.evolve(find(name), seconds=1.0, connections=6, delivery_p99_ms=30_000, **changes)


def lasting(broken: tuple[str, ...]) -> list[str]:
    """What broke, latency left out."""
    return [sentence for sentence in broken if "p99" not in sentence]


def run(server: Server, attack, options: Options = OPTIONS):
    return run_attack(server, attack, options, lambda text: None)


def test_an_honest_server_holds(fake_server) -> None:
    """All phases are there, the control too, and the attackers were counted."""
    result = run(Server(url=fake_server.url), small("resets"), attrs.evolve(OPTIONS, control=True))
    assert lasting(result.broken) == []
    assert [phase.name for phase in result.phases] == ["before", "during", "after", "control"]
    assert all(phase.deliveries >= 6 * 8 for phase in result.phases)
    assert result.report.outcomes["done"] >= 6
    assert result.verdict.posts_acked >= 60
    assert result.phases[1].attackers_percent > 0


def test_a_server_that_serves_the_healthy_no_more_is_broken(fake_server) -> None:
    """Readers that are left without deliveries from the attack on are reported, by phase and as a loss."""
    calm = 2 * 20  # posts of the phase before, the warm-up included

    def tamper(reader: int, offset: int, frame: bytes) -> list[bytes]:
        return [frame] if offset <= calm else []

    fake_server.tamper = tamper
    broken = run(Server(url=fake_server.url), small("resets")).broken
    assert any(sentence.startswith("healthy clients: posts_lost") for sentence in broken)
    assert "after: the healthy readers got nothing" in broken


def test_a_server_that_cuts_the_healthy_is_broken(fake_server) -> None:
    """A healthy reader that is cut off under attack is no success, whatever the attackers met."""

    def tamper(reader: int, offset: int, frame: bytes) -> list[bytes]:
        if reader == 1 and offset == 45:
            fake_server.cut(1)
        return [frame]

    fake_server.tamper = tamper
    assert "healthy clients: cut_off 1" in run(Server(url=fake_server.url), small("resets")).broken


def test_an_outcome_that_is_not_documented_is_broken(fake_server) -> None:
    """The fake answers 201 where 200 is documented, and notices no attack at all."""
    broken = run(Server(url=fake_server.url), small("half-closed")).broken
    assert "connections: none was 'status 200'" in broken
    assert any(sentence.endswith("were 'status 201'") for sentence in broken)


def test_a_real_server_meets_three_attacks_as_documented() -> None:
    """Oversized frames, compression and half-closed connections end as documented, and leave no descriptor behind."""
    with started() as server:
        for name in ("oversized-frame", "compression", "half-closed"):
            result = run(server, small(name), attrs.evolve(OPTIONS, drain_s=15.0))
            assert lasting(result.broken) == []
            assert result.left_descriptors is not None
            assert result.phases[1].rss_peak_mib > 1
            assert set(result.report.outcomes) == find(name).outcomes.must


def test_the_command_lists_the_attacks() -> None:
    """`--list` plays nothing."""
    done = CliRunner().invoke(bench, ("hostile", "--list"))
    assert done.exit_code == 0
    assert "slow-heads: heads that arrive a byte a second" in done.output


def test_the_command_ends_with_1_and_says_what_broke(fake_server, tmp_path) -> None:
    """A table, a JSON file, and the exit code of a broken promise."""
    path = tmp_path / "hostile.json"
    arguments = ("hostile", "--attack", "half-closed", "--seconds", "0.5", "--readers", "3", "--no-control")
    done = CliRunner().invoke(bench, (*arguments, "--url", fake_server.url, "--json", str(path)))
    assert done.exit_code == 1, done.output
    assert "broken half-closed" in done.output
    [attack] = json.loads(path.read_text())["attacks"]
    assert attack["outcomes"]["status 201"] > 0
    assert attack["broken"]


@pytest.mark.parametrize(
    ("arguments", "code"), [(("--attack", "no-such"), 2), (("--attack", "resets", "--url", "http://127.0.0.1:9"), 3)]
)
def test_other_exit_codes(arguments: tuple[str, ...], code: int) -> None:
    """Wrong usage is 2, no server is 3."""
    assert CliRunner().invoke(bench, ("hostile", *arguments)).exit_code == code
