"""What can go wrong with the embedded Postgres. These reach the operator who starts a server, never a client on the wire.

EmbeddedError                 log_tail: the last lines Postgres wrote, if it got so far
├── PostgresNotFound          no usable binaries, neither the wheel nor on the machine
├── DataDirectoryUnusable     closed, owned by someone else, or not ours
├── DataDirectoryInUse        another server holds the lock; holder_pid says who
├── WrongMajorVersion         the data was made by a Postgres that is not here; found and available say which
└── PostgresFailed            it does not start, died too often, or its leftovers do not go away
"""


class EmbeddedError(Exception):
    """Base of all. ``str()`` says what happened and what to do; `log_tail` holds the last log lines (at most 20)."""

    def __init__(self, message: str, *, log_tail: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join([message, *(f"  | {line}" for line in log_tail)]))
        self.log_tail = log_tail


class PostgresNotFound(EmbeddedError):
    """There are no Postgres binaries that can be run here."""


class DataDirectoryUnusable(EmbeddedError):
    """The data directory (or one above it, or the socket directory) cannot be used by the account Postgres runs as."""


class DataDirectoryInUse(EmbeddedError):
    """Another server has this data directory open. `holder_pid` is None when it has not written its pid yet."""

    def __init__(self, message: str, *, holder_pid: int | None) -> None:
        super().__init__(message)
        self.holder_pid = holder_pid


class WrongMajorVersion(EmbeddedError):
    """The data was made by Postgres `found` (a major version); only `available` are here."""

    def __init__(self, message: str, *, found: int, available: tuple[int, ...]) -> None:
        super().__init__(message)
        self.found = found
        self.available = available


class PostgresFailed(EmbeddedError):
    """A Postgres process did not do what it was started for."""
