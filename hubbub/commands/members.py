"""The command group `hubbub members`: who belongs to a room and as what, mutes and bans. How users are named: `naming`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from .access import Access, with_access
from .catalogue import DefaultGroup
from .completion import complete_rooms
from .durations import duration
from .naming import person_id
from .output import Column, json_option
from .server import Paging, Server, carry_out, check_conversation, paging, paging_options, path_of

_ROLES: Final = click.Choice(["owner", "moderator", "member", "viewer"])
_MEMBERS: Final = (
    Column("id", "user.id"),
    Column("name", "user.name", free=True),
    Column("kind", "user.kind"),
    Column("role", "role"),
    Column("since", "joined_at", time=True),
    Column("muted until", "muted_until", time=True),
)
_BANS: Final = (Column("id", "user.id"), Column("name", "user.name", free=True), Column("kind", "user.kind"))
_Command = TypeVar("_Command", bound=Callable[..., object])


def _about(*arguments: str) -> Callable[[_Command], _Command]:
    """What commands on a room share: who asks, JSON, and the arguments."""

    def decorate(command: _Command) -> _Command:
        found: Any = command
        for name in reversed(arguments):
            complete = complete_rooms if name == "room" else None
            found = click.argument(name, shell_complete=complete)(found)
        shared: _Command = with_access(guests=True)(json_option(found))
        return shared

    return decorate


@click.group(cls=DefaultGroup)
def members() -> None:
    """Members of a room: roles, mutes and bans.

    A USER is a user name (ada, or @ada), an id as the lists show it, or the name of somebody in the room (to give a role a
    name will not do, since anybody chooses it); mute and ban also find who wrote one of the newest 100 messages. Where several
    there have the name, the id says which.

    \b
    Examples:
      hubbub members ops
      hubbub members add ops ada --role moderator
      hubbub members ban ops 0193b5c8-6a51-7c3e-9d20-5a0e1f2b3c4d
      hubbub members mute ops @ada 15m
    """


@members.command("list")
@paging_options
@_about("room")
def list_members(access: Access, limit: int | None, everything: bool, as_json: bool, room: str) -> None:
    """List who belongs to a room, by id."""
    _list(access, room, "members", _MEMBERS, paging(limit, everything), as_json=as_json)


@members.command()
@paging_options
@_about("room")
def bans(access: Access, limit: int | None, everything: bool, as_json: bool, room: str) -> None:
    """List who is banned from a room, by id."""
    _list(access, room, "bans", _BANS, paging(limit, everything), as_json=as_json)


@members.command()
@click.option("--role", type=_ROLES, default="member", show_default=True, help="What the user becomes.")
@_about("room", "user")
def add(access: Access, role: str, as_json: bool, room: str, user: str) -> None:
    """Make a user a member, or give a member another role."""
    _change(access, "PUT", room, ("members", user), f"{user} is {role} of {room}", body={"role": role}, as_json=as_json)


@members.command()
@_about("room", "user")
def remove(access: Access, as_json: bool, room: str, user: str) -> None:
    """End somebody's membership."""
    _change(access, "DELETE", room, ("members", user), f"removed {user} from {room}", as_json=as_json)


@members.command()
@_about("room", "user")
@click.argument("seconds", metavar="DURATION", type=duration)
def mute(access: Access, as_json: bool, room: str, user: str, seconds: int) -> None:
    """Keep somebody from speaking for a DURATION: 90s, 15m, 12h, 7d."""
    _change(
        access,
        "PUT",
        room,
        ("members", user, "mute"),
        f"muted {user} in {room}",
        body={"seconds": seconds},
        until="muted_until",
        as_json=as_json,
    )


@members.command()
@_about("room", "user")
def unmute(access: Access, as_json: bool, room: str, user: str) -> None:
    """End a mute."""
    _change(access, "DELETE", room, ("members", user, "mute"), f"{user} may speak in {room}", as_json=as_json)


@members.command()
@_about("room", "user")
def ban(access: Access, as_json: bool, room: str, user: str) -> None:
    """Keep somebody out of a room, member or not."""
    _change(access, "PUT", room, ("bans", user), f"banned {user} from {room}", body={}, as_json=as_json)


@members.command()
@_about("room", "user")
def unban(access: Access, as_json: bool, room: str, user: str) -> None:
    """End a ban. It gives no membership back."""
    _change(access, "DELETE", room, ("bans", user), f"{user} may come to {room} again", as_json=as_json)


def _list(access: Access, room: str, name: str, columns: tuple[Column, ...], wanted: Paging, *, as_json: bool) -> None:
    async def ask(server: Server) -> None:
        check_conversation(room)
        await server.show_list(path_of("conversations", room, name), name, columns, wanted)

    carry_out(access, ask, as_json=as_json)


def _change(
    access: Access,
    method: str,
    room: str,
    parts: tuple[str, ...],
    said: str,
    *,
    body: dict[str, object] | None = None,
    until: str | None = None,
    as_json: bool,
) -> None:
    """Make a call about somebody in a room; the second of the `parts` of its path names the user.

    What is done to somebody (with a body) may be about who is no member, and so may the end of a mute; the rest is about members
    and the banned.

    Args:
        said: what was done, for people.
        until: the field of the answer that says how long it counts.
    """
    place, user, *rest = parts

    async def change(server: Server) -> None:
        check_conversation(room)
        user_id = await person_id(
            server,
            user,
            room=room,
            speakers=body is not None or "mute" in rest,
            trusts_names="role" not in (body or {}),
        )
        answer = await server.ask(method, path_of("conversations", room, place, user_id, *rest), body=body)
        lasting = "" if until is None else f" until {answer[until]}"
        server.output.done(said + lasting, answer or {"room": room, "user": user_id})

    carry_out(access, change, as_json=as_json)
