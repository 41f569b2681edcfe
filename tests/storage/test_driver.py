"""What the driver makes of errors: whether a statement happened is said only where it is known."""

from typing import Any, Final

import asyncpg
import pytest

from hubbub.engine.core.errors import OutcomeUnknown, StoreUnavailable
from hubbub.storage.driver import Session, open_driver
from hubbub.storage.ports import RowsRefused

MEANINGS: Final[list[tuple[Exception, type[Exception]]]] = [
    (asyncpg.ConnectionDoesNotExistError("gone in the middle"), OutcomeUnknown),
    (asyncpg.ConnectionFailureError("gone"), OutcomeUnknown),
    (asyncpg.AdminShutdownError("ended by the operator"), OutcomeUnknown),
    (asyncpg.InterfaceError("the driver is confused"), OutcomeUnknown),
    (ConnectionResetError("reset by peer"), OutcomeUnknown),
    (RuntimeError("a bug"), OutcomeUnknown),
    (asyncpg.SerializationError("try again"), StoreUnavailable),
    (asyncpg.DeadlockDetectedError("try again"), StoreUnavailable),
    (asyncpg.DiskFullError("no room"), StoreUnavailable),
    (asyncpg.ReadOnlySQLTransactionError("a standby"), StoreUnavailable),
    (asyncpg.CharacterNotInRepertoireError("not a text"), RowsRefused),
    (asyncpg.UniqueViolationError("is there"), RowsRefused),
]


class Connection:
    """A connection of asyncpg's shape whose every statement fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.terminated = False

    def get_server_pid(self) -> int:
        return 1

    def is_closed(self) -> bool:
        return self.terminated

    def terminate(self) -> None:
        self.terminated = True

    async def fetch(self, *values: Any) -> list[Any]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "meaning"), MEANINGS, ids=lambda value: getattr(value, "__name__", type(value).__name__)
)
async def test_what_an_error_means(error: Exception, meaning: type[Exception]) -> None:
    """Unknown, unless Postgres itself said that it was rolled back; a connection that may still be at work is cut."""
    connection = Connection(error)
    async with open_driver() as driver:
        with pytest.raises(meaning):
            await Session(driver, connection).fetch("insert", timeout_s=5)
    assert connection.terminated is (meaning is OutcomeUnknown)
