"""The command group `hubbub keys`: API keys of one's own. A key's secret is printed when it is made and never again."""

from __future__ import annotations

from typing import Any, Final

import click

from .access import Access, with_access
from .catalogue import DefaultGroup
from .durations import duration
from .output import Column, json_option
from .server import Server, carry_out, path_of

_KEYS: Final = (
    Column("id", "id"),
    Column("label", "label", free=True),
    Column("may", "scopes"),
    Column("made", "created_at", time=True),
    Column("last used", "last_used_at", time=True, none="never"),
    Column("until", "expires_at", time=True),
)
_SCOPES: Final = click.Choice(["read", "write", "manage", "account", "admin"])
_PATH: Final = "/auth/keys"


@click.group(cls=DefaultGroup)
def keys() -> None:
    """Your API keys, for programs.

    \b
    Examples:
      hubbub keys
      hubbub keys create "nightly report" --scope read --expires 90d > key
      HUBBUB_TOKEN=$(cat key) hubbub post ops "the report is out"
      hubbub keys rotate KEY --overlap 1h
    """


@keys.command("list")
@with_access()
@json_option
def list_keys(access: Access, as_json: bool) -> None:
    """List your keys, the newest first, without their secrets."""

    async def ask(server: Server) -> None:
        server.output.rows(_KEYS, (await server.ask("GET", _PATH))["keys"])

    carry_out(access, ask, as_json=as_json)


@keys.command()
@with_access()
@click.option(
    "--scope", "scopes", type=_SCOPES, multiple=True, help="What it may do; more than once.  [default: read, write]"
)
@click.option("--expires", "expires_in_s", type=duration, help="How long it is good: 12h, 90d.  [default: without end]")
@json_option
@click.argument("label", default="")
def create(access: Access, scopes: tuple[str, ...], expires_in_s: int | None, as_json: bool, label: str) -> None:
    """Make a key and print its secret, this once. LABEL says what it is for."""

    async def make(server: Server) -> None:
        body: dict[str, object] = {"label": label}
        if scopes:
            body["scopes"] = list(scopes)
        if expires_in_s is not None:
            body["expires_in_s"] = expires_in_s
        _show(server, await server.ask("POST", _PATH, body=body))

    carry_out(access, make, as_json=as_json)


@keys.command()
@with_access()
@click.option(
    "--overlap", "overlap_s", type=duration, default=0, help="How long the former secret stays good.  [default: 0]"
)
@json_option
@click.argument("key")
def rotate(access: Access, overlap_s: int, as_json: bool, key: str) -> None:
    """Give a key another secret and print it, this once. KEY is its id."""

    async def change(server: Server) -> None:
        _show(server, await server.ask("POST", _PATH + path_of(key, "rotate"), body={"overlap_s": overlap_s}))

    carry_out(access, change, as_json=as_json)


@keys.command()
@with_access()
@json_option
@click.argument("key")
def revoke(access: Access, as_json: bool, key: str) -> None:
    """End a key, with all that is open under it. KEY is its id."""

    async def end(server: Server) -> None:
        await server.ask("DELETE", _PATH + path_of(key))
        server.output.done(f"revoked {key}", {"revoked": key})

    carry_out(access, end, as_json=as_json)


def _show(server: Server, answer: Any) -> None:
    server.output.done(answer["key"], answer)
    if not server.output.as_json:
        server.output.note(f"this is shown once; the key is {answer['id']}, and may {', '.join(answer['scopes'])}")
