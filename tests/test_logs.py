"""Log lines of a server."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator

import pytest

from hubbub.engine.log import get_logger
from hubbub.logs import LogFormat, configure_logs

_log = get_logger("hubbub.tests.logs")
SECRET = "hbg_" + "Zx9" * 14


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What was written to standard error by a log that a test configures; the process's own logging is put back."""
    root, ours = logging.getLogger(), logging.getLogger("hubbub")
    before, level, our_level = root.handlers[:], root.level, ours.level
    yield lambda: capsys.readouterr().err
    root.handlers[:] = before
    root.setLevel(level)
    ours.setLevel(our_level)


def test_a_json_line_is_one_object(lines: Callable[[], str]) -> None:
    """Time, level, logger, event, then the event's own fields, which never take the place of ours."""
    configure_logs("info", "json")
    _log.info("posted", conversation="lobby", level=3, odd="a\nb\ud800")
    [line] = lines().splitlines()
    told = json.loads(line)
    assert told.pop("at").endswith("Z")
    assert told == {
        "level": "info",
        "logger": "hubbub.tests.logs",
        "event": "posted",
        "conversation": "lobby",
        "level_": 3,
        "odd": "a\nb\\ud800",
    }


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_other_libraries_are_heard_from_warnings_on(lines: Callable[[], str], log_format: LogFormat) -> None:
    """Their lines are redacted, their errors told without what they quote."""
    configure_logs("debug", log_format)
    other = logging.getLogger("otherlib")
    other.info("GET /?token=%s", SECRET)
    quoting = ValueError(f"bad text {'hello'!r} of {SECRET}")
    other.error("failed with %s", SECRET, exc_info=quoting)
    told = lines()
    assert "GET" not in told
    assert "ValueError" in told
    assert SECRET not in told
    assert "hello" not in told


def test_what_other_libraries_quote_neither_begins_a_line_nor_talks_to_a_terminal(lines: Callable[[], str]) -> None:
    """Control characters are shown as Python writes them; the lines of a stack stay lines."""
    configure_logs("warning", "console")
    try:
        raise ValueError("\x1b[2Jgone")
    except ValueError as error:
        logging.getLogger("otherlib").warning("bad\nERROR hubbub forged \x9b31m\u2028", exc_info=error)
    first, *stack = lines().split("\n")
    assert first.endswith(r"WARNING otherlib bad\nERROR hubbub forged \x9b31m\u2028")
    assert stack[-2].startswith(r"ValueError: \x1b[2Jgone")


def test_the_level_is_ours(lines: Callable[[], str]) -> None:
    """What is below the level is not shown."""
    configure_logs("warning", "console")
    _log.info("quiet")
    _log.warning("loud", conversation="lobby")
    [line] = lines().splitlines()
    assert line.endswith("WARNING hubbub.tests.logs event='loud' conversation='lobby'")
