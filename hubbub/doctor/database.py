"""Checks of the database: reachable, writable, its schema, what it does with a commit, its clock, its room for connections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..engine import StoreError
from ..storage import SchemaRefused
from ..storage.upkeep import DatabaseFacts, Upkeep
from .finding import Finding, failed, ok, warning

OLDEST: Final = 13_00_00  # as Postgres numbers its versions
_CLOCK_OFF_S: Final = 1.0
_CLOCK_WRONG_S: Final = 60.0
_OURS: Final = 5  # connections of a server: one writes, four read


async def look(upkeep: Upkeep) -> list[Finding]:
    """All of them. What cannot be asked is a finding, too."""
    try:
        facts = await upkeep.facts()
    except StoreError as error:
        return [failed("database", str(error), "see the log of Postgres")]
    return [
        *_of(facts),
        await _writable(upkeep, facts),
        await _schema(upkeep, facts),
    ]


def _of(facts: DatabaseFacts) -> Iterator[Finding]:
    settings = facts.settings
    version, size = settings["server_version"], f"{facts.size_bytes / (1 << 20):,.1f} MiB"
    if int(settings["server_version_num"]) < OLDEST:
        yield failed("database", f"Postgres {version}", "hubbub needs Postgres 13 or newer")
    elif settings["server_encoding"] != "UTF8":
        yield failed(
            "database", f"its encoding is {settings['server_encoding']}", "create the database with encoding UTF8"
        )
    else:
        yield ok(
            "database", f"Postgres {version} answers, {size}" + (f", used by {facts.holder}" if facts.holder else "")
        )
    unsafe = [name for name in ("fsync", "full_page_writes") if settings[name] != "on"]
    if unsafe:
        advice = "without it an acknowledged post may be lost when the machine stops: turn it on"
        yield failed("commits on disk", f"{' and '.join(unsafe)} off", advice)
    else:
        yield ok("commits on disk", "fsync and full_page_writes are on")
    yield _clock(facts)
    left = int(settings["max_connections"]) - facts.connections
    if left < _OURS and facts.holder is None:
        yield warning(
            "connections",
            f"{left} left of {settings['max_connections']}",
            f"a server takes {_OURS}: raise max_connections",
        )
    else:
        yield ok("connections", f"{facts.connections} of {settings['max_connections']} in use")


def _clock(facts: DatabaseFacts) -> Finding:
    off_s = abs(facts.clock_ahead_s)
    found = f"the database's is {facts.clock_ahead_s:+.3f} s off ours (known to within {facts.clock_within_s:.3f} s)"
    advice = "let both machines follow a time server (systemd-timesyncd, chrony)"
    if off_s > _CLOCK_WRONG_S + facts.clock_within_s:
        return failed("clock", found, advice)
    return warning("clock", found, advice) if off_s > _CLOCK_OFF_S + facts.clock_within_s else ok("clock", found)


async def _writable(upkeep: Upkeep, facts: DatabaseFacts) -> Finding:
    if facts.standby:
        return failed("writable", "it is a standby and takes no writes", "name the primary")
    try:
        why = await upkeep.try_to_write()
    except StoreError as error:
        why = str(error)
    if why is not None:
        return failed("writable", why, "let this user create tables: GRANT CREATE ON SCHEMA public TO ...")
    return ok("writable", "a table was made and taken back")


async def _schema(upkeep: Upkeep, facts: DatabaseFacts) -> Finding:
    try:
        missing = await upkeep.missing()
    except SchemaRefused as error:
        return failed("schema", str(error), "use the hubbub that made it, or a newer one")
    except StoreError as error:
        return failed("schema", str(error), "see the log of Postgres")
    if not missing:
        return ok("schema", "up to date")
    names = ", ".join(f"{each.number:04d}_{each.name}" for each in missing)
    if facts.holder is not None:
        return warning("schema", f"an older server runs on it, {names} missing", "start this one in its place")
    return ok("schema", f"the next start applies {names}")
