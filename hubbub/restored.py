"""The word that a database came out of a backup: the flags of who says it, and what is said about it.

Shared by `hubbub restore` and `hubbub migrate --restored`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .terminal import harmless

if TYPE_CHECKING:
    from .storage.upkeep import Restored

_Command = TypeVar("_Command", bound=Callable[..., object])


def credential_options(command: _Command) -> _Command:
    """The flags that say what becomes of sessions and API keys."""
    for option in reversed(
        (
            click.option(
                "--keep-sessions",
                is_flag=True,
                help="Leave all sessions as they were at the backup: nobody logs in again, and who was logged out or signed out "
                "since then is let in again.",
            ),
            click.option(
                "--revoke-keys",
                is_flag=True,
                help="End all API keys: those revoked since the backup would be good again. They are named otherwise.",
            ),
        )
    ):
        command = option(command)
    return command


def restored_lines(done: Restored, *, keep_sessions: bool) -> Iterator[str]:
    """What was done, for people."""
    yield f"conversations with a new epoch: {done.conversations:,}"
    yield "sessions are as they were at the backup" if keep_sessions else f"sessions ended: {done.ended_sessions:,}"
    if done.ended_keys:
        yield f"API keys ended: {done.ended_keys:,}"
    if done.keys_in_force:
        yield f"API keys that are good, also where they were revoked since the backup: {done.keys_in_force:,}"
        for key in done.keys:
            yield f"  {key.id}  {harmless(key.user)}  {' '.join(key.scopes)}  {harmless(key.label)}".rstrip()
        if done.keys_in_force > len(done.keys):
            yield f"  and {done.keys_in_force - len(done.keys):,} more"


def restored_json(done: Restored) -> dict[str, Any]:
    """What was done, for programs."""
    keys = [{"id": key.id, "user": key.user, "label": key.label, "scopes": list(key.scopes)} for key in done.keys]
    return {
        "ended_sessions": done.ended_sessions,
        "ended_keys": done.ended_keys,
        "keys_in_force": done.keys_in_force,
        "keys": keys,
    }
