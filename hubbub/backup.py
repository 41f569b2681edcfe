"""The commands `hubbub backup` and `hubbub restore`: a whole database into one file, and back into an empty one.

Exit codes: 0 done; 1 it could not be done (the message says why); 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from .config.overrides import FILE_NAME
from .database import Place, UpkeepError, exit_codes, place_of, place_options, reach
from .restored import credential_options, restored_json, restored_lines

if TYPE_CHECKING:
    from .storage.upkeep import Contents, Restored

_LOCK_WAIT_S: Final = 1.0
_NOT_EMPTY: Final = "the database is not empty: name a --data directory that does not exist yet, or an empty database"
_UNFINISHED: Final = (
    "a restore into this database was broken off after it was loaded: `hubbub migrate --restored` ends it"
)


@click.command()
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON, on one line.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(config_file: Path | None, data: Path | None, database_url: str | None, as_json: bool, file: Path) -> None:
    """Write everything a server keeps in its database into a new FILE, also while the server runs.

    It is one moment of the database, and a file that only you can read: all messages are in it. What the data directory holds
    besides the database (the operator's token, settings made by admins) is not. What is printed names the database, and counts
    its rows as they were just before.

    \b
    Examples:
      hubbub backup hubbub-2026-11-21.dump
      hubbub backup /backups/hubbub.dump --data /var/lib/hubbub
    """
    place = place_of(config_file, data=data, database_url=database_url)
    with exit_codes(), _progress() as said:
        size_bytes, found = _run_backup(place, file.absolute(), said)
        click.echo(_as_json(place, file, size_bytes, found) if as_json else _as_text(place, file, size_bytes, found))
        _note(f"not in it are the settings made while the server ran (`hubbub config set`): copy {_settings_of(place)}")


@click.command()
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON, on one line.")
@credential_options
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, exists=True))
def restore(
    config_file: Path | None,
    data: Path | None,
    database_url: str | None,
    as_json: bool,
    keep_sessions: bool,
    revoke_keys: bool,
    file: Path,
) -> None:
    """Load FILE, which `hubbub backup` wrote, into an empty database: one that does not exist yet, or holds no rooms.

    The schema is brought up to date, and every conversation gets a new epoch, as with `hubbub migrate --restored`: a client that
    knows more than the backup is told so, and starts anew. All sessions end, because those revoked since the backup would be
    good again; people log in again, and guests come as others. API keys stay, and are named.

    \b
    Examples:
      hubbub restore hubbub-2026-11-21.dump --data /var/lib/hubbub-new
      hubbub restore hubbub-2026-11-21.dump --data /var/lib/hubbub-new --revoke-keys
    """
    place = place_of(config_file, data=data, database_url=database_url)
    with exit_codes(), _progress() as said:
        done = _run_restore(place, file.absolute(), said, keep_sessions=keep_sessions, revoke_keys=revoke_keys)
        if as_json:
            click.echo(json.dumps({"conversations": done.conversations, **restored_json(done)}))
        else:
            click.echo("\n".join([f"restored {file}", *restored_lines(done, keep_sessions=keep_sessions)]))
        _note(
            "the settings made while the server ran (`hubbub config set`) are in no backup: put their file back as"
            f" {_settings_of(place)} before the start"
        )


def _settings_of(place: Place) -> Path:
    return place.data / FILE_NAME


def _note(text: str) -> None:
    """Say something besides the answer, which programs read."""
    from .terminal import harmless

    click.echo(f"hubbub: {harmless(text)}", err=True)


def _as_json(place: Place, file: Path, size_bytes: int, found: Contents) -> str:
    where = {"data": str(place.data)} if place.host() is None else {"host": place.host()}
    database = {"name": found.name, **where, "bytes": found.size_bytes, "rows": found.rows and dict(found.rows)}
    return json.dumps({"file": str(file), "bytes": size_bytes, "database": database})


def _as_text(place: Place, file: Path, size_bytes: int, found: Contents) -> str:
    host = place.host()
    where = f"the embedded database of {place.data}" if host is None else f"the database {found.name} at {host}"
    rows = "rows not counted, there are too many"
    if found.rows is not None:
        rows = f"{sum(found.rows.values()):,} rows in {len(found.rows)} tables"
    return f"wrote {file} ({size_bytes:,} bytes): {where}, {found.size_bytes:,} bytes on disk, {rows}"


def _run_backup(place: Place, file: Path, said: Callable[[str], None]) -> tuple[int, Contents]:
    import trio

    from .storage.dump import dump, find_programs
    from .storage.upkeep import Upkeep

    async def run() -> tuple[int, Contents]:
        async with reach(place, alone=False) as reached:
            async with Upkeep.open(reached.where) as upkeep:
                if not await upkeep.has_rooms():
                    raise UpkeepError("there is nothing of hubbub in this database")
                found = await upkeep.contents()
            bin_dir = reached.bin_dir or await find_programs(reached.major)
            return await dump(reached.where, bin_dir, file, said), found

    return trio.run(run)


def _run_restore(
    place: Place, file: Path, said: Callable[[str], None], *, keep_sessions: bool, revoke_keys: bool
) -> Restored:
    import trio

    from .storage.dump import DumpFailed, find_programs, load
    from .storage.upkeep import Upkeep

    async def run() -> Restored:
        async with reach(place, alone=True, make=True) as reached, Upkeep.open(reached.where) as upkeep:
            await upkeep.take_lock(wait_s=_LOCK_WAIT_S)
            if await upkeep.has_rooms():
                raise UpkeepError(_UNFINISHED if await upkeep.is_restore_unfinished() else _NOT_EMPTY)
            bin_dir = reached.bin_dir or await find_programs(reached.major)
            await upkeep.begin_restore()
            try:
                await load(reached.where, bin_dir, file, said)
            except DumpFailed:  # all of it or nothing: so nothing
                await upkeep.call_off_restore()
                raise
            await upkeep.migrate()
            return await upkeep.restored(keep_sessions=keep_sessions, revoke_keys=revoke_keys)

    return trio.run(run)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show the last line of the program at work, in a terminal."""
    if not sys.stderr.isatty():
        yield _ignore
        return
    from rich.console import Console
    from rich.markup import escape

    from .terminal import harmless

    with Console(stderr=True).status("working") as status:
        yield lambda line: status.update(escape(harmless(line)[:100]))


def _ignore(line: str) -> None:
    """Nobody looks."""
