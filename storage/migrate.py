"""Migrations: numbered SQL files, applied in order, each in a transaction, with a ledger in the database.

Runs at start under the server's lock, so two never migrate at once. A database that a newer program has migrated, or whose
applied migrations differ from ours, is refused before anything is changed.
"""

import hashlib
import re
from importlib import resources
from typing import Final

import attrs

from ..engine.core.errors import StoreUnavailable
from .driver import Session
from .ports import RowsRefused, SchemaRefused

_TIMEOUT_S: Final = 600.0
_NAME: Final = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql")

_LEDGER: Final = """
create table if not exists migrations (
    number     integer primary key,
    name       text not null,
    sha256     text not null,
    applied_at timestamptz(3) not null default now()
)
"""
_HAS_LEDGER: Final = "select to_regclass('migrations') is not null"


@attrs.frozen
class Migration:
    """One step of the schema."""

    number: int
    name: str
    script: str

    @property
    def sha256(self) -> str:
        """Digest of the script, as the ledger keeps it."""
        return hashlib.sha256(self.script.encode()).hexdigest()


def packaged() -> list[Migration]:
    """The migrations that come with this program, in order."""
    found = []
    for entry in resources.files(__package__).joinpath("migrations").iterdir():
        match = _NAME.fullmatch(entry.name)
        if match is not None:
            found.append(Migration(int(match[1]), match[2], entry.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.number)


async def missing(session: Session, known: list[Migration]) -> list[Migration]:
    """What `migrate` would apply, in order. Changes nothing.

    Raises:
        SchemaRefused: the database is ahead of this program, or was made from other files.
        StoreUnavailable, OutcomeUnknown: the connection failed.
    """
    if not (await session.fetch(_HAS_LEDGER, timeout_s=_TIMEOUT_S))[0][0]:
        return known
    rows = await session.fetch("select number, name, sha256 from migrations order by number", timeout_s=_TIMEOUT_S)
    ours = {migration.number: migration for migration in known}
    for number, name, sha256 in rows:
        if number not in ours:
            raise SchemaRefused(
                f"the database was set up by a newer hubbub (migration {number:04d}_{name} is unknown here): "
                "upgrade hubbub, or use another database"
            )
        if ours[number].sha256 != sha256:
            raise SchemaRefused(
                f"migration {number:04d}_{name} was changed after it was applied to this database: "
                "use the hubbub that set it up, or a later release"
            )
    applied = {row[0] for row in rows}
    return [migration for migration in known if migration.number not in applied]


async def migrate(session: Session, known: list[Migration]) -> list[Migration]:
    """Bring the schema up to date and return what was applied.

    Raises:
        SchemaRefused: as `missing`, or the database refuses a script. What was applied before stays.
        StoreUnavailable, OutcomeUnknown: the connection failed; running it again is safe.
    """
    await session.execute(_LEDGER, timeout_s=_TIMEOUT_S)
    found = await missing(session, known)
    for migration in found:
        try:
            await _apply(session, migration)
        except (RowsRefused, StoreUnavailable) as exc:
            if session.closed:
                raise
            why = exc.__cause__ or exc
            raise SchemaRefused(f"migration {migration.number:04d}_{migration.name} cannot be applied: {why}") from exc
    return found


async def _apply(session: Session, migration: Migration) -> None:
    async with session.transaction(timeout_s=_TIMEOUT_S):
        await session.execute(migration.script, timeout_s=_TIMEOUT_S)
        await session.fetch(
            "insert into migrations (number, name, sha256) values ($1, $2, $3)",
            *(migration.number, migration.name, migration.sha256),
            timeout_s=_TIMEOUT_S,
        )
