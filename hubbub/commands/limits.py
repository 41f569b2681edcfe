"""The command group `hubbub limits`: the rate limits of a running server, for administrators and the operator."""

from __future__ import annotations

from typing import Final

import click

from .access import Access, with_access
from .catalogue import DefaultGroup
from .durations import duration
from .output import Column, Row, json_option
from .server import Server, carry_out, path_of

_LIMITS: Final = (
    Column("name", "name"),
    Column("counted by", "counted_by"),
    Column("rate", "rate", right=True),
    Column("per, s", "period_s", right=True),
    Column("burst", "burst", right=True),
    Column("on", "on"),
    Column("said by", "source"),
    Column("refused", "refused", right=True),
)
_PATH: Final = "/admin/limits"


@click.group(cls=DefaultGroup)
def limits() -> None:
    """Rate limits of a running server. For administrators and the operator.

    What is set here stands above the configuration, is kept in the database, and holds for the next request.

    \b
    Examples:
      hubbub limits
      hubbub limits set post --rate 5 --per 1s --burst 20
      hubbub limits reset post
    """


@limits.command("list")
@with_access(operator=True)
@json_option
def list_limits(access: Access, as_json: bool) -> None:
    """List the limits, with what they have refused."""

    async def ask(server: Server) -> None:
        answer = await server.ask("GET", _PATH)
        server.output.rows(_LIMITS, answer["limits"])
        if not answer["on"]:
            server.output.note("limits are off: nobody is refused (limits.on)")

    carry_out(access, ask, as_json=as_json)


@limits.command("set")
@with_access(operator=True)
@click.option("--rate", type=click.IntRange(min=1), help="Requests a period in the long run; needed but for --off.")
@click.option("--per", "period_s", type=duration, help="The period: 1s, 1m, 1h.  [default: 1s]")
@click.option("--burst", type=click.IntRange(min=1), help="Requests at once after a pause.  [default: the rate]")
@click.option("--off", is_flag=True, help="Let any number through; what else is not given stays as it is.")
@json_option
@click.argument("name")
def set_limit(
    access: Access, rate: int | None, period_s: int | None, burst: int | None, off: bool, as_json: bool, name: str
) -> None:
    """Set a limit for good."""
    if rate is None and not off:
        raise click.UsageError("give --rate, or --off")
    given = {"rate": rate, "period_s": period_s, "burst": burst}
    said = {field: value for field, value in given.items() if value is not None}

    async def change(server: Server) -> None:
        limit = await _limit(server, name)
        before = {field: limit[field] for field in given} if off else {"period_s": 1, "burst": rate}
        body: dict[str, object] = {**before, **said, "on": not off}
        server.output.thing(_LIMITS, await server.ask("PUT", _PATH + path_of(name), body=body))

    carry_out(access, change, as_json=as_json)


@limits.command()
@with_access(operator=True)
@json_option
@click.argument("name")
def reset(access: Access, as_json: bool, name: str) -> None:
    """Give a limit back to the configuration."""

    async def change(server: Server) -> None:
        await _limit(server, name)
        server.output.thing(_LIMITS, await server.ask("DELETE", _PATH + path_of(name)))

    carry_out(access, change, as_json=as_json)


async def _limit(server: Server, name: str) -> Row:
    """A limit as it is in force.

    Raises:
        TalkError: there is none of that name.
    """
    from ..config.nearest import hint
    from ..refusals import TalkError

    known: dict[str, Row] = {row["name"]: row for row in (await server.ask("GET", _PATH))["limits"]}
    if name not in known:
        raise TalkError(f"there is no limit {name!r}{hint(name, known)}")
    return known[name]
