"""The command `hubbub audit`: the audit log of a server, for administrators and the operator."""

from __future__ import annotations

from typing import Final

import click

from .access import Access, with_access
from .naming import account_id
from .output import Column, json_option
from .server import Server, carry_out, paging, paging_options

_ROWS: Final = (
    Column("at", "at", time=True),
    Column("who", "actor_name"),
    Column("id", "actor"),
    Column("did", "action"),
    Column("to whom", "target_name"),
    Column("to", "target"),
    Column("status", "status", right=True),
    Column("code", "code"),
    Column("from", "address"),
)
_OPERATOR: Final = "operator"  # a name that no account can have


@click.command()
@with_access(operator=True)
@paging_options
@click.option("--actor", metavar="USER", help="Only what this one did: a user name, an id, or operator.")
@json_option
def audit(access: Access, limit: int | None, everything: bool, actor: str | None, as_json: bool) -> None:
    """Who changed what on a server, the newest first.

    \b
    Examples:
      hubbub audit
      hubbub audit --actor ada
      hubbub audit --actor operator --limit 10
      hubbub audit --all --json > audit.jsonl
    """
    wanted = paging(limit, everything)

    async def ask(server: Server) -> None:
        query: dict[str, str | int] = {}
        if actor is not None:
            query["actor"] = actor if actor == _OPERATOR else await account_id(server, actor)
        await server.show_list("/admin/audit", "rows", _ROWS, wanted, cursor="before", query=query)

    carry_out(access, ask, as_json=as_json)
