"""The account Postgres runs as, what that account can reach, and starting processes as it.

Postgres refuses to run as root. Started by root we use an account that exists already (we never create one); started by
anyone else we run as that user. Every process is started in a session of its own, so that Ctrl-C in a terminal reaches
only the server, and with an environment of our own, so that no ``PG*`` variable leaks in.

What another account can reach is judged by permission bits. Access lists are not read: a directory that only an ACL opens
to it counts as closed.
"""

import contextlib
import os
import pwd
import signal
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import attrs
import trio

from ._embedded_errors import DataDirectoryUnusable

CANDIDATES = ("hubbub", "postgres", "nobody")
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@attrs.frozen
class Account:
    """A user that Postgres may run as."""

    name: str
    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        """Whether processes must change user to become this account (we are root, it is not)."""
        return self.uid != os.geteuid()


def choose_account(cluster: Path) -> Account:
    """Choose whom Postgres runs as: the owner of an existing `cluster` directory, else by who we are.

    Raises:
        DataDirectoryUnusable: the cluster belongs to root or to another user, or root has no account to switch to.
    """
    euid = os.geteuid()
    owner = cluster.stat().st_uid if cluster.exists() else None
    if euid != 0:
        if owner not in (None, euid):
            raise DataDirectoryUnusable(f"{cluster} belongs to user {_name(owner)}; start the server as that user")
        return Account(_name(euid), euid, os.getegid())
    if owner is not None:
        return _owner_account(cluster, owner)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise DataDirectoryUnusable(
        f"Postgres does not run as root, and none of the users {', '.join(CANDIDATES)} exists to run it as; "
        "add one of them (useradd --system hubbub) or start the server as an ordinary user"
    )


def _owner_account(cluster: Path, owner: int) -> Account:
    if owner == 0:
        raise DataDirectoryUnusable(
            f"{cluster} belongs to root, and Postgres does not run as root; "
            f"give it to an ordinary user (chown -R postgres {cluster})"
        )
    try:
        return Account(_name(owner), owner, pwd.getpwuid(owner).pw_gid)
    except KeyError:
        return Account(_name(owner), owner, cluster.stat().st_gid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def closed_path(path: Path, account: Account) -> Path | None:
    """Return the first directory from ``/`` down to `path` that `account` may not enter, or None when all are open.

    When `path` is a file, it must be readable and executable by the account.
    """
    for part in [*reversed(path.parents), path]:
        if not (_is_open(part, account) if account.is_other else os.access(part, _access_mode(part))):
            return part
    return None


def _access_mode(path: Path) -> int:
    return os.X_OK if path.is_dir() else os.X_OK | os.R_OK


def _is_open(path: Path, account: Account) -> bool:
    status = path.stat()
    wanted = _access_mode(path)  # the values of os.X_OK and os.R_OK are those of the lowest mode bits
    if status.st_uid == account.uid:
        wanted <<= 6
    elif status.st_gid == account.gid:
        wanted <<= 3
    return status.st_mode & wanted == wanted


def private_directory(path: Path, account: Account) -> None:
    """Create `path` as a directory that only `account` may enter, or check that it is one.

    Nothing that another user could have put there is accepted: no link, no other owner, no open mode. A directory of our
    own is taken over, since a start may have been killed between making it and giving it away.

    Raises:
        DataDirectoryUnusable: something else is at that path.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    status = path.lstat()
    owned = status.st_uid in (account.uid, os.geteuid())
    if not stat.S_ISDIR(status.st_mode) or not owned or stat.S_IMODE(status.st_mode) & 0o077:
        raise DataDirectoryUnusable(
            f"{path} is not a directory that only user {account.name} may enter; move it away and start again"
        )
    if status.st_uid != account.uid:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


async def spawn(argv: Sequence[str | Path], *, account: Account, cwd: Path, output: IO[bytes]) -> trio.Process:
    """Start a process as `account`, in a session (and process group) of its own; `output` gets stdout and stderr.

    The caller owns the process. Starting is shielded: a cancelled caller still gets the process to clean up, since a
    process that nobody holds would outlive us.

    Raises:
        OSError: it could not be started.
    """
    with trio.CancelScope(shield=True):
        process = await trio.lowlevel.open_process(
            [os.fspath(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=_ENVIRONMENT,
            umask=0o077,
            start_new_session=True,
            user=account.uid if account.is_other else None,
            group=account.gid if account.is_other else None,
            extra_groups=[] if account.is_other else None,
        )
    return process  # noqa: RET504 (a return inside the scope is one that mypy believes may be skipped)


async def run_to_end(
    argv: Sequence[str | Path], *, account: Account, cwd: Path, stdin: bytes = b""
) -> tuple[int, list[str]]:
    """Run a short program as `account`; return its exit status and the lines it wrote.

    Cancellation kills the program and what it started (its whole session) before it is raised.

    Raises:
        OSError: it could not be started.
    """
    done = await trio.run_process(
        [os.fspath(part) for part in argv],
        stdin=stdin,
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
        deliver_cancel=_kill_session,
        cwd=cwd,
        env=_ENVIRONMENT,
        umask=0o077,
        start_new_session=True,
        user=account.uid if account.is_other else None,
        group=account.gid if account.is_other else None,
        extra_groups=[] if account.is_other else None,
    )
    return done.returncode, done.stdout.decode(errors="replace").splitlines()


async def _kill_session(process: trio.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
