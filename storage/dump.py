"""Dumps: a database into one file and back, by Postgres' own ``pg_dump`` and ``pg_restore``.

A dump is one snapshot: it can be taken while a server writes. Loading is one transaction: all of it or nothing. The file appears
under its name when it is whole and on disk, and only its owner may read it: all messages are in it.

A password never stands on a command line, where other users could read it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import trio

from ..engine.core.errors import StoreError
from ._account import Account
from ._binaries import find_binaries
from .driver import Connect

_TAIL_LINES: Final = 20
_CHUNK_BYTES: Final = 65_536
_MAX_LINE_BYTES: Final = 4_096


class DumpFailed(StoreError):
    """A dump could not be made or loaded; `str()` has the last words of the program."""


async def find_programs(data_major: int | None) -> Path:
    """Where ``pg_dump`` and ``pg_restore`` are.

    Args:
        data_major: of which major version; None takes the first that are found, which read databases up to their own version.

    Raises:
        PostgresNotFound, WrongMajorVersion: they are not here.
    """
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return (await find_binaries(Account(name, uid, os.getegid()), data_major=data_major)).bin_dir


async def dump(where: Connect, bin_dir: Path, file: Path, said: Callable[[str], None]) -> int:
    """Write a database into a new file; gives its size in bytes.

    Cancelled or failed, it leaves no file.

    Args:
        where: a URL, or asyncpg's connect arguments.
        bin_dir: where the programs are.
        file: must not exist.
        said: called with each line that the program says.

    Raises:
        DumpFailed: the program failed.
        OSError: the file cannot be written, or is there.
    """
    with _scratch(file) as scratch:
        options = ["--format=custom", "--no-owner", "--no-privileges", "--exclude-table=restore_unfinished"]
        options += ["--verbose", f"--file={scratch}"]
        await _run(bin_dir / "pg_dump", options, where, said)
        return await trio.to_thread.run_sync(_settle, scratch, file)


async def load(where: Connect, bin_dir: Path, file: Path, said: Callable[[str], None]) -> None:
    """Load a file that `dump` wrote into an empty database. Arguments as there.

    Raises:
        DumpFailed: the program failed; nothing of the file is in the database.
    """
    options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--verbose"]
    await _run(bin_dir / "pg_restore", options, where, said, files=(os.fspath(file),))


@contextlib.contextmanager
def _scratch(file: Path) -> Iterator[Path]:
    """A file beside this one, gone afterwards."""
    if file.exists():
        raise FileExistsError(f"{file} is there already")
    scratch = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def _settle(scratch: Path, file: Path) -> int:
    """Give a file its name when it is on disk; gives its size."""
    with scratch.open("rb") as written:
        os.fsync(written.fileno())
    os.link(scratch, file)  # unlike a rename it replaces nothing
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return file.stat().st_size


async def _run(
    program: Path, options: Sequence[str], where: Connect, said: Callable[[str], None], files: Sequence[str] = ()
) -> None:
    dbname, variables = connection(where)
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    command = [os.fspath(program), *options, f"--dbname={dbname}", "--no-password", *files]
    # What libpq reads by itself (PGPASSFILE, PGSSLROOTCERT) holds for these programs as it does for the driver.
    environment = {**os.environ, "LC_ALL": "C", **variables}  # noqa: TID251

    def line(text: str) -> None:
        tail.append(text)
        said(text)

    async with trio.open_nursery() as nursery:
        process = await nursery.start(_start, command, environment)
        assert process.stderr is not None
        await _lines(process.stderr, line)
        status = await process.wait()
    if status != 0:
        raise DumpFailed(
            "\n".join([f"{program.name} failed with exit status {status}", *(f"  | {each}" for each in tail)])
        )


async def _start(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    task_status: trio.TaskStatus[trio.Process] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a program to its end; killed when cancelled."""
    await trio.run_process(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
        task_status=task_status,
    )


async def _lines(stream: trio.abc.ReceiveStream, line: Callable[[str], None]) -> None:
    rest = b""
    while piece := await stream.receive_some(_CHUNK_BYTES):
        *whole, rest = (rest + piece).split(b"\n")
        for each in whole:
            line(each[:_MAX_LINE_BYTES].decode("utf-8", "replace"))
        rest = rest[:_MAX_LINE_BYTES]
    if rest:
        line(rest.decode("utf-8", "replace"))


def connection(where: Connect) -> tuple[str, dict[str, str]]:
    """What the programs need: a connection string without a password, and variables with it."""
    if not isinstance(where, str):
        names = {"host": "host", "port": "port", "user": "user", "database": "dbname"}
        words = (f"{names[key]}='{_quoted(str(value))}'" for key, value in where.items() if key in names)
        return " ".join(words), {}
    parts = urlsplit(where)
    user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    host = parts.netloc.rpartition("@")[2]
    fields = parse_qsl(parts.query, keep_blank_values=True)
    passwords = [value for name, value in fields if name == "password"] + ([unquote(password)] if colon else [])
    query = urlencode([(name, value) for name, value in fields if name != "password"])
    bare = urlunsplit(("postgresql", f"{user}@{host}" if user else host, parts.path, query, ""))
    return bare, {"PGPASSWORD": passwords[-1]} if passwords else {}


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
