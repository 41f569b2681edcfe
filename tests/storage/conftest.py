"""A Postgres for the tests of the store: one server for the session, a fresh database for each test."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .postgres_server import PostgresServer


def _server() -> Iterator[PostgresServer]:
    directory = Path(tempfile.mkdtemp(prefix="hubbub-pg-", dir="/tmp"))  # short: it holds a socket
    server = PostgresServer(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server that most tests share; nobody stops it."""
    yield from _server()


@pytest.fixture
def mortal_postgres() -> Iterator[PostgresServer]:
    """A server that a test may stop and kill."""
    yield from _server()


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    """A fresh database on the shared server."""
    return postgres.new_database()
