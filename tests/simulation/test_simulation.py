"""A few hundred seeds of the simulation, and that it replays, finds and shrinks. More of them: `make simulate SEEDS=2000`."""

from pathlib import Path

import msgspec
import pytest

from hubbub.engine._room import Room
from hubbub.engine.core import members, permissions
from hubbub.engine.core.batch import Committed

from .disk import Disk
from .plan import draw, from_json
from .run import run_plan, run_seed
from .shrink import shrink

SEEDS = 200
_PER_TEST = 20
_PLANS = sorted((Path(__file__).parent / "plans").glob("*.json"))


@pytest.mark.parametrize("first", range(0, SEEDS, _PER_TEST))
def test_no_promise_is_broken(first):
    """Writers, readers and everything that can go wrong, under a seeded schedule: nothing is found."""
    for seed in range(first, first + _PER_TEST):
        assert run_seed(seed).findings == (), f"replay: python -m tests.simulation --seed {seed}"


@pytest.mark.parametrize("path", _PLANS, ids=[path.stem for path in _PLANS])
def test_what_was_found_once_stays_mended(path):
    """Plans that failed before, shrunk, pass."""
    assert run_plan(from_json(path.read_bytes())).findings == ()


@pytest.mark.parametrize("seed", [1, 18, 42])
def test_a_seed_replays_exactly(seed):
    """Two runs of one seed note the same things at the same times."""
    first, second = run_seed(seed), run_seed(seed)
    assert first.digest == second.digest
    assert first.seconds == second.seconds
    assert run_seed(seed + 1).digest != first.digest


def test_a_plan_survives_its_file():
    """A plan written down and read again is the same plan."""
    for seed in range(50):
        assert from_json(draw(seed).to_json()) == draw(seed)


class Forgetful(Disk):
    """Says committed, and forgets every seventh row."""

    def __init__(self):
        super().__init__()
        self._count = 0

    def _apply(self, row, *, again):
        self._count += 1
        if self._count % 7 == 0:
            return Committed(self.head(row.conversation) + 1)
        return super()._apply(row, again=again)


class Doubling(Disk):
    """Stores some rows twice."""

    def _apply(self, row, *, again):
        result = super()._apply(row, again=again)
        if isinstance(result, Committed) and result.offset % 5 == 0:
            log = self._logs[row.conversation]
            log.events.append(msgspec.structs.replace(log.events[-1], offset=len(log.events) + 1))
        return result


class Keyless(Disk):
    """Knows no keys: a retry is a new post."""

    def _apply(self, row, *, again):
        result = super()._apply(row, again=again)
        self._logs[row.conversation].keys.clear()
        return result


@pytest.mark.parametrize(
    ("disk", "kinds"),
    [
        (Forgetful, {"early", "lost", "reordered"}),
        (Doubling, {"early", "doubled", "reordered"}),
        (Keyless, {"doubled", "ack changed"}),
    ],
)
def test_a_disk_that_lies_is_found_out(disk, kinds):
    """The simulation is not blind: with a store that breaks a promise it names the promise within a few seeds."""
    for seed in range(40):
        found = {finding.kind for finding in run_plan(draw(seed), disk).findings}
        if found & kinds:
            return
    pytest.fail(f"{disk.__name__} went unnoticed")


@pytest.mark.parametrize(
    ("where", "name", "kind"),
    [
        (Room, "cut_hidden", "leak"),
        (members, "_keep_an_owner", "no owner"),
        (permissions, "_check_speaking", "spoke"),
    ],
)
def test_an_engine_without_a_rule_of_membership_is_found_out(monkeypatch, where, name, kind):
    """The club is not blind either: a removed reader who stays, a last owner who goes and a muted speaker are seen."""
    monkeypatch.setattr(where, name, lambda *args: None)
    for seed in range(40):
        if kind in {finding.kind for finding in run_seed(seed).findings}:
            return
    pytest.fail(f"nobody misses {name}")


def test_a_failing_plan_is_shrunk():
    """What has nothing to do with a failure is left out, and what is left still fails in the same way."""
    failed = next(outcome for seed in range(40) if not (outcome := run_plan(draw(seed), Keyless)).ok)
    small = shrink(failed, lambda plan: run_plan(plan, Keyless), tries=80)
    assert {finding.kind for finding in small.findings} & {finding.kind for finding in failed.findings}
    assert len(msgspec.json.encode(small.plan)) < len(msgspec.json.encode(failed.plan))
    assert len(small.plan.faults) <= 1  # keys that are forgotten need no other fault to be missed
