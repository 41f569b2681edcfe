"""One round on a stage: load, fault, recovery, quiet, and then the audit of acked against stored against seen.

`play` needs no particular server: it is given a `Ground`, which for the harness is a stage and for its own tests a server that
lies.
"""

from __future__ import annotations

import os
from typing import Final, Protocol

import trio

from .bans import Standing
from .client import Gone, Refused, Target
from .crowd import Crowd, Load, open_conversation, open_crowd, open_register
from .kinds import CannotInject, Effect
from .ledger import Leftovers
from .outcome import Findings, Outcome, judge
from .plan import Round
from .tables import Stored

_LOADED_S: Final = 30.0
_MENDED_S: Final = 75.0
_SETTLED_S: Final = 30.0
_ARRIVED_S: Final = 30.0
_LOOK_S: Final = 0.05


class Ground(Protocol):
    """What a round is played on."""

    @property
    def target(self) -> Target:
        """Where clients connect."""

    async def strike(self, round_: Round) -> Effect:
        """Inject the fault and take it back. Raises CannotInject."""

    async def stored(self, conversation: str) -> Stored:
        """The log of a conversation, read past the server where that is possible."""

    async def standing(self, conversation: str) -> Standing:
        """The bans of a conversation, read in the same way."""

    async def leftovers(self) -> Leftovers:
        """What is left when all clients are gone."""

    async def mend(self) -> int | None:
        """Start the server again if it has ended without being asked to; gives its exit status then."""


async def play(ground: Ground, round_: Round, load: Load) -> tuple[Outcome, str, Stored]:
    """Play a round; gives also the name of its conversation and what it holds.

    Raises:
        BenchError, Gone: it could not be begun or read back.
    """
    conversation = f"{round_.name}-{os.urandom(4).hex()}"
    ledger = await open_conversation(ground.target, conversation, trio.current_time)
    register = await open_register(ground.target, f"{conversation}-bans")
    effect, why_not, recovered, ended = None, "", False, list[int]()
    async with open_crowd(ground.target, ledger, register, load) as crowd:
        crowd.begin(round_.random)
        if not await crowd.reached(round_.acks, _LOADED_S):
            why_not = f"{ledger.acked} of {round_.acks} posts acked in {_LOADED_S:g} s, or a reader missing"
        else:
            await trio.sleep(round_.pause_s)
            ledger.begins()
            try:
                effect = await ground.strike(round_)
            except CannotInject as exc:
                why_not = str(exc)
            ledger.healed()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_keep_up, ground, ended)
            recovered = effect is not None and await crowd.recovered(_MENDED_S)
            crowd.latecomers(round_.random)
            await crowd.settle(_SETTLED_S)
            nursery.cancel_scope.cancel()
        stored = await ground.stored(conversation)
        ledger.stored(stored.log)
        members = register.compare(await ground.standing(register.conversation))
        behind = await _all_seen(crowd, stored)
    found = Findings(
        effect=effect,
        why_not=why_not,
        verdict=ledger.verdict(),
        times=ledger.times,
        acked_before=ledger.acked_before,
        recovered=recovered,
        open_posts=len(ledger.open_posts),
        changes=register.acked,
        open_changes=len(register.open),
        members=members,
        behind=behind,
        resets=tuple(ledger.resets),
        interrupted=dict(ledger.interrupted),
        refusals=dict(ledger.refusals),
        tables=stored.problems,
        leftovers=await ground.leftovers(),
        ended=ended[0] if ended else None,
    )
    return judge(round_, found), conversation, stored


async def _keep_up(ground: Ground, ended: list[int]) -> None:
    """Start the server whenever it has ended, as a service manager does, and note how it ended. Runs until cancelled."""
    while True:
        status = await ground.mend()
        if status is not None:
            ended.append(status)
        await trio.sleep(_LOOK_S)


async def _all_seen(crowd: Crowd, stored: Stored) -> tuple[str, ...]:
    behind = await crowd.arrive(stored.head, _ARRIVED_S)
    try:
        await crowd.read_pages()
    except (Gone, Refused) as exc:
        return (*behind, f"the pages could not be read: {exc}")
    return behind
