"""The data directory: what lies where, the lock on it, and making a new cluster in it.

    data_dir/               root's (0711) or the user's own (0700)
      hubbub.lock           flock held for the whole life of a server; holds its pid; never removed
      pg/                   the cluster, 0700, the account's; present means complete
      pg.new/               a cluster being made; what is found here at start was left half-made and is removed
      socket/               the unix socket, 0700; elsewhere when the path is too long for a socket
      postgres.log, .log.1  what Postgres said, bounded

A cluster is made in ``pg.new`` (initdb, then the database, both synced) and renamed, so kill -9 at any moment leaves
either no cluster or a whole one. Who has the lock is the only one to touch the rest.
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import trio

from ._account import Account, closed_path, private_directory, run_to_end
from ._binaries import Binaries
from ._embedded_errors import DataDirectoryInUse, DataDirectoryUnusable, PostgresFailed
from ._orphan import kill_leftovers

USER = DATABASE = "hubbub"
PORT = 5432  # of a unix socket: only part of its name
_SOCKET_PATH_LIMIT_BYTES = 107
_PLAIN_PATH = re.compile(r"[\w./+=@ -]+")
_TAIL_LINES = 20


@attrs.frozen
class Layout:
    """The paths of one data directory; `data_dir` is absolute and free of links."""

    data_dir: Path

    @property
    def lock(self) -> Path:
        """Our lock file."""
        return self.data_dir / "hubbub.lock"

    @property
    def cluster(self) -> Path:
        """The cluster, complete when it exists."""
        return self.data_dir / "pg"

    @property
    def staging(self) -> Path:
        """A cluster in the making."""
        return self.data_dir / "pg.new"

    @property
    def log(self) -> Path:
        """Where Postgres logs to."""
        return self.data_dir / "postgres.log"

    @property
    def old_log(self) -> Path:
        """The log before the last cut."""
        return self.data_dir / "postgres.log.1"

    @property
    def socket_dir(self) -> Path:
        """Where the socket is: in the data directory, or under /run or /tmp when a socket or a client cannot take its path.

        Clients split a host at commas, Postgres its list of directories at commas and quotes.
        """
        place = self.data_dir / "socket"
        short = len(os.fsencode(place / f".s.PGSQL.{PORT}")) <= _SOCKET_PATH_LIMIT_BYTES
        if short and _PLAIN_PATH.fullmatch(str(place)):
            return place
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        parent = Path("/run") if os.geteuid() == 0 and os.access("/run", os.W_OK) else Path("/tmp")  # noqa: S108 (checked)
        return parent / f"hubbub-{os.geteuid()}-{digest}"

    def data_major(self) -> int | None:
        """Return the major version of Postgres that made the cluster, None when there is no cluster yet.

        Raises:
            DataDirectoryUnusable: there is something else in the cluster's place.
        """
        try:
            return int((self.cluster / "PG_VERSION").read_text().split(".")[0])
        except FileNotFoundError:
            if self.cluster.exists() and any(self.cluster.iterdir()):
                raise DataDirectoryUnusable(
                    f"{self.cluster} is not empty and not a Postgres data directory; move it away and start again"
                ) from None
            return None


def open_data_dir(path: Path) -> Layout:
    """Create the data directory if need be and return its layout.

    Raises:
        DataDirectoryUnusable: it cannot be created or entered.
    """
    try:
        data_dir = path.expanduser().resolve()
        if not data_dir.exists():
            data_dir.mkdir(parents=True)
            data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
        if not data_dir.is_dir() or not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
            raise DataDirectoryUnusable(f"{data_dir} is not a directory that this user may write to")
    except OSError as exc:
        raise DataDirectoryUnusable(f"the data directory {path} cannot be used: {exc}") from exc
    return Layout(data_dir)


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Hold the lock on the data directory. It goes with our process, however that ends, and with no child of ours.

    Raises:
        DataDirectoryInUse: another server, or another part of this process, holds it.
    """
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(descriptor, 32, 0).strip()
            holder = int(text) if text.isdigit() else None
            raise DataDirectoryInUse(
                f"another server (pid {holder or 'not known yet'}) uses the data directory {layout.data_dir}; "
                "stop it, or start this one with another data directory",
                holder_pid=holder,
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def check_reach(layout: Layout, account: Account) -> None:
    """Check that the account can get into the data directory.

    Raises:
        DataDirectoryUnusable: it names the first directory that is closed.
    """
    closed = closed_path(layout.data_dir, account)
    if closed is not None:
        raise DataDirectoryUnusable(
            f"Postgres runs as user {account.name} here, who cannot get into {layout.data_dir}: {closed} is closed. "
            f"Choose a data directory elsewhere (such as /var/lib/hubbub), or open that one (chmod o+x {closed})"
        )


def prepare_socket_dir(layout: Layout, account: Account) -> None:
    """Make the directory of the socket, empty. Call it when nothing of an earlier Postgres is left.

    The lock file beside an old socket names a pid too; if that lives on as a foreign process, Postgres would refuse.

    Raises:
        DataDirectoryUnusable: something that is not ours is in its place.
    """
    private_directory(layout.socket_dir, account)
    for old in layout.socket_dir.glob(".s.PGSQL.*"):
        old.unlink()


async def remove_half_made(layout: Layout) -> None:
    """End what still works on a half-made cluster, and remove it."""
    if layout.staging.exists():
        await kill_leftovers(layout.staging)
        await trio.to_thread.run_sync(shutil.rmtree, layout.staging)


async def create_cluster(layout: Layout, binaries: Binaries, account: Account) -> None:
    """Make a new cluster with our role and database. Takes half a second. Cancelled or failed, it leaves nothing.

    Raises:
        PostgresFailed: initdb failed; `log_tail` has its words.
    """
    staging = layout.staging
    private_directory(staging, account)
    initdb: list[str | Path] = [
        *(binaries.program("initdb"), "-D", staging, "-U", USER, "--encoding=UTF8", "--locale=C", "--data-checksums"),
        *("--auth-local=trust", "--auth-host=reject"),  # the socket's directory is the guard
    ]
    single: list[str | Path] = [binaries.program("postgres"), "--single", "-D", staging, "postgres"]
    try:
        await _step(initdb, account=account, cwd=staging)
        await _step(single, account=account, cwd=staging, stdin=f"CREATE DATABASE {DATABASE}\n".encode())
        await trio.to_thread.run_sync(_rename_durably, staging, layout.cluster)
    finally:
        with trio.CancelScope(shield=True):
            await remove_half_made(layout)


async def _step(argv: list[str | Path], *, account: Account, cwd: Path, stdin: bytes = b"") -> None:
    status, lines = await run_to_end(argv, account=account, cwd=cwd, stdin=stdin)
    # A single-user Postgres goes on after an error in a statement and still exits with 0.
    if status != 0 or any(" ERROR:" in line for line in lines):
        raise PostgresFailed(
            f"{argv[0]} failed with exit status {status} in {cwd}", log_tail=tuple(lines[-_TAIL_LINES:])
        )


def _rename_durably(source: Path, target: Path) -> None:
    source.rename(target)
    parent = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
