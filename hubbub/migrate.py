"""The command `hubbub migrate`: the schema of a database, looked at and brought up to date, and the word after a restore.

A server migrates by itself at its start; this is for who wants it apart from that, or wants to know first.

Exit codes: 0 done, or up to date; 1 it could not be done; 2 wrong usage; 3 migrations are missing (`--status`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import click

from .database import Place, exit_codes, place_of, place_options, reach
from .restored import credential_options, restored_json, restored_lines

if TYPE_CHECKING:
    from .storage.migrate import Migration
    from .storage.upkeep import Restored

EXIT_MISSING: Final = 3
_LOCK_WAIT_S: Final = 1.0


@attrs.frozen(kw_only=True)
class Outcome:
    """What was found or done.

    Attributes:
        applied: migrations applied now; with `status` none.
        missing: migrations that are not applied.
        restored: what was done after a restore; None where that was not asked for.
        holder: the server that works on the database, as far as `status` found one.
    """

    applied: tuple[Migration, ...] = ()
    missing: tuple[Migration, ...] = ()
    restored: Restored | None = None
    holder: str | None = None


@click.command()
@place_options
@click.option("--status", is_flag=True, help="Say what is missing and change nothing; exit code 3 when something is.")
@click.option(
    "--restored",
    is_flag=True,
    help="The database came out of a backup: also renew the epoch of every conversation, so that clients take none of it for "
    "what they have followed, and end all sessions, since those revoked after the backup would be good again.",
)
@credential_options
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, on one line.")
def migrate(
    config_file: Path | None,
    data: Path | None,
    database_url: str | None,
    status: bool,
    restored: bool,
    keep_sessions: bool,
    revoke_keys: bool,
    as_json: bool,
) -> None:
    """Bring the schema of a database up to date.

    A server does so at its start; while one runs on the database this is refused. `--status` works then, too.

    \b
    Examples:
      hubbub migrate --status
      hubbub migrate --restored --data /var/lib/hubbub
    """
    if status and restored:
        raise click.UsageError("--status changes nothing, --restored does: give one of them")
    if (keep_sessions or revoke_keys) and not restored:
        raise click.UsageError("--keep-sessions and --revoke-keys are for --restored")
    place = place_of(config_file, data=data, database_url=database_url)
    with exit_codes():
        if restored:
            outcome = _run_restored(place, keep_sessions=keep_sessions, revoke_keys=revoke_keys)
        else:
            outcome = _run(place, status=status)
        lines = list(_lines(outcome))
        if outcome.restored is not None:
            lines += restored_lines(outcome.restored, keep_sessions=keep_sessions)
        click.echo(_json(outcome) if as_json else "\n".join(lines))
        if outcome.missing:
            sys.exit(EXIT_MISSING)


def _run(place: Place, *, status: bool) -> Outcome:
    import trio

    from .storage.upkeep import Upkeep

    async def run() -> Outcome:
        async with reach(place, alone=not status) as reached, Upkeep.open(reached.where) as upkeep:
            if status:
                return Outcome(missing=tuple(await upkeep.missing()), holder=await upkeep.holder())
            await upkeep.take_lock(wait_s=_LOCK_WAIT_S)
            return Outcome(applied=tuple(await upkeep.migrate()))

    return trio.run(run)


def _run_restored(place: Place, *, keep_sessions: bool, revoke_keys: bool) -> Outcome:
    import trio

    from .storage.upkeep import Upkeep

    async def run() -> Outcome:
        async with reach(place, alone=True) as reached, Upkeep.open(reached.where) as upkeep:
            await upkeep.take_lock(wait_s=_LOCK_WAIT_S)
            applied = tuple(await upkeep.migrate())
            return Outcome(
                applied=applied,
                restored=await upkeep.restored(keep_sessions=keep_sessions, revoke_keys=revoke_keys),
            )

    return trio.run(run)


def _lines(outcome: Outcome) -> list[str]:
    lines = [f"missing {_name(migration)}" for migration in outcome.missing]
    lines += [f"applied {_name(migration)}" for migration in outcome.applied]
    if not lines:
        lines = ["the schema is up to date"]
    if outcome.holder is not None:
        lines.append(f"a server works on it: {outcome.holder}")
    return lines


def _json(outcome: Outcome) -> str:
    body = {
        "applied": [_name(migration) for migration in outcome.applied],
        "missing": [_name(migration) for migration in outcome.missing],
        "renewed": None if outcome.restored is None else outcome.restored.conversations,
        "server": outcome.holder,
        **({} if outcome.restored is None else restored_json(outcome.restored)),
    }
    return json.dumps(body, separators=(",", ":"))


def _name(migration: Migration) -> str:
    return f"{migration.number:04d}_{migration.name}"
