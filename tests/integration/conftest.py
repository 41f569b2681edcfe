"""One real server for each test that asks for it: fresh data, a free port, gone afterwards."""

from collections.abc import Iterator

import pytest

from .processes import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A running server on the embedded Postgres."""
    found = Server()
    try:
        found.start()
        yield found
        found.check_log()
    finally:
        found.discard()
