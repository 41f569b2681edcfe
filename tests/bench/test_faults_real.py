"""The fault harness on a real server with a real Postgres: one round of four kinds, and nothing broken."""

import pytest
import trio

from hubbub.bench.faults.campaign import Campaign, run_campaign
from hubbub.bench.faults.crowd import Load
from hubbub.bench.faults.kinds import BY_NAME
from hubbub.bench.faults.outcome import Outcome, Status
from hubbub.bench.faults.plan import plan

pytestmark = [pytest.mark.server, pytest.mark.postgres]
NAMES = ("kill-server", "kill-postgres", "stop-postgres", "cut-clients")


async def test_a_round_of_four_faults() -> None:
    """Each fault takes effect under load, and what was acked, stored and seen is the same."""
    told: list[Outcome] = []
    with trio.fail_after(150):
        campaign: Campaign = await run_campaign(
            plan([BY_NAME[name] for name in NAMES], rounds=1, seed=3), Load(writers=4, readers=4), told.append
        )
    assert [outcome.round.fault.name for outcome in told] == list(NAMES)
    for outcome in campaign.outcomes:
        assert outcome.status is Status.PASSED, (outcome.round.name, outcome.reasons)
        assert outcome.findings is not None
        assert outcome.findings.verdict.acked >= outcome.round.acks
        assert outcome.findings.effect is not None
        assert outcome.findings.effect.took
    assert campaign.problems == ()
    assert campaign.proven
    assert not campaign.broken
