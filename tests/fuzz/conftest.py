"""One real server with an embedded Postgres for all cases: starting one takes longer than all the cases of a call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..serverproc import data_folder, running_server
from .callers import House
from .judge import Counts

COUNTS = pytest.StashKey[Counts]()


def pytest_configure(config: pytest.Config) -> None:
    """Count from the start."""
    config.stash[COUNTS] = Counts()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show who was answered what."""
    _, *lines = told = list(config.stash[COUNTS].lines())
    if lines:
        terminalreporter.section("answers by caller")
        for line in told:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def counts(pytestconfig: pytest.Config) -> Counts:
    """How callers were answered."""
    return pytestconfig.stash[COUNTS]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A server that is well at the end."""
    with data_folder() as data, running_server(data) as server:
        there = House(server)
        yield there
        assert there.ask("GET", "/health/ready")["status"] == "ready"
        assert "Traceback" not in server.output()
