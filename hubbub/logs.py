"""The server's log: lines on standard error, for people (`console`) or for programs (`json`).

Every line passes the same redaction, whoever logged it: hubbub's own events were redacted when they were made, the records of
other libraries are here. Those are heard from warnings upwards only: what they tell below that is not ours to vouch for.

A JSON line has `at` (RFC 3339, UTC), `level`, `logger`, `event`, then the event's own fields, and `stack` where something failed.
"""

from __future__ import annotations

import logging
import sys
from copy import copy
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from .engine.core.redaction import redacted_text
from .engine.log import stack_of

LogFormat = Literal["console", "json"]
FORMATS: Final[tuple[LogFormat, ...]] = ("console", "json")
_OURS: Final = ("at", "level", "logger")


def _harmless(text: str, kept: str = "") -> str:
    """A text that neither begins a line of its own nor talks to a terminal; what other libraries quote came from anybody."""
    if text.isprintable():
        return text
    shown = (each if each.isprintable() or each in kept else each.encode("unicode_escape").decode() for each in text)
    return "".join(shown)


class _Lines(logging.Formatter):
    """What both forms share: the text of an error without what it quotes."""

    def formatException(self, ei: Any) -> str:  # noqa: N802  the standard library's name
        error = ei[1]
        return "" if error is None else redacted_text(stack_of(error))

    def message_of(self, record: logging.LogRecord) -> str:
        return redacted_text(record.getMessage())


class ConsoleLines(_Lines):
    """One line for people: time, level, logger, event with its fields."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        record = copy(record)  # handlers share a record, and the standard formatter keeps the error's text there
        record.exc_text = None
        return super().format(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802  the standard library's name
        return _harmless(super().formatException(ei), kept="\n")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the standard library's name
        record.message = _harmless(self.message_of(record))
        return super().formatMessage(record)


class JsonLines(_Lines):
    """One JSON object a line; nothing in it breaks the line."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", None) or {"event": self.message_of(record)}
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": fields.get("event", ""),
        }
        line |= {f"{name}_" if name in _OURS else name: value for name, value in fields.items() if name != "event"}
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def configure_logs(level: str, log_format: LogFormat = "console") -> None:
    """Send the log to standard error; a second call takes the place of the first.

    Args:
        level: from which on hubbub's own events are shown: debug, info, warning, error.
        log_format: how lines look.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else ConsoleLines())
    chosen = getattr(logging, level.upper())
    root = logging.getLogger()
    for each in [each for each in root.handlers if isinstance(each.formatter, _Lines)]:
        root.removeHandler(each)
    root.addHandler(handler)
    root.setLevel(max(chosen, logging.WARNING))
    logging.getLogger("hubbub").setLevel(chosen)
