"""The operator's token: a file in the data directory that only the server's user can read.

It is made at the first start and kept, so that monitoring goes on across restarts; who deletes the file gets another one at the
next start. A file that others can read or that belongs to somebody else is never believed: its token is replaced.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

FILE_NAME: Final = "operator-token"
_PREFIX: Final = "hbo_"
_MAX_BYTES: Final = 256
_MIN_CHARS: Final = 32  # as `transport.operator` asks for; who wrote a shorter one by hand gets a good one


class TokenFileError(Exception):
    """The token cannot be read or kept; the message says why."""


def keep(directory: Path) -> str:
    """The token of this data directory; made when there is none that can be believed.

    Raises:
        TokenFileError: it can be neither read nor written.
    """
    path = directory / FILE_NAME
    try:
        found = None if path.is_symlink() else _read(path, private=True)
        if found is not None:
            return found
        if not directory.exists():
            directory.mkdir(parents=True)
            # As the embedded Postgres makes it: under root its own user has to get through.
            directory.chmod(0o711 if os.geteuid() == 0 else 0o700)
        return _make(path)
    except OSError as error:
        raise TokenFileError(f"the operator's token cannot be kept in {path}: {error.strerror}") from error


def load(directory: Path) -> str:
    """The token that a server has left in its data directory.

    Raises:
        TokenFileError: there is none, or it is not for this user.
    """
    path = directory / FILE_NAME
    try:
        found = _read(path, private=False)
    except PermissionError as error:
        raise TokenFileError(f"{path} may be read by the server's user only") from error
    except OSError as error:
        raise TokenFileError(f"{path} cannot be read: {error.strerror}") from error
    if found is None:
        raise TokenFileError(
            f"there is no operator's token in {directory}: name the server's data directory with --data"
        )
    return found


def _read(path: Path, *, private: bool) -> str | None:
    """The token, or None where there is none; with `private` also where others may know it or may have made it."""
    try:
        # No link is followed: the user that Postgres runs as may be able to make one.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        ours = status.st_uid == os.geteuid() and not status.st_mode & 0o077
        believed = stat.S_ISREG(status.st_mode) and (ours or not private)
        token = file.read(_MAX_BYTES).decode("ascii", "replace").strip() if believed else ""
    fit = token.startswith(_PREFIX) and token.isascii() and token.isprintable() and len(token) >= _MIN_CHARS
    return token if fit else None


def _make(path: Path) -> str:
    token = _PREFIX + secrets.token_urlsafe(32)
    scratch = path.with_name(f".{FILE_NAME}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(token.encode("ascii") + b"\n")
        scratch.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise
    return token
