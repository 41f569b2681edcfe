"""Checks of the machine: Python and packages, the data directory, room on disk, files, the queue of connections, the port."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import pwd
import resource
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

from ..limits import OTHERS
from ..operator_token import FILE_NAME
from ..storage._account import Account, choose_account, closed_path
from ..storage.embedded import EmbeddedError
from ..transport.serve import ServeSettings
from .finding import Finding, failed, ok, warning

_OLDEST: Final = (3, 11)
_LEAST_FREE_BYTES: Final = 256 << 20
_GOOD_FREE_BYTES: Final = 2 << 30
_SOMAXCONN: Final = Path("/proc/sys/net/core/somaxconn")
_PROGRAM: Final = "hubbub"


def python() -> Finding:
    """The interpreter."""
    found = (
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.release()}"
    )
    if sys.version_info < _OLDEST:
        return failed("python", found, f"hubbub needs Python {'.'.join(map(str, _OLDEST))} or newer")
    if not sys.platform.startswith("linux"):
        return failed("python", found, "the server needs Linux (epoll)")
    return ok("python", found)


def packages() -> Finding:
    """What hubbub needs, in versions that it was made for."""
    try:
        wanted = [Requirement(text) for text in importlib.metadata.requires(_PROGRAM) or ()]
    except (importlib.metadata.PackageNotFoundError, InvalidRequirement) as error:
        return warning("packages", f"what hubbub needs is not known: {error}", "install hubbub with pip")
    wrong, count = [], 0
    for each in wanted:
        if each.marker is not None and not each.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            version = importlib.metadata.version(each.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{each.name} is missing")
            continue
        if not each.specifier.contains(version, prereleases=True):
            wrong.append(f"{each.name} is {version}, wanted is {each.specifier}")
    if wrong:
        return failed("packages", "; ".join(wrong), "install hubbub again: pip install --upgrade hubbub")
    return ok("packages", f"all {count} as wanted, hubbub {importlib.metadata.version(_PROGRAM)}")


def data_directory(data: Path, *, embedded: bool) -> Iterator[Finding]:
    """Who owns the data directory, who may get in, and the operator's token in it."""
    if not data.exists():
        parent = next(each for each in data.parents if each.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield ok("data directory", f"{data} will be made by the first start")
        else:
            yield failed("data directory", f"{data} cannot be made", f"make it, or open {parent} to this user")
        return
    status = data.stat()
    if not stat.S_ISDIR(status.st_mode) or not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield failed(
            "data directory",
            f"{data} is not a directory that this user may write to",
            f"chown it to uid {os.geteuid()}",
        )
        return
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o022:
        yield failed("data directory", f"others may write to {data} (mode {mode:04o})", f"chmod go-w {data}")
    elif status.st_uid not in (os.geteuid(), 0):
        yield warning("data directory", f"{data} belongs to uid {status.st_uid}", "run the server as its owner")
    else:
        yield ok("data directory", f"{data}, mode {mode:04o}, uid {status.st_uid}")
    if embedded:
        yield _cluster(data)
    yield _operator_token(data / FILE_NAME)


def _cluster(data: Path) -> Finding:
    check = "embedded Postgres"
    cluster = data / "pg"
    try:
        account: Account = choose_account(cluster)
        closed = closed_path(data, account)
        if closed is not None:
            return failed(check, f"it runs as user {account.name}, to whom {closed} is closed", f"chmod o+x {closed}")
        if cluster.exists() and stat.S_IMODE(cluster.stat().st_mode) & 0o077:
            return failed(check, f"others may look into {cluster}", f"chmod 700 {cluster}")
        pwd.getpwuid(account.uid)
    except KeyError:
        advice = "Postgres does not run as a user without an account: add one (useradd --system --uid ...)"
        return failed(check, f"user {account.uid} has no account", advice)
    except (EmbeddedError, OSError) as error:
        return failed(check, str(error), "see docs/operations.md")
    return ok(check, f"runs as user {account.name}")


def _operator_token(path: Path) -> Finding:
    check = "operator's token"
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ok(check, "will be made by the first start")
    if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.geteuid():
        return warning(
            check, f"{path} is not this user's alone, so that the next start replaces it", f"chmod 600 {path}"
        )
    return ok(check, f"{path}, for uid {status.st_uid} alone")


def disk(data: Path) -> Finding:
    """Room where the data lies."""
    place = next(each for each in (data, *data.parents) if each.exists())
    free_bytes = shutil.disk_usage(place).free
    system = os.statvfs(place)
    found = f"{free_bytes / (1 << 30):.1f} GiB free at {place}"
    advice = "a database without room takes no posts: make room, or move the data directory"
    if free_bytes < _LEAST_FREE_BYTES or (system.f_files and not system.f_favail):
        return failed("disk", found, advice)
    return warning("disk", found, advice) if free_bytes < _GOOD_FREE_BYTES else ok("disk", found)


def files(serve: ServeSettings) -> Finding:
    """How many files a server may open: every connection is one."""
    table = serve.table
    needed = table.max_connections + table.max_refusals + OTHERS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= needed:
        limit = "any number" if hard == resource.RLIM_INFINITY else f"{hard:,}"
        return ok("open files", f"{limit} allowed, {needed:,} needed for {table.max_connections:,} connections")
    return warning(
        "open files",
        f"{hard:,} allowed, {needed:,} needed for {table.max_connections:,} connections: a server takes fewer",
        f"LimitNOFILE={needed} in the systemd unit, or `ulimit -Hn {needed}` before the start",
    )


def backlog(serve: ServeSettings) -> Finding:
    """How many connections the kernel keeps until they are accepted."""
    wanted = serve.backlog
    try:
        allowed = int(_SOMAXCONN.read_text())
    except (OSError, ValueError):
        return ok("connection queue", "the kernel does not say how long it may be")
    if allowed < wanted:
        advice = f"sysctl -w net.core.somaxconn={wanted}"
        return warning(
            "connection queue", f"the kernel cuts it to {allowed:,} of {wanted:,}: bursts are refused", advice
        )
    return ok("connection queue", f"{wanted:,} connections, {allowed:,} allowed")


def port(serve: ServeSettings, *, server_pid: int | None) -> Finding:
    """Whether a server can listen.

    Args:
        serve: where.
        server_pid: a server of ours that runs already, whose port this may be.
    """
    host, number = serve.host, serve.port
    where = f"{host}:{number}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, number))
            sock.listen(1)
        except OSError as error:
            if server_pid is not None:
                return ok("port", f"{where} is taken, and a server runs (pid {server_pid})")
            return failed(
                "port", f"cannot listen on {where}: {error.strerror or error}", "choose another --port or --host"
            )
    return ok("port", f"{where} is free")
