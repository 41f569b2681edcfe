"""The command group `hubbub blocks`: people from whom one wants nothing more. How users are named: `naming`."""

from __future__ import annotations

from typing import Final

import click

from .access import Access, with_access
from .catalogue import DefaultGroup
from .completion import complete_blocked, complete_rooms
from .naming import BLOCKS, blocked_id, person_id
from .output import Column, json_option
from .server import Server, carry_out, check_conversation, paging, paging_options, path_of

_BLOCKS: Final = (
    Column("id", "user.id"),
    Column("name", "user.name", free=True),
    Column("kind", "user.kind"),
    Column("since", "blocked_at", time=True),
)


@click.group(cls=DefaultGroup)
def blocks() -> None:
    """People whom you block: between you there are no direct messages. They are not told.

    A USER is a user name (ada, or @ada) or an id, as lists of members show it; with --room also the name of somebody there.

    \b
    Examples:
      hubbub blocks
      hubbub blocks add eve
      hubbub blocks add --room lobby Zed     # a guest who wrote there
      hubbub blocks remove guest-0193b5c8-6a51-7c3e-9d20-5a0e1f2b3c4d
    """


@blocks.command("list")
@with_access(guests=True)
@paging_options
@json_option
def list_blocks(access: Access, limit: int | None, everything: bool, as_json: bool) -> None:
    """List whom you block, by id. Nobody else sees this."""
    wanted = paging(limit, everything)

    async def ask(server: Server) -> None:
        await server.show_list(BLOCKS, "blocks", _BLOCKS, wanted)

    carry_out(access, ask, as_json=as_json)


@blocks.command()
@with_access(guests=True)
@click.option(
    "--room", shell_complete=complete_rooms, help="Where USER is looked for, too: its members, and who wrote lately."
)
@json_option
@click.argument("user")
def add(access: Access, room: str | None, as_json: bool, user: str) -> None:
    """Block somebody. What was said stays."""

    async def put(server: Server) -> None:
        if room is not None:
            check_conversation(room)
        user_id = await person_id(server, user, room=room, speakers=room is not None)
        server.output.done(f"blocked {user}", await server.ask("PUT", BLOCKS + path_of(user_id)))

    carry_out(access, put, as_json=as_json)


@blocks.command()
@with_access(guests=True)
@json_option
@click.argument("user", shell_complete=complete_blocked)
def remove(access: Access, as_json: bool, user: str) -> None:
    """End a block. USER may also be a name as your list of blocks shows it."""

    async def end(server: Server) -> None:
        user_id = await blocked_id(server, user)
        await server.ask("DELETE", BLOCKS + path_of(user_id))
        server.output.done(f"{user} is not blocked", {"user": user_id})

    carry_out(access, end, as_json=as_json)
