"""What hubbub logs, as a list of the events' fields."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.entries: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", None)
        if fields is not None:
            self.entries.append({**fields, "log_level": record.levelname.lower()})


@contextlib.contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """Gather structured events of every level; each is its fields and `log_level`."""
    logger = logging.getLogger("hubbub")
    kept, level = _Kept(), logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    try:
        yield kept.entries
    finally:
        logger.removeHandler(kept)
        logger.setLevel(level)
