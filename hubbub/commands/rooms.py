"""The command group `hubbub rooms`: conversations one can see, made, changed, joined, left and hidden."""

from __future__ import annotations

from typing import Final

import click

from .access import Access, with_access
from .catalogue import DefaultGroup
from .completion import complete_rooms
from .durations import duration
from .naming import person_id
from .output import Column, json_option
from .server import Server, carry_out, check_conversation, paging, paging_options, path_of

_ROOMS: Final = (
    Column("id", "id"),
    Column("title", "title", free=True),
    Column("kind", "kind"),
    Column("visibility", "visibility"),
    Column("offset", "offset", right=True),
    Column("made", "created_at", time=True),
    Column("archived", "archived"),
)
_ROOM: Final = (*_ROOMS, Column("slow mode, s", "slow_s"), Column("owner", "owner"), Column("epoch", "epoch"))
_room = click.argument("room", shell_complete=complete_rooms)
_title = click.option("--title", help="What people see above it.")


@click.group(cls=DefaultGroup)
def rooms() -> None:
    """Rooms: list, make, change, join, leave and hide them.

    \b
    Examples:
      hubbub rooms
      hubbub rooms --all --json | jq -r .id
      hubbub rooms create ops --title Operations --public
      hubbub rooms change ops --slow 10s
    """


@rooms.command("list")
@with_access(guests=True)
@paging_options
@json_option
def list_rooms(access: Access, limit: int | None, everything: bool, as_json: bool) -> None:
    """List public rooms and your own, by id."""
    wanted = paging(limit, everything)

    async def ask(server: Server) -> None:
        await server.show_list("/conversations", "conversations", _ROOMS, wanted)

    carry_out(access, ask, as_json=as_json)


@rooms.command()
@with_access(guests=True)
@json_option
@_room
def show(access: Access, as_json: bool, room: str) -> None:
    """Show a room."""

    async def ask(server: Server) -> None:
        server.output.thing(_ROOM, await server.ask("GET", _path(room)))

    carry_out(access, ask, as_json=as_json)


@rooms.command()
@with_access(guests=True)
@_title
@click.option("--public", "visibility", flag_value="public", help="Anyone may see, read and join it.")
@click.option("--private", "visibility", flag_value="private", help="Members only.  [default]")
@click.option("--announcement", "kind", flag_value="announcement", help="Owners and moderators speak, the others read.")
@click.option(
    "--with", "other", metavar="USER", help="A direct conversation with this user (a user name or an id), made once."
)
@json_option
@click.argument("room", required=False)
def create(
    access: Access,
    title: str | None,
    visibility: str | None,
    kind: str | None,
    other: str | None,
    as_json: bool,
    room: str | None,
) -> None:
    """Make a room, which you own. Without an id the server makes one up."""
    if other is not None and (kind or room):
        raise click.UsageError(
            "--with makes a direct conversation: it has no id of your choice, and is no announcement"
        )
    said = {"id": room, "title": title, "visibility": visibility, "kind": "direct" if other else kind}

    async def make(server: Server) -> None:
        if room is not None:
            check_conversation(room)
        body = {field: value for field, value in said.items() if value is not None}
        if other is not None:
            body["with"] = await person_id(server, other)
        answer = await server.ask("POST", "/conversations", body=body)
        server.output.done(answer["id"], answer)

    carry_out(access, make, as_json=as_json)


@rooms.command()
@with_access(guests=True)
@_title
@click.option("--public/--private", "public", default=None, help="Who may see, read and join it.")
@click.option("--archive/--unarchive", "archived", default=None, help="Close it for posts, or open it again.")
@click.option("--slow", "slow_s", type=duration, help="How long a member waits between two posts; 0 for no wait.")
@json_option
@_room
def change(
    access: Access,
    title: str | None,
    public: bool | None,
    archived: bool | None,
    slow_s: int | None,
    as_json: bool,
    room: str,
) -> None:
    """Change a room that you own."""
    visibility = None if public is None else "public" if public else "private"
    said = {"title": title, "visibility": visibility, "archived": archived, "slow_s": slow_s}
    body = {field: value for field, value in said.items() if value is not None}
    if not body:
        raise click.UsageError(
            "nothing is to be changed: --title, --public, --private, --archive, --unarchive or --slow"
        )

    async def patch(server: Server) -> None:
        server.output.thing(_ROOM, await server.ask("PATCH", _path(room), body=body))

    carry_out(access, patch, as_json=as_json)


@rooms.command()
@with_access(guests=True)
@json_option
@_room
def join(access: Access, as_json: bool, room: str) -> None:
    """Become a member of a public room."""

    async def enter(server: Server) -> None:
        answer = await server.ask("POST", _path(room) + "/join", body={})
        server.output.done(f"joined {room} as {answer.get('role', 'member')}", answer)

    carry_out(access, enter, as_json=as_json)


@rooms.command()
@with_access(guests=True)
@json_option
@_room
def leave(access: Access, as_json: bool, room: str) -> None:
    """End your membership of a room."""

    async def end(server: Server) -> None:
        await server.ask("POST", _path(room) + "/leave", body={})
        server.output.done(f"left {room}", {"left": room})

    carry_out(access, end, as_json=as_json)


@rooms.command()
@with_access(guests=True)
@json_option
@_room
def hide(access: Access, as_json: bool, room: str) -> None:
    """Leave a direct conversation out of your list until something new happens in it."""

    async def put_away(server: Server) -> None:
        await server.ask("POST", _path(room) + "/hide", body={})
        server.output.done(f"hidden {room}", {"hidden": room})

    carry_out(access, put_away, as_json=as_json)


def _path(room: str) -> str:
    check_conversation(room)
    return "/conversations" + path_of(room)
