"""Logging for a library: structured events that end in the standard `logging`, so that an embedder decides what is shown.

structlog's own default prints to standard output, which belongs to the embedding program. Message texts and tokens are never
logged. What a transport puts into structlog's context (the id of the request that is carried out) stands in every line.
"""

import logging
from typing import Any, cast

import structlog

_render = structlog.processors.KeyValueRenderer(key_order=["event"], drop_missing=True)


def _to_record(
    logger: logging.Logger, method: str, event: structlog.typing.EventDict
) -> tuple[tuple[str], dict[str, Any]]:
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
            structlog.processors.format_exc_info,
            _to_record,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return cast(structlog.stdlib.BoundLogger, logger)
