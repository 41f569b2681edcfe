"""Answers: how the engine's parts give them, and what the outcomes that the store and the kernel know mean to a caller.

What a reply raises is logged and goes no further: it is one caller's bug, and must not cost the others their answers.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import attrs

from ..actors import ActorError, MailboxClosed, Quarantined, RegistryFull, summary_of
from .core.batch import Committed, Rejected, Repeat, Result, Row
from .core.cursor import Cursor
from .core.errors import (
    ConversationQuarantined,
    EngineBroken,
    EngineClosed,
    EngineError,
    Overloaded,
)
from .core.messages import Ack, Record
from .core.outcomes import answer_to_repeat, message_of, record_after
from .log import get_logger

A = TypeVar("A")
A_contra = TypeVar("A_contra", contravariant=True)

_log = get_logger("hubbub.engine._answers")


class Owed(Protocol[A_contra]):
    """Something that waits for an answer."""

    def answer(self, answer: A_contra) -> None:
        """Answer, unless that was done already."""
        ...


def tell(owed: Owed[A], answer: A) -> bool:
    """Answer, and log what the reply raises. Returns whether it raised nothing."""
    try:
        owed.answer(answer)
    except Exception as error:  # noqa: BLE001  one caller's bug must not cost the others their answers
        log_failure("a reply failed", error)
        return False
    return True


def log_failure(event: str, error: Exception, **context: str) -> None:
    """Log a bug of a caller's in one line, with the place it was raised at: a broken transport may fail for each connection,
    and a stack for each would bury the log."""
    _log.error(event, error=summary_of(error), **context)


def refuse(owed: Owed[EngineError], error: EngineError) -> None:
    """Answer with an error, whatever was asked."""
    tell(owed, error)


async def answer_with(owed: Owed[A | EngineError], read: Callable[[], Awaitable[A]]) -> None:
    """Answer with what is read, or with the error that reading it raises."""
    try:
        tell(owed, await read())
    except EngineError as error:
        refuse(owed, error)
    except Exception:
        refuse(owed, EngineBroken())
        raise


def refusal_of(error: ActorError) -> EngineError:
    """What the kernel's refusal of a message or a pin means to the caller; nothing was kept."""
    match error:
        case Quarantined():
            return ConversationQuarantined()
        case MailboxClosed():
            return EngineClosed()
        case RegistryFull():
            return Overloaded("too many conversations are live")
        case _:
            return Overloaded("the conversation's mailbox is full")


def late_answer(record: Record, row: Row, result: Result) -> Ack | Record | EngineError:
    """What a settled row means to its poster when the actor that sent it is dead.

    Args:
        record: the conversation before this row.
    """
    match result:
        case Rejected(error):
            return error
        case Repeat():
            return answer_to_repeat(row, result, record.epoch)
        case Committed(offset):
            if row.change is None and row.member is None:
                return Ack(message_of(row, offset), Cursor(record.epoch, offset))
            return attrs.evolve(record_after(record, row), offset=offset)
