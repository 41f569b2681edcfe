"""What hubbub logs, as a list of the events' fields."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from hubbub.transport.watch import ACCESS_LOG


class _Kept(logging.Handler):
    def __init__(self, *, access: bool) -> None:
        super().__init__()
        self.entries: list[dict[str, Any]] = []
        self._access = access

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", None)
        if fields is not None and (self._access or record.name != ACCESS_LOG):
            self.entries.append({**fields, "log_level": record.levelname.lower()})


@contextlib.contextmanager
def capture_logs(*, access: bool = False) -> Iterator[list[dict[str, Any]]]:
    """Gather structured events of every level; each is its fields and `log_level`.

    Args:
        access: the access log, too, which has a line for every request.
    """
    logger = logging.getLogger("hubbub")
    kept, level = _Kept(access=access), logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    try:
        yield kept.entries
    finally:
        logger.removeHandler(kept)
        logger.setLevel(level)
