"""The watcher: notices that files have another content, however they were saved.

Editors and tools replace a file by renaming another over it, Kubernetes swaps a link to a directory (``..data``): a watch on
the file itself stays with the old one. So directories are watched, of the file and of every link on the way to it, and what
counts is the content. Bursts are waited out: `QUIET_S` without an event, at most `LONGEST_S`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

import trio

from ..engine.log import get_logger
from ..transport.small_file import read_small
from .inotify import DirectoryWatch

_log = get_logger("hubbub.config")

QUIET_S: Final = 0.02
LONGEST_S: Final = 0.06
_MAX_LINKS: Final = 40
_MAX_BYTES: Final = 512 * 1024

Fingerprint = tuple[bytes | None, ...]


async def watch_files(
    files: Callable[[], Iterable[Path]],
    changed: Callable[[], Awaitable[None]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call `changed` whenever the content of a file is another one, until cancelled. Without inotify: say so, and end.

    Args:
        files: which ones, asked again after every event.
        changed: called in this task; what happens meanwhile is looked at afterwards.
        task_status: for ``nursery.start``: from then on nothing is missed.
    """
    try:
        with DirectoryWatch() as watch:
            await _watch(watch, files, changed, task_status)
    except OSError as error:
        _log.warning("changes of the configuration are noticed at SIGHUP only", error=str(error))
        task_status.started()


async def _watch(
    watch: DirectoryWatch,
    files: Callable[[], Iterable[Path]],
    changed: Callable[[], Awaitable[None]],
    task_status: trio.TaskStatus[None],
) -> None:
    seen: Fingerprint | None = None
    while True:
        paths = tuple(files())
        watch.watch(directories_of(paths))  # before looking, so that no change falls between
        now = await trio.to_thread.run_sync(fingerprint, paths)
        if seen is None:
            seen = now
            task_status.started()
        elif now != seen:
            seen = now
            await changed()
            continue
        await watch.wait()
        with trio.move_on_after(LONGEST_S):
            while True:
                with trio.move_on_after(QUIET_S) as quiet:
                    await watch.wait()
                if quiet.cancelled_caught:
                    break


def fingerprint(paths: Iterable[Path]) -> Fingerprint:
    """What tells contents apart; None stands for a file that cannot be read."""
    return tuple(_digest(path) for path in paths)


def _digest(path: Path) -> bytes | None:
    try:
        return hashlib.blake2b(read_small(path, _MAX_BYTES)[0], digest_size=16).digest()
    except OSError:
        return None


def directories_of(paths: Iterable[Path]) -> set[Path]:
    """The directories in which something happens when one of these files becomes another: its own, and that of each link
    on the way to it. For one that is not there, the nearest that is."""
    found: set[Path] = set()
    for path in paths:
        with contextlib.suppress(
            OSError
        ):  # a link that went while it was followed: what is found so far tells of the next one
            _follow(path, found)
    return found


def _follow(path: Path, found: set[Path]) -> None:
    current: Path | None = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow the links looked for
    for _ in range(_MAX_LINKS):
        if current is None:
            break
        found.add(_existing(current.parent))
        current = _through_first_link(current, found)


def _through_first_link(path: Path, found: set[Path]) -> Path | None:
    """The path with its first link followed, or None where there is no link in it; the link's directory is added."""
    for prefix in (*reversed(path.parents), path):
        if prefix.is_symlink():
            found.add(prefix.parent)
            target = Path(prefix.parent, prefix.readlink(), path.relative_to(prefix))
            return Path(os.path.abspath(target))  # noqa: PTH100
    return None


def _existing(directory: Path) -> Path:
    return next(each for each in (directory, *directory.parents) if each.is_dir())
