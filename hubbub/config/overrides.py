"""What admins have set while the server ran: one JSON file in the data directory, replaced whole and durably.

It holds no secret. Who wants to be rid of it all stops the server and deletes the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..transport.small_file import read_small
from .errors import ConfigError, Origin, Problem

FILE_NAME: Final = "admin-settings.json"
MAX_BYTES: Final = 256 * 1024


def place(data: Path) -> Path:
    """Where the settings of admins are kept."""
    return data / FILE_NAME


def read(data: Path) -> dict[str, Any]:
    """The settings of admins as nested tables; empty where none were made.

    Raises:
        ConfigError: there is a file that cannot be used.
    """
    path = place(data)
    origin = Origin("admin", str(path))
    try:
        content, _ = read_small(path, MAX_BYTES)
        found = json.loads(content)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError((Problem("", origin, f"cannot be read: {error.strerror}"),)) from None
    except (ValueError, RecursionError):
        raise ConfigError((Problem("", origin, "is not JSON: mend or delete it"),)) from None
    if not isinstance(found, dict):
        raise ConfigError((Problem("", origin, "is no table: mend or delete it"),))
    return found


def write(data: Path, table: Mapping[str, Any]) -> None:
    """Keep settings; when this returns they are on the disk, and after a crash there are the old ones or these.

    Raises:
        OSError: they could not be kept; the old ones stay.
    """
    path = place(data)
    scratch = path.with_name(f".{FILE_NAME}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(_encoded(table))
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise
    directory = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def fits(table: Mapping[str, Any]) -> bool:
    """Whether the settings are short enough to be read again."""
    return len(_encoded(table)) <= MAX_BYTES


def _encoded(table: Mapping[str, Any]) -> bytes:
    return json.dumps(table, indent=2, sort_keys=True).encode() + b"\n"


def merged(table: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A table with a merge patch (RFC 7396) applied: null takes a key away. Tables that became empty go, too."""
    result = dict(table)
    for name, value in patch.items():
        if isinstance(value, Mapping):
            below = result.get(name)
            inner = merged(below if isinstance(below, Mapping) else {}, value)
            if inner:
                result[name] = inner
            else:
                result.pop(name, None)
        elif value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result
