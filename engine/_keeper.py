"""The keeper: serves a quarantined conversation read-only, from its log, until it is released.

It is a conversation actor without hands. It loads and answers questions as the actor does, in the same code, and it takes no
submissions: nothing is handed to the store, settled, or passed on by it, so whatever crashed there cannot crash it.

What it still serves, by what crashed the actor:

* a command, or the machine: everything but posts, changes and signals.
* an event that cannot be brought into memory (the tail): the same, from the store, with an empty tail. A page that contains the
  event is refused, and a subscriber that would have to read past it is cut off with `internal`: a gap is never hidden.
* the record: nothing. The keeper crashes as the actor did, and its registry gives up on it after as many tries: every command is
  then refused, and subscribers are cut off with `quarantined`.

A command that crashes the keeper is refused alone. A batch that was in flight when the actor died is settled by the room, which
answers its posters; the keeper loads only after that, and gives the subscribers what was committed.
"""

import trio

from ._answers import log_failure, refuse
from ._conversation import ConversationActor
from ._following import Nudge
from ._step import Step
from .core.commands import Command, Join, Signal, Submit
from .core.conversation import ConversationMachine, Doubted
from .core.errors import ConversationQuarantined, EngineBroken, EngineError, StoreError
from .core.messages import Record
from .core.permissions import Verb, check
from .core.tail import Tail


class Keeper(ConversationActor):
    """One incarnation of a quarantined conversation."""

    async def on_batch(self, batch: list[Command | Nudge]) -> None:
        """Answer questions, one by one."""
        machine = await self._loaded()
        if machine is None:
            self._refuse(batch)
            return
        step = Step(self._clock)
        for command in batch:
            self._serve(machine, command)
            if step.over():
                await trio.lowlevel.checkpoint()
                step.begin()
        await self._spread(machine)

    def _serve(self, machine: ConversationMachine, command: Command | Nudge) -> None:
        if isinstance(command, Nudge):
            return
        try:
            match command:
                case Submit():
                    refusal = _refusal(command, machine.record)
                    self._answer(command, refusal if command.row.key is None else Doubted(refusal))
                case Signal():
                    check(command.principal, Verb.SIGNAL, machine.record, command.at_ms)
                    raise ConversationQuarantined
                case _:
                    self._query(machine, command)
        except EngineError as error:
            refuse(command, error)
        except Exception as error:  # noqa: BLE001  a bug in one question must not take the others' answers
            kind = type(command).__name__
            log_failure("a keeper failed", error, conversation=self._room.id, command=kind)
            if isinstance(command, Join):
                self._room.cut(command.subscriber, EngineBroken())
            refuse(command, ConversationQuarantined("the conversation is quarantined, and this cannot be answered"))

    async def _load_tail(self, record: Record) -> Tail:
        try:
            return await super()._load_tail(record)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  an event that cannot be loaded must not hide the others
            log_failure("a tail cannot be loaded", error, conversation=self._room.id)
            bounds = self._settings.conversation
            return Tail(record.offset, max_items=bounds.tail_items, max_bytes=bounds.tail_bytes)


def _refusal(submission: Submit, record: Record) -> EngineError:
    """Who may not know of the conversation must not learn of it from its quarantine either."""
    try:
        check(submission.principal, submission.verb, record, submission.row.at_ms)
    except EngineError as error:
        return error
    return ConversationQuarantined()
