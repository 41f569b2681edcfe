"""What the driver makes of errors: whether a statement happened is said only where it is known."""

import asyncio
import socket
from typing import Any, Final, cast

import asyncpg
import pytest
import trio

from hubbub.engine.core.errors import OutcomeUnknown, StoreUnavailable
from hubbub.storage.driver import Pool, Session, _notice_dead_wire, open_driver
from hubbub.storage.ports import RowsRefused, StoreLost

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
    assert connection.terminated  # what is left open ends with the driver


class Fails:
    """A session of a pool whose statement fails; one that broke is closed."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.closed = False

    async def fetch(self, statement: str, *values: object, timeout_s: float) -> list[Any]:
        await trio.lowlevel.checkpoint()
        self.closed = isinstance(self.error, OutcomeUnknown)
        raise self.error


@pytest.mark.parametrize(
    "second", [StoreUnavailable("a standby"), RowsRefused("23505"), StoreLost("the driver has failed")], ids=repr
)
@pytest.mark.parametrize("idle", [True, False])
async def test_a_write_that_was_sent_once_stays_of_unknown_outcome(second: Exception, idle: bool) -> None:
    """Whatever the second connection says of the second try, and whether it was open already."""
    sessions = [Fails(second), Fails(OutcomeUnknown("broke"))]

    async def connect() -> Session:
        await trio.lowlevel.checkpoint()
        return cast("Session", sessions.pop(0))

    pool = Pool(connect, size=1, timeout_s=5)
    pool._idle = [cast("Session", sessions.pop())]
    if idle:
        pool._idle.insert(0, cast("Session", sessions.pop()))
    with pytest.raises(OutcomeUnknown):
        await pool.write("insert")


@pytest.mark.parametrize("error", [StoreUnavailable("a standby"), OutcomeUnknown("broke")], ids=repr)
async def test_a_write_that_was_not_sent_before_is_answered_as_it_is(error: Exception) -> None:
    """A certain refusal of the only try is certain, and a connection that is made anew is no reason for doubt."""

    async def connect() -> Session:
        await trio.lowlevel.checkpoint()
        return cast("Session", Fails(error))

    with pytest.raises(type(error)):
        await Pool(connect, size=1, timeout_s=5).write("insert")


class Wire:
    """The transport of a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self.sock


class Torn:
    """A connection whose socket was closed while it was being made."""

    def __init__(self) -> None:
        self.terminated = False
        sock = socket.socket()
        sock.close()
        self._transport = Wire(sock)

    def terminate(self) -> None:
        self.terminated = True


async def test_a_connection_that_breaks_while_it_is_made_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of its socket means that the store is away, as an error of the connect does; nothing is left open."""
    torn = Torn()

    async def connect(**_: object) -> Torn:
        return torn

    monkeypatch.setattr(asyncpg, "connect", connect)
    async with open_driver() as driver:
        with pytest.raises(StoreUnavailable, match="cannot connect"):
            await driver.connect({}, {})
    assert torn.terminated


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="needs Linux")
def test_the_kernel_breaks_no_connection_whose_peer_is_only_stopped() -> None:
    """A closed window counts as unacknowledged for TCP_USER_TIMEOUT, so it is not set; a dead wire is found in 5 s."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as sock:
        _notice_dead_wire(cast("asyncio.BaseTransport", Wire(sock)))
        options = ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        found = [sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in options]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    user_timeout, idle_s, interval_s, count = found
    assert user_timeout == 0
    assert idle_s + interval_s * count == 5
