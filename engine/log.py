"""Logging for a library: structured events that end in the standard `logging`, so that an embedder decides what is shown.

structlog's own default prints to standard output, which belongs to the embedding program.

Invariants:
- Message texts and credentials are never logged. What is told of an error is its type, its places, and its text without
  what stands in quotes there; every event passes `core.redaction` besides.
- What stands in structlog's context, the request that is carried out and the conversation, is in every event, also of tasks
  started there.

Left out: how lines look and where they go (`hubbub.logs`, or the embedding program).
"""

from __future__ import annotations

import logging
import sys
import traceback
from contextvars import ContextVar
from typing import Any, Final, cast

import structlog
from structlog.typing import EventDict

from ..actors import summary_of
from .core.redaction import redacted

_MAX_STACKS: Final = 16
"""Of one event: an exception group may hold many."""

_render = structlog.processors.KeyValueRenderer(key_order=["event"], drop_missing=True)

CONVERSATION: Final[ContextVar[str]] = ContextVar("structlog_conversation")
"""The conversation that a task works for, in everything that it logs. The name makes it part of structlog's context, whose own
way to set it costs ten times as much."""


def stack_of(error: BaseException) -> str:
    """The places that an error passed, and those of its causes and of a group's members, without the values it may quote."""
    parts: list[str] = []
    _gather(error, parts)
    return "\n".join(parts)


def _gather(error: BaseException, parts: list[str]) -> None:
    if len(parts) >= _MAX_STACKS:
        return
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        _gather(cause, parts)
    parts.append("".join(traceback.format_tb(error.__traceback__)) + summary_of(error))
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            _gather(each, parts)


def _add_stack(logger: logging.Logger, method: str, event: EventDict) -> EventDict:
    """As structlog's own `format_exc_info`, without what an error's text may quote."""
    error = event.pop("exc_info", None)
    if error is True or isinstance(error, tuple):
        error = sys.exc_info()[1] if error is True else error[1]
    if isinstance(error, BaseException):
        event["stack"] = stack_of(error)
    return event


def _redact(logger: logging.Logger, method: str, event: EventDict) -> EventDict:
    return redacted(event)


def _to_record(logger: logging.Logger, method: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    """A line for people, and the fields for handlers that want them (`record.fields`)."""
    line = _render(logger, method, dict(event))
    return (line,), {"extra": {"fields": dict(event)}}


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for one part of hubbub.

    Args:
        name: dotted, below ``hubbub``.
    """
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _add_stack,
            _redact,
            _to_record,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return cast(structlog.stdlib.BoundLogger, logger)
